"""Arrow and Parquet files of others: their schema, their rows in batches, one cell at a time; nothing is held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossbit.data.formats.faults import Notes
from crossbit.errors import ManifestError

ROWS = 1_000
"""Rows that are in memory at a time."""

_DAMAGE = (pa.ArrowException, ValueError, KeyError, OSError, EOFError)
"""What Arrow raises at a file that is cut or damaged; names of columns that are not UTF-8 are a ValueError."""


def schema_of(path: Path) -> pa.Schema:
    """Give the schema.

    Raises:
        ManifestError: the file is cut, damaged or of another kind.
    """
    try:
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with _ipc(path) as reader:
            return reader.schema
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Give the rows of some columns, a batch at a time.

    Raises:
        ManifestError: the file is cut or damaged.
    """
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(ROWS, columns=None if columns is None else list(columns))
            return
        with _ipc(path) as reader:
            for batch in _batches_of(reader):
                batch = batch if columns is None else batch.select(list(columns))  # noqa: PLW2901 - the same, narrower
                for column in batch.columns:
                    _check_offsets(column)
                yield batch
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def rows_of(batch: pa.RecordBatch, first: int, path: Path, notes: Notes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the rows of a batch as Python has them, with their numbers; rows of text that is not UTF-8 are noted."""
    try:
        yield from enumerate(batch.to_pylist(), first)
        return
    except UnicodeDecodeError:
        pass  # nothing was given yet: the whole batch is turned before its first row is
    for number in range(batch.num_rows):
        try:
            yield first + number, batch.slice(number, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            notes.say(path, None, *_other_bytes(first + number, error))


def media_columns(schema: pa.Schema) -> list[str]:
    """Name the columns that hold media as Hugging Face keeps them: a struct of `bytes` and `path`, or plain bytes."""
    return [field.name for field in schema if _holds_media(field.type)]


def _holds_media(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in {inner.name for inner in kind}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def cell(path: Path, column: str, row: int) -> Any:
    """Give one cell as Python has it; the part of the file around it stays open for the next one.

    Raises:
        ManifestError: there is no such column or row, or the file is damaged.
    """
    stamp = path.stat()
    starts = _starts(path, stamp.st_mtime_ns, stamp.st_size)
    if not 0 <= row < starts[-1]:
        raise ManifestError(f"{path}: has {starts[-1]} rows, expected one of number {row}")
    part = next(number for number, end in enumerate(starts[1:]) if row < end)
    table = _part(path, column, part, stamp.st_mtime_ns, stamp.st_size)
    return table[row - starts[part]].as_py()


@lru_cache(maxsize=64)
def _starts(path: Path, _time: int, _size: int) -> tuple[int, ...]:
    """Give the first row of each row group or batch, and the number of rows."""
    try:
        if path.suffix == ".parquet":
            metadata = pq.read_metadata(path)
            counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        else:
            with _ipc(path) as reader:
                counts = [batch.num_rows for batch in _batches_of(reader)]
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    starts = [0]
    for count in counts:
        starts.append(starts[-1] + count)
    return tuple(starts)


@lru_cache(maxsize=2)
def _part(path: Path, column: str, part: int, _time: int, _size: int) -> Any:
    if column not in schema_of(path).names:
        raise ManifestError(f"{path}: has no column {column!r}, expected one of {', '.join(schema_of(path).names)}")
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                return file.read_row_group(part, columns=[column])[column]
        with _ipc(path) as reader:
            # a memory map: only the pages of the cells that are read come into memory
            found = next(batch for number, batch in enumerate(_batches_of(reader)) if number == part)[column]
            _check_offsets(found)
            return found
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _ipc(path: Path) -> Any:
    """Open an Arrow file, or an Arrow stream, which is what `datasets` writes under the same suffix."""
    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches_of(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _check_offsets(column: pa.Array) -> None:
    """Refuse offsets that fall or leave the data: Arrow does not look at them when it reads, and would follow them anywhere.

    Text is checked as bytes, since a row whose text is not UTF-8 is a fault of that row and not of the file.

    Raises:
        pa.ArrowInvalid: the column is damaged.
    """
    column.view(_as_bytes(column.type)).validate(full=True)


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """Give a type with bytes where there is text, laid out the same."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([inner.with_type(_as_bytes(inner.type)) for inner in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_as_bytes(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_as_bytes(kind.value_type)))
    return kind


def text_or_none(column: pa.Array, first: int, path: Path, notes: Notes) -> list[str | None]:
    """Give a column of text as Python has it; of a cell that is not UTF-8 None, and a note with the number of its row."""
    try:
        found: list[str | None] = column.to_pylist()
        return found
    except UnicodeDecodeError:
        pass
    found = []
    for number, cell_of in enumerate(column, first):
        try:
            found.append(cell_of.as_py())
        except UnicodeDecodeError as error:
            notes.say(path, None, *_other_bytes(number, error))
            found.append(None)
    return found


def _other_bytes(number: int, error: UnicodeDecodeError) -> tuple[str, str]:
    found = f"row {number}: holds the byte 0x{error.object[error.start]:02x}, which is not UTF-8"
    return found, "write the table anew, with text in UTF-8"


def _damaged(path: Path, error: Exception) -> ManifestError:
    kind = "Parquet" if path.suffix == ".parquet" else "Arrow"
    summary = " ".join(str(error).split())[:160]
    return ManifestError(
        f"{path}: no {kind} file that can be read ({summary})", "the file is cut or damaged: get it again"
    )
