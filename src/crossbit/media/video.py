"""Moving pictures in, RGB frames out: animated WebP and GIF, as whole frames on white with the time that each is shown.

The rules are those of image.py: the content decides and not the suffix, caps hold before anything unpacks, and whatever is
wrong ends as a MediaError with the file's name and one reason. A broken film never ends as half a film.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import GifImagePlugin, Image, WebPImagePlugin

from crossbit.errors import MediaError, UsageError
from crossbit.media.deadline import in_time
from crossbit.media.files import open_regular, shown
from crossbit.media.timing import Timing, kind_of, read_timing

ANIMATION_SUFFIXES: frozenset[str] = frozenset({".webp", ".gif"})
MAX_BYTES = 64 * 2**20
MAX_FRAMES = 5000
MAX_PIXELS = 4096 * 4096
"""Of one frame."""
MAX_KEPT_PIXELS = 400_000_000
"""Of all frames that are given back: 1.2 GB."""
TIMEOUT_S = 60.0

_READERS: dict[str, type] = {"WebP": WebPImagePlugin.WebPImageFile, "GIF": GifImagePlugin.GifImageFile}

_SHRINK = Image.Resampling.BICUBIC

_T = TypeVar("_T")


@dataclass(frozen=True)
class Animation:
    """The frames of a film and for how many milliseconds each is shown."""

    frames: UInt8[np.ndarray, "T H W 3"]
    durations_ms: Int64[np.ndarray, " T"]

    @property
    def seconds(self) -> float:
        """Give the length of the film."""
        return float(self.durations_ms.sum()) / 1000


def probe_animation(source: str | Path | bytes, *, timeout_s: float = TIMEOUT_S) -> Int64[np.ndarray, " T"]:
    """Give for how many milliseconds each frame is shown; nothing is unpacked.

    Raises:
        MediaError: it is no film, was cut off, or has too many frames.
    """
    return _open(source, lambda file, name: np.array(_timing(file, name)[1].durations_ms, np.int64), timeout_s)


def read_animation(
    source: str | Path | bytes, *, edge: int | None = None, frames: int | None = None, timeout_s: float = TIMEOUT_S
) -> Animation:
    """Decode an animated WebP or GIF: whole frames, transparent parts on white. A still picture is a film of one frame.

    Args:
        source: a path, or the bytes of a file.
        edge: shrink so that the longer side has at most so many pixels.
        frames: keep at most so many: the film is cut into as many spans of equal time, and the frame in the middle of each
            is kept and shown for the length of the span. A frame that lasts for several spans is kept once.
        timeout_s: give up after this many seconds.

    Raises:
        MediaError: it cannot be read as a film, or is larger than the caps of this module allow.
        UsageError: `edge` or `frames` is less than one, or `source` is something else altogether.
    """
    if (edge is not None and edge < 1) or (frames is not None and frames < 1):
        raise UsageError(f"film: edge {edge} and frames {frames}, expected at least 1")
    deadline = time.monotonic() + timeout_s
    return _open(source, lambda file, name: _read(file, name, edge, frames, deadline), timeout_s)


def _open(source: str | Path | bytes, work: Callable[[io.BufferedIOBase, str], _T], timeout_s: float) -> _T:
    if isinstance(source, bytes):
        if not source:
            raise MediaError("film: 0 bytes, expected a film")
        return in_time(lambda: work(io.BytesIO(source), "film"), "film", timeout_s)
    if not isinstance(source, str | Path):
        raise UsageError(f"film: found a {type(source).__name__}, expected a path or bytes")
    path, name = Path(source), shown(source)

    def run() -> _T:
        with open_regular(path, "film") as file:
            return work(file, name)

    return in_time(run, name, timeout_s)


def _timing(file: io.BufferedIOBase, name: str) -> tuple[str, Timing]:
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise MediaError(f"{name}: {size:,} bytes, expected at most {MAX_BYTES:,}")
    file.seek(0)
    kind = kind_of(file.read(16), name)
    timing = read_timing(file, kind, name, MAX_FRAMES)
    if timing.width * timing.height > MAX_PIXELS:
        raise MediaError(
            f"{name}: frames of {timing.width} x {timing.height} pixels, expected at most {MAX_PIXELS:,} pixels"
        )
    return kind, timing


def _read(file: io.BufferedIOBase, name: str, edge: int | None, frames: int | None, deadline: float) -> Animation:
    kind, timing = _timing(file, name)
    keep, shares = _chosen(np.array(timing.durations_ms, np.int64), frames)
    scale = 1.0 if edge is None else min(1.0, edge / max(timing.width, timing.height))
    width, height = max(1, round(timing.width * scale)), max(1, round(timing.height * scale))
    _check_kept(len(keep), width, height, name)
    kept = np.empty((len(keep), height, width, 3), np.uint8)
    try:
        with _READERS[kind](file) as picture:
            for place, index in enumerate(keep):
                if time.monotonic() > deadline:
                    raise MediaError(f"{name}: only {place} of {len(keep)} frames decoded in time, given up")
                picture.seek(index)
                kept[place] = np.asarray(_on_white(picture, timing).resize((width, height), _SHRINK, None, 3.0))
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow says all four of damaged files
        raise MediaError(f"{name}: a damaged {kind} ({error or 'its data cannot be read'})") from error
    return Animation(kept, shares)


def _chosen(durations: Int64[np.ndarray, " T"], frames: int | None) -> tuple[list[int], Int64[np.ndarray, " t"]]:
    """Say which frames are kept and for how long each is shown; together as long as the whole film."""
    if frames is None or frames >= len(durations):
        return list(range(len(durations))), durations
    ends = np.cumsum(durations)
    borders = np.rint(np.linspace(0, ends[-1], frames + 1)).astype(np.int64)
    spanned = np.searchsorted(ends, (borders[:-1] + borders[1:]) / 2, side="right")  # (frames,)
    keep, first = np.unique(spanned, return_index=True)
    return keep.tolist(), np.add.reduceat(np.diff(borders), first)


def _check_kept(frames: int, width: int, height: int, name: str) -> None:
    if frames * width * height > MAX_KEPT_PIXELS:
        raise MediaError(
            f"{name}: {frames} frames of {width} x {height} pixels, expected at most {MAX_KEPT_PIXELS:,} pixels in all",
            "ask for smaller frames (`edge`) or fewer (`frames`)",
        )


def _on_white(picture: Image.Image, timing: Timing) -> Image.Image:
    layer = picture.convert("RGBA")
    # the first frames of a GIF are smaller when a later one reaches out of the canvas
    made = Image.new("RGBA", (timing.width, timing.height), (255, 255, 255, 255))
    made.alpha_composite(layer)
    return made.convert("RGB")
