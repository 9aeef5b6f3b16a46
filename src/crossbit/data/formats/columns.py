"""Tables of others: which column is what, by name, and rows put together to items.

A caption may stand alone in its cell, with a row for each one; or all of an item's captions in one cell, as a list of texts, of
objects, or an object from language to text. In tables of text such a cell is JSON, in a column with a plural name (`captions`).
`caption_de` is the German one, `caption_2` one more.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from crossbit.data.formats.gather import SPLITS, SUFFIXES, Gather
from crossbit.data.manifest import Caption, Item, known_modality
from crossbit.errors import ManifestError, UsageError
from crossbit.features import Modality

NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "item_id", "image_id", "img_id", "imgid", "video_id", "clip_id", "audio_id", "key", "uid"),
    "path": (
        *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_file", "img"),
        *("video", "video_path", "video_file", "audio", "audio_path", "audio_file"),
    ),
    "caption": (
        "caption",
        "captions",
        "text",
        "texts",
        "sentence",
        "sentences",
        "title",
        "description",
        "raw",
        "translation",
    ),
    "language": ("language", "lang", "languages", "locale"),
    "kind": ("kind",),
    "split": ("split", "set", "partition", "subset"),
    "labels": ("labels", "label", "tags", "categories", "category", "classes", "class"),
    "modality": ("modality",),
    "concept": ("concept",),
    "source": ("source",),
    "licence": ("licence", "license"),
    "start": ("start", "start_time", "begin"),
    "end": ("end", "end_time"),
    "metadata": ("metadata",),
}
"""What a column may be, and the names by which it is known; the first that a table has is taken."""

_SUFFIXED = re.compile(r"(?P<name>[a-z]+)[_-](?:(?P<number>\d{1,2})|(?P<lang>[a-z]{2,3}(?:[-_][a-z0-9]{2,8})?))")
_PLURAL = ("captions", "texts", "sentences", "raw")
_ALIKE = ("path", "split", "modality", "concept", "source", "licence", "start", "end", "labels")
"""Fields in which all rows of an item have to agree."""
_TEXT_KEYS = ("text", "caption", "raw", "sentence")


@dataclass(frozen=True)
class Columns:
    """Which column is what.

    Args:
        of: our name to the table's.
        captions: columns that hold captions, and the language of each where its name says it.
        others: columns that become metadata.
    """

    of: Mapping[str, str]
    captions: tuple[tuple[str, str | None], ...]
    others: tuple[str, ...]

    @classmethod
    def guess(cls, names: Sequence[str], chosen: Mapping[str, str], where: str) -> Columns:
        """Find the columns by their names.

        Args:
            names: of all columns.
            chosen: our name to the table's, where the guess would be wrong.
            where: the file, for messages.

        Raises:
            UsageError: a name that was chosen is not one of ours.
            ManifestError: the table has not the column that was chosen.
        """
        low = {name.lower(): name for name in reversed(names)}
        of: dict[str, str] = {}
        for ours, known in NAMES.items():
            wanted = (chosen[ours],) if ours in chosen else known
            found = next((low[name.lower()] for name in wanted if name.lower() in low), None)
            if ours in chosen and found is None:
                raise ManifestError(f"{where}: has no column {chosen[ours]!r} for {ours}, it has {', '.join(names)}")
            if found is not None and found not in of.values():
                of[ours] = found
        if unknown := set(chosen) - set(NAMES):
            from crossbit.config import suggest

            first = min(unknown)
            raise UsageError(f"columns: {first!r} is nothing that a column can be", suggest(first, tuple(NAMES)))
        captions: list[tuple[str, str | None]] = [(of["caption"], None)] if "caption" in of else []
        captions += [(name, lang) for name, lang in _captions(names) if name not in of.values()]
        taken = {*of.values(), *(name for name, _ in captions)}
        return cls(of, tuple(captions), tuple(name for name in names if name not in taken))

    def without(self, *ours: str) -> Columns:
        """Take columns for metadata whose name promised something else."""
        of = {name: column for name, column in self.of.items() if name not in ours}
        others = (*self.others, *(column for name, column in self.of.items() if name in ours))
        return replace(self, of=of, others=others)


def _captions(names: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Give `caption_de` with its language, and `caption_2` without one."""
    for name in names:
        match = _SUFFIXED.fullmatch(name.lower())
        if match and match["name"] in NAMES["caption"]:
            primary, _, region = (
                name[match.start("lang") :].replace("_", "-").partition("-") if match["lang"] else ("", "", "")
            )
            yield name, "-".join(part for part in (primary.lower(), region) if part) or None


Pick = str | Mapping[str, str]
"""Our names of columns to the table's, or `path=img,caption=title`."""


def chosen_columns(columns: Pick) -> Mapping[str, str]:
    """Read `path=img,caption=title`, as the option is given on the command line.

    Raises:
        UsageError: a part is no pair.
    """
    if not isinstance(columns, str):
        return columns
    pairs = [part.partition("=") for part in columns.split(",") if part.strip()]
    if wrong := [name for name, _, value in pairs if not value.strip()]:
        raise UsageError(f"columns: {wrong[0]!r} is no pair, expected such as path=img,caption=title")
    return {name.strip(): value.strip() for name, _, value in pairs}


@dataclass(frozen=True)
class Rules:
    """How rows become items, whatever the file.

    Args:
        language: of captions whose language is not said.
        split: of rows whose split is not said.
        modality: of media whose suffix says nothing; "" is image.
        bare: media without captions are items as well, and no problem.
    """

    language: str = "en"
    split: str = ""
    modality: str = ""
    bare: bool = False

    def __post_init__(self) -> None:
        if self.modality and self.modality not in get_args(Modality):
            raise UsageError(f"modality is {self.modality!r}, expected one of {', '.join(get_args(Modality))}")

    def modality_of(self, path: str) -> Modality:
        """Tell the modality by the suffix of the file."""
        suffix = os.path.splitext(path)[1].lower()
        return SUFFIXES.get(suffix) or known_modality(self.modality or "image", path)


@dataclass
class _Draft:
    """An item of which more rows may come."""

    item: Item
    captions: list[Caption]
    file: Path
    line: int | None
    whole: bool
    faulty: bool = False
    metadata: list[Mapping[str, Any]] = field(default_factory=list)  # of every row
    rows: int = 1

    def done(self) -> Item:
        """Give the item with all its captions; metadata in which the rows differ become a list, one a row."""
        item = replace(self.item, captions=tuple(self.captions))
        if self.rows == 1 or not any(self.metadata):
            return item
        names = dict.fromkeys(name for each in self.metadata for name in each)
        values = {name: [each.get(name) for each in self.metadata] for name in names}
        same = {name: all(value == each[0] for value in each) for name, each in values.items()}
        return replace(item, metadata={name: each[0] if same[name] else each for name, each in values.items()})


class _WrongRow(Exception):  # noqa: N818 - a note to be made, not an error of the program
    """A row cannot become an item: what was found, and what to do."""


@dataclass
class Drafts:
    """Rows on their way to items: those of one id come together, wherever they stand."""

    gather: Gather
    rules: Rules
    drafts: dict[str, _Draft] = field(default_factory=dict)

    def row(
        self,
        row: Mapping[str, Any],
        columns: Columns,
        file: Path,
        line: int | None,
        place: str = "",
        known: Mapping[str, Any] | None = None,
    ) -> None:
        """Take a row.

        Args:
            row: cells by the table's names.
            columns: which of them is what.
            file: where the row stands.
            line: its line, if the file has lines.
            place: what to call the row where there are none.
            known: fields of the item that are known otherwise, such as its id or path; `place` says where in the file it is.
        """
        cells = {name: row.get(column) for name, column in columns.of.items()} | dict(known or {})
        place = f"{place}: " if place else ""
        try:
            item = self._item(cells, row, columns)
        except _WrongRow as wrong:
            what, remedy = wrong.args
            self.gather.notes.say(file, line, place + what, remedy)
            return
        whole = any(isinstance(_captions_in(row, name), (list, dict)) for name, _ in columns.captions)
        record = f"{place}item {item.id!r}"
        before = len(self.gather.notes.problems)
        captions = list(self._texts(cells, row, columns, file, line, record))
        faulty = len(self.gather.notes.problems) > before
        self._join(_Draft(item, captions, file, line, whole, faulty, [item.metadata]), record)

    def finish(self) -> None:
        """Hand the items over."""
        for draft in self.drafts.values():
            if not draft.captions and not draft.faulty and not self.rules.bare:
                found = f"item {draft.item.id!r} has no caption"
                self.gather.notes.say(draft.file, draft.line, found, "write one, or read with bare=true")
                continue
            self.gather.add(draft.done(), draft.file, draft.line)

    def _join(self, draft: _Draft, record: str) -> None:
        first = self.drafts.setdefault(draft.item.id, draft)
        if first is draft:
            return
        at = first.file.name if first.line is None else f"{first.file.name}:{first.line}"
        if first.whole or draft.whole:
            hint = "remove one of the two records, or give them ids of their own"
            self.gather.notes.say(draft.file, draft.line, f"{record} stands twice, first at {at}", hint)
            return
        if differ := [name for name in _ALIKE if getattr(first.item, name) != getattr(draft.item, name)]:
            ours, theirs = (getattr(each.item, differ[0]) for each in (draft, first))
            found = f"{record} has {differ[0]} {ours!r}, and {theirs!r} at {at}"
            self.gather.notes.say(draft.file, draft.line, found, "give it an id of its own, or correct the row")
            return
        first.captions += draft.captions
        first.metadata += draft.metadata
        first.faulty |= draft.faulty
        first.rows += 1

    def _item(self, cells: Mapping[str, Any], row: Mapping[str, Any], columns: Columns) -> Item:
        path, identifier = _text(cells.get("path")), _text(cells.get("id"))
        if not path:
            what = f"item {identifier!r} names no file" if identifier else "names no file"
            raise _WrongRow(what, "fill the cell, or remove the row")
        if "://" in path:
            what = f"{path[:80]!r} is an address, expected a file"
            raise _WrongRow(what, "download the media, and list the files")
        identifier = identifier or path
        split = _text(cells.get("split"))
        return Item(
            id=identifier,
            path=path,
            modality=self._modality(cells, identifier, path),
            labels=tuple(labels_of(cells.get("labels"))),
            split=SPLITS.get(split.lower(), split) if split else self.rules.split,
            concept=_text(cells.get("concept")),
            source=_text(cells.get("source")),
            licence=_text(cells.get("licence")),
            start=_seconds(cells, "start", identifier),
            end=_seconds(cells, "end", identifier),
            metadata=_metadata(cells, row, columns, identifier),
        )

    def _modality(self, cells: Mapping[str, Any], identifier: str, path: str) -> Modality:
        said = _text(cells.get("modality"))
        if said and said not in get_args(Modality):
            what = f"item {identifier!r}: modality {said!r}, expected one of {list(get_args(Modality))}"
            raise _WrongRow(what, "correct the cell or remove the row")
        return known_modality(said, path) if said else self.rules.modality_of(path)

    def _texts(
        self,
        cells: Mapping[str, Any],
        row: Mapping[str, Any],
        columns: Columns,
        file: Path,
        line: int | None,
        record: str,
    ) -> Iterator[Caption]:
        languages, kinds = _cell(cells.get("language")), _cell(cells.get("kind"))
        for name, named in columns.captions:
            cell = _captions_in(row, name)
            several = isinstance(cell, list) and name == columns.of.get("caption")
            if named and cell in (None, ""):
                continue  # not every item has a caption in every language
            if cell in (None, "", [], {}) and (self.rules.bare or cell == []):
                continue
            for number, (text, lang) in enumerate(pairs(cell)):
                said = lang or named or _at(languages, number, several) or self.rules.language
                kind = _at(kinds, number, several) or "caption"
                caption = self.gather.caption(text, file, line, record, said, kind)
                if caption is not None:
                    yield caption


def _captions_in(row: Mapping[str, Any], name: str) -> Any:
    # a caption may look like JSON ("[sic]"), so only a plural name is taken as a promise of it
    return _cell(row.get(name)) if name.lower() in _PLURAL else row.get(name)


def pairs(cell: Any) -> Iterator[tuple[Any, str | None]]:
    """Give the texts of a cell, each with its language where the cell says it."""
    if isinstance(cell, Mapping):
        keys = [key for key in _TEXT_KEYS if key in cell]
        if keys:
            lang = next((cell[key] for key in NAMES["language"] if cell.get(key)), None)
            yield cell[keys[0]], lang
        else:  # from language to text, as the translations of Hugging Face are
            for lang, texts in cell.items():
                yield from (
                    (text, lang) for text in (texts if isinstance(texts, list) else [texts]) if text is not None
                )
    elif isinstance(cell, list):
        for inner in cell:
            yield from pairs(inner)
    else:
        yield cell, None


def _at(cell: Any, number: int, several: bool) -> str | None:
    if isinstance(cell, list):
        cell = cell[number] if several and number < len(cell) else None
    return _text(cell) or None


def _cell(value: Any) -> Any:
    """Give a list or object that stands as JSON in a cell of text; else the cell itself."""
    if isinstance(value, str) and value[:1] in "[{" and value[-1:] in "]}" and len(value) > 1:
        try:
            found = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            return value
        return found if isinstance(found, (list, dict)) else value
    return value


def _text(value: Any) -> str:
    if value is None or isinstance(value, float) and math.isnan(value):
        return ""
    return str(value).strip()


def _plain(value: Any) -> Any:
    """Give what JSON can hold: dates and the like as text, bytes by their number."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def labels_of(value: Any) -> Collection[str]:
    """Give the labels of a cell: a list, or text with `;` between them."""
    cell = _cell(value)
    if isinstance(cell, list):
        return [str(part) for part in cell if part not in (None, "")]
    return [text for text in (part.strip() for part in _text(cell).split(";")) if text]


def _seconds(cells: Mapping[str, Any], name: str, identifier: str) -> float | None:
    text = _text(cells.get(name))
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or found < 0:
        raise _WrongRow(
            f"item {identifier!r}: {name} is {text!r}, expected seconds", "correct the cell or remove the row"
        )
    return found


def _metadata(cells: Mapping[str, Any], row: Mapping[str, Any], columns: Columns, identifier: str) -> dict[str, Any]:
    metadata = {name: _plain(row[name]) for name in columns.others if row.get(name) not in (None, "")}
    own = cells.get("metadata")
    if own not in (None, ""):
        found = _cell(own)
        if not isinstance(found, dict):
            what = f"item {identifier!r}: metadata is {str(own)[:40]!r}, expected a JSON object"
            raise _WrongRow(what, "correct the cell or remove the row")
        metadata |= found
    return metadata | dict(cells.get("place") or {})
