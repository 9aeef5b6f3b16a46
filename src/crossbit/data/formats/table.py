"""Tables of our own making or of anybody's: CSV, TSV, JSON Lines and Parquet, read and written.

In CSV and TSV an item has a row for each of its captions, or `captions` as a JSON list in one; in JSON Lines and Parquet it has
one row with lists. How columns are known by their names is said in `columns.NAMES`, and `columns="path=img"` chooses others.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossbit.data.formats.arrow import batches, rows_of, schema_of
from crossbit.data.formats.columns import Columns, Drafts, Pick, Rules, chosen_columns
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, lines, one_line
from crossbit.data.formats.losses import Holds
from crossbit.data.formats.own import rebased
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError

_FIELDS = ("modality", "split", "labels", "concept", "source", "licence", "start", "end", "metadata")
_HOLDS = Holds(fields=frozenset(_FIELDS), metadata=None, kinds=True)


def read_csv(
    path: Path,
    notes: Notes,
    *,
    columns: Pick = "",
    language: str = "en",
    split: str = "",
    modality: str = "",
    bare: bool = False,
    delimiter: str = ",",
    quotes: bool = True,
    header: str = "",
    media: Path | None = None,
) -> Manifest:
    """Read a table of text.

    Args:
        path: the file.
        notes: takes the problems.
        columns: which column is what, where its name does not tell.
        language: of captions whose language is not said.
        split: of rows whose split is not said.
        modality: of media whose suffix does not tell.
        bare: media without captions are items as well.
        delimiter: stands between cells.
        quotes: a cell may be put in quotes, with what is a delimiter or a line break inside.
        header: names of the columns, with commas between, for a file that has no line of them.
        media: the folder that paths are relative to; else the file's own.
    """
    gather = Gather(notes)
    drafts = Drafts(gather, Rules(language, split, modality, bare))
    rows = _cells(path, notes, delimiter, quotes)
    names = [name.strip() for name in header.split(",")] if header else next(rows, (1, [""]))[1]
    found = _known(names, columns, path, bare, f"delimiter={';' if ';' in names[0] else 'CHAR'}")
    for line, cells in rows:
        if len(cells) != len(names):
            what = f"{len(cells)} cells, expected {len(names)}"
            notes.say(path, line, what, "put quotes around cells that hold a delimiter, or correct the row")
            continue
        drafts.row(dict(zip(names, cells, strict=True)), found, path, line)
    drafts.finish()
    return gather.manifest(path.stem, media or path.parent, path)


def read_tsv(
    path: Path,
    notes: Notes,
    *,
    columns: Pick = "",
    language: str = "en",
    split: str = "",
    modality: str = "",
    bare: bool = False,
    quotes: bool = True,
    header: str = "",
    media: Path | None = None,
) -> Manifest:
    """Read a table of text with tabs between the cells; the options are those of `read_csv`."""
    rules: dict[str, Any] = {"language": language, "split": split, "modality": modality, "bare": bare}
    return read_csv(path, notes, columns=columns, **rules, delimiter="\t", quotes=quotes, header=header, media=media)


def read_jsonl(
    path: Path,
    notes: Notes,
    *,
    columns: Pick = "",
    language: str = "en",
    split: str = "",
    modality: str = "",
    bare: bool = False,
    media: Path | None = None,
) -> Manifest:
    """Read one JSON object a line, whatever its fields are called; the options are those of `read_csv`."""
    gather = Gather(notes)
    drafts = Drafts(gather, Rules(language, split, modality, bare))
    known: dict[tuple[str, ...], Columns] = {}  # not every line has every field
    for number, line in lines(path, notes):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            notes.say(path, number, f"not JSON ({error})", "correct or remove the line; the file may be cut")
            continue
        if not isinstance(row, dict):
            notes.say(path, number, f"a {type(row).__name__}, expected an object", "correct or remove the line")
            continue
        names = tuple(row)
        if names not in known:
            first, chosen = not known, chosen_columns(columns)
            there = {ours: name for ours, name in chosen.items() if name in names}
            known[names] = _known(names, chosen, path, bare) if first else Columns.guess(names, there, str(path))
        drafts.row(row, known[names], path, number)
    drafts.finish()
    return gather.manifest(path.stem, media or path.parent, path)


def read_parquet(
    path: Path,
    notes: Notes,
    *,
    columns: Pick = "",
    language: str = "en",
    split: str = "",
    modality: str = "",
    bare: bool = False,
    media: Path | None = None,
) -> Manifest:
    """Read a table of paths and captions; the options are those of `read_csv`. For pictures inside Parquet see `hf`."""
    gather = Gather(notes)
    drafts = Drafts(gather, Rules(language, split, modality, bare))
    found = _known(schema_of(path).names, columns, path, bare)
    number = 0
    for batch in batches(path):
        for at, row in rows_of(batch, number, path, notes):
            drafts.row(row, found, path, None, f"row {at}")
        number += batch.num_rows
    drafts.finish()
    return gather.manifest(path.stem, media or path.parent, path)


def _known(names: Iterable[str], columns: Pick, path: Path, bare: bool, option: str = "") -> Columns:
    names = list(names)
    found = Columns.guess(names, chosen_columns(columns), str(path))
    there = ", ".join(names)[:200]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ManifestError(f"{path}: two columns are called {twice!r}, expected a name for each", "rename one")
    if "path" not in found.of:
        hint = "name it: columns=path=NAME" + (f", or the character between the cells: {option}" if option else "")
        raise ManifestError(f"{path}: no column is known for the media files, it has {there}", hint)
    if not found.captions and not bare:
        hint = "name it: columns=caption=NAME, or read media without captions with bare=true"
        raise ManifestError(f"{path}: no column is known for the captions, it has {there}", hint)
    return found


def _cells(path: Path, notes: Notes, delimiter: str, quotes: bool) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that hold something, each with the line that it begins on."""
    reader = csv.reader(
        (text + "\n" for _, text in lines(path, notes)),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = f"the row that begins here cannot be read ({error})"
            notes.say(
                path, line, what, "a quote is missing or too many; files without quotes are read with quotes=false"
            )
            continue
        if row:
            yield line, row


def write_csv(manifest: Manifest, path: Path, *, delimiter: str = ",") -> list[str]:
    """Write a row for each caption, with the fields of its item beside it."""
    manifest = rebased(manifest, path.parent)
    names = _used(manifest)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(["id", "path", "caption", *names])
        for item in manifest:
            fields = {name: _as_cell(item, name) for name in names}
            for caption in item.captions or (None,):
                if caption is not None:
                    fields |= {
                        name: getattr(caption, "lang" if name == "language" else name) for name in _CAPTION & set(names)
                    }
                writer.writerow(
                    [item.id, item.path, one_line(caption.text) if caption else "", *(fields[name] for name in names)]
                )
    partial.replace(path)
    return _lost(manifest)


def write_tsv(manifest: Manifest, path: Path) -> list[str]:
    """Write a row for each caption, with tabs between the cells."""
    return write_csv(manifest, path, delimiter="\t")


def write_jsonl(manifest: Manifest, path: Path) -> list[str]:
    """Write an object an item, its captions as lists of text, language and kind."""
    manifest = rebased(manifest, path.parent)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    with partial.open("w", encoding="utf-8") as file:
        for record in records(manifest):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    partial.replace(path)
    return _lost(manifest)


def write_parquet(manifest: Manifest, path: Path) -> list[str]:
    """Write a row an item, with lists for captions and labels; metadata is JSON."""
    manifest = rebased(manifest, path.parent)
    kinds = {"caption": pa.list_(pa.string()), "start": pa.float64(), "end": pa.float64()}
    kinds |= dict.fromkeys(("language", "kind", "labels"), pa.list_(pa.string()))
    rows = list(records(manifest))
    for record in rows:
        if "metadata" in record:
            record["metadata"] = json.dumps(record["metadata"], ensure_ascii=False)
    names = ["id", "path", "caption", *_used(manifest)]
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, compression="zstd")
    partial.replace(path)
    return _lost(manifest)


_CAPTION = {"language", "kind"}


def _used(manifest: Manifest) -> list[str]:
    """Name the columns beside id, path and caption that say something of some item."""
    rules = Rules()
    used = ["language"] if set(manifest.languages) - {"en"} else []
    used += ["kind"] if any(c.kind != "caption" for item in manifest for c in item.captions) else []
    for name in _FIELDS:
        default: Any = (lambda item: rules.modality_of(item.path)) if name == "modality" else (lambda item: None)
        if any(getattr(item, name) not in ("", (), {}, None, default(item)) for item in manifest):
            used.append(name)
    return used


def records(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Give what is known of each item under the names that `columns.NAMES` knows, captions as lists side by side."""
    used = _used(manifest)
    for item in manifest:
        record: dict[str, Any] = {"id": item.id, "path": item.path, "caption": [c.text for c in item.captions]}
        for name in used:
            if name in _CAPTION:
                record[name] = [getattr(c, "lang" if name == "language" else name) for c in item.captions]
            elif (value := getattr(item, name)) not in ("", (), {}, None):
                record[name] = list(value) if name == "labels" else dict(value) if name == "metadata" else value
        yield record


def _as_cell(item: Item, name: str) -> Any:
    if name in _CAPTION:
        return ""
    value = getattr(item, name)
    if name == "metadata":
        return json.dumps(dict(value), ensure_ascii=False) if value else ""
    if name == "labels":
        plain = not any(";" in label or label[:1] == "[" or label != label.strip() for label in value)
        return ";".join(value) if plain else json.dumps(list(value), ensure_ascii=False)
    return "" if value is None else value


def _lost(manifest: Manifest) -> list[str]:
    lost = _HOLDS.losses(manifest)
    if naked := sum(not item.captions for item in manifest):
        lost.append(f"{naked:,} items have no caption: read the table with bare=true")
    return lost
