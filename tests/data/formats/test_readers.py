"""Every general format: told by looking, read as what was put in, sound for validation, and its media come out whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.data import formats
from crossbit.data.formats.content import content, media_of
from crossbit.data.formats.losses import inside
from crossbit.data.formats.precomp import rows
from data.formats.made import COLOURS, MAKERS, PICTURES, png


@pytest.mark.parametrize("made", MAKERS)
def test_a_format_is_told_by_looking_and_read_whole(tmp_path: Path, made: str) -> None:
    name, maker = MAKERS[made]
    path = maker(tmp_path / "toy")
    assert formats.detect(path) == name
    manifest = formats.read(name, path)
    got = {
        item.id.rpartition("/")[2]: (item.split, tuple(caption.text for caption in item.captions)) for item in manifest
    }
    assert got == PICTURES
    assert {caption.lang for item in manifest for caption in item.captions} == {"en"}
    assert {item.modality for item in manifest} == {"image"}


@pytest.mark.parametrize("made", MAKERS)
def test_what_is_sound_has_no_problem(tmp_path: Path, made: str) -> None:
    name, maker = MAKERS[made]
    report = formats.validate(name, maker(tmp_path / "toy"))
    assert report.problems == ()
    assert report.manifest is not None
    assert len(report.manifest) == 4


@pytest.mark.parametrize("made", [made for made in MAKERS if made != "precomp"])
def test_media_come_out_as_they_went_in(tmp_path: Path, made: str) -> None:
    name, maker = MAKERS[made]
    manifest = formats.read(name, maker(tmp_path / "toy"))
    for item in manifest:
        data = png(COLOURS[item.id.rpartition("/")[2]])
        assert content(manifest, item) == data
        medium = media_of(manifest, item)
        assert isinstance(medium, bytes) == inside(item) == (made in ("webdataset", "hf Parquet", "hf saved"))
        assert (medium if isinstance(medium, bytes) else medium.read_bytes()) == data


def test_precomputed_regions_come_out_by_item(tmp_path: Path) -> None:
    name, maker = MAKERS["precomp"]
    manifest = formats.read(name, maker(tmp_path / "toy"))
    found = rows(manifest, manifest)
    assert found.shape == (4, 3, 5)
    numbers = {name: number for number, name in enumerate(PICTURES)}
    np.testing.assert_array_equal(found[:, 0, 0], [numbers[item.id] for item in manifest])
