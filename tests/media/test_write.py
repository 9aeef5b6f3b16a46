"""What is written is read back: pictures exactly, films within what lossy WebP changes and with the same timing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import UsageError
from crossbit.media.image import load_image
from crossbit.media.video import read_animation
from crossbit.media.write import write_animation, write_png


def walk(frames: int = 6, edge: int = 48) -> np.ndarray:
    """Give a film of a blue square that walks to the right on white."""
    film = np.full((frames, edge, edge, 3), 255, np.uint8)
    for t in range(frames):
        film[t, 16:32, 4 * t : 4 * t + 16] = (30, 60, 200)
    return film


def test_a_picture_comes_back_bit_by_bit(tmp_path: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    write_png(picture, tmp_path / "a.png")
    assert np.array_equal(load_image(tmp_path / "a.png"), picture)


def test_a_film_comes_back_with_its_frames_and_times(tmp_path: Path) -> None:
    film, durations = walk(), np.array([40, 80, 120, 40, 80, 120])
    write_animation(film, durations, tmp_path / "a.webp")
    found = read_animation(tmp_path / "a.webp")
    assert found.durations_ms.tolist() == durations.tolist()
    assert found.frames.shape == film.shape
    assert np.abs(found.frames.astype(int) - film).mean(axis=(1, 2, 3)).max() < 4


def test_frames_that_stand_still_are_joined_and_the_time_stays(tmp_path: Path) -> None:
    film = walk(3)[[0, 0, 1, 1, 1, 2]]
    write_animation(film, np.full(6, 50), tmp_path / "a.webp")
    found = read_animation(tmp_path / "a.webp")
    assert found.durations_ms.sum() == 300
    ends = found.durations_ms.cumsum()
    for t in range(6):  # what is shown in the middle of each old frame
        shown = found.frames[np.searchsorted(ends, 50 * t + 25, side="right")]
        assert np.abs(shown.astype(int) - film[t]).mean() < 4


def test_the_same_film_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    for name in ("a.webp", "b.webp"):
        write_animation(walk(), np.full(6, 125), tmp_path / name)
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.webp", "b.webp"]


def test_quality_costs_bytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    write_animation(noise, np.full(2, 100), tmp_path / "low.webp", quality=10)
    write_animation(noise, np.full(2, 100), tmp_path / "high.webp", quality=95)
    assert (tmp_path / "low.webp").stat().st_size < (tmp_path / "high.webp").stat().st_size


@pytest.mark.parametrize(("count", "durations"), [(0, []), (2, [40]), (2, [40, 0])])
def test_a_film_that_cannot_be_is_refused(tmp_path: Path, count: int, durations: list[int]) -> None:
    with pytest.raises(UsageError, match=r"^a\.webp: .* expected at least one frame"):
        write_animation(walk()[:count], np.array(durations, np.int64), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []
