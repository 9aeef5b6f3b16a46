"""Sidecars: what files beside a picture say of it. `photo.txt`, `photo.json`, and the tables of the folder and those above.

A sidecar that cannot be read never costs the picture: it becomes a `Broken` with its reason, and the rest is used.
"""

from __future__ import annotations

import hashlib
import json
import os

from crossbit.errors import ManifestError
from crossbit.search.metadata import dump
from crossbit.search.tables import Texts, dated, read_table, texts_of
from crossbit.search.walk import Broken, Picture, Walked, sentence

MAX_BYTES = 1 << 20
MAX_CAPTIONS = 1_000
"""More than this is a book beside a picture, not its captions."""


class Sidecars:
    """Captions and metadata of the pictures of a walk. Tables are read at once, files of single pictures when asked for."""

    def __init__(self, walked: Walked) -> None:
        self.walked = walked
        self.problems: list[Broken] = []
        self._rows: dict[bytes, Texts] = {}
        known = {picture.key for picture in walked.pictures}
        excused = {broken.key for broken in walked.broken}
        for key in walked.tables:
            self._add_table(key, known, excused)

    def digest(self, picture: Picture) -> bytes:
        """Give a fingerprint of everything said of a picture, without reading its own files: empty where nothing is."""
        row, files = self._rows.get(picture.key), self._files(picture)
        if row is None and not files:
            return b""
        digest = hashlib.blake2b(digest_size=16)
        if row is not None:
            digest.update(json.dumps([row.captions, dump(row.metadata)]).encode())
        for key in files:
            size, mtime_ns = self._state(key)
            digest.update(b"%s\0%d\0%d\0" % (os.path.splitext(key)[1], size, mtime_ns))
        return digest.digest()

    def read(self, picture: Picture) -> tuple[Texts, list[Broken]]:
        """Give captions and metadata of a picture, and which of its files could not be read."""
        texts, broken = Texts(), list[Broken]()
        if (row := self._rows.get(picture.key)) is not None:
            texts.add(row.captions, row.metadata)
        for key in self._files(picture):
            try:
                said = _read(self._file(key), os.fsdecode(key))
                texts.add(said.captions, said.metadata)
            except ManifestError as error:
                broken.append(Broken(key, error.message, *self._state(key)))
            except OSError as error:
                broken.append(Broken(key, sentence(error), *self._state(key)))
        if len(texts.captions) > MAX_CAPTIONS:
            key = self._files(picture)[0]  # of a table it was judged when the table was read
            broken.append(Broken(key, _too_many(os.fsdecode(key), texts), *self._state(key)))
        return texts, broken

    def unchanged(self, broken: Broken) -> bool:
        """Say whether a sidecar that could not be read is still there as it was."""
        stem = os.path.splitext(broken.key)[0]
        return broken.key in self.walked.texts.get(stem, ()) and self._state(broken.key) == (
            broken.size,
            broken.mtime_ns,
        )

    def _files(self, picture: Picture) -> list[bytes]:
        return sorted(self.walked.texts.get(os.path.splitext(picture.key)[0], ()), reverse=True)  # .txt before .json

    def _file(self, key: bytes) -> str:
        return os.path.join(self.walked.root, os.fsdecode(key))

    def _state(self, key: bytes) -> tuple[int, int]:
        try:
            info = os.stat(self._file(key))
        except OSError:
            return 0, 0
        return info.st_size, info.st_mtime_ns

    def _add_table(self, key: bytes, known: set[bytes], excused: set[bytes]) -> None:
        name = os.fsdecode(key)
        try:
            table = read_table(self._file(key), name)
        except ManifestError as error:
            self.problems.append(Broken(key, error.message, *self._state(key)))
            return
        except OSError as error:
            self.problems.append(Broken(key, sentence(error), *self._state(key)))
            return
        problems = table.problems
        for where, path, texts in table.rows:
            for candidate in self._meant(key, path):
                if candidate in known:
                    self._rows.setdefault(candidate, Texts()).add(texts.captions, texts.metadata)
                    break
                if candidate in excused or self.walked.hides(candidate):
                    break
            else:
                problems.append(f"{where}: names {path!r}, no such picture below the folder")
        problems.extend(_too_many(name, row) for row in self._rows.values() if len(row.captions) > MAX_CAPTIONS)
        if problems:
            more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
            self.problems.append(Broken(key, problems[0] + more, *self._state(key)))

    def _meant(self, table: bytes, path: str) -> list[bytes]:
        """Give the keys that a path of a table can mean: relative to its folder, or absolute."""
        keys = []
        for form in dict.fromkeys((path, path.replace("\\", "/"))):
            if os.path.isabs(form):
                form = os.path.relpath(os.path.normpath(form), os.path.abspath(self.walked.root))
                keys.append(os.fsencode(form))
            else:
                keys.append(os.path.normpath(os.path.join(os.path.dirname(table), os.fsencode(form))))
        return keys


def _too_many(name: str, texts: Texts) -> str:
    """Cut captions down to what is kept, and say so."""
    count = len(texts.captions)
    del texts.captions[MAX_CAPTIONS:]
    return f"{name}: {count:,} captions of one picture, kept the first {MAX_CAPTIONS:,}"


def _read(file: str, name: str) -> Texts:
    """Read `photo.txt`, one caption a line, or `photo.json`, one object.

    Raises:
        ManifestError: it is too large, not UTF-8, or not such an object; the message names file, line and field.
    """
    with open(file, "rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{name}: larger than {MAX_BYTES >> 20} MB, expected captions of one picture")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8") from error
    if name.lower().endswith(".txt"):
        return texts_of({"captions": text.splitlines()}, name)
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{name}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise ManifestError(f"{name}: too many brackets within brackets") from error
    if not isinstance(record, dict):
        raise ManifestError(f"{name}: found a {type(record).__name__}, expected an object")
    return texts_of({key: dated(value) for key, value in record.items()}, name)
