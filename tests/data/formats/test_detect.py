"""Formats told by looking: what is near to each other is told apart, and what is none is said to be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data import formats
from crossbit.data.formats.detect import SIGNS
from crossbit.errors import ManifestError
from data.formats.made import MAKERS, pictures, png


def test_every_sign_is_of_a_format() -> None:
    assert set(SIGNS) <= set(formats.READERS)
    assert {name for name, _ in MAKERS.values()} <= set(SIGNS)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.jsonl", '{"id": "a", "path": "a.png", "captions": []}\n', "manifest"),
        ("a.jsonl", '{"id": "a", "path": "a.png", "caption": "x"}\n', "jsonl"),
        ("a.jsonl", '{"id": "a", "image": "a.png"}\n', "jsonl"),
        ("a.ndjson", "{}\n", "jsonl"),
        ("a.csv", "x,y\n", "csv"),
        ("a.tsv", "x\ty\n", "tsv"),
        ("a.json", '{"images": [{"filename": "a.png", "sentences": []}]}', "karpathy"),
    ],
)
def test_files_are_told_by_suffix_and_head(tmp_path: Path, name: str, text: str, found: str) -> None:
    (tmp_path / name).write_text(text)
    assert formats.detect(tmp_path / name) == found


def test_a_pattern_is_of_tars() -> None:
    assert formats.detect("train-{000..013}.tar") == "webdataset"


def test_a_folder_of_a_manifest_is_read_through_it(tmp_path: Path) -> None:
    path = MAKERS["manifest"][1](tmp_path / "toy")
    assert formats.detect(path.parent) == "manifest"
    assert formats.read("manifest", path.parent).items == formats.read("manifest", path).items
    arrow = tmp_path / "arrow" / "manifest.arrow"
    pictures(arrow.parent)
    formats.read("manifest", path).write(arrow)
    assert formats.detect(arrow) == formats.detect(arrow.parent) == "manifest"
    assert len(formats.read("manifest", arrow.parent)) == 4


@pytest.mark.parametrize("what", ["nothing", "folder of pictures", "json", "zip"])
def test_what_is_none_is_said(tmp_path: Path, what: str) -> None:
    path = tmp_path / ("x.zip" if what == "zip" else "x.json" if what == "json" else "x")
    if what == "folder of pictures":
        path.mkdir()
        (path / "a.png").write_bytes(png((0, 0, 0)))
    elif what != "nothing":
        path.write_text("{}")
    with pytest.raises(
        ManifestError, match="no such file or folder" if what == "nothing" else "in no format that can be told"
    ):
        formats.detect(path)
