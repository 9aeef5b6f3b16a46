"""The bench of noise: which runs it asks for, and that it keeps what was measured on the same data and no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from crossbit.cli.noise_bench import NoiseBench, Wanted, bench_noise, wanted
from crossbit.errors import UsageError
from crossbit.evaluation import Result

COLOURS = ("red", "green", "blue", "black", "white", "grey", "pink", "brown", "orange", "navy")
SPLITS = ("train", "train", "train", "train", "val", "val", "test", "test", "hand", "hand")


def write(folder: Path, last: str = "navy") -> Path:
    lines = []
    for colour, split in zip(COLOURS, SPLITS, strict=True):
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")
        text = last if colour == "navy" else colour
        captions = [{"text": f"{text} square", "lang": "en"}, {"text": "anders", "lang": "de"}]
        lines.append(json.dumps({"id": colour, "path": f"{colour}.png", "split": split, "captions": captions}))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


def test_clean_runs_once_and_seed_after_seed() -> None:
    runs = list(wanted(["a", "b"], ["complete", "partial:subgroup"], [0, 0.4], [0, 1]))
    assert [(r.label, r.seed) for r in runs[:6]] == [
        ("a clean", 0), ("b clean", 0), ("a unrelated 40", 0), ("b unrelated 40", 0), ("a subgroup 40", 0),
        ("b subgroup 40", 0),
    ]  # fmt: skip
    assert len(runs) == 12
    assert {r.seed for r in runs[6:]} == {1}
    assert len(list(wanted(["a", "b"], ["complete", "partial"], [0, 0.2, 0.4, 0.6, 0.8], [0, 1, 2]))) == 54


def test_wrong_use_is_named() -> None:
    with pytest.raises(UsageError, match="no methods, kinds, ratios or seeds"):
        list(wanted([], ["complete"], [0], [0]))
    with pytest.raises(UsageError, match="kind 'half', expected complete or partial"):
        list(wanted(["a"], ["half"], [0], [0]))


def test_what_was_measured_is_kept_until_the_data_changes(tmp_path: Path) -> None:
    data, results = write(tmp_path), tmp_path / "results"

    def bench(epochs: int = 1) -> NoiseBench:
        return NoiseBench(str(data), ["en"], tmp_path / "runs", results, "typed", {"epochs": epochs, "batch_size": 4})

    run = Wanted("vsepp", "complete", "unrelated", 0.5, 3)
    first = bench_noise(bench(), [run])
    assert sorted(path.name for path in results.iterdir()) == [
        "vsepp-unrelated-50-seed3-hand.json", "vsepp-unrelated-50-seed3-test.json",
    ]  # fmt: skip
    test, hand = first
    assert (test.data["split"], hand.data["split"]) == ("test", "hand")
    assert test.config["noise"]["realised"] == hand.config["noise"]["realised"] == 0.5
    assert test.config["noise"]["languages"] == ["en"]
    assert test.config["last_epoch_validation_rsum"] == test.config["validation_rsum"]  # one epoch is the last
    assert (test.seeds, test.languages, test.protocol["name"], test.command) == ((3,), ("en",), "same-concept", "typed")
    assert not list((tmp_path / "runs").rglob("checkpoint-*"))
    written = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    again = bench_noise(bench(), [run])
    assert [r.date for r in again] == [r.date for r in first]
    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == written
    # another setting, or another test text, is another measure
    longer = bench_noise(bench(epochs=2), [run])
    assert longer[0].config["settings"]["epochs"] == 2
    write(tmp_path, last="dark blue")
    changed = bench_noise(bench(epochs=2), [run])
    assert changed[0].data["fingerprint"] != longer[0].data["fingerprint"]
    assert (
        changed[0].config["noise"]["fingerprint"] == longer[0].config["noise"]["fingerprint"]
    )  # the training half is as it was
    assert Result.read(results / "vsepp-unrelated-50-seed3-hand.json").date == changed[1].date


def test_the_clean_run_has_no_noise(tmp_path: Path) -> None:
    bench = NoiseBench(
        str(write(tmp_path)), ["en"], tmp_path / "runs", tmp_path / "results", "", {"epochs": 1, "batch_size": 4}
    )
    clean = bench_noise(bench, list(wanted(["vsepp"], ["complete"], [0], [0])))
    assert {"noise"} & set(clean[0].config) == set()
    assert (tmp_path / "results" / "vsepp-clean-seed0-test.json").is_file()
