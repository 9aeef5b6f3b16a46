"""The difference hash, by hand and under what it must not see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.errors import MediaError
from crossbit.media.looks import BITS, difference_hash


def test_by_hand(tmp_path: Path) -> None:
    """Nine columns of eight rows, each pixel a block: a bit where a pixel is lighter than the one to its right."""
    grey = np.tile(np.array([10, 60, 20, 25, 200, 100, 40, 90, 0]), (8, 1)).astype(np.uint8)
    Image.fromarray(np.kron(grey, np.ones((8, 8), np.uint8))).save(tmp_path / "a.png")
    bits = difference_hash(tmp_path / "a.png")
    assert bits.shape == (BITS,)
    np.testing.assert_array_equal(bits.reshape(8, 8), np.tile([0, 1, 0, 0, 1, 1, 0, 1], (8, 1)).astype(bool))


def test_what_it_does_not_see(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(
        (120, 120), Image.Resampling.BICUBIC
    )
    coarse.save(tmp_path / "a.png")
    coarse.resize((60, 60), Image.Resampling.BILINEAR).save(tmp_path / "half.png")
    coarse.save(tmp_path / "a.jpg", quality=40)
    first = difference_hash(tmp_path / "a.png")
    assert all(int((difference_hash(tmp_path / name) != first).sum()) <= 4 for name in ("half.png", "a.jpg"))
    coarse.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "turned.png")
    assert int((difference_hash(tmp_path / "turned.png") != first).sum()) > 20


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"words")
    with pytest.raises(MediaError):
        difference_hash(tmp_path / "x.png")
