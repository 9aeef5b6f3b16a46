"""Decoded pictures as one array on disk: squares of bytes that a network trained from pixels reads again in every epoch.

    squares/<digest of the files and the edge>/squares.npy   (N, edge, edge, 3) uint8, in the order of the files

Decoding costs ten times what the reading does, and is the same in every epoch; what changes by chance is done on the squares.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from crossbit.cachedir import cache_dir, scratch_folder
from crossbit.data.decoding import decode
from crossbit.errors import DataError

_RECIPE = "letterbox-white-bicubic squares v1"
_TIMEOUT_S = 60.0
_THREADS = 4
_AT_ONCE = 256
_NAME = "squares.npy"


def squares(
    paths: Sequence[Path], edge: int, *, folder: Path | None = None, progress: bool = True
) -> UInt8[np.ndarray, "N edge edge 3"]:
    """Give all pictures letterboxed to squares, mapped from disk; decode them once.

    Args:
        paths: of the files.
        edge: side in pixels.
        folder: stands for the user's cache.
        progress: show a bar while pictures are decoded.

    Raises:
        MediaError: a picture cannot be read.
        DataError: the cache cannot be written.
    """
    parent = (folder or cache_dir()) / "squares"
    place = parent / _digest(paths, edge)
    if not (place / _NAME).is_file():
        try:
            partial = scratch_folder(parent)
            try:
                _write(partial / _NAME, paths, edge, progress)
                _publish(partial, place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        except OSError as error:
            raise DataError(
                f"{place}: cannot write the decoded pictures ({error.strerror or error})",
                "make room there, or name another folder in the environment variable CROSSBIT_CACHE",
            ) from error
    found: np.ndarray = np.load(place / _NAME, mmap_mode="r", allow_pickle=False)
    if found.shape != (len(paths), edge, edge, 3) or found.dtype != np.uint8:
        raise DataError(
            f"{place / _NAME}: holds {found.dtype} of shape {found.shape}, expected {len(paths)} squares",
            "delete the folder; it is made again",
        )
    return found


def _digest(paths: Sequence[Path], edge: int) -> str:
    digest = hashlib.sha256(f"{_RECIPE} {edge}\n".encode())
    with ThreadPoolExecutor(_THREADS) as pool:
        for key in pool.map(lambda path: hashlib.sha256(Path(path).read_bytes()).digest(), paths):
            digest.update(key)
    return digest.hexdigest()[:16]


def _write(path: Path, paths: Sequence[Path], edge: int, progress: bool) -> None:
    made = np.lib.format.open_memmap(path, "w+", np.uint8, (len(paths), edge, edge, 3))
    bar = tqdm(total=len(paths), desc="decode", unit="image", disable=None if progress else True)
    with bar, ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(paths), _AT_ONCE):
            some = paths[start : start + _AT_ONCE]
            for row, square in enumerate(
                pool.map(lambda path: decode(path, edge, None, (0,), _TIMEOUT_S), some), start
            ):
                made[row] = square
                bar.update()
    made.flush()


def _publish(partial: Path, place: Path) -> None:
    try:
        os.rename(partial, place)
    except OSError:
        if not (place / _NAME).is_file():  # else another process was first
            raise
