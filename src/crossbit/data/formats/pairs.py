"""Pairs of picture and text in MATLAB arrays: which layout the arrays are in, and each row of them as an item."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather
from crossbit.data.formats.matfile import Variable
from crossbit.data.manifest import Item
from crossbit.errors import ManifestError

_BLOCK = 2048
_MOST = 10_000_000
"""Pairs of the largest set: fifty times NUS-WIDE. A damaged file may say anything."""
_WIDEST = 1_000_000
"""Columns of the widest tags or labels."""
_NAMES = {
    "image": ("IAll", "images", "XAll", "features", "I"),
    "text": ("YAll", "tags", "T"),
    "label": ("LAll", "labels", "category", "L"),
    "file": ("FAll", "index"),
    "caption": ("caption", "captions"),
}
_CUT = re.compile(r"(?P<what>[ITLXY])_(?P<part>tr|train|te|test|query|db|retrieval|database)", re.IGNORECASE)
_WHAT = {"i": "image", "x": "image", "t": "text", "y": "text", "l": "label"}
_SPLITS = {
    **dict.fromkeys(("te", "test", "query"), "query"),
    **dict.fromkeys(("tr", "train"), "train"),
    **dict.fromkeys(("db", "retrieval", "database"), "retrieval"),
}


@dataclass(frozen=True)
class Table:
    """The arrays of one part, side by side: row n of each is pair n.

    Args:
        arrays: by what they hold, see `_NAMES`.
        axes: the side of each array that has a row a pair.
        count: pairs.
        split: of all of them, or "" where it is still to be drawn.
    """

    arrays: Mapping[str, Variable]
    axes: Mapping[str, int]
    count: int
    split: str

    def rows(self, what: str, start: int, stop: int) -> Shaped[np.ndarray, "rows ..."]:
        """Give some rows of an array."""
        return self.arrays[what].rows(start, stop, self.axes[what])

    def width(self, what: str) -> int:
        """Give how many numbers a row has."""
        return int(np.prod(self.arrays[what].shape, dtype=object)) // max(self.count, 1)


@dataclass(frozen=True)
class Cut:
    """What becomes of the rows of a table.

    Args:
        kept: which rows become items.
        splits: of each row.
        drawn: how the splits were drawn, or "" where the files say.
    """

    kept: Bool[np.ndarray, " N"]
    splits: Sequence[str]
    drawn: str


@dataclass
class Naming:
    """The names of the columns of tags and labels.

    Args:
        words: of the tags.
        labels: of the labels.
        counted: whether the tags are counts of words, and not features; known once they are read.
    """

    words: Sequence[str]
    labels: Sequence[str]
    counted: bool = field(default=True)


def tables_of(variables: Mapping[str, Variable], labels: int, path: Path) -> list[Table]:
    """Find the layout: one table for a whole set, or the parts of one that is cut, those that ask first.

    Args:
        variables: by name.
        labels: how many columns of labels the set was published with.
        path: of the files, for messages.

    Raises:
        ManifestError: arrays are missing or do not fit each other.
    """
    cut: dict[str, dict[str, Variable]] = {}
    for name, variable in variables.items():
        if parts := _CUT.fullmatch(name):
            cut.setdefault(_SPLITS[parts["part"].lower()], {})[_WHAT[parts["what"].lower()]] = variable
    if "query" in cut:
        order = [split for split in ("query", "train", "retrieval") if split in cut]
        tables = [_table(cut[split], labels, split, path) for split in order]
        for what in ("image", "text", "label"):
            if len(widths := {table.width(what) if what in table.arrays else 0 for table in tables}) > 1:
                raise ManifestError(
                    f"{path}: {what} arrays of {sorted(widths)} columns in its parts, expected as many in each"
                )
        return tables
    by_name = {name.lower(): variable for name, variable in variables.items()}
    whole = {
        what: next(by_name[name.lower()] for name in names if name.lower() in by_name)
        for what, names in _NAMES.items()
        if any(name.lower() in by_name for name in names)
    }
    return [_table(whole, labels, "", path)]


def _table(arrays: Mapping[str, Variable], labels: int, split: str, path: Path) -> Table:
    where = f"{path}: part {split!r}" if split else f"{path}"
    if "label" not in arrays or not {"image", "file"} & set(arrays):
        there = ", ".join(sorted(variable.name for variable in arrays.values())) or "none that is known"
        hint = f"the names are {', '.join('/'.join(names) for names in _NAMES.values())}, or I_tr T_tr L_tr I_te ..."
        raise ManifestError(f"{where}: arrays {there}, expected labels, and pictures or names of picture files", hint)
    shape = arrays["label"].shape
    if len(shape) != 2:
        raise ManifestError(f"{where}: labels of shape {shape}, expected a row a pair and a column a label")
    turned = _turned(shape, [variable.shape for what, variable in arrays.items() if what != "label"], labels)
    count = shape[int(turned)]
    if not 0 < count <= _MOST:
        raise ManifestError(
            f"{where}: labels of {count:,} pairs, expected 1 to {_MOST:,}", "the file is damaged: get it again"
        )
    axes = {"label": int(turned)}
    for what, variable in arrays.items():
        if what == "label":
            continue
        if count not in variable.shape:
            message = f"{where}: {variable.name} has shape {variable.shape}, expected a side of {count:,}, a row a pair"
            raise ManifestError(message, "the files are of different sets, or one is cut")
        axes[what] = variable.shape.index(count)
    table = Table(dict(arrays), axes, count, split)
    for what in ("text", "label"):
        if what in arrays and not 0 < table.width(what) <= _WIDEST:
            message = f"{where}: {arrays[what].name} has shape {arrays[what].shape}, expected up to {_WIDEST:,} columns"
            raise ManifestError(message, "the file is damaged: get it again")
    return table


def _turned(shape: tuple[int, ...], others: Sequence[tuple[int, ...]], labels: int) -> bool:
    """Say whether the pairs are the columns of the labels: the side that all other arrays have too.

    Where both sides would do, or none, the pairs are not the side of as many as there are labels, nor the shorter one.
    """
    fits = [all(side in other for other in others) for side in shape]
    if fits[0] != fits[1]:
        return fits[1]
    return shape[1] != labels and (shape[0] == labels or shape[0] < shape[1])


def keys(table: Table) -> Iterator[tuple[int, bytes]]:
    """Give each row's number and a hash of all that is known of the pair."""
    for start in range(0, table.count, _BLOCK):
        blocks = [
            table.rows(what, start, start + _BLOCK) for what in ("image", "text", "label") if what in table.arrays
        ]
        for row in range(len(blocks[0])):
            digest = hashlib.blake2b(digest_size=16)
            for block in blocks:
                digest.update(np.ascontiguousarray(block[row], dtype=np.float64).tobytes())
            yield start + row, digest.digest()


def items_of(table: Table, cut: Cut, name: str, naming: Naming, gather: Gather, root: Path) -> Iterator[Item]:
    """Give the rows of a table as items.

    Args:
        table: the arrays.
        cut: which rows, and their splits.
        name: of the set, for the names of pictures that have none.
        naming: of words and labels.
        gather: looks at captions and takes problems.
        root: the folder that paths are relative to; an array outside it is not referred to.
    """
    files, told = _texts(table, "file"), _texts(table, "caption")
    digits = len(str(table.count))
    for row, words, labels in _rows(table, naming, gather.notes):
        if not cut.kept[row]:
            continue
        metadata: dict[str, Any] = {f"{what}_array": at for what, at in _places(table, row, root)}
        if cut.drawn:
            metadata["drawn"] = cut.drawn
        record = f"pair {row}"
        if told is None:
            captions = gather.captions(
                [" ".join(words)] if words else (), table.arrays["label"].file, None, record, kind="tags"
            )
        else:
            captions = gather.captions(told[row], table.arrays["caption"].file, None, record)
        if files is None:
            path = table.arrays["image"].file.relative_to(root).as_posix()
            identifier = f"{name}-{table.split + '-' if table.split else ''}{row:0{digits}}"
            metadata |= {"array": table.arrays["image"].name, "row": row}
        else:
            path = _file_name(files[row], record, table.arrays["file"].file, gather.notes)
            identifier = str(PurePosixPath(path).with_suffix("")) if path else ""
        if path:
            yield Item(
                id=identifier,
                path=path,
                captions=captions,
                labels=tuple(labels),
                split=cut.splits[row],
                metadata=metadata,
            )


def _places(table: Table, row: int, root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for what in ("image", "text"):
        if what in table.arrays and table.arrays[what].file.is_relative_to(root):
            file = table.arrays[what].file.relative_to(root).as_posix()
            yield what, {"file": file, "name": table.arrays[what].name, "row": row, "rows": table.count}


def _texts(table: Table, what: str) -> list[list[str]] | None:
    if what not in table.arrays:
        return None
    variable = table.arrays[what]
    found = variable.texts()
    if len(found) != table.count:
        raise ManifestError(f"{variable.file}: {len(found):,} texts in {variable.name}, expected {table.count:,}")
    return found


def _file_name(texts: Sequence[str], record: str, file: Path, notes: Notes) -> str:
    """Give the path of a picture; one of somebody's machine shrinks to the name of the file."""
    name = texts[0].replace("\\", "/").strip() if len(texts) == 1 else ""
    parts = PurePosixPath(name)
    if not name or ".." in parts.parts:
        notes.say(file, None, f"{record}: file name {texts[:2]!r}, expected one name", "correct or remove the record")
        return ""
    return parts.name if parts.is_absolute() or ":" in name else str(parts)


def _rows(table: Table, naming: Naming, notes: Notes) -> Iterator[tuple[int, list[str], list[str]]]:
    """Give for each row its number, its words and its labels."""
    file = table.arrays["label"].file
    naming.counted = "text" in table.arrays and _counts(table.rows("text", 0, _BLOCK))
    for start in range(0, table.count, _BLOCK):
        labels = table.rows("label", start, start + _BLOCK)
        sound = np.asarray(np.isin(labels, (0, 1)).all(axis=1))
        tags = table.rows("text", start, start + _BLOCK) if naming.counted else None
        if tags is not None and not _counts(tags):
            what = f"pairs {start} to {start + len(tags) - 1}: tags are no whole numbers, expected counts as in those before"
            notes.say(table.arrays["text"].file, None, what, "get the file again")
            tags = None
        for row in range(len(labels)):
            if not sound[row]:
                what = (
                    f"pair {start + row}: labels from {labels[row].min():g} to {labels[row].max():g}, expected 0 or 1"
                )
                notes.say(file, None, what, "get the file again")
                continue
            words = [] if tags is None else [naming.words[int(column)] for column in np.flatnonzero(tags[row])]
            yield start + row, words, [naming.labels[int(column)] for column in np.flatnonzero(labels[row])]


def _counts(block: Shaped[np.ndarray, "rows ..."]) -> bool:
    """Say whether these are counts of words, and not features."""
    return bool((block >= 0).all() and np.isfinite(block).all() and (np.mod(block, 1) == 0).all())
