"""Notes, lines, JSON and fields: what every reader stands on."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import pytest

from crossbit.data import formats
from crossbit.data.formats.faults import Dropping, Enough, Notes
from crossbit.data.formats.gather import Gather, Shelf, field, json_of, lines, one_line
from crossbit.data.manifest import Item
from crossbit.errors import ManifestError, UsageError


def problems(name: str, path: Path, limit: int = 10, **options: Any) -> tuple[formats.Problem, ...]:
    return formats.validate(name, path, limit, **options).problems


def test_notes_raise_the_first_or_collect_so_many(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"a\.csv:3: odd") as raised:
        Notes().say(tmp_path / "a.csv", 3, "odd", "mend it")
    assert raised.value.hint == "mend it"
    notes = Notes(limit=2)
    notes.say(tmp_path, None, "one", "")
    with pytest.raises(Enough):
        notes.say(tmp_path, 7, "two", "")
    assert [problem.where for problem in notes.problems] == [str(tmp_path), f"{tmp_path}:7"]


def test_dropping_tells_how_many(caplog: pytest.LogCaptureFixture) -> None:
    notes = Dropping()
    notes.tell("toy")
    assert caplog.text == ""
    for line in (1, 2, 3):
        notes.say(Path("a.csv"), line, "odd", "")
    notes.tell("toy")
    assert "toy: 3 faults left out, the first: a.csv:1: odd" in caplog.text


def test_lines_keep_their_numbers_and_name_bad_bytes(tmp_path: Path) -> None:
    path = tmp_path / "caps.txt"
    path.write_bytes("\ufeffeins\r\nzwei\n".encode() + b"caf\xe9\n" + "drei\u2028vier".encode())
    notes = Notes(limit=9)
    assert list(lines(path, notes)) == [(1, "eins"), (2, "zwei"), (3, ""), (4, "drei\u2028vier")]
    (problem,) = notes.problems
    assert problem.where == f"{path}:3"
    assert problem.message == "byte 4 of the line (0xe9) is not UTF-8"
    assert "iconv" in problem.remedy


def test_a_cut_gzip_is_named_with_the_line_where_it_ends(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"line {n}\n" for n in range(20_000)).encode())
    path = tmp_path / "caps.txt.gz"
    path.write_bytes(whole[: len(whole) // 2])
    notes = Notes(limit=9)
    read = list(lines(path, notes))
    assert read[0] == (1, "line 0")
    assert notes.problems[0].line == len(read) + 1
    assert "cut or damaged" in notes.problems[0].remedy


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a": 1,\n "b": [', r"x\.json:2: not JSON"),
        (b'{"a":\n "caf\xe9"}', r"x\.json:2: byte 12 \(0xe9\) is not UTF-8"),
        (b"[1]", r"x\.json: the file holds a list, expected a dict"),
        (b"[" * 100_000, r"x\.json: lists or objects lie too deep"),
    ],
)
def test_json_that_cannot_be_read_is_named(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    with pytest.raises(ManifestError, match=said):
        json_of(path, dict, Notes())


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ([], "r: a list, expected an object"),
        ({}, "r: field 'n' is missing"),
        ({"n": "3"}, "r: field 'n' is '3', expected int"),
        ({"n": True}, "r: field 'n' is 'True', expected int"),
    ],
)
def test_a_field_that_is_missing_or_of_another_kind(record: object, said: str) -> None:
    notes = Notes(limit=9)
    assert field(record, "n", int, Path("f"), None, "r", notes) is None
    assert notes.problems[0].message == said


def test_a_second_item_of_one_id_names_both_places() -> None:
    notes = Notes(limit=9)
    gather = Gather(notes)
    gather.add(Item("a", "a.png"), Path("x/list.csv"), 2)
    gather.add(Item("a", "b.png"), Path("x/list.csv"), 5)
    assert gather.items["a"].path == "a.png"
    assert (notes.problems[0].line, notes.problems[0].message) == (5, "item 'a' stands twice, first at list.csv:2")


@pytest.mark.parametrize(("text", "told"), [(None, "NoneType"), (3, "int"), (" \n ", "empty")])
def test_what_is_no_caption(text: object, told: str) -> None:
    notes = Notes(limit=9)
    assert Gather(notes).caption(text, Path("f"), 1, "item 'a'") is None
    assert "item 'a': caption is" in notes.problems[0].message
    assert told in notes.problems[0].message


def test_a_caption_is_one_line() -> None:
    assert one_line(" a\r\nb\n\nc \u3000d ") == "a b c \u3000d"


def test_media_are_found_by_their_stem(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "clip1.webm").touch()
    shelf = Shelf(tmp_path)
    assert shelf.path(["clip0", "clip1"], ".mp4") == "deep/clip1.webm"
    assert shelf.path(["clip2"], ".mp4") == "clip2.mp4"


def test_formats_and_options_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="format 'coco' cannot be read, expected one of manifest"):
        formats.read("coco", tmp_path)
    with pytest.raises(UsageError, match="format 'karpathy' takes no option 'restvall'"):
        formats.read("karpathy", tmp_path, restvall="drop")
    with pytest.raises(ManifestError, match="no such file or folder"):
        formats.read("karpathy", tmp_path / "none.json")


def test_options_are_read_as_the_reader_takes_them() -> None:
    pairs = ["restval=drop", "media=pictures/coco"]
    assert formats.options_of("karpathy", pairs) == {"restval": "drop", "media": Path("pictures/coco")}
    assert formats.options_of("precomp", ["parts=dev,test", "ids=no"]) == {"parts": ("dev", "test"), "ids": False}
    assert formats.options_of("csv", ["columns=path=img,caption=title"]) == {"columns": "path=img,caption=title"}
    written = formats.options_of("precomp", ["repeat=true", "features=x.npy"], writing=True)
    assert written == {"repeat": True, "features": "x.npy"}
    assert formats.options_of("webdataset", ["per_tar=7"], writing=True) == {"per_tar": 7}


@pytest.mark.parametrize(
    ("name", "pair", "said"),
    [
        ("karpathy", "restval", "option 'restval' is no pair, expected key=value"),
        ("precomp", "ids=perhaps", "option 'ids' of 'precomp' is 'perhaps', expected true or false"),
        ("precomp", "part=dev", "takes no option 'part', expected one of parts, language, ids"),
    ],
)
def test_options_that_do_not_fit(name: str, pair: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        formats.options_of(name, [pair])


@pytest.mark.parametrize("table", ["READERS", "WRITERS"])
def test_every_format_of_the_tables_is_there(table: str) -> None:
    for name in getattr(formats, table):
        assert callable(formats._function(name, getattr(formats, table), "used")), name
    assert set(formats.WRITERS) <= set(formats.READERS)


def test_html_in_captions_is_said_and_unescaped_on_demand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(
        '{"id": "a", "path": "a.png", "captions": [{"text": "salt &amp; pepper"}]}\n'
        '{"id": "b", "path": "b.png", "captions": [{"text": "R&D; fish & chips"}]}\n'
    )
    with caplog.at_level(logging.WARNING):
        assert formats.read("manifest", path).items[0].captions[0].text == "salt &amp; pepper"
    assert f"1 captions with HTML, the first: {path}:1: item 'a'" in caplog.text
    assert formats.read("manifest", path, unescape=True).items[0].captions[0].text == "salt & pepper"
    found = problems("manifest", path, media_files=False)
    assert [(problem.line, problem.message) for problem in found] == [
        (1, "item 'a': caption 0 holds the HTML '&amp;', expected '&'")
    ]


def test_splits_that_overlap_end_a_reading_and_validation_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(
        '{"id": "a", "path": "a.png", "split": "test"}\n'
        '{"id": "b", "path": "a.png", "split": "train"}\n'
        '{"id": "c", "path": "c.png", "split": "train", "concept": "dog"}\n'
        '{"id": "d", "path": "d.png", "split": "val", "concept": "dog"}\n'
        '{"id": "e", "path": "e.png", "split": "train"}\n'
    )
    with pytest.raises(
        ManifestError, match=r"m\.jsonl:2: file 'a\.png' lies in split 'test' \(item 'a'\) and in 'train'"
    ):
        formats.read("manifest", path)
    found = problems("manifest", path, media_files=False)
    assert [(problem.line, problem.message.split()[0]) for problem in found] == [(2, "file"), (4, "concept")]
    # what is trained on goes, what is measured on stays
    assert [item.id for item in formats.read("manifest", path, drop_faulty=True)] == ["a", "d", "e"]


def test_media_that_are_listed_and_absent(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    (tmp_path / "d.png").touch()
    path = tmp_path / "m.jsonl"
    names = {"a": "a.png", "b": "b.png", "c": "../c.png", "d": "d.png"}
    path.write_text("".join(f'{{"id": "{name}", "path": "{file}"}}\n' for name, file in names.items()))
    first, second, third = problems("manifest", path)
    assert (first.line, second.line, third.line) == (2, 3, 4)
    assert "item 'd': d.png is listed, and the file is empty (0 bytes)" in third.message
    assert "item 'b': b.png is listed, and there is no such file below" in first.message
    assert "expected one below" in second.message
    assert problems("manifest", path, media_files=False) == ()
    assert len(problems("manifest", path, 1)) == 1
