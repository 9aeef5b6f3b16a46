"""What the readers of published benchmarks share: the numbers of their papers, tables with a header, lists of names."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import lines
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError, UsageError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """How much a split was published with.

    Args:
        items: media.
        captions: texts of all of them in all languages; None where releases differ.
    """

    items: int
    captions: int | None = None

    def __str__(self) -> str:
        return f"{self.items:,} items" + ("" if self.captions is None else f" with {self.captions:,} captions")


Sizes = Mapping[str, Size | tuple[Size, ...]]
"""Split to its published size, or to those of several releases."""


def check_sizes(manifest: Manifest, file: Path, notes: Notes, sizes: Sizes, counts: bool) -> None:
    """Compare what each split holds with what was published; splits that are not there are not missed.

    Another number is a problem where problems are collected and a warning where data are read, because a set of which some
    videos are gone from the web can still be trained on, but its results are not those of the papers.

    Args:
        manifest: what was read.
        file: where it was read from.
        notes: takes the problems.
        sizes: what was published.
        counts: whether to look at all.
    """
    if not counts:
        return
    items = Counter(item.split for item in manifest)
    captions: Counter[str] = Counter()
    for item in manifest:
        captions[item.split] += len(item.captions)
    for split, published in sizes.items():
        known = published if isinstance(published, tuple) else (published,)
        found = Size(items[split], captions[split])
        if not items[split] or any(
            found in (size, Size(size.items, found.captions)) and _same(size, found) for size in known
        ):
            continue
        wanted = ", or ".join(map(str, known))
        mind(
            notes,
            file,
            None,
            f"split {split!r} holds {found}, expected {wanted}, as published",
            "get the files again; read a part of the set with counts=false",
        )


def _same(published: Size, found: Size) -> bool:
    return published.items == found.items and published.captions in (None, found.captions)


def mind(notes: Notes, file: Path, line: int | None, message: str, remedy: str) -> None:
    """Note what does not stand in the way of reading: a problem where problems are collected, else a warning."""
    if notes.limit:
        notes.say(file, line, message, remedy)
    else:
        where = file if line is None else f"{file}:{line}"
        _log.warning("%s: %s; %s", where, message, remedy)


def records(
    path: Path, notes: Notes, needed: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the rows of a table with a header, by column, each with the line that it begins on.

    Raises:
        ManifestError: a column that is needed is not there.
    """
    reader = csv.reader((text + "\n" for _, text in lines(path, notes)), delimiter=delimiter, strict=True)
    head: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            notes.say(
                path, line, f"the row that begins here cannot be read ({error})", "a quote is missing or too many"
            )
            continue
        if not head:
            head = [cell.strip() for cell in cells]
            if missing := [name for name in needed if name not in head]:
                found = f"no column {missing[0]!r} among {', '.join(head)[:200]}"
                raise ManifestError(f"{path}:{line}: {found}", f"the header of this file is {delimiter.join(needed)}")
        elif cells:
            if len(cells) != len(head):
                what = f"{len(cells)} cells, expected {len(head)}"
                notes.say(path, line, what, "put quotes around cells that hold a comma, or correct the row")
                continue
            yield line, dict(zip(head, cells, strict=True))
    if not head:
        notes.say(path, None, "is empty, expected a header", "get the file again")


def listed(path: Path, notes: Notes) -> dict[str, int]:
    """Give the names of a list, one a line, each with its line; a name that stands twice is noted."""
    found: dict[str, int] = {}
    for line, text in lines(path, notes):
        name = text.strip()
        if not name:
            continue
        if name in found:
            notes.say(path, line, f"{name!r} stands twice, first on line {found[name]}", "remove one of the two lines")
            continue
        found[name] = line
    return found


def in_lists(
    folder: Path, names: Mapping[str, str], notes: Notes
) -> tuple[dict[str, str], dict[str, tuple[Path, int]]] | None:
    """Read lists of names that say the split, where there are some.

    Args:
        folder: where the lists lie.
        names: split to the list's file name.
        notes: takes the problems; a name in two lists is one.

    Returns:
        the split of every name, and the list and line that say so; None without lists.
    """
    splits: dict[str, str] = {}
    places: dict[str, tuple[Path, int]] = {}
    there = {split: folder / name for split, name in names.items() if (folder / name).is_file()}
    for split, path in there.items():
        for name, line in listed(path, notes).items():
            if name in splits:
                what = f"{name!r} lies in split {splits[name]!r} too ({places[name][0].name}:{places[name][1]})"
                notes.say(path, line, what, "keep it in one list")
                continue
            splits[name], places[name] = split, (path, line)
    return (splits, places) if there else None


def one_of(option: str, value: str, known: Iterable[str]) -> str:
    """Give the value of an option that has to be one of several, whatever its case.

    Raises:
        UsageError: it is none.
    """
    names = list(known)
    if str(value).lower() not in names:
        raise UsageError(f"{option} is {value!r}, expected one of {', '.join(names)}")
    return str(value).lower()


def coco_path(name: str, root: Path) -> str:
    """Give the path of a picture of COCO 2014, which lies in `train2014` or `val2014`, or right in the folder.

    Args:
        name: such as `COCO_val2014_000000391895.jpg`.
        root: the folder.
    """
    part = name.split("_")[1] if name.startswith("COCO_") and name.count("_") > 1 else ""
    return name if not part or (root / name).is_file() else f"{part}/{name}"
