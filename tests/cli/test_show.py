"""Printing: names that any terminal can show, paths that come through byte by byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from crossbit.cli.show import counted, json_out, paths_out, printable, size, table_out


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xc3\xa9.jpg", "café.jpg"),
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        (b"red\x1b[2Japple.jpg", r"red\x1b[2Japple.jpg"),
        (b"two\nlines.jpg", r"two\nlines.jpg"),
        ("苹果.jpg", "苹果.jpg"),
        (Path("a/b.jpg"), "a/b.jpg"),
    ],
)
def test_a_name_is_shown_without_control_characters(name: str | bytes | Path, shown: str) -> None:
    assert printable(name) == shown


def test_paths_come_through_byte_by_byte(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    names = [b"caf\xe9.jpg", b"plain.jpg"]
    paths_out(os.fsdecode(name) for name in names)
    assert capfdbinary.readouterr().out == b"caf\xe9.jpg\nplain.jpg\n"
    paths_out((os.fsdecode(name) for name in names), null=True)
    assert capfdbinary.readouterr().out == b"caf\xe9.jpg\0plain.jpg\0"


def test_json_keeps_names_that_are_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    json_out({"path": Path(name), "score": np.float32(0.5), "row": np.arange(2), "set": {"b", "a"}})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"path": name, "score": 0.5, "row": [0, 1], "set": ["a", "b"]}


def test_a_table_in_a_pipe_is_parted_by_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    table_out(("rank", "path"), [(1, "a\tb.jpg"), (2, "[bold]c.jpg")])
    assert capsys.readouterr().out == "rank\tpath\n1\ta b.jpg\n2\t[bold]c.jpg\n"


def test_a_table_on_a_terminal_is_drawn_without_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    table_out(("rank", "path"), [(1, "[bold]c.jpg")], right=(0,))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["rank", "path"]
    assert lines[2].split() == ["1", "[bold]c.jpg"]
    assert lines[2].startswith("    1  ")  # numbers stand to the right
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")]
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text


def test_counted() -> None:
    assert [counted(1, "picture"), counted(2000, "picture"), counted(0, "entry", "entries")] == [
        "1 picture",
        "2,000 pictures",
        "0 entries",
    ]
