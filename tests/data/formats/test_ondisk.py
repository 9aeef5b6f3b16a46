"""Media inside tars and tables become files in the cache, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data import formats
from crossbit.data.formats.ondisk import on_disk
from crossbit.data.manifest import Item, Manifest
from crossbit.data.sets import open_set
from crossbit.errors import ManifestError
from data.formats.made import COLOURS, MAKERS, PICTURES, png


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "media"


@pytest.mark.parametrize("made", ["webdataset", "hf Parquet", "hf saved"])
def test_every_item_becomes_a_file(tmp_path: Path, store: Path, made: str) -> None:
    name, maker = MAKERS[made]
    inside = formats.read(name, maker(tmp_path / "toy"))
    found = on_disk(inside)
    assert found.root.parent == store
    for item, before in zip(found, inside, strict=True):
        assert found.file(item).read_bytes() == png(COLOURS[item.id])
        assert (item.id, item.captions, item.split, item.metadata) == (before.id, before.captions, before.split, {})
    assert sorted(path.name for path in found.root.rglob("*")) == sorted(f"{name}.png" for name in PICTURES)


def test_what_is_there_is_kept_until_the_tar_changes(tmp_path: Path, store: Path) -> None:
    folder = MAKERS["webdataset"][1](tmp_path / "toy")
    first = on_disk(formats.read("webdataset", folder))
    red = first.file(next(item for item in first if item.id == "red"))
    red.write_bytes(b"mark")
    (red.parent / "white.png").unlink()
    again = on_disk(formats.read("webdataset", folder))
    assert again == first
    assert red.read_bytes() == b"mark"
    assert (red.parent / "white.png").read_bytes() == png(COLOURS["white"])
    with (folder / "train-000.tar").open("ab") as file:
        file.write(bytes(512))
    other = on_disk(formats.read("webdataset", folder))
    assert other.root != first.root
    assert other.fingerprint == first.fingerprint
    assert (other.root / "red.png").read_bytes() == png(COLOURS["red"])


def test_files_stay_where_they_are(tmp_path: Path) -> None:
    manifest = formats.read("csv", MAKERS["csv"][1](tmp_path / "toy"))
    assert on_disk(manifest) is manifest


def test_features_are_no_media(tmp_path: Path, store: Path) -> None:
    manifest = formats.read("precomp", MAKERS["precomp"][1](tmp_path / "toy"))
    with pytest.raises(ManifestError, match="is a row of features"):
        on_disk(manifest)
    assert list(store.rglob("*.npy")) == []


def test_a_mixture_is_refused(tmp_path: Path) -> None:
    tars = formats.read("webdataset", MAKERS["webdataset"][1](tmp_path / "toy"))
    mixed = Manifest("mixed", tars.root, (*tars, Item("x", "x.png")))
    with pytest.raises(ManifestError, match="item 'x' is a file, and others lie inside"):
        on_disk(mixed)


@pytest.mark.parametrize("made", MAKERS)
def test_a_data_set_by_path_has_files_whatever_its_format(tmp_path: Path, store: Path, made: str) -> None:
    name, maker = MAKERS[made]
    path = maker(tmp_path / "toy")
    found = open_set(path)
    assert len(found) == 4
    if made == "precomp":  # its pictures are rows of arrays, of which there are no files
        assert all(item.path.endswith("_ims.npy") or ".npy" in item.path for item in found)
        return
    assert all(found.file(item).read_bytes() == png(COLOURS[item.id.rpartition("/")[2]]) for item in found)
    assert (found.root.parent == store) == (name in ("webdataset", "hf"))
