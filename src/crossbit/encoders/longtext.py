"""Texts as rows of piece ids, and what happens to those that are longer than an encoder can read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int32

from crossbit.encoders.base import Inputs
from crossbit.errors import UsageError
from crossbit.features import Features

OnLongText = Literal["error", "truncate", "chunk"]

# how many windows of a long text run at once: attention over 512 pieces takes 13 MB a window and layer
_WINDOWS = 8
_log = logging.getLogger(__name__)

Run = Callable[
    [Int32[np.ndarray, "N L"], Bool[np.ndarray, "N L"]], tuple[Float[np.ndarray, "N L D"], Float[np.ndarray, "N P"]]
]


@dataclass(frozen=True)
class Frame:
    """Say what stands around a text's own pieces, what fills short rows, and how many pieces fit in all."""

    head: tuple[int, ...]
    tail: tuple[int, ...]
    pad: int
    max_tokens: int

    @property
    def room(self) -> int:
        """Count the pieces of its own that a text may have."""
        return self.max_tokens - len(self.head) - len(self.tail)


def check_policy(on_long_text: str) -> None:
    """Refuse an unknown way to treat long texts.

    Raises:
        UsageError: the message lists the three.
    """
    if on_long_text not in get_args(OnLongText):
        raise UsageError(f"on_long_text: found {on_long_text!r}, expected one of {list(get_args(OnLongText))}")


def lay_out(
    name: str, texts: Sequence[str], pieces: Sequence[list[int]], frame: Frame, on_long_text: str
) -> tuple[Inputs, int]:
    """Make `ids` (N, L) int32 and `mask` (N, L) bool from each text's pieces, and count the texts that were cut.

    With "chunk" a row may be longer than the encoder reads; `run_in_windows` splits it.

    Raises:
        UsageError: a text is too long and the policy is "error"; the message counts its words and pieces.
    """
    check_policy(on_long_text)
    cut = [row for row, own in enumerate(pieces) if len(own) > frame.room]
    if cut and on_long_text == "error":
        row = cut[0]
        raise UsageError(
            f"text {row}: {len(texts[row].split()):,} words make {len(pieces[row]):,} pieces, `{name}` reads at most "
            f"{frame.room:,} (it begins {texts[row].strip()[:40]!r})",
            'shorten it, or say what to do with --on-long-text truncate|chunk (in Python: on_long_text="chunk")',
        )
    limit = None if on_long_text == "chunk" else frame.room
    rows = [[*frame.head, *own[:limit], *frame.tail] for own in pieces]
    length = max(map(len, rows), default=len(frame.head) + len(frame.tail))
    ids = np.full((len(rows), length), frame.pad, np.int32)
    mask = np.zeros((len(rows), length), bool)
    for row, own in enumerate(rows):
        ids[row, : len(own)] = own
        mask[row, : len(own)] = True
    return {"ids": ids, "mask": mask}, len(cut) if on_long_text == "truncate" else 0


def warn_of_cuts(name: str, cut: int, of: int, frame: Frame) -> None:
    """Log that texts were truncated."""
    _log.warning(
        "%d of %d texts are longer than the %d pieces that `%s` reads and were cut; see --on-long-text",
        *(cut, of, frame.room, name),
    )


def run_in_windows(inputs: Inputs, frame: Frame, run: Run) -> Features:
    """Encode rows of any length: those too long in windows of even size, each within the frame.

    Of a long text the pooled vector is the mean over its windows, weighted by their pieces; the tokens are the first
    window's, since joint scorers cannot take more than an encoder gives.
    """
    lengths = inputs["mask"].sum(1)
    longest = int(lengths.max(initial=1))
    ids, mask = inputs["ids"][:, :longest], inputs["mask"][:, :longest]
    if longest <= frame.max_tokens:
        tokens, pooled = run(ids, mask)
        return Features("text", tokens * mask[..., None], mask, pooled)

    windows: list[list[int]] = []
    owner: list[int] = []
    for row, length in enumerate(lengths):
        own = ids[row, len(frame.head) : length - len(frame.tail)]
        for part in np.array_split(own, max(1, -(-len(own) // frame.room))):
            windows.append([*frame.head, *part.tolist(), *frame.tail])
            owner.append(row)
    order = np.argsort([len(window) for window in windows], kind="stable")
    first = np.searchsorted(owner, np.arange(len(ids)))  # place of each row's first window
    width = min(longest, frame.max_tokens)
    made: dict[str, np.ndarray] = {}
    for start in range(0, len(order), _WINDOWS):
        places = order[start : start + _WINDOWS]
        (part_ids, part_mask) = _pad([windows[place] for place in places], frame.pad)
        tokens, pooled = run(part_ids, part_mask)
        if not made:
            made["tokens"] = np.zeros((len(ids), width, tokens.shape[2]), np.float32)
            made["mask"] = np.zeros((len(ids), width), bool)
            made["pooled"] = np.zeros((len(ids), pooled.shape[1]), np.float32)
            made["weight"] = np.zeros((len(ids), 1), np.float32)
        for at, place in enumerate(places):
            row, size = owner[place], len(windows[place])
            made["pooled"][row] += pooled[at] * size
            made["weight"][row] += size
            if place == first[row]:
                made["tokens"][row, :size] = tokens[at, :size]
                made["mask"][row, :size] = True
    return Features("text", made["tokens"], made["mask"], made["pooled"] / made["weight"])


def _pad(rows: list[list[int]], pad: int) -> tuple[Int32[np.ndarray, "N L"], Bool[np.ndarray, "N L"]]:
    sizes = np.array([len(row) for row in rows])
    mask = np.arange(sizes.max()) < sizes[:, None]
    ids = np.full(mask.shape, pad, np.int32)
    ids[mask] = np.concatenate(rows)
    return ids, mask
