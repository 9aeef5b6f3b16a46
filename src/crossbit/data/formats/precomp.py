"""SCAN's folders of precomputed regions: `{train,dev,test,testall}_ims.npy`, `_caps.txt`, and often `_ids.txt`.

The array is (images, regions, width) or (images, width); the captions stand one a line. In the published folders every image
has five captions, and its row stands once or five times. Here an image has any number: when `_ids.txt` has a line per caption,
lines that follow each other with one id are the captions of one image.

An item's path is the array, and `metadata["row"]` says which row of it is the item; `rows` gives the features.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, lines, need, one_line
from crossbit.data.formats.losses import Holds, one_language
from crossbit.data.formats.published import Size, Sizes, check_sizes
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError, UsageError

_PARTS = {"train": "train", "dev": "val", "test": "test", "testall": "test"}
SIZES: Mapping[str, Sizes] = {
    "f8k_precomp": {"train": Size(6_000, 30_000), "val": Size(1_000, 5_000), "test": Size(1_000, 5_000)},
    "f30k_precomp": {"train": Size(29_000, 145_000), "val": Size(1_014, 5_070), "test": Size(1_000, 5_000)},
    "coco_precomp": {
        "train": Size(113_287, 566_435),
        "val": (Size(5_000, 25_000), Size(1_000, 5_000)),
        "test": (Size(5_000, 25_000), Size(1_000, 5_000)),
    },
}
"""What the published folders hold, by their names."""
_GROUP = 5
"""Captions an image in every published folder; SCAN's own loader knows this number and 1."""


def read(
    path: Path,
    notes: Notes,
    *,
    parts: Sequence[str] = (),
    language: str = "en",
    ids: bool = True,
    counts: bool = True,
) -> Manifest:
    """Read the folder; the arrays are only looked at, not loaded.

    Args:
        path: the folder.
        notes: takes the problems.
        parts: which of train, dev, test, testall; else those that are there, `testall` (COCO 5K) before its part `test`.
        language: of the captions; the files do not say.
        ids: name items by `_ids.txt`; without it by part and row.
        counts: compare `f30k_precomp`, `f8k_precomp` and `coco_precomp` with what SCAN published.
    """
    parts = (parts,) if isinstance(parts, str) else parts
    if unknown := set(parts) - set(_PARTS):
        raise UsageError(f"precomp: part {min(unknown)!r}, expected some of {', '.join(_PARTS)}")
    there = [part for part in _PARTS if (path / f"{part}_ims.npy").is_file()]
    if not parts:
        parts = [part for part in there if part != "test" or "testall" not in there]
    gather = Gather(notes)
    for part in parts or ["train"]:
        _read_part(path, part, gather, language, ids)
    manifest = gather.manifest(path.resolve().name, path, path)
    check_sizes(manifest, path, notes, SIZES.get(manifest.name, {}), counts)
    return manifest


def _read_part(folder: Path, part: str, gather: Gather, language: str, with_ids: bool) -> None:
    name = f"{part}_ims.npy"
    ims = array_of(need(folder / name, "the features of the images"))
    file = need(folder / f"{part}_caps.txt", f"the captions of {name}, one a line")
    caps = list(lines(file, gather.notes))
    ids_file = folder / f"{part}_ids.txt"
    ids = [text.strip() for _, text in lines(ids_file, gather.notes)] if with_ids and ids_file.is_file() else []
    if ids and len(ids) not in (len(ims), len(caps)):
        found = f"{len(ids)} ids for {len(ims)} rows and {len(caps)} captions, expected one a row or one a caption"
        gather.notes.say(ids_file, len(ids), found, "get the file again, or read with ids=false")
        ids = []
    groups = _groups(ims, len(caps), ids)
    if groups is None:
        found = f"{len(caps)} captions for {len(ims)} rows of {name}, expected a multiple of the rows, or ids that say whose"
        gather.notes.say(file, len(caps), found, "get the folder again: one of the files is cut or of another set")
        return
    for row, first, last in groups:
        number = first if len(ids) == len(caps) else row
        identifier = ids[number] if ids else f"{part}-{row}"
        record = f"image {identifier!r}"
        found_captions = [gather.caption(text, file, line, record, language) for line, text in caps[first:last]]
        item = Item(
            id=identifier,
            path=name,
            captions=tuple(caption for caption in found_captions if caption is not None),
            split=_PARTS[part],
            metadata={"row": row},
        )
        gather.add(item, ids_file if ids else file, number + 1 if ids else first + 1)


def _groups(ims: NDArray[Any], captions: int, ids: Sequence[str]) -> list[tuple[int, int, int]] | None:
    """Give (row, first caption, end of captions) of each image, or None if the numbers do not fit."""
    rows = len(ims)
    if not rows or not captions:
        return None if rows != captions else []
    if len(ids) == captions and captions != rows or captions < rows:
        starts = [i for i in range(len(ids)) if i == 0 or ids[i] != ids[i - 1]]
        if len(starts) == rows:
            return list(zip(range(rows), starts, [*starts[1:], captions], strict=True))
    if captions == rows:
        # a row per caption: copies of one image follow each other; a glance at the head of a row tells them apart
        heads = np.asarray(ims.reshape(rows, -1)[:, :64])
        new = [True, *(heads[1:] != heads[:-1]).any(axis=1).tolist()]
        if len(ids) == rows and len(set(ids)) < rows:
            new = [i == 0 or ids[i] != ids[i - 1] for i in range(rows)]
        starts = [i for i, start in enumerate(new) if start]
        return [(start, start, end) for start, end in zip(starts, [*starts[1:], rows], strict=True)]
    if captions % rows:
        return None
    each = captions // rows
    return [(row, row * each, (row + 1) * each) for row in range(rows)]


def array_of(path: Path) -> NDArray[Any]:
    """Open an array of rows as a memory map.

    Raises:
        ManifestError: it is cut, no array, an array of Python objects (which would be run code), or not of numbers.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is a Python literal, and its parser has a dozen ways to fail
        summary = " ".join(str(error).split())[:160]
        raise ManifestError(
            f"{path}: no array of numbers that can be read ({summary})", "get the file again"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ManifestError(f"{path}: an archive of arrays, expected one array", "save it with numpy.save")
    if array.ndim not in (2, 3) or array.dtype.kind not in "fiu":
        found = f"array of shape {array.shape} and type {array.dtype}"
        raise ManifestError(f"{path}: {found}, expected (images, regions, width) or (images, width) of numbers")
    return array


def mapped(manifest: Manifest, items: Iterable[Item]) -> list[NDArray[Any]]:
    """Give the precomputed features of items as rows of memory maps, (regions, width) or (width,), in their order.

    Raises:
        ManifestError: an item has no `row` in its metadata, or the array has fewer rows.
    """
    opened: dict[str, NDArray[Any]] = {}
    found = []
    for item in items:
        row = item.metadata.get("row")
        if not isinstance(row, int) or not item.path.endswith(".npy"):
            raise ManifestError(
                f"{manifest.name}: item {item.id!r} has no precomputed features, expected a row of an .npy file",
                "give them as --to-option features=FILE.npy, a row an item",
            )
        if item.path not in opened:
            opened[item.path] = array_of(manifest.file(item))
        if not 0 <= row < len(opened[item.path]):
            raise ManifestError(f"{manifest.name}: item {item.id!r} is row {row} of {item.path}, which has fewer")
        found.append(opened[item.path][row])
    return found


def rows(manifest: Manifest, items: Iterable[Item]) -> NDArray[np.float32]:
    """Give the same as one float32 array, (items, regions, width) or (items, width)."""
    return np.stack([np.asarray(row, dtype=np.float32) for row in mapped(manifest, items)])


def write(
    manifest: Manifest,
    path: Path,
    *,
    language: str | None = None,
    features: str | Path | None = None,
    repeat: bool | None = None,
) -> list[str]:
    """Write a folder that SCAN and its many heirs read.

    Args:
        manifest: items with features: rows of `.npy` files, or those of `features`.
        path: the folder.
        language: whose captions are written; needed when there are several.
        features: an `.npy` file with a row an item, in the manifest's order.
        repeat: write an image's row once for every caption. Else it is done only where some image has not five captions,
            because SCAN's loader takes any other number for a mistake.

    Raises:
        ManifestError: an item has no features, no captions, or a split that the format has no part for.
    """
    if path.resolve() == manifest.root.resolve():
        raise ManifestError(f"{path}: is the folder that is read, expected another one")
    manifest, lost = one_language(manifest, language)
    lost += Holds(fields={"split"}, metadata={"row"}).losses(manifest)
    given = None if features is None else array_of(Path(features))
    if given is not None and len(given) != len(manifest):
        raise ManifestError(f"{features}: {len(given)} rows, expected {len(manifest)}, one an item of {manifest.name}")
    parts: dict[str, list[int]] = {}
    for number, item in enumerate(manifest):
        part = {"": "train", "train": "train", "val": "dev", "test": "test"}.get(item.split)
        if part is None or not item.captions:
            what = "has no caption" if part else f"lies in split {item.split!r}"
            hint = "the format has captions for every image, and the parts train, dev and test"
            raise ManifestError(f"{manifest.name}: item {item.id!r} {what}, which the format cannot hold", hint)
        parts.setdefault(part, []).append(number)
    path.mkdir(parents=True, exist_ok=True)
    for part, numbers in parts.items():
        items = [manifest.items[number] for number in numbers]
        table = rows(manifest, items) if given is None else np.asarray(given[numbers], dtype=np.float32)
        counts = [len(item.captions) for item in items]
        copies = repeat if repeat is not None else set(counts) != {_GROUP}
        _save(path / f"{part}_ims.npy", np.repeat(table, counts, axis=0) if copies else table)
        _lines_out(path / f"{part}_caps.txt", (one_line(caption.text) for item in items for caption in item.captions))
        _lines_out(path / f"{part}_ids.txt", (one_line(item.id) for item in items for _ in item.captions))
        if copies:
            lost.append(f"{part}: rows stand once for every caption, because images have not all five")
    return lost


def _lines_out(path: Path, texts: Iterable[str]) -> None:
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")


def _save(path: Path, array: NDArray[np.float32]) -> None:
    partial = path.with_name(path.name + f".partial-{os.getpid()}")
    with partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    partial.replace(path)
