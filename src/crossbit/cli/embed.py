"""crossbit embed: encode one part of a folder, so that many processes or machines share the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer

from crossbit.cli.show import counted, json_out, printable, say
from crossbit.errors import UsageError


def embed(
    folder: Path = typer.Argument(..., metavar="FOLDER", help="The folder of pictures, with everything below it."),
    shard: str = typer.Option(..., "--shard", metavar="I/N", help="Which part, such as 2/8; others take the others."),
    output: Path = typer.Option(..., "--output", "-o", metavar="FOLDER", help="Where all parts lie; the same for all."),
    model: str = typer.Option(
        None, "--model", "-m", metavar="NAME", help="base, conse, clip:NAME, or the folder of a model."
    ),
    bits: int = typer.Option(
        None, "--bits", min=1, metavar="N", help="Keep the first N bits of a nested code; else all of them."
    ),
    vectors: Literal["float16", "int8", "float32"] = typer.Option(
        "float16", "--vectors", metavar="float16|int8|float32", help="How embeddings are held."
    ),
    retry: bool = typer.Option(False, "--retry", help="Read broken files again though they did not change."),
    batch_size: int = typer.Option(32, "--batch-size", min=1, metavar="N", help="Pictures that are encoded at a time."),
    max_pixels: int = typer.Option(
        200_000_000, "--max-pixels", min=1, metavar="N", help="Larger pictures are refused."
    ),
    wait: float = typer.Option(0.0, "--wait", min=0, metavar="SECONDS", help="Wait so long for another of this part."),
    json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Encode one part of a folder; what is done is left alone. `crossbit index FOLDER --from-shards OUT` joins the parts."""
    from crossbit.cli.codes import first_bits
    from crossbit.model import Model, default_model
    from crossbit.search.collection import Collection
    from crossbit.search.shards import Shard

    part = Shard.parse(shard)
    if not folder.is_dir():
        raise UsageError(f"{printable(folder)}: {'not a folder' if folder.exists() else 'no such folder'}")
    chosen: Any = model or default_model()
    if bits:
        chosen = first_bits(Model.from_pretrained(chosen), bits)
    opened, report = Collection.embed_shard(
        folder,
        output,
        part,
        chosen,
        vectors=vectors,
        batch_size=batch_size,
        max_pixels=max_pixels,
        retry=retry,
        wait=wait,
    )
    with opened:
        items = len(opened)
        if json:
            json_out({"shard": shard, "place": opened.folder, "items": items, **report.to_dict()})
            return
        done = f"{report.added + report.changed:,} encoded, {report.unchanged:,} were done"
        typer.echo(f"shard {shard}: {done}, in {report.seconds:.1f} s; {counted(items, 'picture')}")
    if report.quarantined:
        say(f"{counted(report.quarantined, 'file')} could not be used; `crossbit collection quarantine` names them")
