"""Data sets of Hugging Face `datasets`: folders of `save_to_disk`, and Parquet shards as the hub serves them.

A picture, sound or video is a struct of `bytes` and `path` in a cell. An item's path is its shard, and its metadata say
`column` and `row`; where a cell holds only a path, that is the item's. What columns mean is known by name (`columns.NAMES`) and
by the features that `datasets` writes beside the data: numbers of a ClassLabel become names. An object from language to text,
as a Translation is, becomes captions in those languages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from crossbit.data.formats.arrow import batches, media_columns, rows_of, schema_of, text_or_none
from crossbit.data.formats.columns import Columns, Drafts, Pick, Rules, chosen_columns
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import SPLITS, Gather, json_of
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError

_MODALITY = {"Image": "image", "Audio": "audio", "Video": "video"}
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class _Shard:
    """A file of rows and the split that its name or its data set says."""

    file: Path
    split: str


def read(
    path: Path,
    notes: Notes,
    *,
    columns: Pick = "",
    column: str = "",
    language: str = "en",
    split: str = "",
    modality: str = "",
    bare: bool = False,
) -> Manifest:
    """Read which rows there are and what is said of them; media stay in the shards.

    Args:
        path: a folder of `save_to_disk`, a folder with Parquet shards in it or right below it, or one shard.
        notes: takes the problems.
        columns: which column is what, where its name does not tell.
        column: the one with the media; else the first that holds such.
        language: of captions whose language is not said.
        split: of shards that name none.
        modality: of the media, where neither the features nor the suffixes tell.
        bare: media without captions are items as well.
    """
    root = path if path.is_dir() else path.parent
    gather = Gather(notes)
    drafts = Drafts(gather, Rules(language, split, modality, bare))
    for shard in _shards(path, notes):
        _read_shard(shard, root, columns, column, drafts, notes)
    drafts.finish()
    return gather.manifest(path.resolve().name if path.is_dir() else path.stem, root, path)


class Saves(Protocol):
    """A data set in memory that can save itself, as `datasets.Dataset` and `datasets.DatasetDict` do."""

    def save_to_disk(self, dataset_path: str) -> None:
        """Write the data set into a folder."""
        ...


def of_dataset(dataset: Saves, folder: Path, **options: Any) -> Manifest:
    """Read a data set that lies in memory: it is saved into a folder first, because items are read from files later.

    Args:
        dataset: such as `datasets.Dataset`, with whatever was mapped, filtered or shuffled.
        folder: is made, and has to be kept as long as the manifest.
        options: as `read` takes them.

    Raises:
        ManifestError: the folder holds something already, or a row is at fault.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ManifestError(f"{folder}: holds files already, expected a new or empty folder")
    dataset.save_to_disk(str(folder))
    return read(folder, Notes(), **options)


def _shards(path: Path, notes: Notes) -> Iterator[_Shard]:
    if path.is_file():
        yield _Shard(path, _split_of(path.stem))
        return
    if (path / "dataset_dict.json").is_file():
        listed = json_of(path / "dataset_dict.json", dict, notes)
        for split in listed.get("splits", ()):
            yield from _saved(path / str(split), str(split), notes)
        return
    if (path / "state.json").is_file():
        yield from _saved(path, "", notes)
        return
    found = sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")])
    if not found:
        raise ManifestError(
            f"{path}: neither state.json, dataset_dict.json nor *.parquet is there",
            "write the data set with save_to_disk, or get its Parquet files",
        )
    for file in found:
        folder = "" if file.parent == path else _split_of(file.parent.name)
        yield _Shard(file, _split_of(file.stem) or folder)
    _whole(found, notes)


def _saved(folder: Path, split: str, notes: Notes) -> Iterator[_Shard]:
    """Give the shards of one `save_to_disk`, in the order that it lists them."""
    listing = folder / "state.json"
    if not listing.is_file():
        notes.say(
            listing, None, "no such file, expected the list of the shards", "write the data set with save_to_disk again"
        )
        return
    state = json_of(listing, dict, notes)
    split = split or str(state.get("_split") or "")
    for entry in state.get("_data_files", ()):
        name = str(entry.get("filename", "")) if isinstance(entry, dict) else ""
        file = folder / name
        if not name or not file.resolve().is_relative_to(folder.resolve()):
            notes.say(listing, None, f"lists the shard {name!r}, expected a file of the folder", "correct the list")
        elif not file.is_file():
            notes.say(
                listing,
                None,
                f"lists the shard {name!r}, and there is no such file",
                "get it, or write the data set again",
            )
        else:
            yield _Shard(file, SPLITS.get(split, split))


def _split_of(name: str) -> str:
    match = _WORD.match(name.lower())
    return SPLITS.get(match[0], "") if match else ""


def _whole(files: list[Path], notes: Notes) -> None:
    """Note shards that are missing from `train-00000-of-00004.parquet`."""
    counts: dict[tuple[Path, str, int], int] = {}
    for file in files:
        if match := re.fullmatch(r"(.*)-\d{5}-of-(\d{5})(?:-[0-9a-f]+)?", file.stem):
            key = (file.parent, match[1], int(match[2]))
            counts[key] = counts.get(key, 0) + 1
    for (folder, name, wanted), found in counts.items():
        if found != wanted:
            notes.say(
                folder, None, f"{found} shards {name}-*.parquet, expected {wanted} by their names", "get the others"
            )


def _read_shard(shard: _Shard, root: Path, chosen: Pick, column: str, drafts: Drafts, notes: Notes) -> None:
    schema = schema_of(shard.file)
    media = column or next(iter(media_columns(schema)), "")
    if column and column not in schema.names:
        raise ManifestError(f"{shard.file}: has no column {column!r}, it has {', '.join(schema.names)}")
    columns = Columns.guess(schema.names, chosen_columns(chosen), str(shard.file))
    if media:
        columns = replace(
            columns,
            of={name: found for name, found in columns.of.items() if name != "path" and found != media},
            others=tuple(name for name in columns.others if name not in media_columns(schema)),
            captions=tuple(pair for pair in columns.captions if pair[0] != media),
        )
    table = _Table(shard, root, media, _features(schema, shard.file), columns)
    first = 0
    for batch in batches(shard.file):
        sizes, names = _media(batch, media, first, shard.file, notes)
        # media are not made into Python objects: only whether there are bytes, and how they are called
        rest = batch.drop_columns([media]) if media else batch
        for number, row in rows_of(rest, first, shard.file, notes):
            known = table.known(number, sizes[number - first], names[number - first], row)
            if known is None:
                what = f"row {number}: column {media!r} holds neither bytes nor the path of a file that is there"
                notes.say(shard.file, None, what, "write the data set with its media embedded")
                continue
            drafts.row(_named(row, table.features), columns, shard.file, None, f"row {number}", known)
        first += batch.num_rows


@dataclass(frozen=True)
class _Table:
    """A shard that is being read: where its media are, and what its features say."""

    shard: _Shard
    root: Path
    media: str
    features: Mapping[str, Any]
    columns: Columns

    def known(self, number: int, size: int, name: str | None, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Say of a row where its media are, which id it has if it brings none, and its split; None if it has no media."""
        known: dict[str, Any] = {}
        relative = self.shard.file.relative_to(self.root).as_posix()
        if self.media and size:
            place = {"column": self.media, "row": number} | ({"member": Path(name).name} if name else {})
            known = {"path": relative, "place": place}
        elif self.media:
            file = self._beside(name)
            if file is None:
                return None
            known = {"path": file}
        if self.media and not self._said("id", row):
            known["id"] = f"{relative.rpartition('.')[0]}-{number}"
        kind = _MODALITY.get(str(self.features.get(self.media, {}).get("_type", "")))
        if kind and not self._said("modality", row):
            known["modality"] = kind
        if self.shard.split and not self._said("split", row):
            known["split"] = self.shard.split
        return known

    def _said(self, name: str, row: Mapping[str, Any]) -> bool:
        return row.get(self.columns.of.get(name, "")) not in (None, "")

    def _beside(self, name: str | None) -> str | None:
        """Give the path of a file that a cell only names, if it is there and below the root."""
        file = None if name is None else (self.shard.file.parent / name).resolve()
        root = self.root.resolve()
        return file.relative_to(root).as_posix() if file and file.is_file() and file.is_relative_to(root) else None


def _media(
    batch: pa.RecordBatch, media: str, first: int, file: Path, notes: Notes
) -> tuple[list[int], list[str | None]]:
    """Give how many bytes each cell of the column holds, and the path in it; a path that is no text is noted."""
    if not media:
        return [0] * batch.num_rows, [None] * batch.num_rows
    cells = batch[media]
    names: list[str | None] = [None] * batch.num_rows
    if pa.types.is_struct(cells.type):
        if "path" in {inner.name for inner in cells.type}:
            names = text_or_none(cells.field("path"), first, file, notes)
        cells = cells.field("bytes")
    return [int(size or 0) for size in pc.binary_length(cells).to_pylist()], names


def _features(schema: pa.Schema, file: Path) -> Mapping[str, Any]:
    """Give the features that `datasets` writes: into the schema, and for `save_to_disk` into dataset_info.json."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        beside = file.parent / "dataset_info.json"
        found = info.get("info", {}).get("features") or (
            json.loads(beside.read_bytes()) if beside.is_file() else {}
        ).get("features")
    except (ValueError, AttributeError) as error:
        raise ManifestError(f"{file}: the description of its features is no JSON ({error})", "get it again") from error
    return found if isinstance(found, dict) else {}


def _named(row: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """Write the numbers of a ClassLabel, or of a list of them, as names."""
    found = dict(row)
    for name, feature in features.items():
        several = (
            isinstance(feature, list) or isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List")
        )
        inner = feature[0] if isinstance(feature, list) and feature else feature.get("feature") if several else feature
        if not isinstance(inner, dict) or inner.get("_type") != "ClassLabel" or row.get(name) is None:
            continue
        names = inner.get("names", [])
        numbers = row[name] if several else [row[name]]
        found[name] = [names[n] if isinstance(n, int) and 0 <= n < len(names) else str(n) for n in numbers]
    return found
