"""crossbit data: prepare the packaged data sets, and say what is in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.formats import convert, validate
from crossbit.cli.noise import noise
from crossbit.cli.prepare import prepare
from crossbit.cli.show import counted, json_out, printable, table_out
from crossbit.cli.stats import stats
from crossbit.data.packaged import PACKAGED, is_packaged
from crossbit.errors import ManifestError

if TYPE_CHECKING:
    from crossbit.data.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Prepare the packaged data sets, and say what is in one.")
app.command()(prepare)
app.command()(stats)
app.command()(noise)
app.command()(validate)
app.command()(convert)

_NAME = typer.Argument(..., metavar="DATA", help=f"{', '.join(PACKAGED)}, or a path in any format that is read.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command()
def info(data: str = _NAME, json: bool = _JSON) -> None:
    """Say how many items, captions and languages a data set has, by split, its fingerprint and its licences."""
    print_summary(open_data(data), json)


def open_data(name: str, languages: Sequence[str] | None = None) -> Manifest:
    """Give a data set by name or path; of a large one only the captions in these languages are read.

    Raises:
        ManifestError: there is neither; the message names what there is.
    """
    from crossbit.config import suggest
    from crossbit.data.sets import open_set

    if not is_packaged(name) and "{" not in name and not Path(name).exists():
        raise ManifestError(
            f"{name}: neither a data set nor a file, expected {', '.join(PACKAGED)} or a path", suggest(name, PACKAGED)
        )
    return open_set(name, languages)


def print_summary(manifest: Manifest, json: bool) -> None:
    """Print what a data set holds, and what its licences ask for."""
    found = summary(manifest)
    if json:
        json_out(found)
        return
    typer.echo(
        f"{manifest.name}: {counted(len(manifest), 'item')} below {printable(manifest.root)}, "
        f"fingerprint {manifest.fingerprint}"
    )
    table_out(
        ("split", "items", "concepts", "captions"),
        [(s["split"], s["items"], s["concepts"], s["captions"]) for s in found["splits"]],
        right=(1, 2, 3),
    )
    typer.echo("languages: " + ", ".join(f"{lang} {count:,}" for lang, count in found["languages"].items()))
    for source, licence in found["sources"]:
        typer.echo(f"source: {source}, {licence}")
    if found["licences"]:
        table_out(
            ("source", "licence", "class", "attribution", "package"),
            [(name, r["spdx"], r["class"], r["attribution"], r["package"]) for name, r in found["licences"].items()],
        )


def summary(manifest: Manifest) -> dict[str, Any]:
    """Count items, concepts, captions and languages."""
    from crossbit.data.picto.licences import read_table

    splits = []
    for split in sorted({item.split for item in manifest}):
        items = [item for item in manifest if item.split == split]
        concepts = {item.concept or item.id for item in items}
        captions = sum(len(item.captions) for item in items)
        splits.append({"split": split or "-", "items": len(items), "concepts": len(concepts), "captions": captions})
    languages = Counter(caption.lang for item in manifest for caption in item.captions)
    return {
        "name": manifest.name,
        "root": manifest.root,
        "fingerprint": manifest.fingerprint,
        "items": len(manifest),
        "splits": splits,
        "languages": dict(languages.most_common()),
        "sources": sorted({(item.source, item.licence) for item in manifest if item.source}),
        "licences": read_table(manifest.root),
    }
