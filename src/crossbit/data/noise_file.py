"""Noise files: JSON or Parquet, with a version and a fingerprint that is checked when they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from crossbit.config import check
from crossbit.data.noise import Noise, NoisyPair
from crossbit.errors import ConfigError, DataError, UsageError

FORMAT = 1
_LARGEST = 2**31
_KEY = b"crossbit-noise"
_PAIR = tuple(field.name for field in fields(NoisyPair))
_HEAD = tuple(field.name for field in fields(Noise) if field.name != "pairs")


def write_noise(noise: Noise, path: Path) -> Path:
    """Write a noise file, Parquet where the path ends in `.parquet` and JSON where it ends in `.json`; whole or not at all.

    Raises:
        UsageError: the file exists with another content, or has another suffix.
    """
    if path.suffix not in (".json", ".parquet"):
        raise UsageError(f"{path}: ends in {path.suffix!r}, expected `.json` or `.parquet`")
    if path.exists():
        if path.is_file() and read_noise(path).fingerprint == noise.fingerprint:
            return path
        raise UsageError(f"{path}: holds another noise, which would be overwritten", "name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    (_write_json if path.suffix == ".json" else _write_parquet)(noise, partial)
    partial.replace(path)
    return path


def read_noise(path: Path) -> Noise:
    """Read a noise file and check its fingerprint.

    Raises:
        DataError: there is no such file, or it is no noise file, damaged, changed by hand, or of a newer version.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected a noise file", "`crossbit data noise` writes one")
    if path.stat().st_size > _LARGEST:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes, expected a noise file of at most {_LARGEST:,}")
    record = _read_parquet(path) if path.suffix == ".parquet" else _read_json(path)
    if record.get("format") != FORMAT:
        raise DataError(
            f"{path}: noise format {record.get('format')!r}, this version reads {FORMAT}", "update crossbit"
        )
    try:
        noise = check(Noise, {name: record[name] for name in (*_HEAD, "pairs")}, source=str(path))
    except KeyError as error:
        raise DataError(f"{path}: no field {error.args[0]!r}, expected a noise file") from error
    except ConfigError as error:
        raise DataError(f"{error.message}, expected a noise file") from error
    if noise.fingerprint != record.get("fingerprint"):
        raise DataError(
            f"{path}: says fingerprint {record.get('fingerprint')}, its content gives {noise.fingerprint}: it was changed",
            "write it again with `crossbit data noise`",
        )
    return noise


def _head(noise: Noise) -> dict[str, Any]:
    """Give the file's head: the facts, and the measured ratios for whoever looks into it."""
    facts = {name: getattr(noise, name) for name in _HEAD}
    return {"format": FORMAT, **facts, **noise.summary}


def _write_json(noise: Noise, path: Path) -> None:
    head = json.dumps(_head(noise), ensure_ascii=False, indent=1).removesuffix("\n}")
    rows = ",\n".join("  " + json.dumps(asdict(pair), ensure_ascii=False) for pair in noise.pairs)
    path.write_text(f'{head},\n "pairs": [\n{rows}\n ]\n}}\n', encoding="utf-8")


def _write_parquet(noise: Noise, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.int64() if name.endswith("place") else pa.string()) for name in _PAIR])
    columns = {name: [getattr(pair, name) for pair in noise.pairs] for name in _PAIR}
    table = pa.table(columns, schema=schema.with_metadata({_KEY: json.dumps(_head(noise), ensure_ascii=False)}))
    pq.write_table(table, path, compression="zstd")


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON, expected a noise file") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: found a {type(record).__name__}, expected a noise file")
    return record


def _read_parquet(path: Path) -> Mapping[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        head = json.loads((table.schema.metadata or {})[_KEY])
        return {**head, "pairs": table.select(list(_PAIR)).to_pylist()}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path}: not Parquet with a noise, expected a noise file") from error
