"""crossbit index: make a folder of pictures searchable, or bring its collection up to date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from crossbit.cli.following import follow
from crossbit.cli.show import counted, json_out, printable, say, size
from crossbit.errors import CollectionError, NothingFound, UsageError

if TYPE_CHECKING:
    from crossbit.search.collection import Collection
    from crossbit.search.head import Meta
    from crossbit.search.records import SyncReport

NAMED = 3
"""How many broken files the summary names; `crossbit collection quarantine` has all."""


def index(
    folder: Path = typer.Argument(..., metavar="FOLDER", help="The folder of pictures, with everything below it."),
    model: str = typer.Option(
        None, "--model", "-m", metavar="NAME", help="base, conse, clip:NAME, or the folder of a model."
    ),
    collection: Path = typer.Option(
        None, "--collection", "-c", metavar="FOLDER", help="Where the collection lies; else `.crossbit` in the folder."
    ),
    bits: int = typer.Option(
        None, "--bits", min=1, metavar="N", help="Keep the first N bits of a nested code; else all of them."
    ),
    vectors: Literal["float16", "int8", "float32"] = typer.Option(
        None, "--vectors", metavar="float16|int8|float32", help="How a new collection holds embeddings; else float16."
    ),
    engine: str = typer.Option(
        None,
        "--engine",
        metavar="auto|scan|mih|hnsw|ADDRESS",
        help="What searches a new collection, codes here or all rows on milvus://HOST:PORT; else auto.",
    ),
    keep_tokens: Literal["int8", "float16", "none"] = typer.Option(
        None,
        "--keep-tokens",
        metavar="int8|float16|none",
        help="Keep what the encoder says of every picture, so that `search --rerank` is fast.",
    ),
    from_shards: Path = typer.Option(
        None, "--from-shards", metavar="FOLDER", help="Join what `crossbit embed` made there, without copying, first."
    ),
    rebuild: bool = typer.Option(False, "--rebuild", help="Encode everything anew, such as with another model."),
    retry: bool = typer.Option(False, "--retry", help="Read broken files again though they did not change."),
    batch_size: int = typer.Option(32, "--batch-size", min=1, metavar="N", help="Pictures that are encoded at a time."),
    max_pixels: int = typer.Option(
        200_000_000, "--max-pixels", min=1, metavar="N", help="Larger pictures are refused."
    ),
    watch: bool = typer.Option(False, "--watch", help="Stay and follow the folder until Ctrl-C."),
    every: float = typer.Option(2.0, "--every", min=0.1, metavar="SECONDS", help="How often `--watch` looks."),
    wait: float = typer.Option(0.0, "--wait", min=0, metavar="SECONDS", help="Wait so long for another writer."),
    json: bool = typer.Option(False, "--json", help="Print the summary as JSON; with --watch, one line a change."),
) -> None:
    """Index a folder of pictures; a second run touches only what is new, changed, renamed or gone."""
    if not folder.is_dir():
        found = "not a folder" if folder.exists() else "no such folder"
        raise UsageError(f"{printable(folder)}: {found}, expected a folder with pictures")
    if from_shards is not None:
        join(from_shards, folder, collection, rebuild)
        rebuild = False
    tokens = keep_tokens or (_tokens_before(folder, collection) if rebuild else None)
    with _open(folder, collection, model, rebuild, _Asked(bits, vectors, engine)) as opened:
        say(f"model: {opened.model.name}. {opened.model.card.sees}".rstrip())
        opened.wait = wait
        if tokens is not None:
            opened.keep_tokens(tokens, progress=True)
        if watch:
            follow(opened, folder, json, every=every, batch_size=batch_size, max_pixels=max_pixels)
            return
        report = opened.sync(folder, batch_size=batch_size, max_pixels=max_pixels, retry=retry)
        if json:
            json_out({"collection": opened.folder, "model": opened.model.name, **report.to_dict()})
        else:
            _print(report, opened.folder, len(opened))
        if not len(opened):
            raise NothingFound(
                f"{printable(folder)}: none of its pictures could be used, {report.quarantined:,} are broken"
            )


def join(shards: Path, folder: Path, place: Path | None, rebuild: bool) -> None:
    """Make the folder's collection of its shards."""
    from crossbit.search.collection import FOLDER, Collection

    with Collection.from_shards(shards, place or folder / FOLDER, folder, replace=rebuild) as joined:
        say(f"{counted(len(joined), 'picture')} from {printable(shards)}")


@dataclass(frozen=True)
class _Asked:
    """What a new collection is to be like; None where nothing was asked for."""

    bits: int | None
    vectors: str | None
    engine: str | None

    def check(self, place: Path, meta: Meta) -> None:
        """Refuse a collection that is not like that."""
        from crossbit.search.moving import same_engine

        says = {"bits": "codes of {} bits", "vectors": "embeddings in {}", "engine": "the engine {}"}
        for name, say_it in says.items():
            asked, held = getattr(self, name), getattr(meta, name)
            if asked not in (None, held) and not (name == "engine" and same_engine(asked, held)):
                raise UsageError(
                    f"{printable(place)}: keeps {say_it.format(held)}, asked for {asked}",
                    "index anew: `--rebuild`"
                    + (" or move it: `crossbit collection engine`" if name == "engine" else ""),
                )


def _open(folder: Path, place: Path | None, model: str | None, rebuild: bool, asked: _Asked) -> Collection:
    """Open the folder's collection, or make one; nothing is made or dropped for a folder without pictures."""
    from crossbit.cli.codes import first_bits
    from crossbit.model import Model
    from crossbit.search.collection import FOLDER, Collection
    from crossbit.search.head import is_collection
    from crossbit.search.walk import walk

    place = place or folder / FOLDER
    if is_collection(place) and not rebuild:
        opened = Collection.open(place, model)
        asked.check(place, opened.meta)
        return opened
    if not walk(folder, skip=[place]).pictures:
        _nothing_below(folder)
    chosen: Any = model or _model_before(place)
    if asked.bits:
        chosen = first_bits(Model.from_pretrained(chosen), asked.bits)
    kept: dict[str, Any] = {"vectors": asked.vectors or "float16", "engine": asked.engine or "auto"}
    return Collection.create(place, chosen, root=folder, replace=rebuild, **kept)


def _model_before(place: Path) -> str:
    """Give the model of the collection that is to be rebuilt, so that `--rebuild` alone does not change it."""
    from crossbit.search.head import read_meta

    try:
        return read_meta(place).reference
    except CollectionError:  # there is none, or it is damaged, which is a reason to rebuild it
        from crossbit.model import default_model

        return default_model()


def _tokens_before(folder: Path, place: Path | None) -> Literal["int8", "float16"] | None:
    """Say how the collection that is to be rebuilt keeps tokens, so that `--rebuild` alone does not drop them."""
    from crossbit.search.collection import FOLDER
    from crossbit.search.tokens import kept_precision

    try:
        return kept_precision(place or folder / FOLDER)
    except CollectionError:
        return None


def _nothing_below(folder: Path) -> None:
    from crossbit.media.image import IMAGE_SUFFIXES

    raise NothingFound(
        f"{printable(folder)}: no pictures found, expected files ending in {' '.join(sorted(IMAGE_SUFFIXES))}",
        "name the folder that holds them; folders in it are searched too, hidden ones are not",
    )


def _print(report: SyncReport, place: Path, total: int) -> None:
    kinds = ("added", "changed", "renamed", "removed", "unchanged")
    parts = [f"{getattr(report, kind):,} {kind}" for kind in kinds if getattr(report, kind)]
    typer.echo(
        f"{', '.join(parts) or 'nothing to do'} in {report.seconds:.1f} s; {counted(total, 'picture')} in {printable(place)}"
    )
    if report.token_bytes:
        typer.echo(f"tokens for re-ranking: {size(report.token_bytes)}")
    if report.quarantined:
        typer.echo(f"{counted(report.quarantined, 'file')} could not be used:")
        for broken in report.broken[:NAMED]:
            typer.echo(f"  {printable(broken.path)}: {broken.reason}")
        if report.quarantined > min(NAMED, len(report.broken)):
            typer.echo(f"  all of them: crossbit collection quarantine {printable(place)}")
        if any("pixels, expected at most" in broken.reason for broken in report.broken):
            say("hint: `--max-pixels N --retry` takes larger pictures, at three bytes of memory a pixel")
