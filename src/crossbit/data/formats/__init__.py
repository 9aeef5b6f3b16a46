"""Every format in which the field keeps its data: one reader a file, all under a name, all into a Manifest.

A new format is a file with `read(path, notes, **options)`, one line in `READERS` and one in `detect.SIGNS`; docs/data.md has
a row for each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from crossbit.data.formats.checks import absent, entities, overlaps, unescaped
from crossbit.data.formats.convert import Converted, convert
from crossbit.data.formats.detect import detect
from crossbit.data.formats.faults import Dropping, Enough, Notes, Problem
from crossbit.data.formats.options import check, parsed
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError, UsageError

__all__ = [
    "READERS",
    "WRITERS",
    "Converted",
    "Problem",
    "Report",
    "convert",
    "detect",
    "options_of",
    "read",
    "validate",
    "write",
]

_log = logging.getLogger(__name__)
_ROOM = "crossbit.data.formats."

READERS: Mapping[str, str] = {
    "manifest": "own:read",
    "karpathy": "karpathy:read",
    "precomp": "precomp:read",
    "folder": "folder:read",
    "csv": "table:read_csv",
    "tsv": "table:read_tsv",
    "jsonl": "table:read_jsonl",
    "parquet": "table:read_parquet",
    "webdataset": "webdataset:read",
    "hf": "hf:read",
    "mirflickr25k": "hashing:read_mirflickr25k",
    "nuswide10": "hashing:read_nuswide10",
    "nuswide21": "hashing:read_nuswide21",
    "coco-hashing": "hashing:read_coco",
    "iaprtc12": "hashing:read_iaprtc12",
    "msrvtt": "msrvtt:read",
    "msvd": "msvd:read",
    "vatex": "vatex:read",
    "didemo": "moments:read_didemo",
    "activitynet": "moments:read_activitynet",
    "audiocaps": "audio:read_audiocaps",
    "clotho": "audio:read_clotho",
    "multi30k": "parallel:read_multi30k",
    "xtd10": "parallel:read_xtd10",
    "xm3600": "xm3600:read",
    "coco-cn": "coco_cn:read",
    "eccv": "relevance:read_eccv",
    "cxc": "relevance:read_cxc",
}
"""Format to the function that reads it."""

WRITERS: Mapping[str, str] = {
    "manifest": "own:write",
    "karpathy": "karpathy:write",
    "precomp": "precomp:write",
    "folder": "folder:write",
    "csv": "table:write_csv",
    "tsv": "table:write_tsv",
    "jsonl": "table:write_jsonl",
    "parquet": "table:write_parquet",
    "webdataset": "webdataset:write",
}
"""Format to the function that writes it; each gives a list of what the format could not hold."""


def read(name: str, path: str | Path, *, drop_faulty: bool = False, unescape: bool = False, **options: Any) -> Manifest:
    """Read a data set.

    Args:
        name: a format of `READERS`.
        path: the file or folder, as docs/data.md says for the format.
        drop_faulty: leave out the records that are at fault and warn how many, in place of stopping at the first.
        unescape: write what is HTML in captions (`&amp;`) as characters.
        options: what the format takes, such as `restval`; nearly all take `media`, the folder of the media files.

    Raises:
        ManifestError: a record is at fault; the message names file, line and record.
        UsageError: there is no such format, or it does not take the option.
    """
    notes = Dropping() if drop_faulty else Notes()
    manifest = _read(name, Path(path), notes, options)
    faulty = overlaps(manifest, Path(path), notes)
    if isinstance(notes, Dropping):
        manifest = replace(manifest, items=tuple(item for item in manifest if item.id not in faulty))
        notes.tell(manifest.name)
    if unescape:
        return unescaped(manifest)
    escaped = Dropping()
    escaped.places = notes.places
    entities(manifest, Path(path), escaped)
    if escaped.problems:
        first, count = escaped.problems[0], len(escaped.problems)
        _log.warning("%s: %d captions with HTML, the first: %s: %s", name, count, first.where, first.message)
    return manifest


@dataclass(frozen=True)
class Report:
    """What a validation found: the problems, and the manifest where it could be read to its end."""

    problems: tuple[Problem, ...]
    manifest: Manifest | None


def validate(name: str, path: str | Path, limit: int = 10, *, media_files: bool = True, **options: Any) -> Report:
    """Look for what is wrong with a data set, and stop at the first few problems.

    Args:
        name: a format of `READERS`.
        path: the file or folder.
        limit: how many at most.
        media_files: also look whether the media that are listed exist.
        options: as `read` takes them.

    Raises:
        UsageError: there is no such format, or it does not take the option.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}, expected at least 1")
    notes, manifest = Notes(limit), None
    try:
        manifest = _read(name, Path(path), notes, options)
        overlaps(manifest, Path(path), notes)
        entities(manifest, Path(path), notes)
        if media_files:
            absent(manifest, Path(path), notes)
    except Enough:
        pass
    except ManifestError as error:  # what stands in the way of all reading
        notes.problems.append(_problem(error, Path(path)))
    return Report(tuple(notes.problems[:limit]), manifest)


def write(name: str, manifest: Manifest, path: str | Path, **options: Any) -> list[str]:
    """Write a data set whose media lie where its paths say, and give what the format could not hold, in sentences.

    Raises:
        ManifestError: the manifest cannot be written in this format at all.
        UsageError: the format is not one of `WRITERS`, or it does not take the option.
    """
    function = _function(name, WRITERS, "written")
    check(function, name, options)
    lost: list[str] = function(manifest, Path(path), **options)
    return lost


def options_of(name: str, pairs: Sequence[str] = (), *, writing: bool = False) -> Mapping[str, Any]:
    """Give options from `key=value`, such as a command line brings, for `read` or `write`.

    Raises:
        UsageError: there is no such format or option, or the value does not fit.
    """
    return parsed(_function(name, WRITERS, "written") if writing else _function(name, READERS, "read"), name, pairs)


def _read(name: str, path: Path, notes: Notes, options: Mapping[str, Any]) -> Manifest:
    function = _function(name, READERS, "read")
    check(function, name, options)
    if not path.exists() and "{" not in str(path):  # names of tars may be patterns
        raise ManifestError(f"{path}: no such file or folder", "check the path")
    manifest: Manifest = function(path, notes, **options)
    return manifest


def _function(name: str, table: Mapping[str, str], done: str) -> Callable[..., Any]:
    if name not in table:
        raise UsageError(f"format {name!r} cannot be {done}, expected one of {', '.join(table)}")
    module, _, function = table[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(_ROOM + module), function)
    return found


def _problem(error: ManifestError, path: Path) -> Problem:
    """Take a message `file:line: what` apart, where it begins like that."""
    head, _, rest = error.message.partition(": ")
    file, _, line = head.rpartition(":")
    if line.isdigit() and Path(file).exists():
        return Problem(Path(file), int(line), rest, error.hint)
    if Path(head).exists() or Path(head).parent.is_dir() and "/" in head:
        return Problem(Path(head), None, rest, error.hint)
    return Problem(path, None, error.message, error.hint)
