"""Manifest: the list of items that everything reads: one record an item, with any number of captions in any language.

On disk it is JSON Lines, one item a line, or an Arrow file (`*.arrow`), of which parts are read fast; media paths are relative
to the file's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from crossbit.data.manifest_arrow import read_items, write_items
from crossbit.errors import ManifestError
from crossbit.features import Modality


@dataclass(frozen=True)
class Caption:
    """One text of an item and its ISO 639-1 language; `name` tells a name ("red apple") from a sentence or keywords."""

    text: str
    lang: str = "en"
    kind: str = "caption"


@dataclass(frozen=True)
class Item:
    """One media object.

    Args:
        id: unique in the manifest.
        path: the media file, relative to the manifest's root.
        captions: its texts.
        concept: items of one concept show the same thing; splits keep a concept whole. Empty: the item is its own concept.
        start: seconds into the file where the item begins, for video and audio.
        metadata: whatever else is known, searchable by `--where`.
    """

    id: str
    path: str
    modality: Modality = "image"
    captions: tuple[Caption, ...] = ()
    labels: tuple[str, ...] = ()
    split: str = ""
    concept: str = ""
    source: str = ""
    licence: str = ""
    start: float | None = None
    end: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Items of one data set, and the folder that their paths are relative to.

    Raises:
        ManifestError: two items have one id.
    """

    name: str
    root: Path
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for item in self.items:
            if item.id in seen:
                raise ManifestError(f"{self.name}: id {item.id!r} stands twice, expected every id once")
            seen.add(item.id)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @cached_property
    def fingerprint(self) -> str:
        """Hash ids, captions, labels and splits: results made on other data carry another fingerprint."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(_to_line(item).encode())
        return digest.hexdigest()[:16]

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Name the languages of the captions, most frequent first."""
        counts: dict[str, int] = {}
        for item in self.items:
            for caption in item.captions:
                counts[caption.lang] = counts.get(caption.lang, 0) + 1
        return tuple(sorted(counts, key=lambda lang: (-counts[lang], lang)))

    def select(
        self,
        split: str | None = None,
        languages: Iterable[str] | None = None,
        sources: Iterable[str] | None = None,
    ) -> Manifest:
        """Keep the items of a split and of some sources, and the captions of some languages.

        Raises:
            ManifestError: nothing is left; the message names the splits, languages or sources that exist.
        """
        items = self.items
        if sources is not None:
            wanted = set(sources)
            items = tuple(item for item in items if item.source in wanted)
            if missing := wanted - {item.source for item in items}:
                known = sorted({item.source for item in self.items})
                raise ManifestError(f"{self.name}: no items from {sorted(missing)}, it has {known}")
        if split is not None:
            items = tuple(item for item in items if item.split == split)
            if not items:
                known = sorted({item.split for item in self.items})
                raise ManifestError(f"{self.name}: no items in split {split!r}, it has {known}")
        if languages is not None:
            wanted = set(languages)
            there = {caption.lang for item in items for caption in item.captions}
            if missing := wanted - there:
                raise ManifestError(f"{self.name}: no captions in {sorted(missing)}, it has {sorted(there)}")
            items = tuple(replace(i, captions=tuple(c for c in i.captions if c.lang in wanted)) for i in items)
        return Manifest(self.name, self.root, items)

    def file(self, item: Item) -> Path:
        """Give the full path of an item's media.

        Raises:
            ManifestError: the path leads out of the root.
        """
        path = self.root / item.path
        if not self._resolved(path).is_relative_to(self._places[Path()]):
            raise ManifestError(f"{self.name}: item {item.id!r} has path {item.path!r}, expected one below {self.root}")
        return path

    def _resolved(self, path: Path) -> Path:
        """Follow links; the folder of a file, which many share, is followed once."""
        if path.name in ("", "..") or path.is_symlink():
            return path.resolve()
        if (folder := self._places.get(path.parent)) is None:
            folder = self._places[path.parent] = path.parent.resolve()
        return folder / path.name

    @cached_property
    def _places(self) -> dict[Path, Path]:
        return {Path(): self.root.resolve()}

    def write(self, path: Path) -> None:
        """Write JSON Lines, or Arrow where the path ends so; whole or not at all."""
        if path.suffix == ".arrow":
            write_items(self.items, path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        with partial.open("w", encoding="utf-8") as file:
            for item in self.items:
                file.write(_to_line(item) + "\n")
        partial.replace(path)

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        split: str | None = None,
        languages: Iterable[str] | None = None,
        sources: Iterable[str] | None = None,
    ) -> Manifest:
        """Read JSON Lines or Arrow, by the suffix; of an Arrow file only what is asked for is made into items.

        Args:
            path: `*.jsonl` or `*.arrow`.
            split: keep its items only.
            languages: keep captions in these.
            sources: keep items from these.

        Raises:
            ManifestError: a line is not a record; the message names file, line and field. Or nothing is left.
        """
        if not path.is_file():
            raise ManifestError(f"{path}: no such file, expected a manifest in JSON Lines or Arrow")
        if path.suffix == ".arrow":
            langs, parts = (None if names is None else list(names) for names in (languages, sources))
            found = cls(path.stem, path.parent, tuple(read_items(path, split=split, languages=langs, sources=parts)))
            return found.select(split, langs, parts)  # names what is missing
        items = []
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    items.append(_from_line(line, f"{path}:{number}"))
        whole = cls(path.stem, path.parent, tuple(items))
        return whole if split is languages is sources is None else whole.select(split, languages, sources)


_FIELDS = set(Item.__dataclass_fields__)


def known_modality(name: Any, where: str) -> Modality:
    """Give the modality of that name.

    Raises:
        ManifestError: there is none.
    """
    if name not in get_args(Modality):
        raise ManifestError(f"{where}: modality {name!r}, expected one of {list(get_args(Modality))}")
    found: Modality = name
    return found


def _to_line(item: Item) -> str:
    record = {key: value for key, value in asdict(item).items() if value not in ((), "", None, {})}
    return json.dumps(record, ensure_ascii=False, sort_keys=True)


def _from_line(line: str, where: str) -> Item:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{where}: not JSON ({error.msg} at column {error.colno})") from error
    if not isinstance(record, dict):
        raise ManifestError(f"{where}: found a {type(record).__name__}, expected an object")
    for name in ("id", "path"):
        if not isinstance(record.get(name), str) or not record[name]:
            raise ManifestError(f"{where}: field {name!r} is {record.get(name)!r}, expected a non-empty string")
    if unknown := set(record) - _FIELDS:
        raise ManifestError(f"{where}: unknown field {min(unknown)!r}", "put fields of your own under `metadata`")
    record["modality"] = known_modality(record.get("modality", "image"), where)
    captions = []
    for place, caption in enumerate(record.get("captions", ())):
        if not isinstance(caption, dict) or not isinstance(caption.get("text"), str) or not caption["text"].strip():
            raise ManifestError(f"{where}: caption {place} has no text, expected an object with `text` and `lang`")
        if set(caption) - {"text", "lang", "kind"}:
            raise ManifestError(f"{where}: caption {place} has unknown fields, expected `text`, `lang` and `kind`")
        captions.append(Caption(**caption))
    record["captions"] = tuple(captions)
    record["labels"] = tuple(record.get("labels", ()))
    return Item(**record)
