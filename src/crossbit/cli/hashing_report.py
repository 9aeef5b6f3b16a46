"""The report of `crossbit bench hashing`: tables of all results, the page, the plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossbit.cli.hashing_systems import SYSTEMS
from crossbit.evaluation.hashing_page import AT, read_speed, tables, write_page
from crossbit.evaluation.hashing_points import HashingPoint, read_hashing


@dataclass(frozen=True)
class Report:
    """All results: the points, the tables, the files that were drawn."""

    points: list[HashingPoint]
    text: str
    drawn: list[Path]


def report(folders: Sequence[Path], speed: Path, page: Path | None = None, plot: Path | None = None) -> Report:
    """Give the tables of all results, write them into a page and draw them, where wanted.

    Args:
        folders: of the results, one a data set; those that are not there are left out.
        speed: the file of the timings.
        page: a file with two marks.
        plot: path without suffix.

    Raises:
        UsageError: there are no results.
        DataError: the page has no marks.
    """
    found: list[HashingPoint] = []
    for folder in folders:
        if folder.is_dir() or len(folders) == 1:
            found += read_hashing(folder)
    text = tables(found, list(SYSTEMS), read_speed(speed)) if found else ""
    if page is not None:
        write_page(page, text)
    return Report(found, text, draw(found, plot) if plot is not None and found else [])


def draw(found: Sequence[HashingPoint], stem: Path) -> list[Path]:
    """Draw the headlines over the lengths, and the curves of all codes of one length on labels."""
    from crossbit.evaluation.compare import lengths_of, lines_of, plot_lines

    drawn = plot_lines(lengths_of(found, list(SYSTEMS)), stem)
    for data in dict.fromkeys(point.data for point in found):
        at = [p for p in found if (p.data, p.track, p.bits) == (data, "labels", AT)]
        if at:
            panels = lines_of([result for point in at for result in point.results])
            drawn += plot_lines(panels, stem.with_name(f"{stem.name}-curves-{data}"))
    return drawn
