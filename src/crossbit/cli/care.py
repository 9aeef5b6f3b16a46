"""crossbit collection, further verbs: snapshots, going back, moving to another model, mending."""

from __future__ import annotations

from pathlib import Path

import typer

from crossbit.cli.collection import WAIT, app
from crossbit.cli.locate import find_collection
from crossbit.cli.show import counted, json_out, printable, say, table_out

_WHICH = typer.Argument(None, metavar="COLLECTION", help="A collection or its folder of pictures; else the nearest.")
_FOLDER = typer.Option(
    None, "--collection", "-c", metavar="FOLDER", help="The collection or its folder of pictures; else the nearest."
)
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def snapshot(
    name: str = typer.Argument(..., metavar="NAME", help="Letters, digits, `.`, `_` and `-`."),
    collection: Path = _FOLDER,
    drop: bool = typer.Option(False, "--drop", help="Forget the snapshot of that name."),
    wait: float = WAIT,
    json: bool = _JSON,
) -> None:
    """Keep what the collection holds now by name, for `search --at` and `restore`; it takes no room at first."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection), wait=wait) as opened:
        (opened.drop_snapshot if drop else opened.take_snapshot)(name)
        items = len(opened)
    if json:
        json_out({"snapshot": name, "dropped": drop, "items": items})
    else:
        typer.echo(f"{name}: {'dropped' if drop else 'kept, ' + counted(items, 'picture')}")


@app.command()
def versions(collection: Path = _WHICH, json: bool = _JSON) -> None:
    """List the commits that can be searched and restored: all since the last `compact`, and the snapshots."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection)) as opened:
        found = opened.versions()
    if json:
        json_out([{"commit": v.commit, "time": v.time, "items": v.items, "name": v.name or None} for v in found])
    else:
        table_out(
            ("version", "time", "pictures", "snapshot"),
            [(v.commit, v.time, v.items, v.name) for v in found],
            right=(0, 2),
        )


@app.command()
def restore(
    version: str = typer.Argument(..., metavar="VERSION", help="A snapshot, a number of `versions`, a date or a time."),
    collection: Path = _FOLDER,
    wait: float = WAIT,
    json: bool = _JSON,
) -> None:
    """Make a version of the past the present one again; the next `index` compares it with the folder."""
    from crossbit.search.collection import Collection

    with Collection.open(find_collection(collection), wait=wait) as opened:
        back, gone = opened.restore(version)
        items = len(opened)
    if json:
        json_out({"version": version, "back": back, "gone": gone, "items": items})
    else:
        typer.echo(f"{counted(back, 'picture')} brought back, {gone:,} taken out; {counted(items, 'picture')} now")


@app.command()
def migrate(
    model: str = typer.Option(
        None, "--model", "-m", metavar="NAME", help="The new one: base, conse, clip:NAME, a folder."
    ),
    collection: Path = _FOLDER,
    cancel: bool = typer.Option(False, "--cancel", help="Give up a move that was not finished."),
    drop_missing: bool = typer.Option(False, "--drop-missing", help="Leave out pictures that cannot be read any more."),
    batch_size: int = typer.Option(32, "--batch-size", min=1, metavar="N", help="Pictures that are encoded at a time."),
    wait: float = WAIT,
    json: bool = _JSON,
) -> None:
    """Move to another model: everything is encoded beside the old, which answers until all is done. Goes on after a stop."""
    from crossbit.errors import UsageError
    from crossbit.search.collection import Collection

    if cancel == (model is not None):
        raise UsageError("migrate: expected either `--model NAME` or `--cancel`")
    with Collection.open(find_collection(collection), wait=wait) as opened:
        if cancel:
            was = opened.cancel_migration()
            if json:
                json_out({"cancelled": was})
            else:
                typer.echo("given up; the old model stays" if was else "nothing was under way")
            return
        report = opened.migrate(model, batch_size=batch_size, drop_missing=drop_missing)
        name = opened.meta.model
    if json:
        json_out({"model": name, **report.to_dict()})
        return
    done = f"{counted(report.added, 'picture')} encoded, {report.unchanged:,} were done before"
    left = f", {report.removed:,} left out" if report.removed else ""
    typer.echo(f"model: {name}; {done}{left}, in {report.seconds:.1f} s")


@app.command()
def repair(
    collection: Path = _WHICH,
    give_up: bool = typer.Option(False, "--give-up", help="Drop what cannot be mended, instead of refusing."),
    wait: float = WAIT,
    json: bool = _JSON,
) -> None:
    """Mend damaged files from their copies, the store, the segments or the pictures; what is beyond that is named."""
    from crossbit.search.collection import FOLDER, Collection

    place = collection
    if place is None or not (place.is_dir() and (place / FOLDER).is_dir() or (place / "meta.copy.json").is_file()):
        place = find_collection(collection)
    report = Collection.mend(place, give_up=give_up, wait=wait)
    if json:
        json_out(report.to_dict())
        return
    for damage in report.damage:
        say(f"damaged: {printable(str(damage))}")
    for line in report.mended:
        typer.echo(f"mended: {printable(line)}")
    for line in report.given_up:
        typer.echo(f"given up: {printable(line)}")
    if not report.damage:
        typer.echo("nothing is damaged")
