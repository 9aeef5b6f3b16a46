"""The bench of the fine-grained methods on thirty small pictures: which runs, distractors, re-ordering, results, claims."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.cli import fine_bench, fine_claims
from crossbit.cli.fine_bench import DISTRACTORS, SYSTEMS, FineBench, Trial, _behind, mixed
from crossbit.cli.fine_claims import PARTS, bench_fine, corrected, trials
from crossbit.errors import UsageError
from crossbit.features import Features

SPLITS = ("train",) * 20 + ("val",) * 4 + ("test",) * 6
SMALL = {"width": 16, "hidden": 16, "projection": 8, "queue": 8, "heads": 2, "memory": 2, "node": 8, "fusion_heads": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    draw, lines = np.random.default_rng(0), []
    for number, split in enumerate(SPLITS):
        Image.new("RGB", (16, 16), tuple(draw.integers(0, 255, 3).tolist())).save(folder / f"{number}.png")
        captions = [{"text": f"{word} number {number}", "lang": "en"} for word in ("thing", "object")]
        record = {"id": str(number), "path": f"{number}.png", "split": split, "captions": captions}
        lines.append(json.dumps(record))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


def bench(data: Path, folder: Path, **changes: object) -> FineBench:
    changes = {"epochs": 1, "batch_size": 10, "validate_every": 1, **changes}
    return FineBench(folder / "runs", folder / "results", "typed", data=str(data), changes=changes, small=SMALL)


def test_seed_after_seed_and_every_part_left_out_once() -> None:
    for system, count in (("vse_fusion", 5 + 1 + 3 * len(DISTRACTORS) + 4), ("mvsen", 5 + 5 + 2 + 5)):
        asked = list(trials(system, [0, 1]))
        assert len(asked) == len(set(asked)) == 2 * count
        assert [trial.seed for trial in asked] == sorted(trial.seed for trial in asked)
        assert {trial.system for trial in asked} <= set(SYSTEMS)
        assert {f"{system}-without-{part}" for part in PARTS[system]} <= {trial.system for trial in asked}


def test_distractors_are_cells_of_the_other_picture() -> None:
    def grid(value: float) -> Features:
        tokens = np.full((3, 49, 2), value, np.float32)
        return Features("image", tokens, np.ones((3, 49), bool), tokens[:, 0])

    own = grid(1.0)
    found = mixed(own, grid(0.0), 9, np.random.default_rng(0))
    assert (found.tokens == 0).all(2).sum(1).tolist() == [9, 9, 9]
    np.testing.assert_allclose(found.pooled, np.full((3, 2), 40 / 49), rtol=1e-6)
    assert (own.tokens == 1).all()
    assert ((found.tokens == 0).all(2)[0] != (found.tokens == 0).all(2)[1]).any()


def test_what_is_not_on_the_short_list_stands_behind_it_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_bench, "SHORTLIST", 2)
    cosines = np.array([[0.9, 0.8, -0.5, 0.7], [-0.9, 0.1, 0.0, 0.2]], np.float32)
    table = _behind(cosines, lambda row, best: -100 * cosines[row, best])
    assert np.argsort(-table, axis=1).tolist() == [[1, 0, 3, 2], [1, 3, 2, 0]]
    assert table[0, 1] == pytest.approx(-80.0)


def test_holm_takes_a_verdict_back() -> None:
    family = [
        {"p_value": p, "verdict": verdict} for p, verdict in ((0.03, "holds"), (0.01, "holds"), (0.2, "does not hold"))
    ]
    found = corrected(family)
    assert [one["p_value"] for one in found] == pytest.approx([0.06, 0.03, 0.2])
    assert [one["verdict"] for one in found] == ["does not hold", "holds", "does not hold"]


def test_a_short_list_and_distractors_are_measured_on_one_model(data: Path, tmp_path: Path) -> None:
    measured = bench(data, tmp_path)
    plain, disturbed = measured.measured(Trial("vsepp", 0)), measured.measured(Trial("vsepp", 0, 18))
    behind = measured.measured(Trial("scan", 0, behind="vsepp"))
    assert (plain.config["distractors"], disturbed.config["distractors"]) == (0, 18)
    assert behind.config["milliseconds_a_query"] > 0
    assert behind.model["by"] == "score"
    assert len(list((tmp_path / "runs" / "picto-fine").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("system", ["vse_fusion", "mvsen"])
def test_claims_are_measured_and_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    for module in (fine_bench, fine_claims):
        monkeypatch.setattr(module, "SHORTLIST", 3)
    monkeypatch.setattr(fine_claims, "DISTRACTORS", (9,))
    path = bench_fine(bench(data, tmp_path), system, [0], tmp_path / "claims")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["system"] == system
    assert sum("Holm" in check["claim"] for check in record["checks"]) == len(PARTS[system])
    assert any(check["main"] for check in record["checks"])
    kept = {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.json")}
    again = bench(data, tmp_path)
    monkeypatch.setattr(again, "model", None)  # what is kept asks for no model
    for trial in trials(system, [0]):
        again.measured(trial)
    assert {file: file.read_bytes() for file in (tmp_path / "results").rglob("*.json")} == kept
    behind = again.measured(Trial(system, 0, behind="vse_infinity" if system == "mvsen" else system))
    assert behind.config["milliseconds_a_query"] > 0
    assert behind.model["by"] == "score"


def test_other_settings_are_measured_anew(data: Path, tmp_path: Path) -> None:
    first = bench(data, tmp_path).measured(Trial("vsepp", 0))
    second = bench(data, tmp_path, learning_rate=0.5).measured(Trial("vsepp", 0))
    assert first.config["run"] != second.config["run"]
    with pytest.raises(UsageError, match="no seeds|none, expected"):
        bench_fine(bench(data, tmp_path), "mvsen", [], tmp_path)
