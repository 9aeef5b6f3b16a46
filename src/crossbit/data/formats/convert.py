"""From one format to another: read, move the media where the format needs them, write, and say what was lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crossbit.data.formats.content import gathered
from crossbit.data.manifest import Manifest
from crossbit.errors import UsageError

Copy = Literal["none", "link", "copy"]

PACKS = ("folder", "webdataset", "precomp")
"""Formats that hold the media themselves, so that nothing has to be put beside them."""

_BY_SUFFIX = {
    ".jsonl": "manifest",
    ".arrow": "manifest",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".json": "karpathy",
    ".tar": "webdataset",
}


@dataclass(frozen=True)
class Converted:
    """What was written: the manifest that went in, the format, and a sentence for everything that it could not hold."""

    manifest: Manifest
    format: str
    path: Path
    lost: tuple[str, ...]


def convert(
    manifest: Manifest, path: str | Path, format: str | None = None, *, copy: Copy = "none", **options: Any
) -> Converted:
    """Write a data set in another format.

    Lists (manifests, tables, Karpathy's JSON) name media by paths relative to the list, so it has to lie above them; with
    `copy` the media come into a folder `media` beside it. Folders and tars hold the media themselves: bytes are copied.

    Args:
        manifest: what to write.
        path: the file or folder to be made.
        format: a format of `WRITERS`; else by the suffix of the path.
        copy: `link` makes hard links, and copies only where the disk is another one; `copy` copies.
        options: what the format takes.

    Raises:
        UsageError: the target exists, or its format cannot be told.
        ManifestError: the media are not below the list, or the format cannot hold the data set at all.
    """
    from crossbit.data.formats import WRITERS, write

    path = Path(path)
    name = format or format_of(path)
    if copy not in ("none", "link", "copy"):
        raise UsageError(f"copy is {copy!r}, expected none, link or copy")
    if name not in WRITERS:
        raise UsageError(f"format {name!r} cannot be written, expected one of {', '.join(WRITERS)}")
    if path.is_file() or path.is_dir() and any(path.iterdir()):
        raise UsageError(f"{path}: is there already, expected a new name", "remove it first, or write beside it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if copy != "none" and name not in PACKS:
        manifest = gathered(manifest, path.parent, copy)
    lost = write(name, manifest, path, **options)
    return Converted(manifest, name, path, tuple(lost))


def format_of(path: Path) -> str:
    """Tell the format to be written by the suffix of a path.

    Raises:
        UsageError: the suffix stands for none.
    """
    if path.suffix not in _BY_SUFFIX:
        known = ", ".join(f"{suffix} ({name})" for suffix, name in _BY_SUFFIX.items())
        raise UsageError(f"{path}: the suffix says no format, expected {known}", "name the format with --to")
    return _BY_SUFFIX[path.suffix]
