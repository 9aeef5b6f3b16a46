"""What all readers share: text by lines, JSON with a cap, captions that are looked at, items by id, media found by name."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from crossbit.data.formats.faults import Notes
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError
from crossbit.features import Modality

JSON_CAP = 2 << 30
"""Bytes of the largest JSON file that is read: the whole file has to fit in memory several times."""
LINE_CAP = 16 << 20
"""Bytes of the longest line, and of the longest text in a tar."""

_BY_MODALITY: Mapping[Modality, tuple[str, ...]] = {
    "image": (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"),
    "video": (".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".3gp"),
    "audio": (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"),
}
SUFFIXES: Mapping[str, Modality] = {suffix: name for name, suffixes in _BY_MODALITY.items() for suffix in suffixes}
"""Which modality a file of this suffix is."""

SPLITS: Mapping[str, str] = {
    **{name: "train" for name in ("train", "training", "development")},
    **{name: "val" for name in ("val", "dev", "valid", "validate", "validation")},
    **{name: "test" for name in ("test", "testing", "evaluation", "eval")},
}
"""Our word for a split, by the words that others use."""


_BREAK = re.compile(r"[\r\n]+")


def one_line(text: str) -> str:
    """Give a caption as one line: line breaks become blanks, and the ends are bare."""
    return _BREAK.sub(" ", text).strip()


def _unwritable(item: Item) -> str:
    """Give what JSON or the name of a file brought that UTF-8, or a file system, has no place for; "" if there is nothing."""
    if "\0" in item.id or "\0" in item.path:
        return "\0"
    try:
        "".join((item.id, item.path, *(caption.text for caption in item.captions))).encode()
    except UnicodeEncodeError as error:
        return str(error.object[error.start : error.start + 1])
    return ""


class Gather:
    """Items as they are read, by id; a second item of one id is a problem of the line that brings it."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.items: dict[str, Item] = {}

    def add(self, item: Item, file: Path, line: int | None = None) -> None:
        """Take an item, unless its id is there already or it holds what cannot be written."""
        if odd := _unwritable(item):
            found = f"item {item.id!r} holds {odd!r}, which is half a character, no byte of UTF-8 or no part of a name"
            self.notes.say(file, line, found, "name the file, or write the text, in UTF-8")
            return
        if item.id in self.items:
            first, at = self.notes.places[item.id]
            self.notes.say(
                file,
                line,
                f"item {item.id!r} stands twice, first at {first.name}{'' if at is None else f':{at}'}",
                "remove one of the two records, or give them ids of their own",
            )
            return
        self.items[item.id] = item
        self.notes.places[item.id] = (file, line)

    def manifest(self, name: str, root: Path, file: Path) -> Manifest:
        """Give the manifest; one without items is a problem of `file`."""
        if not self.items:
            self.notes.say(
                file, None, "holds no item", "check that the file is whole and that the format is the right one"
            )
        return Manifest(name, root, tuple(self.items.values()))

    def caption(
        self, text: object, file: Path, line: int | None, record: str, lang: str = "en", kind: str = "caption"
    ) -> Caption | None:
        """Give the caption, or note why there is none."""
        if not isinstance(text, str):
            found = f"{record}: caption is {str(text)[:40]!r} ({type(text).__name__}), expected text"
            self.notes.say(file, line, found, "write the caption as text, or remove the record")
            return None
        text = one_line(text)
        if not text:
            self.notes.say(
                file, line, f"{record}: caption is empty, expected text", "write a caption or remove the record"
            )
            return None
        return Caption(text, lang, kind)

    def captions(
        self,
        texts: Iterable[object],
        file: Path,
        line: int | None,
        record: str,
        lang: str = "en",
        kind: str = "caption",
    ) -> tuple[Caption, ...]:
        """Give the captions among the texts, and note those that are none."""
        found = (self.caption(text, file, line, record, lang, kind) for text in texts)
        return tuple(caption for caption in found if caption is not None)


def need(path: Path, what: str) -> Path:
    """Give the path of a file that a format cannot do without.

    Raises:
        ManifestError: it is not there; the hint names what lies beside.
    """
    if path.is_file():
        return path
    beside = sorted(p.name for p in path.parent.iterdir())[:8] if path.parent.is_dir() else []
    hint = f"beside it lie {', '.join(beside)}" if beside else f"there is no folder {path.parent}"
    raise ManifestError(f"{path}: no such file, expected {what}", hint)


def first_of(folder: Path, names: Iterable[str]) -> Path | None:
    """Give the first of these files that exists, in the folder or a folder below it (`task1/raw/train.en`)."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def lines(path: Path, notes: Notes) -> Iterator[tuple[int, str]]:
    """Give the lines of a text file, or a gzipped one, with their numbers from 1; ends of lines are cut off.

    A line that is not UTF-8 is noted and given as "", so that files that stand side by side stay in step.
    """
    number = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while True:
            try:
                raw = file.readline(LINE_CAP + 1)
            except (OSError, EOFError, zlib.error) as error:
                notes.say(path, number + 1, f"cannot be read on ({error})", "the file is cut or damaged: get it again")
                return
            if not raw:
                return
            number += 1
            if len(raw) > LINE_CAP:
                notes.say(path, number, f"line is longer than {LINE_CAP >> 20} MB", "this is no text by lines")
                return
            yield number, _decode(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, path, number, notes)


def _decode(raw: bytes, path: Path, number: int, notes: Notes) -> str:
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        found = f"byte {error.start + 1} of the line (0x{raw[error.start]:02x}) is not UTF-8"
        notes.say(path, number, found, f"convert the file: iconv -f latin1 -t utf-8 {path.name}")
        return ""


def json_of(path: Path, kind: type, notes: Notes) -> Any:
    """Read a JSON file whose top is of a kind.

    Raises:
        ManifestError: it is too large, cut, not UTF-8 or of another kind; nothing in it can be read then.
    """
    if path.stat().st_size > JSON_CAP:
        raise ManifestError(f"{path}: {path.stat().st_size >> 20} MB, expected at most {JSON_CAP >> 20} MB")
    raw = path.read_bytes()
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"byte {error.start + 1} (0x{raw[error.start]:02x}) is not UTF-8"
        raise ManifestError(
            f"{path}:{line}: {found}", f"convert the file: iconv -f latin1 -t utf-8 {path.name}"
        ) from error
    except json.JSONDecodeError as error:
        found = f"not JSON ({error.msg} at column {error.colno})"
        raise ManifestError(f"{path}:{error.lineno}: {found}", "the file is cut or damaged: get it again") from error
    except RecursionError as error:
        raise ManifestError(
            f"{path}: lists or objects lie too deep in each other", "this is no annotation file"
        ) from error
    if not isinstance(value, kind):
        found = f"the file holds a {type(value).__name__}, expected a {kind.__name__}"
        raise ManifestError(f"{path}: {found}", "name the right format with --format")
    return value


def field(
    record: object, name: str, kind: type | tuple[type, ...], file: Path, line: int | None, place: str, notes: Notes
) -> Any:
    """Give a field of a record, or note that it is missing or of another kind and give None."""
    if not isinstance(record, dict):
        notes.say(file, line, f"{place}: a {type(record).__name__}, expected an object", "correct or remove the record")
        return None
    if name not in record:
        notes.say(file, line, f"{place}: field {name!r} is missing", "add the field or remove the record")
        return None
    value = record[name]
    # True is an int to Python and to no data set
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(k.__name__ for k in kinds)
        found = f"{place}: field {name!r} is {str(value)[:40]!r}, expected {wanted}"
        notes.say(file, line, found, "correct the field or remove the record")
        return None
    return value


class Shelf:
    """Media below a folder, found by name without suffix, because lists name clips and not files.

    Args:
        root: the folder; it need not exist, then every file is named as it would be called there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stems: dict[str, str] | None = None

    def path(self, names: Iterable[str], suffix: str) -> str:
        """Give the path relative to the root of the file of one of these names; without one, the first name and `suffix`."""
        if self._stems is None:
            self._stems = dict(self._walk())
        names = list(names)
        return next((self._stems[name] for name in names if name in self._stems), names[0] + suffix)

    def _walk(self) -> Iterator[tuple[str, str]]:
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for name in sorted(files, reverse=True):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES:
                    relative = os.path.relpath(os.path.join(folder, name), self.root)
                    yield stem, Path(relative).as_posix()
