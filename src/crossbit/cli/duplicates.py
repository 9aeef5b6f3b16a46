"""crossbit collection duplicates: pictures that are the same file, or nearly look the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from crossbit.cli.collection import app
from crossbit.cli.locate import find_collection
from crossbit.cli.show import counted, json_out, paths_out, printable, say, size, table_out
from crossbit.errors import NothingFound

if TYPE_CHECKING:
    from crossbit.search.duplicates import Group

SHOWN = 100
"""Groups on a page; the JSON has all."""


@app.command()
def duplicates(
    collection: Path = typer.Argument(
        None, metavar="COLLECTION", help="A collection or its folder of pictures; else the nearest."
    ),
    kind: Literal["same", "near"] = typer.Option(
        "near", "--kind", metavar="same|near", help="Same files only, or what nearly looks the same, too."
    ),
    threshold: float = typer.Option(
        0.8, "--threshold", "-t", metavar="X", help="Cosine from which on two pictures can be near."
    ),
    look: int = typer.Option(
        10,
        "--look",
        min=0,
        max=64,
        metavar="BITS",
        help="Of 64 bits of what they look like, so many may differ; 64: all.",
    ),
    paths: bool = typer.Option(False, "--paths", help="Print only the paths that could go, one a line, for pipes."),
    null: bool = typer.Option(False, "-0", "--null", help="Like --paths, each ended by NUL, as `xargs -0` reads them."),
    html: Path = typer.Option(None, "--html", metavar="FILE", help="Also write a page with the pictures."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List groups of pictures that are the same or nearly so; of each, the one with most pixels is kept. Deletes nothing."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection)) as opened:
        groups, total, place = opened.duplicates(kind=kind, threshold=threshold, look=look), len(opened), opened.folder
    if json:
        json_out(
            {
                "collection": place,
                "kind": kind,
                "threshold": threshold,
                "look": look,
                "groups": [g.to_dict() for g in groups],
            }
        )
    elif paths or null:
        paths_out((twin.item.path for group in groups for twin in group.twins), null=null)
    elif groups:
        table_out(("group", "picture", "likeness", "bytes"), _rows(groups), right=(0, 3))
    spare = sum(group.spare for group in groups)
    if not groups:
        raise NothingFound(f"no duplicates among {counted(total, 'picture')}")
    say(f"{counted(len(groups), 'group')}, {size(spare)} could go")
    if html is not None:
        say(f"page: {printable(_page(html, groups, total, spare))}")


def _rows(groups: Sequence[Group]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for number, group in enumerate(groups, start=1):
        rows.append((number, printable(group.kept.path), "kept", group.kept.size))
        for twin in group.twins:
            likeness = "same file" if twin.same else f"{twin.similarity:.3f}"
            rows.append((number, printable(twin.item.path), likeness, twin.item.size))
    return rows


def _page(html: Path, groups: Sequence[Group], total: int, spare: int) -> Path:
    from crossbit.cli.sheet import Answer, Section, write_sheet

    sections = []
    for group in groups[:SHOWN]:
        answers = [
            Answer(
                twin.item.path,
                twin.item.path.name,
                twin.similarity,
                str(twin.item.path),
                "same file" * twin.same,
                link=True,
            )
            for twin in group.twins
        ]
        sections.append(Section(printable(group.kept.path), answers, asked=group.kept.path, note=size(group.spare)))
    lead = f"{counted(len(groups), 'group')} among {counted(total, 'picture')}, {size(spare)} could go"
    more = f"the first {SHOWN} groups of {len(groups):,}" if len(groups) > SHOWN else ""
    return write_sheet(html, "crossbit duplicates", sections, lead=lead, foot=more)
