"""Methods are trained, saved, loaded and evaluated on a folder of precomputed regions, by rows and by joint score."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from crossbit.cli.fit import fit
from crossbit.cli.main import app
from crossbit.data.arrays import encoder_of, features_of, holds_arrays, media_of
from crossbit.data.sets import open_set
from crossbit.encoders import load
from crossbit.errors import ConfigError, UsageError
from crossbit.evaluation.evaluate import evaluate
from crossbit.model import Model, method_class
from crossbit.training.loop import TrainingConfig

WORDS = ("apple", "dog", "car", "tree", "boat", "moon", "fish", "house")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SCAN folder in which each picture has nine regions, two of which show the two things that its captions name."""
    place = tmp_path_factory.mktemp("precomp") / "tiny_precomp"
    place.mkdir()
    draw = np.random.default_rng(0)
    looks = draw.standard_normal((len(WORDS), 12)).astype(np.float32) * 3
    for part, count in (("train", 96), ("dev", 24), ("test", 24)):
        regions = draw.standard_normal((count, 9, 12)).astype(np.float32) * 0.3
        lines = []
        for row in range(count):
            first, second = draw.choice(len(WORDS), 2, replace=False)
            regions[row, draw.choice(9, 2, replace=False)] += looks[[first, second]]
            lines += [f"a {WORDS[first]} and a {WORDS[second]}", f"{WORDS[second]} beside {WORDS[first]}"] * 2
            lines.append(f"{WORDS[first]}, {WORDS[second]}")
        np.save(place / f"{part}_ims.npy", regions)
        (place / f"{part}_caps.txt").write_text("".join(line + "\n" for line in lines))
    return place


def test_regions_are_read_as_they_lie(folder: Path) -> None:
    manifest = open_set(folder)
    assert holds_arrays(manifest)
    assert encoder_of(manifest) == "regions:12"
    test = manifest.select("test")
    found = features_of(load("regions:12"), media_of(test))
    whole = np.load(folder / "test_ims.npy")
    np.testing.assert_array_equal(found.take(np.array([3, 1])).tokens, whole[[3, 1]])
    np.testing.assert_allclose(found.pooled, whole.mean(1), rtol=1e-5)
    assert found.take(np.array([2]), tokens=False).tokens.shape == (1, 0, 12)


@pytest.mark.parametrize(("key", "changes"), [("scan", {"width": 32}), ("mvsen", {"width": 32, "node": 16})])
def test_a_joint_scorer_learns_from_regions(folder: Path, tmp_path: Path, key: str, changes: dict[str, int]) -> None:
    text = {"text": "words", "vocabulary": 64} if key == "mvsen" else {"vocabulary": 64}
    config = replace(method_class(key).Config.small(), **changes, **text)  # type: ignore[attr-defined]
    training = TrainingConfig(epochs=12, batch_size=32, learning_rate=5e-3, validate_every=6, precision="fp32")
    encoders = {"image": "regions:12", "text": "words"}
    fitted = fit(
        key, open_set(folder), tmp_path, method_config=config, encoders=encoders, training=training, progress=False
    )
    model = Model.load(tmp_path / "model")
    assert model.card.encoders == encoders
    result = evaluate(model, folder, by="score", progress=False, command="x")
    assert result.rsum > 200  # chance is about 130 among 24 with so many captions alike
    again = evaluate(fitted.model, folder, by="score", progress=False, command="x")
    assert again.metrics == result.metrics


def test_an_embedder_on_regions_is_exported_for_any_number_of_them(folder: Path, tmp_path: Path) -> None:
    training = TrainingConfig(epochs=2, batch_size=32, precision="fp32")
    encoders = {"image": "regions:12", "text": "words"}
    config = replace(method_class("vse_infinity").Config.small(), width=16, vocabulary=64)  # type: ignore[attr-defined]
    fit("vse_infinity", open_set(folder), tmp_path, method_config=config, encoders=encoders, training=training)
    model = Model.load(tmp_path / "model")
    regions = [np.load(folder / "test_ims.npy")[0], np.load(folder / "test_ims.npy")[0, :4]]
    rows = model.encode_image(regions)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.encode_image(regions[1:]), rows[1:], rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="expected an array"):
        model.encode_image(["picture.png"])


def test_the_command_line_takes_the_folder(folder: Path, tmp_path: Path) -> None:
    words = ["scan", "--data", str(folder), "--output", str(tmp_path / "run"), "encoders.text=words", "vocabulary=64"]
    done = CliRunner().invoke(app, ["train", *words, "width=16", "epochs=1", "batch_size=32", "--json"])
    assert done.exit_code == 0, done.output
    assert Model.load(tmp_path / "run" / "model").card.encoders == {"image": "regions:12", "text": "words"}
    place = ["--output", str(tmp_path / "result.json"), "--json"]
    done = CliRunner().invoke(
        app, ["evaluate", str(tmp_path / "run" / "model"), "--data", str(folder), "--by", "score", *place]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"]["en"]["both"]["rsum"] > 0


def test_a_width_is_a_number() -> None:
    with pytest.raises(ConfigError, match="regions:2048"):
        load("regions:wide")
