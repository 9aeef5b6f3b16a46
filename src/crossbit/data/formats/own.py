"""Our manifest, JSON Lines or Arrow: the one format that holds everything, and the one that training reads."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, lines
from crossbit.data.manifest import Item, Manifest, _from_line
from crossbit.errors import ManifestError

_TEXTS = ("split", "concept", "source", "licence")
_NAMES = ("manifest.jsonl", "manifest.arrow")


def read(path: Path, notes: Notes, *, media: Path | None = None) -> Manifest:
    """Read a manifest; in JSON Lines every line that is at fault is noted.

    Args:
        path: `*.jsonl` or `*.arrow`, or a folder with a `manifest.jsonl` or `manifest.arrow`.
        notes: takes the problems.
        media: the folder that the paths are relative to; else the manifest's own.

    Raises:
        ManifestError: the folder holds no manifest, or an Arrow file cannot be read.
    """
    name = path.stem
    if path.is_dir():
        there = [file for file in _NAMES if (path / file).is_file()]
        if not there:
            raise ManifestError(f"{path}: a folder without a manifest, expected {' or '.join(_NAMES)} in it")
        name, path = path.resolve().name, path / there[0]
    root = media or path.parent
    if path.suffix == ".arrow":
        return replace(Manifest.read(path), name=name, root=root)
    gather = Gather(notes)
    for number, line in lines(path, notes):
        if line.strip():
            item = _item(line, path, number, notes)
            if item is not None:
                gather.add(item, path, number)
    return gather.manifest(name, root, path)


def _item(line: str, path: Path, number: int, notes: Notes) -> Item | None:
    where = f"{path}:{number}"
    try:
        item = _from_line(line, where)
    except ManifestError as error:
        notes.say(path, number, error.message.removeprefix(f"{where}: "), error.hint or "correct or remove the line")
        return None
    except TypeError as error:
        notes.say(path, number, f"a field is of the wrong kind ({error})", "correct or remove the line")
        return None
    wrong = next((name for name in _TEXTS if not isinstance(getattr(item, name), str)), None)
    if wrong is not None:
        found = f"field {wrong!r} is {getattr(item, wrong)!r}, expected text"
        notes.say(path, number, f"item {item.id!r}: {found}", "correct the field")
        return None
    return item


def write(manifest: Manifest, path: Path) -> list[str]:
    """Write a manifest, by its suffix JSON Lines or Arrow. Nothing is lost."""
    rebased(manifest, path.parent).write(path)
    return []


def rebased(manifest: Manifest, root: Path) -> Manifest:
    """Give the manifest with paths relative to another folder, of which the media lie below.

    Raises:
        ManifestError: a path leads out of that folder.
    """
    source, target = manifest.root.resolve(), root.resolve()
    if source == target:
        return replace(manifest, root=root)
    items = []
    for item in manifest:
        path = Path(os.path.relpath(source / item.path, target)).as_posix()
        if path.startswith("../"):
            raise ManifestError(
                f"{manifest.name}: item {item.id!r} lies at {manifest.root / item.path}, expected a file below {root}",
                "write the list above its media, or add `--copy link` (or copy), which puts them beside the list",
            )
        items.append(replace(item, path=path))
    return replace(manifest, root=root, items=tuple(items))
