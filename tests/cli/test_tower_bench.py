"""The bench of towers: what is trained and what is kept, and who is compared with whom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.test_hashing_bench import write
from cli.test_hashing_claims import Bench
from crossbit.cli import encoder, tower_bench
from crossbit.cli.data import open_data
from crossbit.cli.encoder import read_words, train_encoder
from crossbit.cli.hashing_bench import HashingBench
from crossbit.cli.hashing_claims import Measured
from crossbit.cli.hashing_systems import Wanted
from crossbit.cli.tower_bench import ARMS, TOWERS, Arm, TowerBench
from crossbit.cli.tower_claims import GRID, residual_on_labels, vit2cmh_on_captions, vit2cmh_over_towers
from crossbit.data.manifest import Manifest
from crossbit.encoders import load
from crossbit.errors import ConfigError
from crossbit.evaluation import Result
from crossbit.evaluation.claims import FIELDS

QUICK = ("epochs=1", "batch_size=3", "directions=3", "validate_every=1")
SMALL = ("kind=vit", "width=12", "layers=1", "heads=2", *QUICK)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write(tmp_path)
    found = open_data(str(path), ("en",))
    parts = {
        split: Manifest("toy", found.root, tuple(i for i in found if i.split == split)) for split in ("train", "val")
    }
    monkeypatch.setattr(encoder, "pictures", lambda split: parts[split])
    return path


def test_words_are_sorted_into_kind_sizes_and_recipe() -> None:
    asked = read_words(["kind=resnet", "blocks=[1,1,1,1]", "residual=false", "epochs=2"], 3)
    assert (asked.family, dict(asked.sizes)) == ("small-resnet", {"blocks": [1, 1, 1, 1], "residual": False})
    assert asked.training == {"epochs": 2, "seed": 3}
    assert asked.command == "crossbit train encoder kind=resnet blocks=[1, 1, 1, 1] residual=false epochs=2 seed=3"
    with pytest.raises(ConfigError, match="kind is 'cnn', expected one of vit, resnet"):
        read_words(["kind=cnn"])
    with pytest.raises(ConfigError, match="`epoch` does not exist") as wrong:
        read_words(["kind=vit", "epoch=3"])
    assert "epochs" in str(wrong.value)


def test_a_trained_encoder_has_a_record_and_goes_on(data: Path, tmp_path: Path) -> None:
    record = train_encoder(read_words(SMALL), tmp_path / "run", progress=False)
    card = load(f"small-vit:{tmp_path / 'run' / 'encoder'}").describe()
    assert (record["fingerprint"], card.dim) == (card.fingerprint, 12)
    assert json.loads((tmp_path / "run" / "record.json").read_text()) == json.loads(json.dumps(record))
    assert (record["data"]["validation_items"], record["steps"], len(record["log"])) == (3, 2, 1)
    with pytest.raises(ConfigError, match="holds a run already"):
        train_encoder(read_words(SMALL), tmp_path / "run", progress=False)
    with pytest.raises(ConfigError, match="was started with"):
        train_encoder(read_words([*SMALL, "seed=1"]), tmp_path / "run", resume=True, progress=False)
    again = train_encoder(read_words(SMALL), tmp_path / "run", resume=True, progress=False)
    assert again["fingerprint"] == record["fingerprint"]


def test_the_command_says_where_the_encoder_lies(data: Path, tmp_path: Path) -> None:
    from crossbit.cli.main import app

    words = ["train", "encoder", *SMALL, "--output", str(tmp_path / "run"), "--seed", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == f"small-vit:{tmp_path / 'run' / 'encoder'}"
    assert "% of the teacher's summaries of held-out pictures" in done.stderr
    told = json.loads(CliRunner().invoke(app, [*words, "--resume", "--json"]).stdout)
    assert told["recipe"]["seed"] == 2
    assert told["command"].startswith("crossbit train encoder kind=vit width=12")


def test_arms_share_towers_and_a_training_serves_every_length(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tower_bench, "TOWERS", {"vit": SMALL})
    gru = {"text_net": "gru", "gru_hidden": 8, "word_width": 8}
    monkeypatch.setattr(
        tower_bench,
        "ARMS",
        {"a": Arm("vit2cmh", "vit", "minilm"), "b": Arm("vit2cmh", "vit", "minilm-words", gru)},
    )
    changes = {"epochs": 1, "batch_size": 6, "validate_every": 1}
    hashing = HashingBench(str(data), 128, tmp_path / "runs", tmp_path / "results", "typed")
    bench = TowerBench(hashing, tmp_path / "runs", tmp_path / "results", "typed", changes)
    found = [bench.measured(arm, bits, (0,))[0] for arm in ("a", "b") for bits in (16, 128)]
    assert [result.model["width"] for result in found] == [16, 128] * 2
    assert [result.system for result in found[:2]] == ["a 16bit", "a 128bit"]
    assert found[2].config["arm"]["changes"]["text_net"] == "gru"
    assert len(list((tmp_path / "runs" / "encoders").iterdir())) == 1
    trained = list((tmp_path / "runs").glob("*-towers/*/model"))
    assert len(trained) == 2
    record = json.loads((tmp_path / "results" / "encoders" / "small-vit-0.json").read_text())
    assert found[0].config["towers"]["image"] == record["fingerprint"]
    again = bench.measured("a", 16, (0,))[0]
    assert again.date == found[0].date
    assert {p.name for p in (tmp_path / "results" / "manifest-towers").iterdir()} == {
        f"{arm}-{bits}bit-seed0.json.gz" for arm in "ab" for bits in (16, 128)
    }


class Towers:
    """Stands for the bench of towers: good arms are as good as the good systems of the other one."""

    def __init__(self, good: Sequence[str]) -> None:
        self.bench, self.good, self.command = Bench(), good, "typed"

    def measured(self, arm: str, bits: int, seeds: Sequence[int]) -> list[Result]:
        assert arm in ARMS
        like = "fgcmh" if arm in self.good else "dcmh"
        found = [self.bench.measured(Wanted(ARMS[arm].track, like, bits, seed)) for seed in seeds]
        return [replace(result, system=f"{arm} {bits}bit") for result in found]


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    found = Measured(tmp_path, tmp_path, "typed", (0, 1))
    found.bench = Bench()  # type: ignore[assignment]
    return found


def test_the_paper_is_the_whole_grid_and_its_sides_are_told_apart() -> None:
    towers = Towers(["vit-bert", "resnet-bert", "packaged-bert"])
    checks = vit2cmh_over_towers(towers, (0, 1), lengths=(64,))  # type: ignore[arg-type]
    assert len(checks) == len(GRID)
    assert all(set(check) == set(FIELDS) for check in checks)
    assert [check["main"] for check in checks] == [True] + [False] * (len(checks) - 1)
    said = {check["baseline_name"]: check["verdict"] for check in checks[:3]}
    assert said == {"resnet-gru 64bit": "holds", "resnet-bert 64bit": "does not hold", "vit-gru 64bit": "holds"}


def test_the_method_is_set_against_others_over_the_same_towers(measured: Measured) -> None:
    checks = vit2cmh_on_captions(measured, lengths=(64,))
    assert [check["baseline_name"] for check in checks] == ["dcmh 64bit", "djsrh 64bit", "ucch 64bit"]
    assert {run.track for run in measured.bench.asked} == {"captions"}  # type: ignore[attr-defined]


def test_a_residual_network_is_set_against_a_shallow_one() -> None:
    checks = residual_on_labels(Towers(["cmhr_drn-resnet"]), (0, 1), lengths=(32,))  # type: ignore[arg-type]
    assert [(c["baseline_name"], c["metric"]) for c in checks] == [
        ("cmhr_drn-shallow 32bit", "map_all, mean over languages")
    ]
    assert checks[0]["difference"] > 0


def test_every_arm_stands_on_towers_that_are_known() -> None:
    for arm in ARMS.values():
        if arm.image in TOWERS:
            read_words(TOWERS[arm.image])
        else:
            assert load(arm.image).describe().modality == "image"
        assert load(arm.text).describe().modality == "text"
