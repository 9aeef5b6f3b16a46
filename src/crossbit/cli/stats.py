"""crossbit data stats: what a data set holds in numbers, and a page of what it looks like."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.show import json_out, printable, say, table_out

if TYPE_CHECKING:
    from crossbit.data.manifest import Item, Manifest

_LABELS = 20


def stats(
    data: str = typer.Argument(..., metavar="DATA", help="A data set by name, or a path in any format that is read."),
    contact_sheet: Path = typer.Option(None, "--contact-sheet", metavar="FILE.png", help="Draw some of each source."),
    each: int = typer.Option(12, "--each", metavar="N", min=1, max=60, help="So many of each source on the sheet."),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Another seed draws others for the sheet."),
    json: bool = typer.Option(False, "--json", help="Print JSON, with every label."),
) -> None:
    """Count the items of a data set by source, language, label and split, and draw a contact sheet."""
    from crossbit.cli.data import open_data
    from crossbit.data.stats import count

    manifest = open_data(data)
    found = count(manifest)
    if contact_sheet is not None:
        _draw(manifest, contact_sheet, each, seed)
    if json:
        parts = [{"source": source, "modality": kind, **by} for (source, kind), by in found.parts.items()]
        json_out({**asdict(found), "parts": parts, "fingerprint": manifest.fingerprint})
        return
    splits, right = found.splits, tuple(range(2, 9))
    rows: list[tuple[Any, ...]] = [
        (source or "-", kind, *(by.get(split, 0) for split in splits), sum(by.values()))
        for (source, kind), by in found.parts.items()
    ]
    for name, by in (("concepts", found.concepts), ("captions", found.captions)):
        rows.append((name, "", *(by.get(split, 0) for split in splits), sum(by.values())))
    table_out(("source", "modality", *(split or "-" for split in splits), "all"), rows, right=right)
    table_out(
        ("licence", "items"), [(licence or "-", number) for licence, number in found.licences.items()], right=(1,)
    )
    labels = list(found.labels.items())
    table_out((f"label ({len(labels)})", "items"), labels[:_LABELS], right=(1,))
    languages = ", ".join(f"{lang} {number:,}" for lang, number in found.languages.items())
    typer.echo(f"{len(found.languages)} languages: {languages}")
    for source, number in found.bare.items():
        typer.echo(f"without a caption: {number:,} of {source or '-'}")


def _draw(manifest: Manifest, file: Path, each: int, seed: int) -> None:
    from crossbit.data.stats import sample
    from crossbit.media.sheet import write_contact_sheet

    rows = [
        (source or manifest.name, [(_picture(manifest, item), _text(item)) for item in items])
        for source, items in sample(manifest, each, seed).items()
    ]
    write_contact_sheet(rows, file)
    say(f"contact sheet: {printable(file)}")


def _picture(manifest: Manifest, item: Item) -> Any:
    from crossbit.media.image import load_image
    from crossbit.media.video import read_animation

    if item.modality == "image":
        return load_image(manifest.file(item), size=224)
    frames = read_animation(manifest.file(item), edge=224).frames
    return frames[len(frames) // 2]


def _text(item: Item) -> str:
    said = next((caption.text for caption in item.captions if caption.lang == "en"), "")
    return said or (item.captions[0].text if item.captions else item.id)
