"""Noise from the command line: a file is made, trained on, recorded, and refused where it does not belong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import crossbit, sentence

COLOURS = ("red", "green", "blue", "black", "white", "grey", "pink", "brown")
SPLITS = ("train", "train", "train", "train", "val", "val", "test", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight plain pictures with a name."""
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for colour, split in zip(COLOURS, SPLITS, strict=True):
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")
        captions = [{"text": f"{colour} square", "lang": "en"}]
        lines.append(json.dumps({"id": colour, "path": f"{colour}.png", "split": split, "captions": captions}))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def noise(data: Path) -> Path:
    done = crossbit("data", "noise", data, "--ratio", "1", "--seed", "7", "-o", data.parent / "noise.json", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["realised"] == 1.0
    return data.parent / "noise.json"


def test_the_command_says_what_it_made(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = crossbit("data", "noise", data, "--kind", "partial", "--ratio", "0.5", "--seed", "7")
    assert done.code == 0, done.err
    assert "realised\t0.5" in done.out
    assert "2 wrong pairs of 4" in done.err
    assert "were asked for" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["noise-manifest-half-0.5-seed7.json"]
    again = crossbit("data", "noise", data, "--ratio", "0.5", "-o", tmp_path / "noise-manifest-half-0.5-seed7.json")
    assert again.code == 2
    assert "would be overwritten" in sentence(again)
    few = crossbit("data", "noise", data, "--ratio", "0.6", "-o", tmp_path / "few.json")  # two of four pairs, not 2.4
    assert "50.0% of the captions are wrong, 60.0% were asked for" in few.err
    wrong = crossbit("data", "noise", data, "--kind", "partial", "--generator", "haff")
    assert wrong.code == 2
    assert "did you mean `half`" in sentence(wrong)


def test_a_run_learns_the_noise_and_records_it(data: Path, noise: Path, tmp_path: Path) -> None:
    line = ("train", "vsepp", "epochs=1", "batch_size=4", "--data", data)
    for name, more in (("clean", ()), ("noisy", ("--noise", noise))):
        done = crossbit(*line, *more, "--output", tmp_path / name)
        assert done.code == 0, done.err
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("clean", "noisy")]
    assert weights[0] != weights[1]
    known = json.loads(noise.read_text(encoding="utf-8"))["fingerprint"]
    cards = [
        json.loads((tmp_path / name / "model" / "config.json").read_text(encoding="utf-8"))["training"]
        for name in ("clean", "noisy")
    ]
    assert "noise" not in cards[0]
    assert cards[1]["noise"]["fingerprint"] == known
    assert cards[1]["noise"]["realised"] == 1.0
    assert cards[0]["data_fingerprint"] == cards[1]["data_fingerprint"]  # the data is the same, the noise lies over it
    settings = (tmp_path / "noisy" / "config.yaml").read_text(encoding="utf-8")
    assert f"noise_fingerprint: {known}" in settings
    again = crossbit("train", "--config", tmp_path / "noisy" / "config.yaml", "--output", tmp_path / "again")
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "model" / "model.safetensors").read_bytes() == weights[1]


def test_other_data_and_another_noise_are_refused(data: Path, noise: Path, tmp_path: Path) -> None:
    lines = data.read_text(encoding="utf-8").replace("red square", "red circle")
    (data.parent / "other.jsonl").write_text(lines, encoding="utf-8")
    line = ("train", "vsepp", "epochs=1", "batch_size=4", "--output", tmp_path / "run")
    refused = crossbit(*line, "--data", data.parent / "other.jsonl", "--noise", noise)
    assert refused.code == 3
    assert "was made for the training pairs" in sentence(refused)
    stale = crossbit(*line, "noise_fingerprint=abc0", "--data", data, "--noise", noise)
    assert stale.code == 3
    assert "the run was started with abc0" in sentence(stale)
    without = crossbit(*line, "noise_fingerprint=abc", "--data", data)
    assert without.code == 2
    assert "expected a noise file" in sentence(without)
    missing = crossbit(*line, "--data", data, "--noise", tmp_path / "none.json")
    assert missing.code == 3
    assert "no such file" in sentence(missing)


def test_the_bench_draws_curves(data: Path, tmp_path: Path) -> None:
    line = (
        "bench",
        "noise",
        "--data",
        data,
        "--methods",
        "vsepp",
        "--seeds",
        "0",
        "--ratios",
        "0,0.5",
        "--epochs",
        "1",
    )
    places = ("--runs", tmp_path / "runs", "--results", tmp_path / "results", "--plot", tmp_path / "noise")
    done = crossbit(*line, "--kinds", "complete", *places)
    assert done.code == 0, done.err
    head, _, curve = done.out.splitlines()
    assert head == "| split | noise | method | 0 % | 50 % | lost at the end |"
    assert curve.startswith("| test | unrelated | vsepp | ")
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "results", "noise.png", "noise.svg"}
    assert len(list((tmp_path / "results").iterdir())) == 2
    again = crossbit(*line, "--kinds", "complete", *places, "--json")
    points = json.loads(again.out)
    assert [(p["generator"], p["ratio"], p["realised"]) for p in points] == [("clean", 0, 0), ("unrelated", 0.5, 0.5)]
    for words in (("--ratios", "half"), ("--kinds", "wrong"), ("--methods", "")):
        assert crossbit(*line, *places, *words).code == 2
