"""`collection calibrate`, and what `search` says afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossbit.cli.main import app
from crossbit.search import opened
from crossbit.search.collection import Collection
from search.fakes import COLOURS, FakeModel, paint

SHAPES = ("square", "stripe", "cross", "star", "arrow", "leaf", "fish", "boat")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(opened, "load_model", lambda _: FakeModel())
    paths, captions = [], []
    for number, (colour, shape) in enumerate((c, s) for c in COLOURS for s in SHAPES):
        paths.append(paint(tmp_path / f"{number}.png", colour, mark=number + 1))
        captions.append([f"{shape} {colour}", f"a {colour} {shape}"])
    Collection.create(tmp_path / ".crossbit", FakeModel(), root=tmp_path).add(paths, captions=captions)
    return tmp_path


def test_search_tells_how_likely_an_answer_is(folder: Path) -> None:
    run = CliRunner()
    before = run.invoke(app, ["search", "a red star", "-c", str(folder), "--min-probability", "0.5"])
    assert before.exit_code == 2
    assert "not calibrated" in before.stderr
    found = json.loads(run.invoke(app, ["search", "a red star", "-c", str(folder), "--json"]).stdout)
    assert found["hits"][0]["probability"] is None
    done = run.invoke(app, ["collection", "calibrate", str(folder), "--queries", "100"])
    assert "from 100 captions; of captions not seen:" in done.stdout
    told = run.invoke(app, ["search", "a red star", "-c", str(folder), "-n", "2"])
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "likely", "path", "why"]
    assert lines[1].split()[2].endswith("%")
    kept = json.loads(
        run.invoke(app, ["search", "a red star", "-c", str(folder), "--json", "--min-probability", "0.5"]).stdout
    )
    assert [hit["why"] for hit in kept["hits"]] == ["a red star"]
    assert kept["hits"][0]["probability"] >= 0.5
    nothing = run.invoke(app, ["search", "unheard of", "-c", str(folder), "--min-probability", "0.5"])
    assert "no good match for 'unheard of'" in nothing.stderr
    info = run.invoke(app, ["collection", "info", str(folder)])
    assert "probability:" in info.stdout
    assert "codes by:" in info.stdout
    assert (
        json.loads(run.invoke(app, ["collection", "info", str(folder), "--json"]).stdout)["calibration"]["queries"]
        == 100
    )


def test_a_collection_is_held_as_index_was_told(folder: Path) -> None:
    run = CliRunner()
    refused = run.invoke(app, ["index", str(folder), "--vectors", "int8"])
    assert "keeps embeddings in float16, asked for int8" in refused.stderr
    refused = run.invoke(app, ["index", str(folder), "--engine", "mih"])
    assert "keeps the engine auto, asked for mih" in refused.stderr
