"""Raw pictures in batches: the same whatever the number of workers, and whatever happens to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crossbit.data import workers as workers_module
from crossbit.data.decoding import Augment, decode
from crossbit.data.pictures import PictureBatch, PictureLoader
from crossbit.errors import MediaError, UsageError
from crossbit.media.image import load_image
from crossbit.media.resize import letterbox

EDGE = 8
AUGMENT = Augment(smallest=0.5, mirror=True, brightness=0.3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Nineteen pictures of noise, two broken ones among them, one that is not there, one whose name is no UTF-8."""
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    made = [folder / f"{number}.png" for number in range(18)] + [folder / os.fsdecode(b"caf\xe9.png")]
    for path in made:
        Image.fromarray(draw.integers(0, 256, (int(draw.integers(5, 30)), 17, 3), np.uint8)).save(path)
    made[4].write_bytes(b"not a picture")
    made[11].write_bytes(made[12].read_bytes()[:90])
    made[7].unlink()
    return made


BROKEN = {4, 7, 11}


@pytest.fixture(scope="module", params=[1, 3])
def loader(request: pytest.FixtureRequest, paths: list[Path]) -> Iterator[PictureLoader]:
    with PictureLoader(paths, edge=EDGE, workers=request.param, seed=5, augment=AUGMENT) as made:
        yield made


def told(batches: Iterator[PictureBatch]) -> list[tuple[list[int], list[int], bytes]]:
    return [(batch.rows.tolist(), batch.missing.tolist(), batch.pixels.tobytes()) for batch in batches]


def twin(paths: list[Path], rows: np.ndarray, epoch: int) -> tuple[list[int], list[int], bytes]:
    """Decode a batch one by one."""
    sound = [int(row) for row in rows if row not in BROKEN]
    pixels = [decode(paths[row], EDGE, AUGMENT, (5, epoch, row), 20).tobytes() for row in sound]
    return sound, [int(row) for row in rows if row in BROKEN], b"".join(pixels)


@settings(max_examples=12, deadline=None)
@given(epoch=st.integers(0, 3), size=st.integers(1, 25), start=st.integers(0, 5), ahead=st.integers(0, 4))
def test_batches_do_not_depend_on_workers_or_on_where_an_epoch_is_taken_up(
    loader: PictureLoader, paths: list[Path], epoch: int, size: int, start: int, ahead: int
) -> None:
    loader.ahead = ahead
    order = np.random.default_rng([5, epoch]).permutation(19)
    expected = [twin(paths, order[at : at + size], epoch) for at in range(0, 19, size)]
    with PictureLoader(paths, edge=EDGE, workers=0, seed=5, augment=AUGMENT) as alone:
        assert told(alone.epoch(epoch, size)) == expected
    assert told(loader.epoch(epoch, size, start)) == expected[start:]


def test_what_cannot_be_read_is_named_with_its_reason(loader: PictureLoader, paths: list[Path]) -> None:
    seen = [row for batch in loader.epoch(0, 4) for row in batch.rows.tolist()]
    assert sorted(seen) == [row for row in range(19) if row not in BROKEN]
    assert set(loader.quarantine) == BROKEN
    assert "4.png" in loader.quarantine[4]
    assert "no such file" in loader.quarantine[7]
    assert "11.png" in loader.quarantine[11]


def test_a_batch_of_nothing_but_broken_pictures_is_empty(loader: PictureLoader) -> None:
    (batch,) = loader.batches([np.array([7, 4])])
    assert len(batch) == 0
    assert batch.pixels.shape == (0, EDGE, EDGE, 3)
    assert batch.missing.tolist() == [7, 4]


def test_without_change_by_chance_it_is_the_picture(paths: list[Path]) -> None:
    with PictureLoader(paths, edge=EDGE, workers=1) as plain:
        (batch,) = plain.batches([np.array([3, 18, 3])])
    expected = [letterbox(load_image(paths[row], size=EDGE), EDGE) for row in (3, 18, 3)]
    np.testing.assert_array_equal(batch.pixels, expected)


def test_chance_differs_by_epoch_seed_and_row(paths: list[Path]) -> None:
    one = decode(paths[0], EDGE, AUGMENT, (5, 0, 0), 20)
    for draw in ((5, 1, 0), (6, 0, 0), (5, 0, 1)):
        assert not np.array_equal(one, decode(paths[0], EDGE, AUGMENT, draw, 20))
    np.testing.assert_array_equal(one, decode(paths[0], EDGE, AUGMENT, (5, 0, 0), 20))


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_a_crop_is_a_part_that_is_large_enough(height: int, width: int, seed: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(height)[:, None], np.arange(width)
    cut = Augment(smallest=0.6)(picture, np.random.default_rng(seed))
    assert round(0.6 * height) <= cut.shape[0] <= height
    assert round(0.6 * width) <= cut.shape[1] <= width
    top, left = cut[0, 0, :2]
    np.testing.assert_array_equal(cut, picture[top : top + cut.shape[0], left : left + cut.shape[1]])


def test_mirror_and_brightness_by_hand() -> None:
    picture = np.array([[[0, 100, 200], [50, 60, 255]]], np.uint8)
    found = [Augment(1, True, 0.5)(picture, np.random.default_rng(seed)) for seed in range(20)]
    straight = [cut for cut in found if cut[0, 0, 1] - 60.0 != 0 and cut[0, 0, 0] == 0]
    mirrored = [cut for cut in found if cut[0, 1, 0] == 0]
    assert straight
    assert mirrored
    assert len(straight) + len(mirrored) == 20
    for cut in straight:
        factor = cut[0, 0, 1] / 100
        assert 0.5 <= factor <= 1.5
        assert abs(int(cut[0, 1, 0]) - 50 * factor) <= 1
        assert abs(int(cut[0, 1, 2]) - min(255, 255 * factor)) <= 2
    np.testing.assert_array_equal(Augment(1)(picture, np.random.default_rng(0)), picture)


def test_a_worker_that_is_killed_changes_nothing(paths: list[Path]) -> None:
    with PictureLoader(paths, edge=EDGE, workers=2, seed=5, augment=AUGMENT, ahead=1) as loader:
        found, killed = [], set()
        for epoch in range(3):
            for place, batch in enumerate(loader.epoch(epoch, 3)):
                found += told(iter([batch]))
                if place in (1, 6):  # while they work, and when the epoch is over
                    pids = loader._pool.pids()
                    killed.update(pids)
                    for pid in pids:
                        os.kill(pid, signal.SIGKILL)
        assert set(loader.quarantine) == BROKEN
    assert len(killed) >= 6
    orders = [np.random.default_rng([5, epoch]).permutation(19) for epoch in range(3)]
    assert found == [
        twin(paths, order[at : at + 3], epoch) for epoch, order in enumerate(orders) for at in range(0, 19, 3)
    ]


FAKE = """
import os, time
from crossbit.data import decoding
real = decoding.decode
def decode(path, *rest):
    if path.endswith("5.png"):
        os._exit(9)
    if path.endswith("6.png"):
        time.sleep(60)
    if path.endswith("8.png"):
        raise ZeroDivisionError("a fault of ours")
    return real(path, *rest)
decoding.decode = decode
decoding.work(sys.argv[1])
"""


def test_pictures_that_end_or_hang_their_worker_are_left_out(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "_PROGRAM", FAKE)
    monkeypatch.setattr(workers_module, "_GRACE_S", 0.8)
    # the first request to a worker waits for it to start, so the time is long enough for that
    with PictureLoader(paths, edge=EDGE, workers=2, timeout_s=3) as loader:
        (batch,) = loader.batches([np.array([1, 5, 2, 6, 3])])
        assert batch.rows.tolist() == [1, 2, 3]
        assert batch.missing.tolist() == [5, 6]
        assert "ended the worker process, 3 times" in loader.quarantine[5]
        assert "not decoded after 6.8 s" in loader.quarantine[6]
        with pytest.raises(RuntimeError, match="a fault of ours"):
            list(loader.batches([np.array([1, 8])]))


def test_no_more_batches_are_begun_than_asked_for(paths: list[Path]) -> None:
    taken = 0

    def wanted() -> Iterator[np.ndarray]:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield np.array([0, 1])

    with PictureLoader(paths, edge=EDGE, workers=2, ahead=3) as loader:
        batches = loader.batches(wanted())
        assert taken == 0
        for number in range(1, 11):
            next(batches)
            time.sleep(0.01)  # a consumer that is slower than the workers
            assert taken == min(10, number + 3)
        assert next(batches, None) is None


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("crossbit-pictures")]


def none_soon(left: Callable[[], list[Any]]) -> bool:
    """Wait until nothing is left: what is being decoded may first come to its end."""
    end = time.monotonic() + 20
    while left() and time.monotonic() < end:
        time.sleep(0.01)
    return not left()


@pytest.mark.parametrize("how", ["close", "with", "error", "forgotten"])
def test_workers_end_with_the_loader(how: str, paths: list[Path]) -> None:
    loader = PictureLoader(paths, edge=EDGE, workers=2)
    batches = loader.epoch(0, 2)
    next(batches)
    pids = loader._pool.pids()
    assert alive(pids) == pids != []
    if how == "close":
        loader.close()
    elif how == "with":
        with loader:
            next(batches)
    elif how == "error":
        with pytest.raises(ZeroDivisionError), loader:
            raise ZeroDivisionError
    if how == "forgotten":
        del loader, batches
    else:
        with pytest.raises(UsageError, match="closed"):
            list(batches)
        with pytest.raises(UsageError, match="it is closed"):
            next(loader.epoch(1, 2))
    assert none_soon(lambda: alive(pids))
    assert none_soon(decoders)


CTRL_C = """
import sys, time
from crossbit.data.pictures import PictureLoader
with PictureLoader(sys.argv[2:], edge=64, workers=2) as loader:
    for place in range(10**6):
        for batch in loader.epoch(place, 4):
            if place == 1:
                print(*loader._pool.pids(), flush=True)
            time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("pause", ["0", "0.2"])  # interrupted while it waits for pictures, or while they are used
def test_ctrl_c_ends_everything(pause: str, paths: list[Path]) -> None:
    files = [str(path) for row, path in enumerate(paths[:8]) if row not in BROKEN]
    child = subprocess.Popen(
        [sys.executable, "-c", CTRL_C, pause, *files],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    pids = [int(word) for word in child.stdout.readline().split()]
    assert len(pids) == 2
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does it: to the workers too
    _, errors = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGINT
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == 1, errors
    assert alive(pids) == []


def test_workers_end_when_whoever_asks_is_killed(paths: list[Path]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CTRL_C, "0.05", *map(str, paths[:3])], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    pids = [int(word) for word in child.stdout.readline().split()]
    child.kill()
    child.communicate()
    assert none_soon(lambda: alive(pids))


def test_a_folder_of_nothing_readable_is_an_error(tmp_path: Path) -> None:
    bad = [tmp_path / f"{number}.png" for number in range(3)]
    for path in bad:
        path.write_bytes(b"no")
    with (
        PictureLoader(bad, workers=0) as loader,
        pytest.raises(MediaError, match="none of 3 pictures can be read; row 0:"),
    ):
        list(loader.epoch(0, 2))


def test_wrong_use_is_said(paths: list[Path]) -> None:
    with pytest.raises(UsageError, match="ahead is -1, expected at least 0"):
        PictureLoader(paths, ahead=-1)
    with pytest.raises(UsageError, match=r"rows 3 to 19, expected 0 to 18"):
        list(PictureLoader(paths, workers=0).batches([np.array([3, 19])]))
    with pytest.raises(UsageError, match=r"smallest is 0.2, expected 0.5 to 1"):
        Augment(smallest=0.2)
    with pytest.raises(UsageError, match="brightness is 2"):
        Augment(brightness=2)
