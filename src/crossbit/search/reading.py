"""Reading pictures ahead: threads hash and decode files while the model encodes those before."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import MediaError
from crossbit.media.files import shown
from crossbit.media.image import load_image
from crossbit.search.walk import Picture, sentence

AHEAD = 48
AHEAD_BYTES = 192 << 20
"""How far reading runs ahead of encoding: pictures, and bytes of decoded ones."""


Spare = Callable[[Picture, bytes], bool]


@dataclass(frozen=True)
class Read:
    """A file that was read.

    Args:
        picture: the file, with size and time as they were when it was read.
        sha256: of its content; empty when it could not be read.
        pixels: None when the content is known already, or the file is broken.
        facts: what the file says of itself: width, height, when it was taken.
        reason: why it is broken; empty when it is not.
    """

    picture: Picture
    sha256: bytes = b""
    pixels: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def read_ahead(
    pictures: Iterable[Picture], spare: Spare, *, size: Callable[[], int], max_pixels: int
) -> Generator[Read]:
    """Give the pictures in their order, read by a few threads.

    Args:
        pictures: files to read.
        spare: says of a file and its content's SHA-256 that it need not be decoded.
        size: gives the edge in pixels that the model looks at; files are decoded no larger than that needs.
        max_pixels: larger pictures are refused.
    """
    waiting = iter(pictures)
    running: deque[Future[Read]] = deque()
    pool = ThreadPoolExecutor(max(2, min(4, os.cpu_count() or 2)), thread_name_prefix="crossbit-read")
    try:
        while True:
            while len(running) < AHEAD and _decoded_bytes(running) < AHEAD_BYTES:
                picture = next(waiting, None)
                if picture is None:
                    break
                running.append(pool.submit(read, picture, spare, size=size, max_pixels=max_pixels))
            if not running:
                return
            yield running.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decoded_bytes(running: Iterable[Future[Read]]) -> int:
    done = (future.result().pixels for future in running if future.done() and not future.exception())
    return sum(0 if pixels is None else pixels.nbytes for pixels in done)


def read(picture: Picture, spare: Spare, *, size: Callable[[], int], max_pixels: int) -> Read:
    """Hash a file and, unless its content is known, decode it."""
    try:
        with open(picture.file, "rb") as file:
            info = os.fstat(file.fileno())
            picture = Picture(picture.key, picture.file, info.st_size, info.st_mtime_ns)
            digest = hashlib.file_digest(file, "sha256").digest()
        if not info.st_size:
            return Read(picture, digest, reason="the file is empty")
        if spare(picture, digest):
            return Read(picture, digest)
        pixels = load_image(Path(picture.file), size=size(), max_pixels=max_pixels)
        return Read(picture, digest, pixels, facts_of(picture))
    except MediaError as error:
        return Read(picture, reason=_without_path(error.message, picture.file))
    except OSError as error:
        return Read(picture, reason=sentence(error))


def facts_of(picture: Picture) -> dict[str, Any]:
    """Give what a picture file says of itself, as metadata; nothing where it says nothing."""
    from crossbit.media.facts import image_facts

    facts: dict[str, Any] = image_facts(picture.file)
    return facts


def _without_path(message: str, file: str) -> str:
    """Shorten a message that starts with the file's name: the quarantine list has the name beside it."""
    return message.removeprefix(f"{shown(file)}: ")
