"""Which collection is meant: the one that was named, or the nearest one from the current folder upwards."""

from __future__ import annotations

from pathlib import Path

from crossbit.cli.show import printable
from crossbit.errors import CollectionError


def find_collection(named: Path | None, start: Path | None = None) -> Path:
    """Give the collection's folder: `named` itself or the `.crossbit` in it, else that of `start` or of a folder above.

    Raises:
        CollectionError: there is none; the message names where was looked.
    """
    from crossbit.search.collection import FOLDER
    from crossbit.search.head import is_collection

    if named is not None:
        for place in (named, named / FOLDER):
            if is_collection(place):
                return place
        found = "no collection in it" if named.is_dir() else "no such folder"
        raise CollectionError(f"{printable(named)}: {found}", f"make one with `crossbit index {printable(named)}`")
    start = Path.cwd() if start is None else start.absolute()
    for folder in (start, *start.parents):
        if is_collection(folder / FOLDER):
            return folder / FOLDER
    raise CollectionError(
        f"{printable(start)}: no collection here or in a folder above",
        "make one with `crossbit index FOLDER`, or name one with `--collection FOLDER`",
    )
