"""compare: result files side by side, with confidence intervals and paired tests."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossbit.errors import ConfigError, FingerprintError, UsageError
from crossbit.evaluation.curves import Point, curve, names
from crossbit.evaluation.hashing_points import HEADLINE, HashingPoint, systems_of
from crossbit.evaluation.measure import CUTS, DIRECTIONS
from crossbit.evaluation.result import Result
from crossbit.metrics.significance import Difference, Interval, Run, bootstrap_interval, holm, paired_difference

Format = Literal["markdown", "csv", "latex"]

_SHORT = {"image_to_text": "i2t", "text_to_image": "t2i"}


@dataclass(frozen=True)
class System:
    """The results of one system, one a seed."""

    name: str
    results: tuple[Result, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Give the seeds of all its runs."""
        return tuple(seed for result in self.results for seed in result.seeds)

    def value(self, language: str, side: str, measure: str) -> float:
        """Give a measure, the mean over the runs."""
        return float(np.mean([result.metrics[language][side][measure] for result in self.results]))

    def runs(self, metric: str, languages: Sequence[str] | None) -> list[Run]:
        """Give the terms of every run."""
        return [result.terms(metric, languages) for result in self.results]

    def comparable(self, other: System) -> list[str]:
        """Name what of data, split and protocol differs from another system."""
        a, b = self.results[0], other.results[0]
        pairs = (
            ("data", a.data["fingerprint"], b.data["fingerprint"]),
            ("split", a.data["split"], b.data["split"]),
            ("protocol", a.protocol["fingerprint"], b.protocol["fingerprint"]),
        )
        return [f"{name} ({mine} and {theirs})" for name, mine, theirs in pairs if mine != theirs]


@dataclass(frozen=True)
class Line:
    """One line of the table: a system, its headline measure with its interval, and how it differs from the reference."""

    system: System
    headline: tuple[float, ...]
    interval: Interval
    difference: Difference | None
    p_value: float | None


def compare(
    results: Sequence[Result | Path | str],
    *,
    format: Format = "markdown",
    languages: Sequence[str] | None = None,
    against: Literal["first", "best"] = "first",
    resamples: int = 2000,
    seed: int = 0,
) -> str:
    """Give a table of results: measures, 95 % intervals of the headline, paired tests against one system.

    Results of one system (one file a seed) are averaged. Intervals are bootstrapped over items, with all captions of an
    item together, and over seeds; p-values come from sign-flip tests over items and are corrected after Holm for the
    number of systems. Systems measured on other data or by another protocol stand in the table without a test, and a
    warning says so.

    Args:
        results: results, or their files.
        format: "markdown", "csv" or "latex".
        languages: that the table averages over; by default those that all results have.
        against: which system the others are tested against.
        resamples: of the bootstrap.
        seed: of bootstrap and test.

    Raises:
        UsageError: no results, no common language, or results of several families of measures.
        FingerprintError: two runs of one system were measured on different data or by different protocols.
        DataError: a file is not a result.
    """
    if format not in _WRITERS:
        raise ConfigError(f"format {format!r}, expected one of {sorted(_WRITERS)}")
    systems = group(results)
    spoken = _languages(systems, languages)
    metric = _headline(systems)
    lines = headlines(systems, metric, spoken, against, resamples, seed)
    write = _WRITERS[format]
    tables = [write(*_main_table(lines, metric, spoken))]
    if len(spoken) > 1:
        tables.append(write(*_language_table(systems, metric, spoken)))
    return "\n".join(tables)


def group(results: Sequence[Result | Path | str]) -> list[System]:
    """Put the runs of each system together, in the order named.

    Raises:
        UsageError: there are none.
        FingerprintError: the runs of one system were measured on different data or by different protocols.
    """
    read = [result if isinstance(result, Result) else Result.read(result) for result in results]
    if not read:
        raise UsageError("compare: no results, expected at least one file")
    names = dict.fromkeys(result.system for result in read)
    systems = [System(name, tuple(result for result in read if result.system == name)) for name in names]
    for system in systems:
        for result in system.results[1:]:
            if different := System(system.name, (result,)).comparable(system):
                raise FingerprintError(
                    f"compare: the runs of {system.name!r} differ in {', '.join(different)}",
                    "compare them as two systems: `evaluate --system NAME`",
                )
    return systems


def headlines(
    systems: Sequence[System],
    metric: str,
    languages: Sequence[str],
    against: Literal["first", "best"] = "first",
    resamples: int = 2000,
    seed: int = 0,
) -> list[Line]:
    """Give headline, interval, difference and corrected p-value of every system."""
    runs = [system.runs(metric, languages) for system in systems]
    values = [tuple(sum(term.weight * float(term.values.mean()) for term in run) for run in some) for some in runs]
    reference = 0 if against == "first" else int(np.argmax([np.mean(some) for some in values]))
    differences: list[Difference | None] = []
    for place, system in enumerate(systems):
        different = system.comparable(systems[reference])
        if different:
            warnings.warn(
                f"{system.name!r} and {systems[reference].name!r} cannot be compared: they differ in "
                f"{', '.join(different)}",
                stacklevel=3,
            )
        testable = place != reference and not different
        found = paired_difference(runs[place], runs[reference], resamples=resamples, seed=seed) if testable else None
        differences.append(found)
    tested = [place for place, found in enumerate(differences) if found is not None]
    corrected = dict(zip(tested, holm([found.p_value for found in differences if found is not None]), strict=True))
    return [
        Line(
            system,
            values[place],
            bootstrap_interval(runs[place], resamples=resamples, seed=seed),
            differences[place],
            float(corrected[place]) if place in corrected else None,
        )
        for place, system in enumerate(systems)
    ]


def _headline(systems: Sequence[System]) -> str:
    families = {result.protocol["family"] for system in systems for result in system.results}
    if len(families) != 1:
        raise UsageError(f"compare: results of {sorted(families)}, expected one family of measures")
    return "rsum" if families == {"recall"} else "map_all"


def _languages(systems: Sequence[System], wanted: Sequence[str] | None) -> list[str]:
    shared = [
        language
        for language in systems[0].results[0].languages
        if all(language in result.languages for system in systems for result in system.results)
    ]
    if wanted is None:
        if not shared:
            raise UsageError("compare: the results have no language in common")
        return shared
    if missing := [language for language in wanted if language not in shared]:
        raise UsageError(f"compare: not all results have language {missing[0]!r}, common are {shared}")
    return list(wanted)


def _main_table(lines: Sequence[Line], metric: str, languages: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    sides = [(side, f"recall_at_{k}", f"{_SHORT[side]} R@{k}") for side in DIRECTIONS for k in CUTS]
    if metric != "rsum":
        sides = [(side, "map_all", f"{_SHORT[side]} MAP") for side in DIRECTIONS]
    name = "rsum" if metric == "rsum" else "MAP"
    head = ["system", "seeds", *[label for _, _, label in sides], name, "95 %", "difference", "95 %", "p"]
    rows = []
    for line in lines:
        cells = [line.system.name, str(len(line.system.seeds) or len(line.system.results))]
        for side, measure, _ in sides:
            cells.append(f"{np.mean([line.system.value(language, side, measure) for language in languages]):.1f}")
        spread = f" ± {np.std(line.headline, ddof=1):.1f}" if len(line.headline) > 1 else ""
        cells += [f"{np.mean(line.headline):.1f}{spread}", _span(line.interval)]
        if line.difference is None:
            cells += ["", "", ""]
        else:
            cells += [f"{line.difference.value:+.1f}", _span(line.difference.interval), _p(line.p_value)]
        rows.append(cells)
    return head, rows


def _language_table(
    systems: Sequence[System], metric: str, languages: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    rows = [
        [system.name, *[f"{system.value(language, 'both', metric):.1f}" for language in languages]]
        for system in systems
    ]
    return [f"{'rsum' if metric == 'rsum' else 'MAP'} by language", *languages], rows


def _span(interval: Interval) -> str:
    return f"{interval.low:.1f} to {interval.high:.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(3, *(len(row[place]) for row in (head, *rows))) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join([line(head), line(rule), *[line(row) for row in rows]]) + "\n"


def _csv(head: list[str], rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()


def _latex(head: list[str], rows: list[list[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(_escape(cell) for cell in cells) + r" \\"

    body = [line(head), r"\midrule", *[line(row) for row in rows]]
    columns = "l" + "r" * (len(head) - 1)
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escape(cell: str) -> str:
    for sign in "&%$#_{}":
        cell = cell.replace(sign, "\\" + sign)
    return cell.replace("±", r"$\pm$").replace("< ", "$<$ ").replace("~", r"\textasciitilde{}")


_WRITERS = {"markdown": _markdown, "csv": _csv, "latex": _latex}


def plot_curves(found: Sequence[Point], stem: Path) -> list[Path]:
    """Draw noise curves as `STEM.png` and `STEM.svg`: a panel for each split and noise, a line for each method.

    A band is one standard deviation over the seeds to each side.

    Args:
        found: points of curves.
        stem: path without suffix.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    methods, generators, splits = names(found)
    # no pyplot: it would keep the figure and look for a display
    figure = Figure(figsize=(3.4 * len(generators), 2.9 * len(splits)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(splits), len(generators), sharex=True, sharey="row", squeeze=False)
    for row, split in enumerate(splits):
        for column, generator in enumerate(generators):
            panel = panels[row][column]
            for style, method in zip(cycle(("o-", "s--", "^:", "v-.")), methods, strict=False):
                line = curve(found, method, generator, split)
                ratios, means = [100 * p.ratio for p in line], np.array([p.mean for p in line])
                spread = np.array([p.spread for p in line])
                drawn = panel.plot(ratios, means, style, label=method, markersize=4)
                panel.fill_between(ratios, means - spread, means + spread, alpha=0.2, color=drawn[0].get_color(), lw=0)
            panel.set_title(f"{generator}, split {split}", fontsize=9)
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
            if row + 1 == len(splits):
                panel.set_xlabel("wrong training captions, %")
            if column == 0:
                panel.set_ylabel("rsum")
    panels[0][0].legend(fontsize=8)
    return save_figure(figure, stem)


@dataclass(frozen=True)
class Lines:
    """One panel of a plot: named lines (x, y) over the same axes."""

    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"


def lines_of(results: Sequence[Result | Path | str]) -> list[Lines]:
    """Give what a plot of results shows, a line for each system, both directions side by side.

    Of caption retrieval: R@K over K, mean over languages and seeds. Of the hashing protocol: precision over recall as the
    Hamming radius grows, and precision of the first N, of the first language and seed.

    Raises:
        UsageError: there are no results, or they are of several families of measures or have no curves.
    """
    systems = group(results)
    if _headline(systems) == "rsum":
        return [_recall_lines(systems, side) for side in DIRECTIONS]
    bare = [s.name for s in systems if not s.results[0].curves]
    if bare:
        raise UsageError(
            f"compare: the results of {bare[0]!r} hold no curves", "measure them again: `crossbit evaluate`"
        )
    panels = [_curve_lines(systems, side, "recall", "precision") for side in DIRECTIONS]
    return [p for p in panels if p.lines] + [
        _curve_lines(systems, side, "top_n", "precision_at_top_n") for side in DIRECTIONS
    ]


def _recall_lines(systems: Sequence[System], side: str) -> Lines:
    cuts = [1, 2, 5, 10, 20, 50, 100]
    lines = {}
    for system in systems:
        answers = [result.answers[language][side] for result in system.results for language in result.languages]
        lines[system.name] = (cuts, [100 * float(np.mean([got.hits(k).mean() for got in answers])) for k in cuts])
    return Lines(side.replace("_", " "), "K", "R@K, %", lines, "log")


def _curve_lines(systems: Sequence[System], side: str, x: str, y: str) -> Lines:
    lines = {}
    for system in systems:
        curves = next(iter(system.results[0].curves.values()))[side]
        if x in curves:
            # radii at which nothing is found yet count as precision 0 and are no part of the curve
            kept = [i for i, value in enumerate(curves[x]) if value > 0]
            lines[system.name] = ([curves[x][i] for i in kept], [curves[y][i] for i in kept])
    axes = ("recall, %", "precision, %") if x == "recall" else ("first N", "precision, %")
    return Lines(side.replace("_", " "), *axes, lines, "linear" if x == "recall" else "log")


def lengths_of(found: Sequence[HashingPoint], order: Sequence[str] = ()) -> list[Lines]:
    """Give what a plot of a hashing comparison shows: the headline of each set and track over the length of the code."""
    panels = []
    for data in dict.fromkeys(point.data for point in found):
        for track, metric in HEADLINE.items():
            mine = [point for point in found if (point.data, point.track) == (data, track)]
            lines = {
                system: tuple(zip(*[(p.bits, p.mean) for p in mine if p.system == system], strict=True))
                for system in systems_of(mine, order)
            }
            if lines:
                panels.append(Lines(f"{data}, {track}", "bits", "rsum" if metric == "rsum" else "MAP, %", lines, "log"))  # type: ignore[arg-type]
    return panels


def plot_lines(panels: Sequence[Lines], stem: Path) -> list[Path]:
    """Draw panels of lines as `STEM.png` and `STEM.svg`, two in a row.

    Args:
        panels: from `lines_of` or `lengths_of`.
        stem: path without suffix.

    Raises:
        UsageError: there is nothing to draw.
    """
    if not panels:
        raise UsageError(f"plot {stem}: no lines, expected some results")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(5.2 * min(2, len(panels)) + 1.6, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, min(2, len(panels)), squeeze=False).flatten()
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    looks = dict(zip(names, cycle(_looks()), strict=False))
    drawn: dict[str, Any] = {}
    for place, panel in zip(places, panels, strict=False):
        for name, (x, y) in panel.lines.items():
            style, colour = looks[name]
            drawn[name] = place.plot(x, y, style, color=colour, label=name, markersize=3.5, linewidth=1.2)[0]
        place.set_title(panel.title, fontsize=9)
        place.set_xlabel(panel.x)
        place.set_ylabel(panel.y)
        place.grid(alpha=0.3)
        place.set_yscale(panel.y_scale)
        if panel.scale == "log":
            ticks = sorted({value for x, _ in panel.lines.values() for value in x})
            place.set_xscale("log", base=2)
            place.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7)
            place.minorticks_off()
    for place in places[len(panels) :]:
        place.set_axis_off()
    figure.legend(drawn.values(), drawn, loc="outside right upper", fontsize=8)
    return save_figure(figure, stem)


def _looks() -> list[tuple[str, str]]:
    """Give twenty looks that differ in mark and colour, so that lines can be told apart without colours."""
    styles = ("o-", "s--", "^:", "v-.", "D-", "x--", "P:")
    return [(styles[n % len(styles)], f"C{n % 10}") for n in range(20)]


def save_figure(figure: Any, stem: Path) -> list[Path]:
    """Write a figure as `STEM.png` and `STEM.svg`; the same figure gives the same files."""
    from matplotlib import rc_context

    stem.parent.mkdir(parents=True, exist_ok=True)
    made = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg")]
    with rc_context({"svg.hashsalt": "crossbit"}):  # else every file has names of its own
        figure.savefig(made[0], dpi=150, metadata={"Software": None})
        figure.savefig(made[1], metadata={"Date": None})
    return made
