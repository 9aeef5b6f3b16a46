"""Place: where a collection may lie, and the model that it is made with, by name or folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from crossbit.cachedir import cache_dir
from crossbit.errors import CollectionError
from crossbit.search.head import is_collection
from crossbit.search.outside import PREFIX, Outside, outside_of

OURS = frozenset(
    {
        "meta.json",
        "meta.copy.json",
        "head.json",
        "head.copy.json",
        "segments",
        "store",
        "tokens",
        "calibration.json",
        "milvus.json",
        "lock",
    }
)
"""What lies in a collection whose making was interrupted."""


def load_model(model: Any) -> Any:
    """Load a model by name or folder; a model is given back as it is."""
    if not isinstance(model, (str, Path)):
        return model
    if str(model).startswith(PREFIX):
        return outside_of(str(model))
    from crossbit.model import Model

    return Model.from_pretrained(os.fspath(model))


def reference_of(model: Any) -> str:
    """Say what loads a model again: a name, or an absolute folder."""
    if isinstance(model, Outside):
        return model.reference
    if not isinstance(model, (str, Path)):
        folder = getattr(model, "folder", None)
        # a folder in the cache is made from the name, and made again when the cache is emptied
        cached = folder is not None and Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(cache_dir()))
        model = model.name if folder is None or cached else folder
    text = str(os.fspath(model))
    return os.path.abspath(text) if os.path.isdir(text) else text


def check_place(folder: Path, replace: bool) -> None:
    """Refuse a place that a collection must not take.

    Raises:
        CollectionError: it is a file, a folder of something else, or a collection that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise CollectionError(f"{folder}: a file, expected a new or empty folder")
    if is_collection(folder):
        if not replace:
            raise CollectionError(f"{folder}: there is a collection already", "open it, or replace it with `--rebuild`")
        return
    names = set(os.listdir(folder)) if folder.is_dir() else set()
    unfinished = "meta.json" in names and all(name in OURS or name.endswith(".partial") for name in names)
    if names - {"lock"} and not unfinished:
        raise CollectionError(
            f"{folder}: holds {sorted(names)[0]!r}, expected a new or empty folder for the collection",
            "name another place with `--collection FOLDER`",
        )


def clear(folder: Path) -> None:
    """Remove an old collection, its head first: from then on there is none, whatever happens."""
    for name in ("head.copy.json", "head.json", *sorted(os.listdir(folder))):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif name != "lock":
            path.unlink(missing_ok=True)
