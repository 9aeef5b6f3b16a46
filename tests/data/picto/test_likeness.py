"""Near-duplicate pictures: what is joined, what is kept apart, against all pairs compared one by one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from crossbit.data.picto.likeness import (
    ALIKE,
    HASH_BITS,
    alike,
    correlations,
    looks_of,
    thumbnail_of,
)


def drawing(seed: int, *, at: tuple[int, int] = (40, 40), size: int = 140, mouth: int = 0) -> np.ndarray:
    """A blot of a few coloured shapes on white; `mouth` draws a bar into it."""
    picture = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(picture)
    random = np.random.default_rng(seed)
    for _ in range(6):
        x, y, w, h = random.uniform(0, 0.6, 2).tolist() + random.uniform(0.2, 0.4, 2).tolist()
        box = [at[0] + x * size, at[1] + y * size, at[0] + (x + w) * size, at[1] + (y + h) * size]
        (pen.ellipse if random.random() < 0.5 else pen.rectangle)(box, fill=tuple(random.integers(0, 200, 3).tolist()))
    if mouth:
        left, top = at[0] + 0.35 * size, at[1] + 0.4 * size
        pen.rectangle([left, top, left + 0.3 * size, top + 0.12 * size], fill=(mouth, 0, 0))
    return np.asarray(picture)


def pairs_of(*pictures: np.ndarray) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in alike(looks_of([thumbnail_of(picture) for picture in pictures]))]


def test_place_size_and_mirror_do_not_matter() -> None:
    one = drawing(1)
    moved = drawing(1, at=(90, 70))
    smaller = drawing(1, size=100)
    mirrored = np.ascontiguousarray(one[:, ::-1])
    assert pairs_of(one, moved, smaller, mirrored) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_a_detail_keeps_two_drawings_apart() -> None:
    assert pairs_of(drawing(1), drawing(1, mouth=255)) == []
    assert pairs_of(drawing(1, mouth=255), drawing(1, mouth=250)) == [(0, 1)]


def test_other_drawings_are_others() -> None:
    assert pairs_of(*(drawing(seed) for seed in range(12))) == []


def test_colour_counts() -> None:
    red, blue = (np.full((64, 64, 3), 255, np.uint8) for _ in range(2))
    red[16:48, 16:48], blue[16:48, 16:48] = (220, 30, 30), (30, 30, 220)
    assert pairs_of(red, blue) == []
    assert pairs_of(red, red) == [(0, 1)]


def test_as_all_pairs_one_by_one_say() -> None:
    """The twin compares every pair in Python: bits of the hashes by strings, pixels by numpy.corrcoef."""
    pictures = [drawing(seed // 3, mouth=80 * (seed % 3)) for seed in range(30)]
    looks = looks_of([thumbnail_of(picture) for picture in pictures])
    slow = []
    for a in range(len(looks)):
        for b in range(a + 1, len(looks)):
            for hashes, flip in ((looks.hashes, 1), (looks.mirrored, -1)):
                sure = int(looks.hashes.sure[a]) & int(hashes.sure[b])
                bits = bin((int(looks.hashes.bits[a]) ^ int(hashes.bits[b])) & sure).count("1")
                one, other = looks.thumbnails[a] / 255, looks.thumbnails[b][:, ::flip] / 255
                correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
                cells = (one - other).reshape(8, 6, 8, 6, 3).mean(axis=(1, 3))
                if bits <= HASH_BITS and any(correlation >= c and np.abs(cells).max() <= d for c, d in ALIKE):
                    slow.append((a, b))
    assert [(int(a), int(b)) for a, b in alike(looks)] == sorted(set(slow))
    assert slow


def test_plain_shapes_have_few_sure_bits_and_are_still_found() -> None:
    """Squares and discs of two sizes, as they are and with a faint shade: the signs of waves that are not there are chance."""
    squares, discs = [], []
    for size, shade in ((100, 0), (60, 1)):
        picture = Image.new("RGB", (128, 128), "white")
        ImageDraw.Draw(picture).rectangle([10, 10, 10 + size, 10 + size], fill=(20, 20, 20 + shade))
        squares.append(np.asarray(picture))
        picture = Image.new("RGB", (128, 128), "white")
        ImageDraw.Draw(picture).ellipse([10, 10, 10 + size, 10 + size], fill=(250, 200, 30))
        ImageDraw.Draw(picture).ellipse([10 + size / 3, 12, 10 + size / 2, 20], fill=(250, 200 - 20 * shade, 30))
        discs.append(np.asarray(picture))
    assert pairs_of(*squares, *discs) == [(0, 1), (2, 3)]
    looks = looks_of([thumbnail_of(squares[0])])
    assert bin(int(looks.hashes.sure[0])).count("1") <= 1


def test_blank_pictures_are_alike_and_none_is_nothing() -> None:
    blank = np.full((30, 40, 3), 255, np.uint8)
    assert thumbnail_of(blank).shape == (48, 48, 3)
    assert pairs_of(blank, blank) == [(0, 1)]
    assert pairs_of() == []
    assert pairs_of(blank, drawing(3)) == []


def test_measures_by_hand() -> None:
    one = np.zeros((1, 48, 48, 3), np.uint8)
    other = one.copy()
    other[0, :6, :6, 1] = 255
    other[0, 3:6, :6, 1] = 0
    squares = looks_of(other).squares[0]
    assert squares[0, 0].tolist() == pytest.approx([0, 0.5, 0])
    assert squares.sum() == pytest.approx(0.5)
    assert correlations(one, one) == pytest.approx([1.0])
    assert correlations(one, other) == pytest.approx([0.0])
    assert correlations(other, 255 - other) == pytest.approx([-1.0])
