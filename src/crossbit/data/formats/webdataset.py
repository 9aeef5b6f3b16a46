"""Tars of WebDataset: members `key.jpg`, `key.txt`, `key.json`, `key.cls` that follow each other are one item.

An item's path is its tar; its metadata say `member`, `offset` and `size`, so that a picture is read by one seek and nothing has
to be unpacked. Several tars are a folder, or a pattern such as `train-{000..013}.tar`.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from crossbit.data.formats.columns import Columns, Drafts, Pick, Rules, chosen_columns, labels_of, pairs
from crossbit.data.formats.content import content, safe_name, suffix_of
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import LINE_CAP, SPLITS, SUFFIXES, Gather, one_line
from crossbit.data.formats.losses import Holds, as_file
from crossbit.data.formats.published import mind
from crossbit.data.formats.table import records
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError

_BLOCK = 512
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MANY = 100_000
_HOLDS = Holds(
    fields=frozenset({"modality", "labels", "split", "concept", "source", "licence", "start", "end"}),
    metadata=None,
    kinds=True,
)
_TEXT = re.compile(r"(?:(?P<lang>[a-z]{2,3}(?:-[a-z0-9]{2,8})?)\.)?(?:txt|text|caption)")


@dataclass
class _Sample:
    """The members of one key."""

    key: str
    media: list[tuple[str, int, int]] = field(default_factory=list)  # member, offset, size
    texts: dict[str, str] = field(default_factory=dict)  # by what follows the key


def read(
    path: Path,
    notes: Notes,
    *,
    columns: Pick = "",
    language: str = "en",
    split: str = "",
    bare: bool = False,
    prefix: bool = False,
) -> Manifest:
    """Read the index of one or more tars; no picture is unpacked.

    Args:
        path: a tar, a folder with tars in it or right below it, or a pattern.
        notes: takes the problems.
        columns: which field of `key.json` is what, where its name does not tell.
        language: of captions whose language is not said: `key.de.txt` says it, and `key.json` may.
        split: of tars whose name or folder does not begin with the name of one.
        bare: media without captions are items as well.
        prefix: put the tar's name before each key, for sets in which every tar counts from 0.
    """
    root, tars = tars_of(path)
    gather = Gather(notes)
    chosen = chosen_columns(columns)
    drafts = Drafts(gather, Rules(language, split, bare=bare))
    for tar in tars:
        relative = tar.relative_to(root)
        known: dict[str, Any] = {"path": relative.as_posix()}
        named = re.match(r"[a-zA-Z]+", relative.name), re.match(r"[a-zA-Z]+", relative.parts[0])
        words = [SPLITS[match[0].lower()] for match in named if match and match[0].lower() in SPLITS]
        if words:
            known["split"] = words[0]
        for sample in _samples(tar, notes):
            before = f"{relative.with_suffix('').as_posix()}/" if prefix else ""
            _take(sample, before, tar, known, chosen, drafts)
    drafts.finish()
    name = _RANGE.sub("", path.name).removesuffix(".tar").strip("-_.") or root.resolve().name
    return gather.manifest(name, root, path)


def tars_of(path: Path) -> tuple[Path, list[Path]]:
    """Give the root that paths are relative to, and the tars.

    Raises:
        ManifestError: there is none, or one of the pattern is missing.
    """
    if path.is_dir():
        tars = sorted([*path.glob("*.tar"), *path.glob("*/*.tar")])
        if not tars:
            raise ManifestError(f"{path}: a folder without tars, expected *.tar in it or right below it")
        return path, tars
    if "{" not in path.name:
        return path.parent, [path]
    ranges = [(match, int(match[1]), int(match[2])) for match in _RANGE.finditer(path.name)]
    if len(ranges) != 1 or not 0 <= ranges[0][2] - ranges[0][1] < _MANY:
        raise ManifestError(f"{path}: no pattern of tars, expected one range such as {{000..013}}")
    match, first, last = ranges[0]
    width = len(match[1])
    tars = [path.with_name(_RANGE.sub(f"{number:0{width}}", path.name)) for number in range(first, last + 1)]
    if missing := [tar.name for tar in tars if not tar.is_file()]:
        what = f"{len(missing)} of {len(tars)} tars are missing, the first is {missing[0]}"
        raise ManifestError(f"{path}: {what}", "get them, or write the range of those that are there")
    return path.parent, tars


def _samples(tar: Path, notes: Notes) -> Iterator[_Sample]:
    """Group the members that follow each other under one key; note what is no file, and where a tar is cut."""
    sample: _Sample | None = None
    strange: set[str] = set()
    with tar.open("rb") as file:
        for member in _members(tar, notes):
            if member.isdir():
                continue
            folder, _, name = member.name.rpartition("/")
            stem, _, rest = name.partition(".")
            if not member.isreg() or member.issparse():
                notes.say(
                    tar, None, f"member {member.name!r} is no plain file", "pack the files themselves, without links"
                )
                continue
            if not stem:
                continue  # hidden files, such as macOS puts into tars
            key = f"{folder}/{stem}" if folder else stem
            if sample is None or key != sample.key:
                if sample is not None:
                    yield sample
                sample = _Sample(key)
            if PurePosixPath(name).suffix.lower() in SUFFIXES:
                sample.media.append((member.name, member.offset_data, member.size))
            elif _TEXT.fullmatch(rest.lower()) or rest.lower() in ("json", "cls"):
                text = _text(file, member, tar, notes)
                if text is not None:
                    sample.texts[rest.lower()] = text
            else:
                if rest not in strange:  # a word about each kind, not about a million members
                    strange.add(rest)
                    what = f"member {member.name!r} is neither media nor .txt, .json or .cls, and is not read"
                    mind(notes, tar, None, what, "leave such members out of the tar, or name them by these")
    if sample is not None:
        yield sample


def _members(tar: Path, notes: Notes) -> Iterator[tarfile.TarInfo]:
    size, last, end = tar.stat().st_size, None, 0
    cut = "the tar is cut: get it again, or go on with what is whole by --drop-faulty"
    try:
        with tarfile.open(tar, "r:") as opened:
            while (member := opened.next()) is not None:
                opened.members = []  # type: ignore[attr-defined] # tarfile keeps what it has seen, which grows with the tar
                if member.isreg() and member.offset_data + member.size > size:
                    whole = f"the last whole one is {last!r}" if last else "and no member is whole"
                    notes.say(tar, None, f"ends inside member {member.name!r}, {whole}", cut)
                    return
                last = member.name
                end = member.offset_data + (-(-member.size // _BLOCK) * _BLOCK if member.isreg() else 0)
                yield member
    except (tarfile.TarError, OSError, EOFError) as error:
        whole = f"the last whole member is {last!r}" if last else "no member is whole"
        kind = "a compressed tar has to be unpacked: gunzip it first; or " if _is_gzip(tar) else ""
        notes.say(tar, None, f"no tar that can be read to its end ({error}); {whole}", kind + cut)
        return
    # tarfile takes whatever is no header for the end; a whole tar ends with a block of zeros
    if last is not None and _block(tar, end) != bytes(_BLOCK):
        notes.say(tar, None, f"has no mark of its end after member {last!r}, which is the last whole one", cut)


def _block(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_BLOCK)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _text(file: Any, member: tarfile.TarInfo, tar: Path, notes: Notes) -> str | None:
    if member.size > LINE_CAP:
        notes.say(
            tar,
            None,
            f"member {member.name!r} has {member.size >> 20} MB",
            f"expected at most {LINE_CAP >> 20} MB of text",
        )
        return None
    file.seek(member.offset_data)
    raw: bytes = file.read(member.size)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"member {member.name!r}: byte {error.start + 1} (0x{raw[error.start]:02x}) is not UTF-8"
        notes.say(tar, None, found, "write it anew as UTF-8")
        return None


def _take(
    sample: _Sample, before: str, tar: Path, known: Mapping[str, Any], chosen: Mapping[str, str], drafts: Drafts
) -> None:
    """Make items of a sample, one of each of its media."""
    notes, place = drafts.gather.notes, f"key {sample.key!r}"
    if not sample.media:
        texts = ", ".join(f".{name}" for name in sample.texts) or "nothing that can be read"
        notes.say(tar, None, f"{place} has {texts} and no media", "pack the media beside it, under the same key")
        return
    row = _json(sample, tar, notes)
    if row is None:
        return
    columns = Columns.guess(tuple(row), {ours: name for ours, name in chosen.items() if name in row}, str(tar))
    own = str(row.get(columns.of.get("id", ""), ""))
    identifier = own if key_of(own) == sample.key else sample.key  # what we wrote: a key cannot hold every character
    columns = columns.without("path", "id") if identifier != own else columns.without("path")
    row, columns = _with_texts(sample, row, columns)
    fields = {name: value for name, value in known.items() if not row.get(columns.of.get(name, ""))}
    if "cls" in sample.texts:
        fields["labels"] = [*labels_of(row.get(columns.of.get("labels", ""))), sample.texts["cls"].strip()]
    for name, offset, size in sample.media:
        suffix = PurePosixPath(name).suffix
        fields["id"] = before + identifier
        if len(sample.media) > 1:  # a clip and its sound, say: two items that show the same
            fields |= {"id": before + identifier + suffix, "concept": before + identifier}
        if not row.get(columns.of.get("modality", "")):
            fields["modality"] = SUFFIXES[suffix.lower()]
        fields["place"] = {"member": name, "offset": offset, "size": size}
        drafts.row(row, columns, tar, None, place, fields)


def _json(sample: _Sample, tar: Path, notes: Notes) -> dict[str, Any] | None:
    """Give what `key.json` says, empty if there is none, None if it is at fault."""
    try:
        row = json.loads(sample.texts.get("json", "{}"))
    except (json.JSONDecodeError, RecursionError) as error:
        notes.say(tar, None, f"member {sample.key}.json is not JSON ({error})", "write it anew, or leave the key out")
        return None
    if not isinstance(row, dict):
        what = f"member {sample.key}.json holds a {type(row).__name__}, expected an object"
        notes.say(tar, None, what, "write it anew, or leave the key out")
        return None
    return row


def _with_texts(sample: _Sample, row: dict[str, Any], columns: Columns) -> tuple[dict[str, Any], Columns]:
    """Add the lines of `key.txt` that `key.json` does not hold already, as most tools write a caption into both."""
    there = {
        one_line(text) for name, _ in columns.captions for text, _ in pairs(row.get(name)) if isinstance(text, str)
    }
    added, captions = dict(row), list(columns.captions)
    for name, text in sample.texts.items():
        if (match := _TEXT.fullmatch(name)) is None or one_line(text) in there:
            continue
        found = [line for line in text.rstrip("\r\n").split("\n") if one_line(line) not in there]
        if found:
            added[f".{name}"] = found
            captions.append((f".{name}", match["lang"]))
    return added, replace(columns, captions=tuple(captions))


def key_of(identifier: str) -> str:
    """Give the key of an item: its id without what a key, or a file system, cannot hold."""
    return safe_name(identifier).replace(".", "%2E")


def write(manifest: Manifest, path: Path, *, per_tar: int = 10_000) -> list[str]:
    """Write media and what is known of them into tars.

    Args:
        manifest: whose media are there; those inside other tars or tables are taken out.
        path: `*.tar` for one tar; else a new or empty folder, in which every split has its own: `train-000000.tar`.
        per_tar: how many items a tar of a folder holds.

    Raises:
        ManifestError: a medium is missing, the folder holds something, or an item is no media file.
    """
    if path.suffix == ".tar":
        path.parent.mkdir(parents=True, exist_ok=True)
        _pack(manifest, list(manifest), path)
    else:
        if path.exists() and any(path.iterdir()):
            raise ManifestError(f"{path}: holds files already, expected a new or empty folder")
        path.mkdir(parents=True, exist_ok=True)
        for split in dict.fromkeys(item.split for item in manifest):
            items = [item for item in manifest if item.split == split]
            for number, start in enumerate(range(0, len(items), per_tar)):
                name = safe_name(split or "all")
                _pack(manifest, items[start : start + per_tar], path / f"{name}-{number:06d}.tar")
    lost = _HOLDS.losses(manifest)
    if naked := sum(not item.captions for item in manifest):
        lost.append(f"{naked:,} items have no caption: read the tars with bare=true")
    return lost


def _pack(manifest: Manifest, items: list[Item], path: Path) -> None:
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for item, record in zip(items, records(replace(manifest, items=tuple(items))), strict=True):
            key, suffix = key_of(item.id), suffix_of(manifest, item).lower()
            if suffix not in SUFFIXES:
                what = f"item {item.id!r} has the suffix {suffix!r}, expected one of {', '.join(SUFFIXES)}"
                raise ManifestError(f"{manifest.name}: {what}", "the format holds pictures, videos and sounds")
            _add(tar, key + suffix, content(manifest, item))
            record = {name: value for name, value in record.items() if name != "path"}
            if "metadata" in record:
                record["metadata"] = as_file(item, "").metadata
            if item.captions:
                lang = item.captions[0].lang
                texts = [one_line(caption.text) for caption in item.captions if caption.lang == lang]
                _add(tar, f"{key}.txt", "".join(text + "\n" for text in texts).encode())
            _add(tar, f"{key}.json", json.dumps(record, ensure_ascii=False).encode())
    partial.replace(path)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # without time and owner, so that the same items give the same tar
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
