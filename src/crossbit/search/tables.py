"""Caption tables: CSV, TSV, JSON Lines and Parquet, with a column of paths and columns of captions; the rest is metadata."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossbit.errors import ManifestError, UsageError
from crossbit.search.metadata import Value, clean, unbroken
from crossbit.search.where import moment_of

PATH_FIELDS = ("path", "file", "file_name", "filename", "filepath", "image_path", "image")
CAPTION_FIELDS = ("caption", "captions", "title", "text", "description")


@dataclass
class Texts:
    """What is said of one picture."""

    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Value] = field(default_factory=dict)

    def add(self, captions: list[str], metadata: Mapping[str, Value]) -> None:
        """Add captions that are not there yet, and metadata over what is there."""
        self.captions.extend(caption for caption in dict.fromkeys(captions) if caption not in self.captions)
        self.metadata.update(metadata)


@dataclass
class Table:
    """Rows of a table: where each stands, the path that it names, and its texts; and what is wrong with others."""

    rows: list[tuple[str, str, Texts]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_table(file: str, name: str) -> Table:
    """Read a table; a row that cannot be read is a problem and the others are kept.

    Args:
        file: where it lies; its suffix says what it is.
        name: what it is called in messages.

    Raises:
        ManifestError: the table cannot be read at all: no path column, not UTF-8, not Parquet.
    """
    reader = {".jsonl": _json_lines, ".parquet": _parquet}.get(os.path.splitext(file)[1].lower(), _separated)
    table = Table()
    try:
        for where, record in reader(file, name, table.problems):
            _take(where, record, table)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{name}: byte 0x{error.object[error.start]:02x} is not UTF-8") from error
    return table


def texts_of(record: Mapping[str, Any], where: str, leave: tuple[str, ...] = ()) -> Texts:
    """Part a record into captions and metadata, leaving some fields out.

    Raises:
        ManifestError: a caption field is neither text nor a list of texts, or a value cannot be kept.
    """
    captions, rest = [], {}
    for name, value in record.items():
        if str(name).lower() in CAPTION_FIELDS:
            captions.extend(_captions(value, f"{where}: field {name!r}"))
        elif name not in leave:
            rest[name] = value
    texts = Texts()
    try:
        texts.add(captions, clean(rest, where))
    except UsageError as error:
        raise ManifestError(error.message) from error
    return texts


def dated(value: Any) -> Any:
    """Give text that is an ISO date, or date and time, as such; everything else as it is."""
    if not isinstance(value, str) or not value[:4].isdigit():
        return value
    moment = moment_of(value)
    if moment is None:
        return value
    return moment.date() if len(value) == 10 else moment


def _captions(value: Any, where: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, dict):
        value = value.get("text", value)
    if isinstance(value, str):
        line = unbroken(" ".join(value.split()))
        return [line] if line else []
    if isinstance(value, list):
        return [caption for part in value for caption in _captions(part, where)]
    raise ManifestError(f"{where} is a {type(value).__name__}, expected text or a list of texts")


def _take(where: str, record: Mapping[str, Any], table: Table) -> None:
    """Add a record to the table, as a row or as a problem."""
    by_name = {str(name).strip().lower(): name for name in record}
    named = next((by_name[name] for name in PATH_FIELDS if name in by_name), None)
    if named is None:
        table.problems.append(f"{where}: has fields {list(record)[:12]}, expected one of {list(PATH_FIELDS)}")
        return
    path = record[named]
    if isinstance(path, dict):  # Hugging Face's image column
        path = path.get("path")
    if not isinstance(path, str) or not path.strip():
        table.problems.append(f"{where}: field {named!r} is {path!r}, expected the path of a picture")
        return
    try:
        table.rows.append((where, path.strip(), texts_of(record, where, leave=(named,))))
    except ManifestError as error:
        table.problems.append(error.message)


def _json_lines(file: str, name: str, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(file, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{name}:{number}"
            try:
                record = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                problems.append(f"{where}: not JSON ({error})")
                continue
            if not isinstance(record, dict):
                problems.append(f"{where}: found a {type(record).__name__}, expected an object")
                continue
            yield where, {key: dated(value) for key, value in record.items()}


def _parquet(file: str, name: str, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{name}: not a Parquet file ({str(error).splitlines()[0]})") from error
    # pictures inside the table are not read from it: the files are
    table = table.select([field.name for field in table.schema if not pa.types.is_binary(field.type)])
    number = 0
    for batch in table.to_batches(max_chunksize=10_000):
        for record in batch.to_pylist():
            number += 1
            yield f"{name}: row {number}", record


def _separated(file: str, name: str, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(1 << 24)
    with open(file, encoding="utf-8-sig", newline="") as lines:
        head = lines.readline()
        lines.seek(0)
        reader = csv.reader(lines, delimiter=_delimiter(file, head), strict=True)
        header: list[str] = []
        rows: list[tuple[int, list[str]]] = []
        while True:
            start = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:  # an open quote runs to the end: nothing after it can be trusted
                problems.append(f"{name}:{start}: {error}")
                break
            if not cells:
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                if not {cell.lower() for cell in header} & set(PATH_FIELDS):
                    raise ManifestError(f"{name}:1: has columns {header[:12]}, expected one of {list(PATH_FIELDS)}")
            elif len(cells) != len(header):
                problems.append(f"{name}:{start}: has {len(cells)} cells, expected {len(header)} as in the header")
            else:
                rows.append((start, cells))
    casts = [_cast_for([cells[place] for _, cells in rows]) for place in range(len(header))]
    for number, cells in rows:
        pairs = zip(header, casts, cells, strict=True)
        yield (
            f"{name}:{number}",
            {
                column: cell if column.lower() in PATH_FIELDS or column.lower() in CAPTION_FIELDS else cast(cell)
                for column, cast, cell in pairs
                if cell.strip()
            },
        )


def _delimiter(file: str, head: str) -> str:
    """Choose what parts the cells: a tab in .tsv, else whichever of , ; and tab parts the header into known names."""
    if file.lower().endswith(".tsv"):
        return "\t"
    known = set(PATH_FIELDS) | set(CAPTION_FIELDS)
    return max(",;\t", key=lambda sign: len(known & {cell.strip(' "\r\n').lower() for cell in head.split(sign)}))


_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?")


def _cast_for(cells: list[str]) -> Any:
    """Choose a column's type from all its cells: 007 in one of them keeps the whole column text."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    if filled:
        if all(_INTEGER.fullmatch(cell) for cell in filled):
            return int
        if all(_FLOAT.fullmatch(cell) and not re.match(r"[+-]?0\d", cell) for cell in filled):
            return float
        if all(cell.lower() in ("true", "false") for cell in filled):
            return lambda cell: cell.strip().lower() == "true"
        if all(dated(cell) is not cell for cell in filled):
            return lambda cell: dated(cell.strip())
    return str
