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
    assert "from 100 questions; of questions not seen:" in done.stdout
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


def test_questions_of_a_file_are_asked(folder: Path) -> None:
    run = CliRunner()
    file = folder / "questions.tsv"
    # the first is answered by two pictures, named below the folder and by their whole path
    lines = [
        f"star red\t3.png\t{folder / '4.png'}",
        "",
        *(f"{shape} blue\t{16 + n}.png" for n, shape in enumerate(SHAPES)),
    ]
    lines += [f"a {colour} boat\t{8 * n + 7}.png" for n, colour in enumerate(COLOURS)]
    lines += [f"a {colour} fish\t{8 * n + 6}.png" for n, colour in enumerate(COLOURS)]
    file.write_text("\n".join(lines))
    done = run.invoke(app, ["collection", "calibrate", str(folder), "--questions", str(file)])
    assert "from 25 questions" in done.stdout
    for line, what in (
        ("star red\tnone.png", "questions.tsv:1: 'none.png' is no picture of the collection"),
        ("star red", "questions.tsv:1: a question and no picture"),
        ("\t3.png", "questions.tsv:1: a question and no picture"),
    ):
        file.write_text(line)
        wrong = run.invoke(app, ["collection", "calibrate", str(folder), "--questions", str(file)])
        assert (wrong.exit_code, what in wrong.stderr) == (3, True)
    wrong = run.invoke(app, ["collection", "calibrate", str(folder), "--questions", str(folder / "nowhere")])
    assert "cannot be read" in wrong.stderr


def test_a_collection_is_held_as_index_was_told(folder: Path) -> None:
    run = CliRunner()
    refused = run.invoke(app, ["index", str(folder), "--vectors", "int8"])
    assert "keeps embeddings in float16, asked for int8" in refused.stderr
    refused = run.invoke(app, ["index", str(folder), "--engine", "mih"])
    assert "keeps the engine auto, asked for mih" in refused.stderr
