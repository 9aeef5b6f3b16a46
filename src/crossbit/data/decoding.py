"""A picture file as the square of pixels that a network reads; and the worker process that makes them.

The worker is asked in lines of JSON and answers in bytes, so nothing is pickled, and ends when its input does:

    {"path": ..., "draw": [seed, epoch, row]}  ->  <status, size> and the pixels, or the reason why there are none
"""

from __future__ import annotations

import json
import signal
import struct
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from crossbit.errors import MediaError, UsageError

HEAD = struct.Struct("<II")
SOUND, BROKEN, FAULT = range(3)


@dataclass(frozen=True)
class Augment:
    """Change pictures by chance while training.

    Args:
        smallest: a crop holds at least this share of width and of height; 1 never crops.
        mirror: half of the pictures are mirrored. Off by default: captions that say left and right would lie.
        brightness: all pixels are multiplied by up to 1 ± this.

    Raises:
        UsageError: a share outside of what makes sense.
    """

    smallest: float = 0.7
    mirror: bool = False
    brightness: float = 0.0

    def __post_init__(self) -> None:
        if (
            not 0.5 <= self.smallest <= 1
        ):  # decoders may shrink a picture to twice the edge, so half of it is still enough
            raise UsageError(f"Augment: smallest is {self.smallest}, expected 0.5 to 1")
        if not 0 <= self.brightness <= 1:
            raise UsageError(f"Augment: brightness is {self.brightness}, expected 0 to 1")

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"], draw: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
        """Give the changed picture; what is drawn does not depend on which changes are on."""
        shares, places, tossed, light = (
            draw.uniform(self.smallest, 1, 2),
            draw.random(2),
            draw.random(),
            draw.uniform(-1, 1),
        )
        sizes = np.maximum(1, np.rint(np.array(picture.shape[:2]) * shares)).astype(int)
        top, left = (places * (np.array(picture.shape[:2]) - sizes + 1)).astype(int)
        picture = picture[top : top + sizes[0], left : left + sizes[1]]
        if self.mirror and tossed < 0.5:
            picture = picture[:, ::-1]
        if self.brightness:
            levels = np.rint(np.arange(256) * (1 + self.brightness * light)).clip(0, 255).astype(np.uint8)
            picture = levels[picture]
        return picture


def decode(
    path: str | Path, edge: int, augment: Augment | None, draw: Sequence[int], timeout_s: float
) -> UInt8[np.ndarray, "edge edge 3"]:
    """Decode a picture, change it by chance, and fit it whole into a square on white.

    Args:
        path: the file.
        edge: side of the square in pixels.
        augment: how it is changed.
        draw: what the chance depends on: the seed, the epoch and the picture's row, and nothing else.
        timeout_s: after which decoding is given up.

    Raises:
        MediaError: it cannot be read as a picture; the message says why.
    """
    from crossbit.media.image import load_image
    from crossbit.media.resize import letterbox

    picture = load_image(path, size=edge, timeout_s=timeout_s)
    if augment is not None:
        picture = augment(picture, np.random.default_rng(list(draw)))
    return letterbox(picture, edge)


def settings_line(edge: int, augment: Augment | None, timeout_s: float) -> str:
    """Give what a worker is told when it starts."""
    return json.dumps({"edge": edge, "augment": augment and asdict(augment), "timeout_s": timeout_s})


def work(settings: str) -> None:
    """Answer on stdout what is asked on stdin, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; whoever asks us ends us
    told = json.loads(settings)
    augment = Augment(**told["augment"]) if told["augment"] else None
    target = sys.stdout.buffer
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            pixels = decode(asked["path"], told["edge"], augment, asked["draw"], told["timeout_s"])
            status, answer = SOUND, np.ascontiguousarray(pixels).tobytes()
        except MediaError as error:
            status, answer = BROKEN, error.message.encode("utf-8", "backslashreplace")
        except Exception:  # a fault of ours, which must not look like one of the picture's
            status, answer = FAULT, traceback.format_exc().encode("utf-8", "backslashreplace")
        target.write(HEAD.pack(status, len(answer)) + answer)
        target.flush()
