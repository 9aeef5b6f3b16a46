"""Training from the command line: interrupted and gone on with, to the very same weights; then measured and searched with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import crossbit, sentence

WORDS = ("train", "vsepp", "epochs=3", "batch_size=4", "validate_every=1", "--data")
SPLITS = ("train", "train", "train", "train", "val", "val", "test", "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight plain pictures with a name in two languages."""
    folder = tmp_path_factory.mktemp("data")
    colours = {"red": "rot", "green": "grün", "blue": "blau", "black": "schwarz", "white": "weiß", "grey": "grau"}
    colours |= {"pink": "rosa", "brown": "braun"}
    lines = []
    for (colour, german), split in zip(colours.items(), SPLITS, strict=True):
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")
        captions = [{"text": colour, "lang": "en"}, {"text": german, "lang": "de"}]
        lines.append(json.dumps({"id": colour, "path": f"{colour}.png", "split": split, "captions": captions}))
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """A run that was not interrupted."""
    done = crossbit(*WORDS, data, "--output", data.parent / "whole")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{data.parent / 'whole' / 'model'}: epoch ")
    return data.parent / "whole"


def test_an_interrupted_training_goes_on_to_the_same_weights(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossbit.training import checkpoint

    save = checkpoint.save

    def save_and_stop(folder: Path, place: checkpoint.Place, *rest: object) -> Path:
        written = save(folder, place, *rest)  # type: ignore[arg-type]
        if place.epoch == 1:
            raise KeyboardInterrupt
        return written

    line = (*WORDS, data, "--output", tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save_and_stop)
        stopped = crossbit(*line)
    assert stopped.code == 130
    assert "`--resume`" in sentence(stopped)
    refused = crossbit(*line)
    assert refused.code == 2
    assert "holds a run already" in sentence(refused)
    gone_on = crossbit(*line, "--resume", "--json")
    assert gone_on.code == 0, gone_on.err
    assert json.loads(gone_on.out)["epochs"] == 3
    weights = "model/model.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (whole / weights).read_bytes()


def test_the_resolved_settings_train_the_same_model(data: Path, whole: Path, tmp_path: Path) -> None:
    done = crossbit("train", "--config", whole / "config.yaml", "--output", tmp_path / "again", "--json")
    assert done.code == 0, done.err
    weights = "model/model.safetensors"
    assert (tmp_path / "again" / weights).read_bytes() == (whole / weights).read_bytes()


def test_the_model_is_measured_compared_and_searched_with(data: Path, whole: Path, tmp_path: Path) -> None:
    for name, model in (("mine", whole / "model"), ("conse", "conse")):
        done = crossbit(
            "evaluate", model, "--data", data, "--system", name, "--output", tmp_path / f"{name}.json", "--json"
        )
        assert done.code == 0, done.err
        assert set(json.loads(done.out)["metrics"]) == {"en", "de", "mean"}
    kept = (tmp_path / "mine.json").read_bytes()
    again = crossbit("evaluate", whole / "model", "--data", data, "--output", tmp_path / "mine.json")
    assert again.code == 2
    assert "never overwritten" in sentence(again)
    assert (tmp_path / "mine.json").read_bytes() == kept
    table = crossbit("compare", tmp_path / "mine.json", tmp_path / "conse.json", "--format", "csv").out
    assert [line.partition(",")[0] for line in table.splitlines()[:3]] == ["system", "mine", "conse"]
    refused = crossbit("evaluate", whole / "model", "--data", data, "--by", "code", "--output", tmp_path / "code.json")
    assert refused.code == 2
    assert "has no codes" in sentence(refused)
    assert crossbit("index", data.parent, "--model", whole / "model", "--collection", tmp_path / "kept").code == 0
    found = json.loads(crossbit("search", "red", "-c", tmp_path / "kept", "--json").out)
    assert found["model"] == "vsepp-manifest"
    assert len(found["hits"]) == 8


def test_training_items_are_chosen_by_licence(data: Path, tmp_path: Path) -> None:
    records = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    for place, record in enumerate(records):
        record["licence"] = "CC-BY-SA-4.0" if place == 0 else "MIT"
    listing = data.parent / "licensed.jsonl"
    listing.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    done = crossbit(*WORDS, listing, "epochs=1", "--licences", "permissive", "--output", tmp_path / "run")
    assert done.code == 0, done.err
    assert "licences:\n- permissive" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    card = json.loads((tmp_path / "run" / "model" / "config.json").read_text(encoding="utf-8"))
    assert "Learned 3 pictures" in card["sees"]  # of four in the split, one is shared alike
    refused = crossbit(*WORDS, listing, "--licences", "free", "--output", tmp_path / "other")
    assert refused.code == 2
    assert "licences: found 'free'" in sentence(refused)
