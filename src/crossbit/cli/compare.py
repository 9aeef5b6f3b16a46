"""crossbit compare: result files side by side, with confidence intervals and paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer


def compare(
    results: list[Path] = typer.Argument(..., metavar="RESULTS", help="Files that `crossbit evaluate` wrote."),
    format: Literal["markdown", "csv", "latex"] = typer.Option(
        "markdown", "--format", "-f", metavar="markdown|csv|latex", help="How to write it."
    ),
    languages: str = typer.Option(None, "--languages", metavar="en,de,...", help="Average over these; else over all."),
    plot: Path = typer.Option(
        None,
        "--plot",
        metavar="STEM",
        help="Also draw STEM.png and STEM.svg: R@K, or precision, recall and the first N.",
    ),
    against: Literal["first", "best"] = typer.Option(
        "first", "--against", metavar="first|best", help="What the others are tested against."
    ),
) -> None:
    """Compare results: a table with confidence intervals and paired tests; files of one system are its seeds."""
    from crossbit.cli.show import printable, say
    from crossbit.evaluation.compare import compare as table
    from crossbit.evaluation.compare import lines_of, plot_lines

    spoken = languages.split(",") if languages else None
    typer.echo(table(results, format=format, languages=spoken, against=against), nl=False)
    if plot is not None:
        for path in plot_lines(lines_of(results), plot):
            say(f"plot: {printable(path)}")
