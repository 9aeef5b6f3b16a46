"""How large a WebP or GIF is and for how long each frame is shown, read off the file's structure: no pixel is unpacked.

So size and number of frames are known, and can be refused, before a decoder takes memory for them; and a file that was cut off
is told from one that ends, which the decoders do not always say.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from crossbit.errors import MediaError

_SHORTEST_MS, _USUAL_MS = 10, 100
"""Browsers show for 100 ms what claims to last 10 ms or less, and films are made by looking at them there."""


@dataclass(frozen=True)
class Timing:
    """Width and height that hold every frame, and the milliseconds of each."""

    width: int
    height: int
    durations_ms: tuple[int, ...]


def kind_of(head: bytes, name: str) -> str:
    """Tell WebP from GIF by the first bytes.

    Raises:
        MediaError: it is neither.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    raise MediaError(f"{name}: its first bytes {head[:8]!r} are of no known format, expected animated WebP or GIF")


def read_timing(file: io.BufferedIOBase, kind: str, name: str, most: int) -> Timing:
    """Give size and durations of a film; a still picture counts as one frame of 100 ms.

    Args:
        file: open at its beginning; left there.
        kind: from `kind_of`.
        name: of the file, for the message.
        most: refuse what has more frames.

    Raises:
        MediaError: the file ends early, holds no frame, or more than `most`.
    """
    found: list[int] = []
    width = height = 0
    try:
        for duration, right, bottom in _webp(file) if kind == "WebP" else _gif(file):
            width, height = max(width, right), max(height, bottom)
            if duration is not None:
                found.append(duration if duration > _SHORTEST_MS else _USUAL_MS)
            if len(found) > most:
                raise MediaError(f"{name}: more than {most:,} frames, expected at most so many")
    except EOFError as error:
        raise MediaError(f"{name}: a damaged {kind} (cut off after {len(found)} frames)") from error
    if not found or not width * height:
        raise MediaError(f"{name}: a {kind} without a frame")
    file.seek(0)
    return Timing(width, height, tuple(found))


_Step = tuple[int | None, int, int]
"""The duration of a frame, or None for the canvas, and how far it reaches to the right and down."""


def _webp(file: io.BufferedIOBase) -> Iterator[_Step]:
    """Walk through the chunks: a name, a length, and so many bytes padded to an even number."""
    size = file.seek(0, io.SEEK_END)
    file.seek(4)
    end = 8 + struct.unpack("<I", _exactly(file, 4))[0]
    if end > size + 1:  # some writers count a padding byte that they do not write
        raise EOFError
    place = 12
    while place + 8 <= end:
        file.seek(place)
        name, length = struct.unpack("<4sI", _exactly(file, 8))
        if name == b"VP8X":
            head = _exactly(file, 10)
            yield None, _three(head[4:7]) + 1, _three(head[7:10]) + 1
        elif name == b"ANMF":
            head = _exactly(file, 16)
            yield (
                _three(head[12:15]),
                2 * _three(head) + _three(head[6:9]) + 1,
                2 * _three(head[3:6]) + _three(head[9:12]) + 1,
            )
        elif name == b"VP8 ":
            head = _exactly(file, 10)
            yield 0, int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
        elif name == b"VP8L":
            bits = int.from_bytes(_exactly(file, 5)[1:], "little")
            yield 0, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        place += 8 + length + length % 2
    if place > size + 1:
        raise EOFError


def _three(data: bytes) -> int:
    return int.from_bytes(data[:3], "little")


def _gif(file: io.BufferedIOBase) -> Iterator[_Step]:
    """Walk through the blocks up to the end mark; a delay, in hundredths of a second, stands before its frame."""
    file.seek(6)
    width, height, flags = struct.unpack("<HHB2x", _exactly(file, 7))
    yield None, width, height
    _skip_colours(file, flags)
    delay = 0
    while (mark := _exactly(file, 1)) != b";":
        if mark == b"!":
            label = _exactly(file, 1)
            first = _sub_block(file)
            if label == b"\xf9" and len(first) == 4:
                delay = 10 * int.from_bytes(first[1:3], "little")
            while first:
                first = _sub_block(file)
        elif mark == b",":
            left, top, wide, high, flags = struct.unpack("<HHHHB", _exactly(file, 9))
            _skip_colours(file, flags)
            _exactly(file, 1)
            while _sub_block(file):
                pass
            yield delay, left + wide, top + high
            delay = 0
        # any other byte between blocks is padding


def _skip_colours(file: io.BufferedIOBase, flags: int) -> None:
    if flags & 0x80:
        _exactly(file, 3 * (2 << (flags & 7)))


def _sub_block(file: io.BufferedIOBase) -> bytes:
    return _exactly(file, _exactly(file, 1)[0])


def _exactly(file: io.BufferedIOBase, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data
