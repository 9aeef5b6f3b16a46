"""Batches of raw pictures, decoded ahead by worker processes: for training through an encoder.

    rows of a batch -> workers decode, change by chance, letterbox -> pixels (B, edge, edge, 3), in the order asked

What a batch holds depends on the files, the seed, the epoch and the rows alone: not on how many workers there are, which of
them was faster or died, or where the epoch was taken up again. A picture that cannot be read is left out of its batch, named
in it, and kept in `quarantine` with its reason.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Int64, UInt8

from crossbit.data.decoding import Augment, decode
from crossbit.data.workers import Workers, WorkersClosed
from crossbit.errors import MediaError, UsageError
from crossbit.media.image import TIMEOUT_S

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureBatch:
    """Hold the pictures of a batch that can be read, perhaps none.

    Args:
        rows: their numbers, in the order asked.
        pixels: what they show.
        missing: numbers of those that cannot be read.
    """

    rows: Int64[np.ndarray, " B"]
    pixels: UInt8[np.ndarray, "B edge edge 3"]
    missing: Int64[np.ndarray, " M"]

    def __len__(self) -> int:
        return len(self.rows)


class PictureLoader:
    """Decode batches of pictures ahead of their use. Use it in a `with`, or `close` it."""

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        edge: int = 224,
        workers: int | None = None,
        ahead: int = 2,
        seed: int = 0,
        augment: Augment | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Take the files; nothing is started before a batch is asked for.

        Args:
            paths: one file a row.
            edge: side of the squares in pixels.
            workers: processes; one a processor by default, 0 decodes in the caller's thread when a batch is asked for.
            ahead: batches that are held or decoded beyond the one in use, which bounds the memory.
            seed: of the order and of what `augment` draws.
            augment: how pictures are changed by chance.
            timeout_s: after which a picture is given up.

        Raises:
            UsageError: a number that makes no sense.
        """
        if workers is None:
            workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        for name, value, least in (("edge", edge, 1), ("workers", workers, 0), ("ahead", ahead, 0)):
            if value < least:
                raise UsageError(f"PictureLoader: {name} is {value}, expected at least {least}")
        self.paths = [os.fspath(path) for path in paths]
        self.edge, self.workers, self.ahead, self.seed = edge, workers, ahead, seed
        self.augment, self.timeout_s = augment, timeout_s
        self.quarantine: dict[int, str] = {}
        """Reasons by row, of the pictures that could not be read so far."""
        self._pool = Workers(edge, augment, timeout_s)
        self._end = weakref.finalize(self, self._pool.close)

    def __enter__(self) -> PictureLoader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers. What is being decoded is lost; the loader gives no more batches."""
        self._end()

    def epoch(self, epoch: int, batch_size: int, start: int = 0) -> Iterator[PictureBatch]:
        """Give every picture once, in an order that depends on seed and epoch alone; the last batch may be smaller.

        Args:
            epoch: its number.
            batch_size: pictures in a batch.
            start: batches that are done already.

        Raises:
            UsageError: the loader is closed.
            MediaError: not one picture of all can be read.
        """
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.paths)).astype(np.int64)
        sound = 0
        for batch in self.batches(
            (order[at : at + batch_size] for at in range(start * batch_size, len(order), batch_size)), epoch
        ):
            sound += len(batch)
            yield batch
        if not sound and not start and self.quarantine:
            row, reason = min(self.quarantine.items())
            raise MediaError(f"none of {len(self.paths)} pictures can be read; row {row}: {reason}")

    def batches(self, wanted: Iterable[Int64[np.ndarray, " B"]], epoch: int = 0) -> Iterator[PictureBatch]:
        """Give a batch for each list of rows, such as those of `Pairs.epoch`, in their order.

        Raises:
            UsageError: the loader is closed, or a row does not exist.
        """
        if not self._end.alive:
            raise UsageError("PictureLoader: it is closed, expected an open one", "make a new one")
        if not self.workers:
            for rows in wanted:
                yield self._finish(self._begun(rows, epoch, None))
            return
        following, begun = iter(wanted), deque[_Begun]()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="crossbit-pictures")
        try:
            while True:
                for rows in islice(following, self.ahead + 1 - len(begun)):
                    begun.append(self._begun(rows, epoch, pool))
                if not begun:
                    return
                yield self._finish(begun.popleft())
        except WorkersClosed as error:
            raise UsageError("PictureLoader: it was closed while it gave batches") from error
        finally:  # also when whoever took the batches stops early, or Ctrl-C comes while we wait
            pool.shutdown(wait=False, cancel_futures=True)

    def _begun(self, rows: Int64[np.ndarray, " B"], epoch: int, pool: ThreadPoolExecutor | None) -> _Begun:
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.paths):
            raise UsageError(f"PictureLoader: rows {rows.min()} to {rows.max()}, expected 0 to {len(self.paths) - 1}")
        made = _Begun(rows, np.empty((len(rows), self.edge, self.edge, 3), np.uint8))
        for at, row in enumerate(rows.tolist()):
            draw = (self.seed, epoch, row)
            if pool is None:
                made.reasons.append(self._here(row, draw, made.pixels[at]))
            else:
                made.running.append(pool.submit(self._there, row, draw, made.pixels[at]))
        return made

    def _finish(self, begun: _Begun) -> PictureBatch:
        reasons = begun.reasons or [future.result() for future in begun.running]
        sound = np.array([reason is None for reason in reasons], bool)
        for row, reason in zip(begun.rows.tolist(), reasons, strict=True):
            if reason is not None and row not in self.quarantine:
                self.quarantine[row] = reason
                _log.warning("left out, %d so far: %s", len(self.quarantine), reason)
        if sound.all():
            return PictureBatch(begun.rows, begun.pixels, begun.rows[:0])
        return PictureBatch(begun.rows[sound], begun.pixels[sound], begun.rows[~sound])

    def _here(self, row: int, draw: tuple[int, int, int], into: UInt8[np.ndarray, "edge edge 3"]) -> str | None:
        try:
            into[:] = decode(self.paths[row], self.edge, self.augment, draw, self.timeout_s)
        except MediaError as error:
            return error.message
        return None

    def _there(self, row: int, draw: tuple[int, int, int], into: UInt8[np.ndarray, "edge edge 3"]) -> str | None:
        try:
            self._pool.decode(self.paths[row], draw, into)
        except MediaError as error:
            return error.message
        return None


@dataclass
class _Begun:
    """A batch that is being decoded."""

    rows: Int64[np.ndarray, " B"]
    pixels: UInt8[np.ndarray, "B edge edge 3"]
    running: list[Future[str | None]] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
