"""Codes as a product: made after training by the line, cut to their first bits, kept in a collection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from crossbit import Collection
from crossbit.cli.codes import codes_afterwards, first_bits
from crossbit.cli.main import app
from crossbit.codes.packing import pack
from crossbit.data.manifest import Manifest
from crossbit.errors import AbilityError
from crossbit.methods.dcmh import DCMH, DCMHConfig
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.model import Model
from test_model import DIMS, ENCODERS, ToyEncoder

COLOURS = ("red", "green", "blue", "black", "white", "grey", "pink", "brown")


class Cached(ToyEncoder):
    """What the cache of features asks of an encoder: inputs that are arrays, and how long a text is."""

    def prepare(self, media: Sequence[Any], **options: Any) -> dict[str, Any]:
        if self.view == "image":
            return {"media": np.stack(media)}
        texts = np.array(media, dtype=object)
        return {"media": texts, "mask": np.arange(99) < np.array([len(text) for text in media])[:, None]}


@pytest.fixture(autouse=True)
def toy_encoders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("crossbit.model.load_encoder", lambda name: Cached(name[4:]))
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = []
    for place, colour in enumerate(COLOURS):
        Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
        split = "test" if place > 5 else "train"
        captions = [{"text": f"{colour} square", "lang": "en"}]
        lines.append(json.dumps({"id": colour, "path": f"{colour}.png", "split": split, "captions": captions}))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


def dense(folder: Path) -> Model:
    torch.manual_seed(0)
    model = Model.from_method(VSEPP(VSEPPConfig(width=16, hidden=8), DIMS), "vsepp", ENCODERS)
    model.save_pretrained(folder)
    return model


def nested(folder: Path, *, trained: bool = True) -> Model:
    torch.manual_seed(0)
    model = Model.from_method(DCMH(DCMHConfig(64, 8, nested=trained), DIMS), "dcmh", ENCODERS)
    model.save_pretrained(folder)
    return Model.load(folder)


def test_a_model_gets_codes_by_the_line(data: Path, tmp_path: Path) -> None:
    before = dense(tmp_path / "dense")
    line = ["codes", str(tmp_path / "dense"), "--bits", "24", "--by", "itq", "--data", str(data), "--json"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["bits"] == 24
    found = Model.load(tmp_path / "dense-itq-24bit")
    assert (found.bits, found.card.codes["by"], found.card.codes["of"]) == (24, "itq", before.fingerprint)
    assert found.card.codes["data_fingerprint"] == Manifest.read(data).select("train").fingerprint
    embedding = before.encode_text(["red square"])
    assert found.projection is not None
    np.testing.assert_array_equal(found.code("text", ["red square"]), pack(found.projection.relax("text", embedding)))
    line = [
        "evaluate",
        str(tmp_path / "dense-itq-24bit"),
        "--by",
        "code",
        "--data",
        str(data),
        "-o",
        str(tmp_path / "r.json"),
    ]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["model"]["width"] == 24


def test_signs_need_no_data_and_other_ways_do(tmp_path: Path) -> None:
    model = dense(tmp_path / "dense")
    made = codes_afterwards(model, None, 16, "sign")
    embedding = model.encode_text(["a", "zz"])
    np.testing.assert_array_equal(made.code("text", ["a", "zz"]), pack(embedding))
    done = CliRunner().invoke(app, ["codes", str(tmp_path / "dense"), "--by", "itq"])
    assert done.exit_code == 2
    assert "names no training data" in done.stderr
    with pytest.raises(AbilityError, match="has no embedding"):
        codes_afterwards(nested(tmp_path / "m"), None, 16, "sign")


def test_only_codes_that_were_trained_for_it_are_cut_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert first_bits(nested(tmp_path / "a"), 32).bits == 32
    assert capsys.readouterr().err == ""
    assert first_bits(nested(tmp_path / "b", trained=False), 32).bits == 32
    assert "was not trained with nested codes" in capsys.readouterr().err
    assert first_bits(nested(tmp_path / "a"), 24).bits == 24  # between two trained lengths
    assert "was not trained with nested codes" in capsys.readouterr().err


def test_evaluate_compares_the_first_bits(data: Path, tmp_path: Path) -> None:
    model = nested(tmp_path / "m")
    line = ["evaluate", str(tmp_path / "m"), "--data", str(data), "--bits", "16", "-o", str(tmp_path / "r.json")]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2
    assert "embeddings are compared, which have none" in done.stderr
    done = CliRunner().invoke(app, [*line, "--by", "code"])
    assert done.exit_code == 0, done.stderr
    found = json.loads((tmp_path / "r.json").read_text())["model"]
    assert (found["width"], found["fingerprint"]) == (16, model.with_bits(16).fingerprint)


def test_a_collection_keeps_the_first_bits_and_asks_with_as_many(data: Path, tmp_path: Path) -> None:
    nested(tmp_path / "m")
    place = str(tmp_path / "c")
    line = ["index", str(data.parent), "--model", str(tmp_path / "m"), "-c", place]
    done = CliRunner().invoke(app, [*line, "--bits", "32"])
    assert done.exit_code == 0, done.stderr
    with Collection.open(place) as found:  # loads the whole model by its folder
        assert found.meta.bits == 32
        assert found.model.bits == 32
        hits = found.search(text="red square", k=8)
        assert len(hits) == 8
        assert all((16 * hit.score) % 1 == 0 for hit in hits)  # 1 - 2 h / 32
    with Collection.open(place, Model.load(tmp_path / "m")) as found:
        assert found.model.bits == 32
    done = CliRunner().invoke(app, [*line, "--bits", "16"])
    assert done.exit_code == 2
    assert "keeps codes of 32 bits, asked for 16" in done.stderr
    done = CliRunner().invoke(app, [*line, "--bits", "16", "--rebuild"])
    assert done.exit_code == 0, done.stderr
    with Collection.open(place) as found:
        assert found.meta.bits == 16
