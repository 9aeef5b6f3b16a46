"""The commands `data validate` and `data convert`: what they print, where, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossbit.data import formats
from data.formats.made import MAKERS, table
from e2e.command import crossbit, sentence


@pytest.mark.parametrize("made", MAKERS)
def test_what_is_sound_is_said_in_one_line(tmp_path: Path, made: str) -> None:
    name, maker = MAKERS[made]
    path = maker(tmp_path / "toy")
    done = crossbit("data", "validate", path)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{path}: sound: {name}, 4 items, 8 captions in en\n"


def test_problems_are_printed_with_file_line_and_remedy(tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text(path.read_text().replace("three < four", "").replace("grass & leaves", "grass &amp; leaves"))
    (tmp_path / "white.png").unlink()
    done = crossbit("data", "validate", path)
    assert done.code == 3
    assert done.out.splitlines()[::2] == [
        f"{path}:6: item 'green': caption is empty, expected text",
        f"{path}:4: item 'green': caption 0 holds the HTML '&amp;', expected '&'",
        f"{path}:8: item 'white': white.png is listed, and there is no such file below {tmp_path}",
    ]
    assert all(line.startswith("    ") for line in done.out.splitlines()[1::2])
    assert sentence(done) == "csv: 3 problems\n"
    fewer = crossbit("data", "validate", path, "--limit", "1", "--no-media")
    assert len(fewer.out.splitlines()) == 2
    assert "`--limit 10` shows more" in fewer.err
    found = json.loads(crossbit("data", "validate", path, "--json").out)
    assert (found["sound"], found["format"], len(found["problems"])) == (False, "csv", 3)
    assert found["problems"][0]["line"] == 6


def test_json_of_what_is_sound(tmp_path: Path) -> None:
    done = crossbit("data", "validate", table(tmp_path), "--json")
    assert json.loads(done.out) == {
        "path": str(tmp_path / "toy.csv"),
        "format": "csv",
        "sound": True,
        "problems": [],
        "items": 4,
        "captions": 8,
        "languages": ["en"],
    }


def test_options_and_media_of_a_format(tmp_path: Path) -> None:
    path = table(tmp_path / "pictures")
    moved = path.rename(tmp_path / "list.txt")
    words = [
        "data",
        "validate",
        moved,
        "--format",
        "csv",
        "--option",
        "columns=caption=caption",
        "--option",
        "language=fr",
    ]
    assert crossbit(*words).code == 3
    done = crossbit(*words, "--media", tmp_path / "pictures")
    assert (done.code, done.out) == (0, f"{moved}: sound: csv, 4 items, 8 captions in fr\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["validate", "{path}", "--format", "cvs"], 2, "format 'cvs' cannot be read"),
        (["validate", "{path}", "--option", "colour=red"], 2, "takes no option 'colour'"),
        (["validate", "{path}", "--option", "bare"], 2, "option 'bare' is no pair"),
        (["validate", "{path}.none"], 3, "no such file or folder"),
        (["convert", "{path}", "{path}.x"], 2, "the suffix says no format"),
        (["convert", "{path}", "{path}"], 2, "is there already"),
        (["convert", "{path}", "{path}.json", "--to-option", "lang=en"], 2, "takes no option 'lang'"),
        (["convert", "nonesuch", "{path}.json"], 3, "nonesuch"),
        (["convert", "openmoji", "{path}.json", "--drop-faulty"], 2, "openmoji: no file or folder"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    path = table(tmp_path)
    done = crossbit("data", *(word.format(path=path) for word in words))
    assert done.code == code
    assert said in sentence(done)


def test_converting_there_and_back(tmp_path: Path) -> None:
    path = table(tmp_path / "toy")
    done = crossbit("data", "convert", path, tmp_path / "toy.tar")
    assert (done.code, done.out) == (0, f"{tmp_path / 'toy.tar'}: webdataset, 4 items, 8 captions in en\n")
    back = crossbit("data", "convert", tmp_path / "toy.tar", tmp_path / "out" / "toy.csv", "--copy", "copy")
    assert back.code == 0
    before, after = (formats.read("csv", file) for file in (path, tmp_path / "out" / "toy.csv"))
    assert [(i.id, i.split, i.captions) for i in after] == [(i.id, i.split, i.captions) for i in before]


def test_what_is_lost_is_said_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    path.write_text('{"id": "a", "path": "a.png", "labels": ["x"], "captions": [{"text": "un chien", "lang": "fr"}]}\n')
    done = crossbit("data", "convert", path, tmp_path / "toy.json", "--json")
    assert done.code == 0
    lost = json.loads(done.out)["lost"]
    assert lost == [
        "language 'fr': the format does not name it",
        "labels: the format has no place for it (1 items)",
        "items without a split were written as train",
    ]
    assert done.err == "".join(f"note: {line}\n" for line in lost)


def test_faults_are_dropped_and_html_unescaped_on_demand(tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text(path.read_text().replace("three < four", "").replace("grass & leaves", "grass &amp; leaves"))
    refused = crossbit("data", "convert", path, tmp_path / "a.jsonl")
    assert refused.code == 3
    assert "toy.csv:6: item 'green': caption is empty" in sentence(refused)
    done = crossbit("data", "convert", path, tmp_path / "a.jsonl", "--drop-faulty", "--unescape")
    assert done.code == 0
    assert "toy: 1 faults left out, the first: " in done.err
    green = formats.read("manifest", tmp_path / "a.jsonl").items[1]
    assert [caption.text for caption in green.captions] == ["grass & leaves", "tab\there"]
