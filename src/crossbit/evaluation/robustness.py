"""Robustness: tables of the bench of RCAR, read off its result files alone.

A run is one strategy on one kind and share of noise with one seed, measured at its best epoch (by clean validation pairs) and
after its last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import UsageError
from crossbit.evaluation.result import Result

VARIANTS = (
    "plain",
    "multi-task",
    "rcar",
    "rcar-gaussian",
    "rcar-single-task",
    "ncr",
    "small-loss",
    "clean-part",
)
"""What is compared, in the order of the tables."""

MAIN = "unrelated"
GENERATORS = (MAIN, "subgroup", "half")
"""Of complete noise, and the two of partial noise, the one that hurts first."""

RATIOS = (0.2, 0.4, 0.6, 0.8)
BEST, LAST = "best", "last"


@dataclass(frozen=True)
class Cell:
    """One place of a table: the seeds of one variant on one noise together.

    Args:
        variant: a name of `VARIANTS`.
        generator: of the noise; empty where nothing is wrong.
        ratio: of wrong captions.
        moment: "best" or "last".
        values: the rsum of each seed.
        detections: by detector, the records of each seed.
    """

    variant: str
    generator: str
    ratio: float
    moment: str
    values: tuple[float, ...]
    detections: tuple[dict[str, Any], ...]

    @property
    def mean(self) -> float:
        """Give the mean over the seeds."""
        return float(np.mean(self.values))


def read_cells(folder: Path) -> list[Cell]:
    """Read all result files of a folder.

    Raises:
        UsageError: there are none.
    """
    results = [Result.read(path) for path in sorted(folder.glob("*.json.gz"))]
    if not results:
        raise UsageError(f"{folder}: no result files, expected those of `crossbit bench claims --system rcar`")
    return cells(results)


def cells(results: Sequence[Result]) -> list[Cell]:
    """Put the seeds of each variant, noise and moment together."""
    grouped: dict[tuple[str, str, float, str], list[Result]] = {}
    for result in results:
        noise = result.config.get("noise", {})
        variant, moment = result.config["variant"], result.config["moment"]
        grouped.setdefault((variant, noise.get("generator", ""), float(noise.get("ratio", 0)), moment), []).append(
            result
        )
    return [
        Cell(*key, tuple(result.rsum for result in some), tuple(result.config.get("detection", {}) for result in some))
        for key, some in sorted(grouped.items())
    ]


def rsum_table(found: Sequence[Cell], moment: str) -> str:
    """Lay out rsums in Markdown: a line for each noise and variant, a column for each ratio."""
    ratios = sorted({cell.ratio for cell in found})
    lines = _head(["noise", "strategy", *(f"{100 * ratio:g} %" for ratio in ratios)], 2)
    for generator in generators(found):
        for variant in VARIANTS:
            row = {c.ratio: c for c in _row(found, variant, generator, moment)}
            if any(row):  # more than the clean run
                lines.append(_line([generator, variant, *(_rsum(row.get(ratio)) for ratio in ratios)]))
    return "\n".join(lines) + "\n"


def gap_table(found: Sequence[Cell], moment: str) -> str:
    """Lay out which share of the gap between unprotected training and training on the clean part a strategy closes."""
    ratios = sorted({cell.ratio for cell in found if cell.variant == "clean-part"})
    lines = _head(["strategy", *(f"{100 * ratio:g} %" for ratio in ratios)], 1)
    means = {(c.variant, c.ratio): c.mean for c in found if c.generator == MAIN and c.moment == moment}
    for variant in VARIANTS[1:-1]:
        row = []
        for ratio in ratios:
            here, floor, ceiling = (means.get((name, ratio)) for name in (variant, "plain", "clean-part"))
            known = here is not None and floor is not None and ceiling is not None and ceiling > floor
            row.append(f"{100 * (here - floor) / (ceiling - floor):.0f} %" if known else "")  # type: ignore[operator]
        if any(row):
            lines.append(_line([variant, *row]))
    return "\n".join(lines) + "\n"


def detection_table(found: Sequence[Cell], detector: str = "strategy", variant: str = "rcar") -> str:
    """Lay out how well a detector finds the planted pairs, the mean over the seeds; a nan stands where none is planted."""
    named = ("wrong", "estimated", "average_precision", "auroc", "accuracy", "calibration_error")
    titles = ("wrong", "estimated", "average precision", "AUROC", "accuracy at 0.5", "calibration error")
    lines = _head(["noise", "ratio", *titles], 2)
    for cell in sorted(found, key=lambda c: (c.generator != MAIN, c.generator, c.ratio)):
        records = [record[detector] for record in cell.detections if detector in record]
        if (cell.variant, cell.moment) == (variant, BEST) and records:
            values = [np.mean([r[name] for r in records]) if records[0][name] is not None else np.nan for name in named]
            lines.append(_line([cell.generator or "none", f"{100 * cell.ratio:g} %", *(_share(v) for v in values)]))
    return "\n".join(lines) + "\n"


def bins(found: Sequence[Cell], generator: str, ratio: float, detector: str = "strategy", variant: str = "rcar") -> Any:
    """Give the bins of a reliability plot, seeds together: pairs (10,), mean probability (10,), share wrong (10,)."""
    records = [
        record[detector]["bins"]
        for cell in found
        if (cell.variant, cell.generator, cell.ratio, cell.moment) == (variant, generator, ratio, BEST)
        for record in cell.detections
        if detector in record
    ]
    if not records:
        return None
    table = np.array(records, np.float64)  # (seeds, 10, 3)
    pairs = table[:, :, 0].sum(0)
    said, wrong = ((table[:, :, 0] * table[:, :, k]).sum(0) / np.maximum(pairs, 1) for k in (1, 2))
    return pairs, said, wrong


def _row(found: Sequence[Cell], variant: str, generator: str, moment: str) -> list[Cell]:
    mine = [c for c in found if (c.variant, c.moment) == (variant, moment)]
    noisy = [c for c in mine if c.generator == generator]
    return [*(c for c in mine if not c.generator), *noisy] if noisy else []


def generators(found: Sequence[Cell]) -> list[str]:
    """Name the generators of noise, the one of complete noise first."""
    return sorted({c.generator for c in found} - {""}, key=lambda name: (name != MAIN, name))


def _rsum(cell: Cell | None) -> str:
    if cell is None:
        return ""
    spread = f" ± {np.std(cell.values, ddof=1):.1f}" if len(cell.values) > 1 else ""
    return f"{cell.mean:.1f}{spread}"


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _head(titles: Sequence[str], words: int) -> list[str]:
    rule = "|" + "|".join("---" if place < words else "--:" for place in range(len(titles))) + "|"
    return [_line(titles), rule]


def _line(cells_: Sequence[str]) -> str:
    return "| " + " | ".join(cells_) + " |"
