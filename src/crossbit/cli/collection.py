"""crossbit collection: look at a collection, check it, tidy it, take things out of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.locate import find_collection
from crossbit.cli.show import counted, json_out, printable, size, table_out
from crossbit.errors import NothingFound

if TYPE_CHECKING:
    from crossbit.search.calibrate import Calibration

app = typer.Typer(no_args_is_help=True, help="Look at a collection, check it, tidy it, take pictures out of it.")

_WHICH = typer.Argument(None, metavar="COLLECTION", help="A collection or its folder of pictures; else the nearest.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
WAIT = typer.Option(0.0, "--wait", min=0, metavar="SECONDS", help="Wait so long for another writer.")


@app.command()
def info(collection: Path = _WHICH, json: bool = _JSON) -> None:
    """Say what a collection holds, which model made it, how its codes are searched, and how large it is."""
    from crossbit.search.collection import Collection
    from crossbit.search.engines.choice import Choice

    with Collection.open(find_collection(collection)) as opened:
        stats, calibration = opened.stats(), opened.calibration
    if json:
        json_out({**stats.to_dict(), "calibration": None if calibration is None else calibration.to_dict()})
        return
    kinds = [f"embeddings of {stats.dim} numbers in {stats.vectors}"] * bool(stats.dim)
    kinds += [f"codes of {stats.bits} bits"] * bool(stats.bits)
    rows = [
        ("collection", printable(stats.folder)),
        ("pictures below", printable(stats.root) if stats.root else "not known"),
        ("model", f"{stats.model} ({stats.fingerprint})"),
        ("holds", f"{counted(stats.items, 'picture')}, {counted(stats.captions, 'caption')}; {', '.join(kinds)}"),
        *([("codes by", str(Choice(**stats.engine)))] if stats.engine and not stats.server else []),
        *([("rows on", f"{stats.server['address']}{waits(stats.server)}")] if stats.server else []),
        *([("probability", _worth(calibration))] if calibration is not None else []),
        *([("migrating", f"to {stats.migrating}, not finished")] if stats.migrating else []),
        *([("snapshots", ", ".join(stats.snapshots))] if stats.snapshots else []),
        ("quarantined", counted(stats.quarantined, "file")),
        ("size", f"{size(sum(stats.bytes.values()))}, {counted(stats.dead, 'dead entry', 'dead entries')}"),
        ("filter by", ", ".join(f"{name} ({' or '.join(types)})" for name, types in stats.fields.items())),
    ]
    for name, value in rows:
        typer.echo(f"{name + ':':<16}{value}")


@app.command()
def calibrate(
    collection: Path = _WHICH,
    queries: int = typer.Option(
        500, "--queries", min=20, metavar="N", help="Captions to ask; all where there are fewer."
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Of the draw of captions."),
    questions: Path = typer.Option(
        None,
        "--questions",
        metavar="FILE",
        help="Ask these in place of captions: lines of a question and the pictures that answer it, separated by tabs.",
    ),
    json: bool = _JSON,
) -> None:
    """Learn from the captions how likely an answer is right: `search` then tells, and `--min-probability` can refuse all."""
    from crossbit.search.collection import Collection
    from crossbit.search.fitting import read_questions

    with Collection.open(find_collection(collection)) as opened:
        known = None if questions is None else read_questions(questions, opened.snapshot)
        found = opened.calibrate(queries=queries, seed=seed, questions=known)
    if json:
        json_out(found.to_dict())
    else:
        typer.echo(_worth(found))


def waits(server: Mapping[str, Any]) -> str:
    """Say what a server lacks of a collection."""
    waiting = server["waiting"]
    what = "everything" if waiting is None else counted(waiting, "picture")
    return ", which has all of them" if waiting == 0 else f", which lacks {what}: that is searched here until it has it"


def _worth(found: Calibration) -> str:
    kept, refused = f"{found.kept:.0%} of the right answers have 50 % or more", f"{found.refused:.0%} of the questions"
    asked = f"from {counted(found.queries, 'question')}; of questions not seen: {100 * found.error:.1f} points off"
    return f"{asked}, {kept}, {refused} without an answer have none that has"


@app.command()
def verify(collection: Path = _WHICH, json: bool = _JSON) -> None:
    """Compare every file of a collection with its checksum."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection)) as opened:
        report = opened.verify()
    if json:
        json_out(report.to_dict())
    elif report.ok:
        typer.echo(f"{counted(report.files, 'file')}, {size(report.bytes)}: all as they were written")
    report.check()


@app.command()
def compact(collection: Path = _WHICH, wait: float = WAIT, json: bool = _JSON) -> None:
    """Drop removed pictures and old versions for good; needs room for a second copy while it runs."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection), wait=wait) as opened:
        before = sum(opened.stats().bytes.values())
        opened.compact()
        after = sum(opened.stats().bytes.values())
    if json:
        json_out({"bytes_before": before, "bytes_after": after})
    else:
        typer.echo(f"{size(before)} before, {size(after)} now")


@app.command()
def quarantine(collection: Path = _WHICH, json: bool = _JSON) -> None:
    """List the files that could not be used, each with the reason."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection)) as opened:
        broken = opened.quarantine()
    if json:
        json_out([{"path": one.path, "reason": one.reason} for one in broken])
    else:
        table_out(("path", "reason"), [(printable(one.path), one.reason) for one in broken])


@app.command()
def delete(
    pictures: list[str] = typer.Argument(..., metavar="PICTURES", help="Paths, or ids as `search --json` gives them."),
    collection: Path = typer.Option(
        None, "--collection", "-c", metavar="FOLDER", help="The collection; else the nearest."
    ),
    wait: float = WAIT,
    json: bool = _JSON,
) -> None:
    """Take pictures out of a collection; the files stay, and the next `index` of their folder finds them again."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection), wait=wait) as opened:
        deleted = opened.delete([int(name) if name.isdecimal() else Path(name) for name in pictures])
    if json:
        json_out({"deleted": deleted})
    else:
        typer.echo(f"{counted(deleted, 'picture')} taken out")
    if not deleted:
        raise NothingFound(f"none of {', '.join(map(printable, pictures))} is in the collection")
