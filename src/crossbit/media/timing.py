"""For how long each frame of a WebP or GIF is shown, read off the file's structure: no pixel is unpacked.

So the number of frames is known, and can be refused, before any work is done; and a file that was cut off is told from one
that ends, which the decoders do not always say.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from crossbit.errors import MediaError

_SHORTEST_MS, _USUAL_MS = 10, 100
"""Browsers show for 100 ms what claims to last 10 ms or less, and films are made by looking at them there."""


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


def durations_ms(file: io.BufferedIOBase, kind: str, name: str, most: int) -> list[int]:
    """Give the milliseconds of every frame; a still picture counts as one of 100 ms.

    Args:
        file: open at its beginning; left there.
        kind: from `kind_of`.
        name: of the file, for the message.
        most: refuse what has more frames.

    Raises:
        MediaError: the file ends early, holds no frame, or more than `most`.
    """
    found: list[int] = []
    try:
        for duration in _webp(file) if kind == "WebP" else _gif(file):
            found.append(duration if duration > _SHORTEST_MS else _USUAL_MS)
            if len(found) > most:
                raise MediaError(f"{name}: more than {most:,} frames, expected at most so many")
    except EOFError as error:
        raise MediaError(f"{name}: a damaged {kind} (cut off after {len(found)} frames)") from error
    if not found:
        raise MediaError(f"{name}: a {kind} without a frame")
    file.seek(0)
    return found


def _webp(file: io.BufferedIOBase) -> Iterator[int]:
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
        if name == b"ANMF":
            yield int.from_bytes(_exactly(file, 16)[12:15], "little")
        elif name in (b"VP8 ", b"VP8L"):
            yield 0
        place += 8 + length + length % 2
    if place > size + 1:
        raise EOFError


def _gif(file: io.BufferedIOBase) -> Iterator[int]:
    """Walk through the blocks up to the end mark; a delay, in hundredths of a second, stands before its frame."""
    file.seek(10)
    _skip_colours(file, _exactly(file, 3)[0])
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
            _skip_colours(file, _exactly(file, 9)[8])
            _exactly(file, 1)
            while _sub_block(file):
                pass
            yield delay
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
