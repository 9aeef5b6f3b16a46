"""Curves: how a measure falls as more of the training data is wrong, read off the result files of `crossbit bench noise`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbit.errors import FingerprintError, UsageError
from crossbit.evaluation.result import Result

CLEAN = "clean"


@dataclass(frozen=True)
class Point:
    """One place of a curve: a method at one ratio of noise, its seeds together.

    Args:
        method: its key.
        generator: of the noise; "clean" at ratio 0.
        ratio: of the noise that was asked for.
        realised: share of the training captions that was wrong, the mean over the seeds.
        split: that was measured.
        values: the rsum of each seed.
        best: validation rsum at the epoch that was chosen, the mean over the seeds.
        last: validation rsum after the last epoch, the mean over the seeds.
    """

    method: str
    generator: str
    ratio: float
    realised: float
    split: str
    values: tuple[float, ...]
    best: float
    last: float

    @property
    def mean(self) -> float:
        """Give the mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Give the standard deviation over the seeds, 0 for one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0


def read_points(folder: Path) -> list[Point]:
    """Read all result files of a folder.

    Raises:
        UsageError: there are none.
        FingerprintError: they were measured on different data or by different protocols.
    """
    results = [Result.read(path) for path in sorted(folder.glob("*.json"))]
    if not results:
        raise UsageError(f"{folder}: no result files, expected those of `crossbit bench noise`")
    return points(results)


def points(results: Sequence[Result]) -> list[Point]:
    """Put the seeds of each method, noise and split together.

    Raises:
        FingerprintError: the results were measured on different data or by different protocols.
    """
    grouped: dict[tuple[str, str, float, str], list[Result]] = {}
    for result in results:
        noise = result.config.get("noise", {})
        method = result.system.partition(" ")[0]
        key = (method, noise.get("generator", CLEAN), float(noise.get("ratio", 0.0)), result.data["split"])
        grouped.setdefault(key, []).append(result)
    for name in ("data", "protocol"):
        if len(known := {getattr(result, name)["fingerprint"] for result in results}) > 1:
            raise FingerprintError(
                f"noise curves: results with {name} {', '.join(sorted(known))}, expected one",
                "measure the older ones again: `crossbit bench noise`",
            )
    return [
        Point(
            method,
            generator,
            ratio,
            float(np.mean([result.config.get("noise", {}).get("realised", 0.0) for result in some])),
            split,
            tuple(result.rsum for result in some),
            float(np.mean([result.config["validation_rsum"] for result in some])),
            float(np.mean([result.config["last_epoch_validation_rsum"] for result in some])),
        )
        for (method, generator, ratio, split), some in sorted(grouped.items())
    ]


def curve(found: Sequence[Point], method: str, generator: str, split: str) -> list[Point]:
    """Give one curve from clean to the largest ratio; the clean point is common to all generators."""
    mine = [p for p in found if (p.method, p.split) == (method, split) and p.generator in (CLEAN, generator)]
    return sorted(mine, key=lambda point: point.ratio)


def names(found: Sequence[Point]) -> tuple[list[str], list[str], list[str]]:
    """Name the methods, the generators of noise and the splits; the split "test" stands first."""
    methods = sorted({point.method for point in found})
    generators = sorted({point.generator for point in found} - {CLEAN}, key=lambda name: (name != "unrelated", name))
    splits = sorted({point.split for point in found}, key=lambda name: (name != "test", name))
    return methods, generators, splits


def curve_table(found: Sequence[Point]) -> str:
    """Lay the curves out in Markdown: a line for each split, noise and method, a column for each ratio."""
    ratios = sorted({point.ratio for point in found})
    head = ["split", "noise", "method", *(f"{100 * ratio:g} %" for ratio in ratios), "lost at the end"]
    methods, generators, splits = names(found)
    lines = ["| " + " | ".join(head) + " |", "|---|---|---" + "|--:" * (len(ratios) + 1) + "|"]
    for split in splits:
        for generator in generators:
            for method in methods:
                line = {point.ratio: point for point in curve(found, method, generator, split)}
                if len(line) < 2:
                    continue
                cells = [_cell(line.get(ratio)) for ratio in ratios]
                first, last = line[min(line)].mean, line[max(line)].mean
                lines.append("| " + " | ".join([split, generator, method, *cells, f"{last - first:+.1f}"]) + " |")
    return "\n".join(lines) + "\n"


def memory_table(found: Sequence[Point]) -> str:
    """Lay out what training for too long costs: validation rsum at the chosen epoch and after the last one."""
    ratios = sorted({point.ratio for point in found})
    methods, generators, splits = names(found)
    lines = ["| noise | method | " + " | ".join(f"{100 * ratio:g} %" for ratio in ratios) + " |"]
    lines.append("|---|---" + "|--:" * len(ratios) + "|")
    for generator in generators:
        for method in methods:
            line = {point.ratio: point for point in curve(found, method, generator, splits[0])}
            if len(line) < 2:
                continue
            cells = [f"{line[r].best:.1f} / {line[r].last:.1f}" if r in line else "" for r in ratios]
            lines.append(f"| {generator} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(point: Point | None) -> str:
    if point is None:
        return ""
    return f"{point.mean:.1f}" + (f" ± {point.spread:.1f}" if len(point.values) > 1 else "")
