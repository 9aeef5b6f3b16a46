"""What a picture says of itself, written by Pillow and read back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from crossbit.media.facts import image_facts


def test_exif(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 30), "red")
    exif = picture.getexif()
    exif[ExifTags.Base.Orientation] = 6  # lies on its side
    exif[ExifTags.Base.Model] = "Brownie\0 "
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:05:01 12:30:59"
    picture.save(tmp_path / "x.jpg", exif=exif)
    assert image_facts(tmp_path / "x.jpg") == {
        "width": 30,
        "height": 40,
        "taken": datetime(2019, 5, 1, 12, 30, 59),
        "year": 2019,
        "camera": "Brownie",
    }


@pytest.mark.parametrize("name", ["x.png", "x.gif", "x.bmp", "x.webp", "x.tiff"])
def test_size_alone(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (7, 5)).save(tmp_path / name)
    assert image_facts(tmp_path / name) == {"width": 7, "height": 5}


@pytest.mark.parametrize("clock", ["0000:00:00 00:00:00", "    :  :     :  :  ", "soon"])
def test_clocks_that_were_never_set(tmp_path: Path, clock: str) -> None:
    picture = Image.new("RGB", (4, 4))
    exif = picture.getexif()
    exif[ExifTags.Base.DateTime] = clock
    picture.save(tmp_path / "x.jpg", exif=exif)
    assert image_facts(tmp_path / "x.jpg") == {"width": 4, "height": 4}


@pytest.mark.parametrize("data", [b"", b"words", b"\xff\xd8\xff\xe1\x00\x10Exif\0\0MM\0*\xff\xff\xff\xff", b"<svg/>"])
def test_headers_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(data)
    assert image_facts(tmp_path / "x.jpg") == {}
    assert image_facts(tmp_path / "none.jpg") == {}
