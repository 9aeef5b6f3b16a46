"""Files that survive: written whole or not at all, with checksums; one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossbit.errors import CollectionError

log = logging.getLogger("crossbit")

_LOOK_AGAIN = 0.1  # seconds between two looks at a lock that somebody holds
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Receipt:
    """Size and SHA-256 that a file had when it was committed."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, *, sync: bool = False) -> Receipt:
        """Measure a file; with `sync` it is also forced to the disk."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if sync:
                os.fsync(file.fileno())
            return cls(file.tell(), digest)


def sync_folder(folder: Path) -> None:
    """Force a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes) -> Receipt:
    """Replace a file in one step: a reader sees the old or the new one, whatever happens."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
    return Receipt(len(data), hashlib.sha256(data).hexdigest())


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object with a checksum over the rest of it, whole or not at all."""
    body = json.dumps(record, indent=1, sort_keys=True)
    write_whole(path, json.dumps({**record, "checksum": _checksum(body)}, indent=1, sort_keys=True).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
        CollectionError: it is not JSON, or not what was written.
    """
    try:
        record = json.loads(path.read_bytes())
        told = record.pop("checksum")
        body = json.dumps(record, indent=1, sort_keys=True)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CollectionError(f"{path}: damaged ({type(error).__name__}), expected JSON with a checksum") from error
    if told != _checksum(body):
        raise CollectionError(f"{path}: damaged, its checksum is {_checksum(body)[:12]}, expected {str(told)[:12]}")
    found: dict[str, Any] = record
    return found


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


@contextmanager
def writing(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold the right to write; the system gives it back when the process ends, however it ends.

    Args:
        folder: of the collection.
        wait: seconds to wait for another writer.

    Raises:
        CollectionError: another process still writes, or the folder cannot be written.
    """
    path = folder / "lock"
    with told(folder):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(handle, folder, wait)
        with told(folder):
            os.ftruncate(handle, 0)
            program = Path(sys.argv[0]).name if sys.argv else ""
            owner = {"pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", "program": program}
            os.pwrite(handle, json.dumps(owner).encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path, wait: float) -> None:
    """Take the lock, at once or within `wait` seconds."""
    until, said = time.monotonic() + wait, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            owner = _owner(handle)
            if time.monotonic() >= until:
                waited = f" after {wait:g} s" if wait else ""
                raise CollectionError(
                    f"{folder}: {owner}, one writer at a time{waited}",
                    "wait until it is done (`--wait SECONDS` does); searching goes on meanwhile",
                ) from error
            if not said:
                log.warning("waiting up to %g s: %s", wait, owner)
                said = True
        time.sleep(min(_LOOK_AGAIN, max(0.0, until - time.monotonic())))


def _owner(handle: int) -> str:
    """Say who writes, from what he left in the lock."""
    try:
        owner = json.loads(os.pread(handle, 1000, 0))
        about = f"process {owner['pid']} is writing to this collection since {owner['since']}"
        return f"{about} ({owner['program']})" if owner["program"] else about
    except (ValueError, KeyError, TypeError):
        return "another process is writing to this collection"


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turn what the file system and the store say of a full or closed disk into one sentence.

    Raises:
        CollectionError: instead of `OSError`, and instead of the store's `RuntimeError` that carries one.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number is None:
            inside = re.search(r"os error (\d+)", str(error))
            number = int(inside.group(1)) if inside else None
        if number in _FULL:
            raise CollectionError(
                f"{folder}: no space left on the disk; what was committed before is kept",
                "free some space and run the same command again, it goes on where it stopped",
            ) from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise CollectionError(
                f"{folder}: the collection cannot be written here ({os.strerror(number).lower()})",
                "name another place with `--collection FOLDER`",
            ) from error
        if isinstance(error, OSError):
            raise CollectionError(f"{folder}: {error.strerror or error}") from error
        raise CollectionError(f"{folder}: the store failed: {str(error).splitlines()[0][:200]}") from error
