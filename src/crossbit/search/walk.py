"""Walking a folder: which pictures, caption files and tables lie below it, and what stands in the way.

File names are bytes to a file system. A path is kept as bytes relative to the folder (its *key*), so that a name that is not
UTF-8 comes back as it was.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from crossbit.media.image import IMAGE_SUFFIXES

TABLES = frozenset(
    f"{name}{suffix}" for name in ("captions", "metadata") for suffix in (".csv", ".tsv", ".jsonl", ".parquet")
)
COLLECTION_FILES = frozenset({"meta.json", "head.json"})
"""A folder that holds both is a collection and not somebody's pictures."""


@dataclass(frozen=True)
class Picture:
    """A file that looks like a picture: `key` relative to the root, `file` where it lies, size in bytes, time of change."""

    key: bytes
    file: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Broken:
    """A file that cannot be used, and why; size and time tell later whether it was changed since."""

    key: bytes
    reason: str
    size: int = 0
    mtime_ns: int = 0

    @property
    def path(self) -> str:
        """Give the path relative to the root, as `os` functions take it."""
        return os.fsdecode(self.key)


@dataclass
class Walked:
    """What lies below a folder.

    Args:
        pictures: in the order of their keys.
        texts: keys of files `stem.txt` and `stem.json`, by key without suffix.
        tables: keys of caption tables.
        broken: files that have a picture's name and are none.
        closed: keys of folders that could not be read; what lies below them is unknown, not gone.
    """

    root: str
    pictures: list[Picture] = field(default_factory=list)
    texts: dict[bytes, list[bytes]] = field(default_factory=dict)
    tables: list[bytes] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    closed: list[bytes] = field(default_factory=list)

    def hides(self, key: bytes) -> bool:
        """Say whether a key lies below a folder that could not be read."""
        return any(not folder or key == folder or key.startswith(folder + b"/") for folder in self.closed)


def walk(root: str | Path, skip: Iterable[str | Path] = ()) -> Walked:
    """Find everything below a folder, each folder once, however links lead to it.

    Hidden files and folders are passed over, so are collections and the folders of `skip`. Real folders come before links to
    folders: a picture that can be reached both ways has its real path.
    """
    found = Walked(os.fspath(root))
    skipped = {os.path.realpath(folder) for folder in skip}
    seen: set[tuple[int, int]] = set()
    real, linked = [""], list[str]()
    while real or linked:
        folder = real.pop() if real else linked.pop(0)
        full = os.path.join(found.root, folder)
        try:
            info = os.stat(full)
            if (info.st_dev, info.st_ino) in seen or os.path.realpath(full) in skipped:
                continue
            seen.add((info.st_dev, info.st_ino))
            with os.scandir(full) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            found.closed.append(os.fsencode(folder))
            found.broken.append(Broken(os.fsencode(folder or "."), f"the folder cannot be read: {sentence(error)}"))
            continue
        if folder and {entry.name for entry in entries} >= COLLECTION_FILES:
            continue
        for entry in entries:
            if not entry.name.startswith("."):
                name = f"{folder}/{entry.name}" if folder else entry.name
                _sort(entry, name, found, real, linked)
    found.pictures.sort(key=lambda picture: picture.key)
    found.tables.sort()
    return found


def _sort(entry: os.DirEntry[str], name: str, found: Walked, real: list[str], linked: list[str]) -> None:
    """Put one entry where it belongs."""
    stem, suffix = os.path.splitext(name)
    suffix = suffix.lower()
    is_picture = suffix in IMAGE_SUFFIXES
    try:
        if entry.is_dir():
            (linked if entry.is_symlink() else real).append(name)
            if is_picture:
                found.broken.append(Broken(os.fsencode(name), "a folder with the name of a picture"))
        elif is_picture:
            info = entry.stat()
            if stat.S_ISREG(info.st_mode):
                found.pictures.append(Picture(os.fsencode(name), entry.path, info.st_size, info.st_mtime_ns))
            else:  # opening a pipe or a device could wait for ever
                found.broken.append(Broken(os.fsencode(name), "not a regular file"))
        elif entry.name.lower() in TABLES:
            found.tables.append(os.fsencode(name))
        elif suffix in (".txt", ".json"):
            found.texts.setdefault(os.fsencode(stem), []).append(os.fsencode(name))
    except OSError as error:
        if is_picture:
            found.broken.append(Broken(os.fsencode(name), sentence(error)))


def sentence(error: OSError) -> str:
    """Say in words why a file cannot be read."""
    match error.errno:
        case errno.ENOENT:
            return "a link that leads nowhere"
        case errno.ELOOP:
            return "a link that leads to itself"
        case errno.EACCES | errno.EPERM:
            return "no permission to read it"
    return (error.strerror or type(error).__name__).lower()
