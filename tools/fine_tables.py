"""Write the tables of docs/fine-grained.md from results/picto-fine/, which `crossbit bench claims` measures.

    python tools/fine_tables.py

Each table stands between <!-- NAME --> and <!-- end of NAME -->.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from crossbit.cli.fine_bench import DISTRACTORS
from crossbit.evaluation.page import put_between
from crossbit.evaluation.result import Result

RESULTS, PAGE = Path("results/picto-fine"), Path("docs/fine-grained.md")
METHODS = {
    "vsepp": "VSE++",
    "vsepp-hidden": "VSE++ with a hidden layer",
    "clip_style": "VSE++ with symmetric InfoNCE (CLIP style)",
    "vse_infinity": "VSE-infinity",
    "scan": "SCAN, words look at cells",
    "scan-i2t": "SCAN, cells look at words",
    "sgr-style": "attention and graphs without tasks and memory (SGR style)",
    "vse_fusion": "**vse_fusion**, its embedding",
    "mvsen": "**mvsen**, its joint score",
}
PARTS = {
    "vse_fusion": {
        "vse_fusion-without-itc": "without image-text contrast",
        "vse_fusion-without-ims": "without intra-modal separability",
        "vse_fusion-without-lmi": "without local mutual information",
        "vse_fusion-without-fusion": "without the fusion encoder's task",
    },
    "mvsen": {
        "mvsen-without-text-task": "without the text-text task",
        "mvsen-without-label-task": "without the label task",
        "mvsen-without-memory": "without the encoder with memory",
        "mvsen-without-interaction": "without attention across modalities",
        "mvsen-without-graph": "without graph reasoning",
        "mvsen-t2i": "words look at cells alone",
        "mvsen-i2t": "cells look at words alone",
    },
}
SHORT = (
    ("vse_fusion", "vse_fusion", "`vse_fusion` orders its own list"),
    ("mvsen", "vse_infinity", "`mvsen` orders that of `vse_infinity`"),
    ("scan", "vse_infinity", "`scan` orders that of `vse_infinity`"),
)


def runs(name: str) -> list[Result]:
    """Give the results of a trial, every seed that was measured."""
    return [Result.read(path) for path in sorted(RESULTS.glob(f"{name}-seed*.json"))]


def of(found: Sequence[Result], way: str, metric: str) -> float:
    """Give a mean over seeds."""
    return mean(one.metrics["en"][way][metric] for one in found)


def row(called: str, found: Sequence[Result], against: float | None = None) -> str:
    """Give rsum with its spread over seeds, R@1/5/10 both ways, processor seconds of training."""
    sums = [one.rsum for one in found]
    spread = f" ± {stdev(sums):.1f}" if len(sums) > 1 else ""
    ways = (
        " / ".join(f"{of(found, way, f'recall_at_{k}'):.1f}" for k in (1, 5, 10))
        for way in ("text_to_image", "image_to_text")
    )
    less = "" if against is None else f" ({mean(sums) - against:+.1f})"
    spent = mean(float(one.config["cpu_seconds"]) for one in found)
    return f"| {called} | {mean(sums):.1f}{spread}{less} | {' | '.join(ways)} | {spent:.0f} |"


HEAD = ["| | rsum | text to image, R@1/5/10 | image to text | training, s |", "|---|---|---|---|---|"]


def methods() -> list[str]:
    """Give a row a method."""
    return HEAD + [row(called, found) for name, called in METHODS.items() if (found := runs(name))]


def parts() -> list[str]:
    """Give a row for each part that is left out."""
    rows = list(HEAD)
    for name, left_out in PARTS.items():
        if whole := runs(name):
            against = mean(one.rsum for one in whole)
            rows.append(row(f"`{name}`", whole))
            rows += [row(called, found, against) for key, called in left_out.items() if (found := runs(key))]
    return rows


def distractors() -> list[str]:
    """Give rsum by the number of cells that show another picture."""
    rows = ["| of 49 cells another's | " + " | ".join(map(str, (0, *DISTRACTORS))) + " |", "|---|" + "---|" * 4]
    for name in ("vsepp", "vse_infinity", "vse_fusion"):
        found = [runs(name), *(runs(f"{name}-with-{cells}-distractors") for cells in DISTRACTORS)]
        if all(found):
            rows.append(f"| `{name}` | " + " | ".join(f"{mean(r.rsum for r in some):.1f}" for some in found) + " |")
    return rows


def short_lists() -> list[str]:
    """Give what ordering the first of a list anew gains and costs."""
    rows = ["| | R@1 both ways | before | rsum | before | ms a query, of 200 |", "|---|---|---|---|---|---|"]
    for second, first, called in SHORT:
        after, before = runs(f"{second}-behind-{first}"), runs(first)
        if after and before:
            firsts = [
                " / ".join(f"{of(some, way, 'recall_at_1'):.1f}" for way in ("text_to_image", "image_to_text"))
                for some in (after, before)
            ]
            sums = [f"{mean(one.rsum for one in some):.1f}" for some in (after, before)]
            spent = mean(float(one.config["milliseconds_a_query"]) for one in after)
            rows.append(f"| {called} | {' | '.join(firsts)} | {' | '.join(sums)} | {spent:.1f} |")
    return rows


def main() -> None:
    """Write all tables."""
    for name, table in (
        ("methods", methods()),
        ("parts", parts()),
        ("distractors", distractors()),
        ("short lists", short_lists()),
    ):
        put_between(PAGE, f"<!-- {name} -->\n", f"<!-- end of {name} -->", "\n".join(table) + "\n")


if __name__ == "__main__":
    main()
