"""Write the tables of docs/base.md from results/base/, which `crossbit bench claims --system base` measures.

    python tools/base_tables.py

Each table stands between <!-- NAME --> and <!-- end of NAME -->.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from crossbit.cli.base import PARTS
from crossbit.cli.claims_base import COVERED
from crossbit.evaluation.result import Result

RESULTS, PAGE = Path("results/base"), Path("docs/base.md")
CUTS = (1, 5, 10)
GALLERIES = (
    ("photographs", "stamps of pixels (539)", ("whole", "conse", "drawings-alone")),
    ("strictly-photographs", "of them, photographs by their shades (361)", ("whole", "conse")),
    ("drawn-stamps", "drawn stamps (248)", ("whole", "conse")),
    ("openmoji-test", "OpenMoji, an unseen hand (380)", ("whole", "drawings-alone")),
    ("drawings-test", "unseen concepts, four hands (1,356)", ("whole", "drawings-alone")),
)
CALLED = {"whole": "**base**", "conse": "conse", "drawings-alone": "drawings alone"}


def recalls(
    where: str, name: str, direction: str, language: str = "en", seeds: Iterable[int] = range(3)
) -> list[float]:
    """Give R@1, R@5 and R@10, the mean of some seeds."""
    read = [Result.read(RESULTS / where / f"{name}-seed{seed}.json") for seed in seeds]
    return [float(np.mean([r.metrics[language][direction][f"recall_at_{k}"] for r in read])) for k in CUTS]


def written(values: Sequence[float], digits: int = 1) -> str:
    """Write "19.8 / 35.1 / 41.2"."""
    return " / ".join(f"{value:.{digits}f}" for value in values)


def galleries() -> list[str]:
    """Give a row for each gallery and model."""
    rows = ["| gallery | model | text to image | image to text |", "|---|---|---|---|"]
    for where, called, parts in GALLERIES:
        for part in parts:
            both = (written(recalls(where, part, way)) for way in ("text_to_image", "image_to_text"))
            rows.append(f"| {called} | {CALLED[part]} | {' | '.join(both)} |")
    return rows


def codes() -> list[str]:
    """Give a row for each length of code."""
    dense = recalls("photographs", "whole", "text_to_image")[-1]
    rows = ["| bits | code against code | kept | query not cut to bits | kept |", "|---|---|---|---|---|"]
    for bits in (256, 128):
        cells = [str(bits)]
        for how in ("", "-asymmetric"):
            found = recalls("photographs", f"whole-{bits}bit{how}", "text_to_image")
            cells += [written(found), f"{found[-1] / dense:.0%}".replace("%", " %")]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def languages() -> list[str]:
    """Give all covered languages in two columns, best first, below a sentence on their mean."""
    name = f"{len(COVERED)}languages"
    found = {
        language: [
            recalls("photographs", f"{part}-{name}", "text_to_image", language, [0]) for part in ("whole", "conse")
        ]
        for language in COVERED
    }
    english = found["en"][0][-1]
    mean = float(np.mean([found[language][0][-1] for language in COVERED if language != "en"]))
    order = ["en", *sorted((x for x in COVERED if x != "en"), key=lambda x: -found[x][0][-1])]
    half = len(order) // 2
    cells = [f"{language} | {' | '.join(written(part, 0) for part in found[language])}" for language in order]
    return [
        f"English finds {english:.1f} % among the first ten, the mean of the other {len(COVERED) - 1} is {mean:.1f}, "
        f"{mean / english:.0%}".replace("%", " %").replace("  %", " %")
        + " of it.",
        "",
        "| language | base | conse | | language | base | conse |",
        "|---|---|---|---|---|---|---|",
        *(f"| {left} | | {right} |" for left, right in zip(cells[:half], cells[half:], strict=True)),
    ]


def parts() -> list[str]:
    """Give a row for each part of the training that is left out."""
    rows = ["| training | stamps of pixels | OpenMoji |", "|---|---|---|"]
    for part in (name for name in PARTS if name != "drawings-alone"):
        both = (written(recalls(where, part, "text_to_image", seeds=[0])) for where in ("photographs", "openmoji-test"))
        rows.append(f"| {part.replace('-', ' ')} | {' | '.join(both)} |")
    return rows


def main() -> None:
    """Put every table between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in {"galleries": galleries, "codes": codes, "languages": languages, "parts": parts}.items():
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        between = re.compile(re.escape(marks[0]) + ".*?" + re.escape(marks[1]), re.DOTALL)
        if len(between.findall(page)) != 1:
            raise SystemExit(f"{PAGE}: expected one table between {marks[0]} and {marks[1]}")
        lines = "\n".join(table())
        page = between.sub(lambda _, made=f"{marks[0]}\n\n{lines}\n\n{marks[1]}": made, page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
