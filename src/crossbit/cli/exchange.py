"""crossbit collection export and import: rows out to and in from NumPy, Parquet, faiss, usearch and clip-retrieval."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from crossbit.cli.collection import app
from crossbit.cli.locate import find_collection
from crossbit.cli.show import counted, json_out, printable, say

_FORMAT = typer.Option(
    None,
    "--format",
    "-f",
    metavar="numpy|parquet|faiss|usearch|clip-retrieval",
    help="Else told from the name, or from what lies there.",
)


@app.command()
def export(
    target: Path = typer.Argument(..., metavar="TARGET", help="A new file (Parquet) or folder (all others)."),
    collection: Path = typer.Option(
        None, "--collection", "-c", metavar="FOLDER", help="The collection or its folder of pictures; else the nearest."
    ),
    format: Literal["numpy", "parquet", "faiss", "usearch", "clip-retrieval"] = _FORMAT,
    at: str = typer.Option(None, "--at", metavar="VERSION", help="A version of the past, as `search --at` takes it."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write all items with their embeddings and codes for other programs; `import` reads them back, the same to the bit."""
    from crossbit.search.collection import Collection

    kind = format or ("parquet" if target.suffix == ".parquet" else "numpy")
    with Collection.open(find_collection(collection)) as opened:
        notes = opened.export(target, kind, at=at)
        items = len(opened if at is None else opened.at(at))
    for note in notes:
        say(f"note: {note}")
    if json:
        json_out({"target": target, "format": kind, "items": items, "notes": notes})
    else:
        typer.echo(f"{counted(items, 'item')} to {printable(target)} ({kind})")


@app.command("import")
def import_(
    source: str = typer.Argument(
        ..., metavar="SOURCE", help="A file or folder that others made, or `export`; or milvus://HOST:PORT/TABLES."
    ),
    collection: Path = typer.Option(
        ..., "--collection", "-c", metavar="FOLDER", help="Where the collection lies, or is to lie."
    ),
    format: Literal["numpy", "parquet", "faiss", "usearch", "clip-retrieval"] = _FORMAT,
    model: str = typer.Option(
        None, "--model", "-m", metavar="NAME", help="What made the rows, if it can be loaded here: it encodes queries."
    ),
    name: str = typer.Option("", "--name", metavar="NAME", help="What to call the model, if it cannot."),
    paths: Path = typer.Option(
        None, "--paths", metavar="FILE", help="The path of each item, one a line, for rows alone."
    ),
    bits: int = typer.Option(0, "--bits", min=0, metavar="N", help="Of the codes, if not eight times their bytes."),
    wait: float = typer.Option(0.0, "--wait", min=0, metavar="SECONDS", help="Wait so long for another writer."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Make a collection of embeddings or codes that were made elsewhere, or put them into one that is there."""
    from crossbit.search.collection import FOLDER, Collection
    from crossbit.search.engines.milvus import is_address
    from crossbit.search.exchange import read
    from crossbit.search.exchange.server_tables import read_server
    from crossbit.search.head import is_collection

    found = read_server(source) if is_address(source) else read(Path(source), format, bits=bits, paths=paths)
    place = collection / FOLDER if is_collection(collection / FOLDER) else collection
    with Collection.import_from(found, place, model=model, name=name, wait=wait) as opened:
        items, meta = len(opened), opened.meta
    if json:
        json_out({"collection": place, "read": found.items, "items": items, "model": meta.model})
        return
    kinds = [f"embeddings of {meta.dim} numbers"] * bool(meta.dim) + [f"codes of {meta.bits} bits"] * bool(meta.bits)
    told = f"{counted(items, 'item')} in {printable(place)}: {', '.join(kinds)} of {meta.model}"
    typer.echo(f"{counted(found.items, 'item')} read; {told}")
