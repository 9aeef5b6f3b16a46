"""How fast batches are loaded: cached features and raw pictures against a torch DataLoader over the same, in the same run.

    python benchmarks/loader.py [--items 3000] [--pictures 256] [--seconds 2] [--json FILE]

Features are random, of the shapes of the packaged encoders: a grid of 49 x 1280 an item, texts of 3 to 12 tokens of 384. They
lie in a cache made by this program, memory-mapped and in the system's file cache unless it says cold. The peer has the
same arrays as a torch user would: memory-mapped, taken by a batch's rows at once (a DataLoader without automatic batching), and
for comparison one item at a time (as most data sets are written). Rounds of all alternate, and the fastest of each counts.
Pictures are JPEGs of 640 x 480; the peer's workers decode with the same function. One thread, so that a figure is for one core;
the workers of pictures are processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from crossbit.data.cache import CachedFeatures, FeatureCache
from crossbit.data.decoding import decode
from crossbit.data.loader import Pairs, encoded
from crossbit.data.pictures import PictureLoader
from crossbit.encoders.base import EncoderCard
from crossbit.features import Features

BATCH = 128
CELLS, WIDE, NARROW = 49, 1280, 384


class Made:
    """An encoder of numbers in words: random features of the given shape."""

    def __init__(self, name: str, width: int, lengths: Callable[[np.ndarray], np.ndarray]) -> None:
        self.name, self.width, self.lengths = name, width, lengths
        self.base = np.random.default_rng(0).standard_normal((64, CELLS, width), dtype=np.float32)

    def describe(self) -> EncoderCard:
        """Say its widths."""
        return EncoderCard(self.name, "text", self.width, self.width, self.name, CELLS)

    def prepare(self, media: Iterable[str]) -> dict[str, np.ndarray]:
        """Read the numbers."""
        numbers = np.array([int(word) for word in media])
        return {"numbers": numbers, "mask": np.arange(CELLS) < self.lengths(numbers)[:, None]}

    def encode(self, inputs: Mapping[str, np.ndarray]) -> Features:
        """Make tokens up."""
        numbers, longest = inputs["numbers"], inputs["mask"].sum(1).max()
        tokens = self.base[numbers % 64][:, :longest]
        return Features("text", tokens, inputs["mask"][:, :longest], tokens[:, 0] + numbers[:, None] % 7)


GRID = Made("grid", WIDE, lambda numbers: np.full(len(numbers), CELLS))
WORDS = Made("words", NARROW, lambda numbers: 3 + numbers % 10)


class Rows(Dataset[Any]):
    """The peer's data set: arrays, taken by whatever it is asked with, one row or the rows of a batch."""

    def __init__(self, take: Callable[[Any], Any], size: int) -> None:
        self.take, self.size = take, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, rows: Any) -> Any:
        return self.take(rows)


def peer(take: Callable[[Any], Any], order: np.ndarray, *, at_once: bool, collate: Any = None) -> Iterable[Any]:
    """Give torch's loader over the rows of `order`."""
    data = Rows(take, len(order))
    if at_once:
        return DataLoader(data, sampler=np.split(order, range(BATCH, len(order), BATCH)), batch_size=None)  # type: ignore[arg-type]
    return DataLoader(data, sampler=order.tolist(), batch_size=BATCH, collate_fn=collate)


def rates(runs: Mapping[str, Callable[[np.ndarray], int]], size: int, seconds: float) -> dict[str, float]:
    """Give items a second of the fastest round of each; every round takes all items in another order."""
    best, draw = dict.fromkeys(runs, 0.0), np.random.default_rng(0)
    for run in runs.values():
        run(draw.permutation(size))
    end = time.perf_counter() + seconds * len(runs)
    while time.perf_counter() < end:
        for name, run in runs.items():
            order = draw.permutation(size)
            began = time.perf_counter()
            best[name] = max(best[name], run(order) / (time.perf_counter() - began))
    return best


def consumed(batches: Iterable[Any], size: int) -> int:
    for _ in batches:
        pass
    return size


def of_pooled(items: CachedFeatures, captions: CachedFeatures, seconds: float) -> dict[str, float]:
    """Time whole batches of pairs for a method that reads pooled vectors."""
    size = len(captions)
    item_of, concepts = np.arange(size) % len(items), torch.arange(len(items))
    item_of.sort()
    pairs = Pairs(items, captions, item_of, np.arange(len(items)), [""] * size, ["en"] * size)
    first, second, owner = (torch.from_numpy(array) for array in (items.pooled, captions.pooled, item_of))

    def ours(order: np.ndarray) -> int:
        parts = np.split(order, range(BATCH, size, BATCH))
        return consumed((pairs.batch(rows, tokens=False) for rows in parts), size)

    def take(rows: Any) -> Any:
        return first[owner[rows]], second[rows], concepts[owner[rows]], rows

    runs = {
        "ours": ours,
        "peer, a batch at once": lambda order: consumed(peer(take, order, at_once=True), size),
        "peer, item by item": lambda order: consumed(peer(take, order, at_once=False), size),
    }
    return rates(runs, size, seconds)


def of_tokens(features: CachedFeatures, seconds: float) -> dict[str, float]:
    """Time tokens as float32 tensors, and copying as many bytes of float16 from one place to another."""
    size = len(features)
    packs = [pack.tokens for pack in features._packs]  # noqa: SLF001 - the peer maps the same files
    starts = features._first.tolist()  # noqa: SLF001
    owner, lengths = features._pack_of.tolist(), features.lengths.tolist()  # noqa: SLF001

    def one(row: Any) -> torch.Tensor:
        return torch.from_numpy(packs[owner[row]][starts[row] : starts[row] + lengths[row]].astype(np.float32))

    def collate(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)

    def ours(order: np.ndarray) -> int:
        return consumed((encoded(features, rows) for rows in np.split(order, range(BATCH, size, BATCH))), size)

    runs = {
        "ours": ours,
        "peer, item by item": lambda order: consumed(peer(one, order, at_once=False, collate=collate), size),
    }
    if len(set(lengths)) == 1:  # whole packs can be asked by a batch's rows; the peer has them in one file
        whole = np.concatenate(packs).reshape(size, lengths[0], -1)
        runs["peer, a batch at once"] = lambda order: consumed(
            peer(lambda rows: torch.from_numpy(whole[rows]).float(), order, at_once=True), size
        )
        source = whole[:BATCH].copy()
        target = np.empty_like(source)

        def copies(order: np.ndarray) -> int:
            for _ in range(len(order) // BATCH):
                np.copyto(target, source)
            return len(order) // BATCH * BATCH

        runs["plain copy of the float16"] = copies
    return rates(runs, size, seconds)


def of_pictures(folder: Path, count: int, workers: int, seconds: float) -> dict[str, float]:
    """Time epochs of raw pictures; workers run before the first one that counts."""
    from PIL import Image

    paths, draw = [], np.random.default_rng(0)
    for number in range(count):
        small = draw.integers(0, 256, (30, 40, 3), np.uint8)
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(paths[-1], quality=88)
    data = Rows(lambda row: torch.from_numpy(decode(paths[row], 224, None, (), 20)), count)
    runs: dict[str, Callable[[np.ndarray], int]] = {}
    with ExitStack() as stack:
        for number in (0, workers):
            loader = stack.enter_context(PictureLoader(paths, workers=number))
            plain = DataLoader(data, batch_size=32, shuffle=True, num_workers=number, persistent_workers=number > 0)
            runs[f"ours, {number} workers"] = lambda _, it=loader: consumed(it.epoch(0, 32), count)
            runs[f"peer, {number} workers"] = lambda _, it=plain: consumed(it, count)
        return rates(runs, count, seconds)


def of_disk(folder: Path, features: CachedFeatures) -> dict[str, float]:
    """Time the first random batches after the system has forgotten the files; where it cannot be told to, nothing."""
    if not hasattr(os, "posix_fadvise"):
        return {}
    for path in folder.rglob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rows = np.random.default_rng(9).permutation(len(features))[: 8 * BATCH]
    began = time.perf_counter()
    consumed((encoded(features, part) for part in np.split(rows, range(BATCH, len(rows), BATCH))), 0)
    return {"ours, cold": len(rows) / (time.perf_counter() - began)}


def made(encoder: Made, folder: Path, count: int) -> tuple[CachedFeatures, float]:
    """Give the cached features of so many items, and the seconds that opening a cache with all of them takes."""
    words = [str(number) for number in range(count)]
    FeatureCache(encoder, folder).get_or_encode(words, progress=False, batch_size=64)
    time.sleep(2.1)  # until the files count as settled
    FeatureCache(encoder, folder).get_or_encode(words, progress=False)
    began = time.perf_counter()
    features = FeatureCache(encoder, folder).get_or_encode(words, progress=False)
    return features, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=3000, help="grids; there are ten texts for each")
    parser.add_argument("--pictures", type=int, default=256, help="JPEGs to decode")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each way of loading is timed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the training loop does, for the peer too
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items, opened = made(GRID, folder, arguments.items)
        captions, opened_texts = made(WORDS, folder, 10 * arguments.items)
        figures["open, seconds"] = {f"{len(items)} grids": opened, f"{len(captions)} texts": opened_texts}
        figures["pooled pairs/s"] = of_pooled(items, captions, arguments.seconds)
        figures["grids/s"] = of_tokens(items, arguments.seconds)
        figures["texts/s"] = of_tokens(captions, arguments.seconds)
        (folder / "pictures").mkdir()
        figures["pictures/s"] = of_pictures(folder / "pictures", arguments.pictures, cores, arguments.seconds)
        del items  # what is mapped is not forgotten
        figures["grids/s"] |= of_disk(folder, made(GRID, folder, arguments.items)[0])
    report(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def report(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print a line a figure, and what ours is of the peer's."""
    for what, found in figures.items():
        for name, value in found.items():
            ours = found.get(name.replace("peer", "ours") if "workers" in name else "ours")
            ratio = f"   ours is x {ours / value:.2f}" if ours and not name.startswith("ours") else ""
            gigabytes = f"   {value * CELLS * WIDE * 2 / 1e9:.2f} GB/s" if what.startswith("grids") else ""
            print(f"{what:16} {name:28} {value:12,.{3 if what.startswith('open') else 0}f}{gigabytes}{ratio}")


if __name__ == "__main__":
    main()
