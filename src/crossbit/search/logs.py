"""Logs: files of JSON lines that are appended to. A commit counts their first bytes, with a checksum over those."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crossbit.errors import CollectionError
from crossbit.search.head import Log


def append(folder: Path, log: Log, records: Iterable[Mapping[str, Any]]) -> Log:
    """Write records behind what the log counts, over what a killed writer left there, and give the longer log."""
    path = folder / log.file
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(log.size)
        file.truncate()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Log(log.file, log.size + len(data), zlib.crc32(data, log.crc))


def read_log(folder: Path, log: Log) -> list[dict[str, Any]]:
    """Read the records that a log counts.

    Raises:
        CollectionError: it is missing or damaged.
    """
    path, data = folder / log.file, b""
    if log.size:
        try:
            with path.open("rb") as file:
                data = file.read(log.size)
        except FileNotFoundError as error:
            raise CollectionError(f"{path}: missing, expected {log.size:,} bytes") from error
    if len(data) != log.size or zlib.crc32(data) != log.crc:
        raise CollectionError(f"{path}: damaged, its checksum is not the one that was committed")
    return [json.loads(line) for line in data.splitlines()]
