"""crossbit collection engine: what searches a collection: an engine here, or a Milvus server that its rows are brought to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.collection import WAIT, app, waits
from crossbit.cli.locate import find_collection
from crossbit.cli.show import counted, json_out
from crossbit.errors import UsageError

if TYPE_CHECKING:
    from crossbit.search.collection import Collection


@app.command()
def engine(
    name: str = typer.Argument(
        None, metavar="NAME", help="auto, scan, mih, hnsw, or milvus://HOST:PORT/TABLES; else only say what is used."
    ),
    collection: Path = typer.Option(
        None, "--collection", "-c", metavar="FOLDER", help="The collection or its folder of pictures; else the nearest."
    ),
    check: bool = typer.Option(False, "--check", help="Compare every row on the server with the folder, and mend it."),
    keep: bool = typer.Option(False, "--keep", help="Leave the tables on the server that is left."),
    wait: float = WAIT,
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say what searches a collection, or move its rows to a Milvus server and back; its folder stays whole."""
    from crossbit.search.collection import Collection

    if name and check:
        raise UsageError("collection engine: got a name and --check, expected one of them")
    with Collection.open(find_collection(collection), wait=wait) as opened:
        mended = opened.check_engine() if check else None
        if name:
            opened.use_engine(name, keep=keep)
        said = _said(opened)
    if mended is not None:
        said |= {"brought": mended[0], "removed": mended[1]}
    if json:
        json_out(said)
        return
    typer.echo(f"{said['engine']}{waits(said) if 'waiting' in said else ''}")
    if mended is not None:
        typer.echo(f"{counted(mended[0], 'row')} brought, {counted(mended[1], 'row')} removed")


def _said(opened: Collection) -> dict[str, Any]:
    stats = opened.stats()
    return {"engine": opened.meta.engine, **({} if stats.server is None else stats.server)}
