"""Points of a hashing comparison, read off the result files of `crossbit bench hashing`: systems by length, seeds together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import FingerprintError, UsageError
from crossbit.evaluation.measure import DIRECTIONS, Curves
from crossbit.evaluation.result import Result

HEADLINE = {"captions": "rsum", "labels": "map_all"}
"""The measure of a track that the large tables and the plots show."""


@dataclass(frozen=True)
class HashingPoint:
    """A system at a length on one track, its seeds together.

    Args:
        data: name of the data set.
        track: "captions" or "labels".
        system: its name.
        bits: K.
        results: one a seed.
    """

    data: str
    track: str
    system: str
    bits: int
    results: tuple[Result, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """Give the headline of each seed."""
        return tuple(result.metrics["en"]["both"][HEADLINE[self.track]] for result in self.results)

    @property
    def mean(self) -> float:
        """Give the headline, the mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Give the standard deviation over the seeds, 0 for one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    @property
    def summary(self) -> dict[str, Any]:
        """Give what identifies the point, its headline by seed, and the measure's name."""
        known = {name: getattr(self, name) for name in ("data", "track", "system", "bits")}
        return {**known, "metric": HEADLINE[self.track], "values": [round(value, 4) for value in self.values]}

    def metric(self, name: str) -> float | None:
        """Give the mean of a measure over both directions and the seeds; None where it was not taken."""
        found = [result.metrics["en"][side].get(name) for result in self.results for side in DIRECTIONS]
        return float(np.mean([v for v in found if v is not None])) if None not in found else None

    def side(self, direction: str, name: str) -> float:
        """Give the mean of a measure of one direction over the seeds."""
        return float(np.mean([result.metrics["en"][direction][name] for result in self.results]))

    def bench(self, name: str) -> float:
        """Give what the bench noted beside the measures, such as "cpu_seconds"; the mean over the seeds."""
        return float(np.mean([result.config["bench"][name] for result in self.results]))

    def dead_bits(self) -> float | None:
        """Give how many bits of the trained code are the same for nearly all items; None for codes made afterwards."""
        found = [result.config.get("bits", {}).get("dead_bits") for result in self.results]
        return (
            float(np.mean([len(dead) for dead in found if dead is not None]))
            if any(d is not None for d in found)
            else None
        )

    def curves(self, direction: str) -> Curves:
        """Give the curves of the first seed."""
        return self.results[0].curves["en"][direction]


def read_hashing(folder: Path) -> list[HashingPoint]:
    """Read all results of a bench.

    Raises:
        UsageError: there are none.
        FingerprintError: results of one track were measured on different data or by different protocols.
    """
    paths = [path for track in HEADLINE for path in sorted((folder / track).glob("*.json*"))]
    if not paths:
        raise UsageError(f"{folder}: no result files, expected those of `crossbit bench hashing`")
    return hashing_points(Result.read(path) for path in paths)


def hashing_points(results: Iterable[Result]) -> list[HashingPoint]:
    """Put the seeds of each system, length and track together.

    Raises:
        UsageError: a result is none of this bench.
        FingerprintError: results of one track were measured on different data or by different protocols.
    """
    grouped: dict[tuple[str, str, str, int], list[Result]] = {}
    marks: dict[tuple[str, str], str] = {}
    for result in results:
        known = result.config.get("bench")
        if known is None:
            raise UsageError(f"result {result.system!r} was not made by `crossbit bench hashing`")
        data = result.data["name"].partition("-")[0]
        mark = f"data {result.data['fingerprint']}, protocol {result.protocol['fingerprint']}"
        if marks.setdefault((data, known["track"]), mark) != mark:
            raise FingerprintError(
                f"hashing results on {data} by {known['track']}: {marks[data, known['track']]} and {mark}, expected one",
                "measure the older ones again: `crossbit bench hashing`",
            )
        grouped.setdefault((data, known["track"], known["system"], int(known["bits"])), []).append(result)
    return [HashingPoint(*key, tuple(some)) for key, some in sorted(grouped.items())]


def systems_of(found: Sequence[HashingPoint], order: Sequence[str] = ()) -> list[str]:
    """Name the systems, those of `order` first and in that order."""
    there = {point.system for point in found}
    return [name for name in order if name in there] + sorted(there - set(order))
