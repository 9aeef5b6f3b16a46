"""Which prepared pictures look alike: thumbnails are made once and kept beside the data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crossbit.data.manifest import Item
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.likeness import alike, looks_of, thumbnail_of
from crossbit.media.image import load_image

FILE = "thumbnails.npz"


def alike_pairs(
    items: Sequence[Item], folder: Path, *, progress: bool = True, workers: int = 2
) -> list[tuple[str, str]]:
    """Give the ids of pictures, of different concepts, that show the same drawing."""
    pictures = [item for item in items if item.modality == "image"]
    if not pictures:
        return []
    looks = looks_of(_thumbnails(pictures, folder, progress, workers))
    return [
        (pictures[one].id, pictures[other].id)
        for one, other in alike(looks)
        if pictures[one].concept != pictures[other].concept
    ]


def _thumbnails(pictures: Sequence[Item], folder: Path, progress: bool, workers: int) -> np.ndarray:
    """Give the thumbnails of pictures, of which those that are kept and not older than the picture are not made again."""
    kept = _kept(folder / FILE)
    keys = [f"{item.path}:{(folder / item.path).stat().st_mtime_ns}" for item in pictures]
    missing = [place for place, key in enumerate(keys) if key not in kept]
    paths = [folder / pictures[place].path for place in missing]
    made = in_parallel(lambda path: thumbnail_of(load_image(path, size=96)), paths, "compare", progress, workers)
    kept |= {keys[place]: thumbnail for place, thumbnail in zip(missing, made, strict=True)}
    stacked = np.stack([kept[key] for key in keys])
    if missing:
        partial = folder / f"{FILE}.partial-{os.getpid()}"
        with partial.open("wb") as file:
            np.savez(file, keys=np.array(keys), thumbnails=stacked)
        partial.replace(folder / FILE)
    return stacked


def _kept(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(zip(file["keys"].tolist(), file["thumbnails"], strict=True))
    except (OSError, ValueError, KeyError):  # cut short: made again
        return {}
