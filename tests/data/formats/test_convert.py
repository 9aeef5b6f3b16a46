"""Converting: what the target is, where the media go, what is lost and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crossbit.data import formats
from crossbit.data.formats.content import content, gathered, suffix_of
from crossbit.data.formats.convert import format_of
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError, UsageError
from data.formats.made import MAKERS, manifest, png


@pytest.fixture
def toy(tmp_path: Path) -> Manifest:
    return formats.read("manifest", manifest(tmp_path / "toy"))


def test_the_suffix_tells_the_format() -> None:
    told = {
        suffix: format_of(Path(f"x{suffix}"))
        for suffix in (".jsonl", ".arrow", ".csv", ".tsv", ".parquet", ".json", ".tar")
    }
    assert told == {
        ".jsonl": "manifest",
        ".arrow": "manifest",
        ".csv": "csv",
        ".tsv": "tsv",
        ".parquet": "parquet",
        ".json": "karpathy",
        ".tar": "webdataset",
    }
    with pytest.raises(UsageError, match="the suffix says no format") as raised:
        format_of(Path("folder"))
    assert raised.value.hint == "name the format with --to"


def test_paths_stay_relative_to_where_the_media_lie(tmp_path: Path, toy: Manifest) -> None:
    beside = formats.convert(toy, tmp_path / "toy" / "toy.csv")
    above = formats.convert(toy, tmp_path / "above.csv")
    assert (beside.format, beside.lost, above.lost) == ("csv", (), ())
    assert formats.read("csv", beside.path).items[0].path == "red.png"
    assert formats.read("csv", above.path).items[0].path == "toy/red.png"
    with pytest.raises(ManifestError, match="expected a file below") as raised:
        formats.convert(toy, tmp_path / "elsewhere" / "toy.csv")
    assert "--copy link" in raised.value.hint


@pytest.mark.parametrize("copy", ["link", "copy"])
def test_media_come_beside_the_list_on_demand(tmp_path: Path, toy: Manifest, copy: str) -> None:
    done = formats.convert(toy, tmp_path / "elsewhere" / "toy.csv", copy=copy)  # type: ignore[arg-type]
    found = formats.read("csv", done.path)
    assert [item.path for item in found] == [f"media/{item.id}.png" for item in toy]
    for item, before in zip(found, toy, strict=True):
        assert content(found, item) == content(toy, before)
        assert found.file(item).samefile(toy.file(before)) == (copy == "link")


def test_media_inside_tars_are_taken_out(tmp_path: Path) -> None:
    tars = formats.read("webdataset", MAKERS["webdataset"][1](tmp_path / "tars"))
    with pytest.raises(ManifestError, match="lies inside test-000.tar, and format 'karpathy' lists whole files"):
        formats.convert(tars, tmp_path / "tars" / "toy.json")
    done = formats.convert(tars, tmp_path / "out" / "toy.json", copy="copy")
    found = formats.read("karpathy", done.path)
    assert found.items[0].path == "media/white.png"
    assert content(found, found.items[0]) == png((255, 255, 255))
    # a table can say where in the tar a picture lies, so nothing has to move
    listed = formats.read("csv", formats.convert(tars, tmp_path / "tars" / "toy.csv").path)
    assert [content(listed, item) for item in listed] == [content(tars, item) for item in tars]


def test_what_is_there_is_not_written_over(tmp_path: Path, toy: Manifest) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for path, name in ((tmp_path / "a.csv", None), (tmp_path / "full", "folder"), (tmp_path / "full", "precomp")):
        with pytest.raises(UsageError, match="is there already, expected a new name"):
            formats.convert(toy, path, name)
    with pytest.raises(UsageError, match="format 'hf' cannot be written"):
        formats.convert(toy, tmp_path / "x", "hf")
    with pytest.raises(UsageError, match="copy is 'move', expected none, link or copy"):
        formats.convert(toy, tmp_path / "x.csv", copy="move")  # type: ignore[arg-type]


def test_losses_are_said_with_their_number(tmp_path: Path, toy: Manifest) -> None:
    rich = replace(
        toy.items[0],
        captions=(*toy.items[0].captions, Caption("rotes Feld", "de"), Caption("red", "en", "name")),
        labels=("colour",),
        concept="red",
        licence="MIT",
        end=2.0,
        modality="video",
        metadata={"year": 1},
    )
    items = (rich, *toy.items[1:])
    lost = formats.convert(replace(toy, items=items), tmp_path / "toy.json", language="en").lost
    assert sorted(said.partition(":")[0] for said in lost) == [
        "1 captions in other languages than 'en'",
        "concept",
        "end",
        "kind of captions",
        "labels",
        "licence",
        "metadata year",
        "modality",
    ]
    assert all("(1 items)" in said for said in lost if ":" in said)
    with pytest.raises(UsageError, match="captions in en, de, and the format holds one language") as raised:
        formats.convert(replace(toy, items=items), tmp_path / "two.json")
    assert raised.value.hint == "name it: --to-option language=en"
    assert not (tmp_path / "two.json").exists()


def test_a_split_that_a_format_does_not_know(tmp_path: Path, toy: Manifest) -> None:
    odd = replace(toy, items=(replace(toy.items[0], split="query"), *toy.items[1:]))
    assert formats.convert(odd, tmp_path / "f", "folder").lost == (
        "split 'query': a folder of that name is no split when it is read",
        "4 ids: an item is known by its path there",
    )
    for name in ("karpathy", "precomp"):
        with pytest.raises(ManifestError, match="item 'red' lies in split 'query'"):
            formats.convert(odd, tmp_path / name, name)
    assert formats.read("csv", formats.convert(odd, tmp_path / "a.csv").path).items[0].split == "query"


def test_a_failed_conversion_leaves_no_list(tmp_path: Path, toy: Manifest) -> None:
    (tmp_path / "toy" / "white.png").unlink()
    with pytest.raises(ManifestError, match=r"item 'white': there is no file .*white\.png"):
        formats.convert(toy, tmp_path / "toy.tar")
    assert not (tmp_path / "toy.tar").exists()


def test_two_media_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "A.png"):
        (tmp_path / name).write_bytes(name.encode())
    manifest = Manifest("toy", tmp_path, (Item("1", "a.png"), Item("2", "A.png")))
    with pytest.raises(ManifestError, match="items '1' and '2' would both be the file"):
        gathered(manifest, tmp_path / "out", "copy")


def test_one_file_of_several_items_is_copied_once(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"clip")
    items = (Item("1", "a.mp4", "video", start=0.0, end=1.0), Item("2", "a.mp4", "video", start=1.0, end=2.0))
    found = gathered(Manifest("toy", tmp_path, items), tmp_path / "out", "copy")
    assert [item.path for item in found] == ["media/a.mp4"] * 2
    assert [path.name for path in (tmp_path / "out" / "media").iterdir()] == ["a.mp4"]


def test_a_file_of_another_content_stays(tmp_path: Path, toy: Manifest) -> None:
    target = tmp_path / "out" / "media" / "red.png"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"something else")
    with pytest.raises(ManifestError, match=r"red\.png: holds something else than"):
        gathered(toy, tmp_path / "out", "link")
    assert target.read_bytes() == b"something else"
    target.write_bytes(png((255, 0, 0)))  # what an earlier run has copied is kept
    assert len(gathered(toy, tmp_path / "out", "link")) == 4


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n", ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"RIFF\0\0\0\0WEBP", ".webp"),
        (b"RIFF\0\0\0\0WAVE", ".wav"),
        (b"\0\0\0\x18ftypmp42", ".mp4"),
        (b"OggS", ".ogg"),
        (b"something", ".png"),
    ],
)
def test_a_cell_without_a_name_is_known_by_its_first_bytes(tmp_path: Path, head: bytes, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": [head], "text": ["x"]}), tmp_path / "a.parquet")
    manifest = formats.read("hf", tmp_path / "a.parquet")
    assert suffix_of(manifest, manifest.items[0]) == suffix


def test_html_is_written_as_characters_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"id": "a", "path": "a.png", "captions": [{"text": "&lt;b&gt; &amp;amp;"}]}))
    manifest = formats.read("manifest", path, unescape=True)
    formats.convert(manifest, tmp_path / "a.csv")
    assert formats.read("csv", tmp_path / "a.csv").items[0].captions[0].text == "<b> &amp;"
