"""The bytes of an item wherever they lie: a file, a member of a tar, or a cell of an Arrow or Parquet table."""

from __future__ import annotations

import filecmp
import os
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from crossbit.data.formats.arrow import cell
from crossbit.data.formats.losses import as_file, inside, place_of
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError

CAP = 4 << 30
"""Bytes of the largest medium that is taken out of a tar or table."""

_MAGIC = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"fLaC", ".flac"),
    (b"OggS", ".ogg"),
    (b"ID3", ".mp3"),
    (b"\x1aE\xdf\xa3", ".webm"),
)


def content(manifest: Manifest, item: Item) -> bytes:
    """Give the bytes of an item.

    Raises:
        ManifestError: the file is missing or cut, or the item is a row of an array of features, which has no bytes.
    """
    path = manifest.file(item)
    where = f"{manifest.name}: item {item.id!r}"
    if not path.is_file():
        raise ManifestError(
            f"{where}: there is no file {path}", "get the file, or name the folder of the media with --media"
        )
    place = place_of(item)
    if "column" in place:
        return _cell(path, str(place["column"]), place.get("row"), where)
    if "member" in place:
        offset, size = place.get("offset"), place.get("size")
        if not isinstance(offset, int) or not isinstance(size, int) or offset < 0 or not 0 <= size <= CAP:
            raise ManifestError(f"{where}: offset {offset!r} and size {size!r} lead nowhere in {item.path}")
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read(size)
        if len(found) != size:
            raise ManifestError(f"{where}: {path} ends inside the item", "the tar is cut: get it again")
        return found
    if place:
        raise ManifestError(f"{where}: is a row of features in {item.path}, expected a picture, video or sound")
    return path.read_bytes()


def _cell(path: Path, column: str, row: object, where: str) -> bytes:
    if not isinstance(row, int):
        raise ManifestError(f"{where}: row {row!r} leads nowhere in {path}")
    value = cell(path, column, row)
    value = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(value, bytes) or not value:
        raise ManifestError(f"{where}: row {row} of {column!r} in {path} holds no bytes")
    return value


def media_of(manifest: Manifest, item: Item) -> Path | bytes:
    """Give what an encoder takes: the file, or the bytes of an item that lies inside another file.

    Raises:
        ManifestError: as `content`.
    """
    return content(manifest, item) if inside(item) else manifest.file(item)


def suffix_of(manifest: Manifest, item: Item) -> str:
    """Give the suffix that the item's file has or would have, such as `.png`."""
    if not inside(item):
        return Path(item.path).suffix
    named = Path(str(place_of(item).get("member", ""))).suffix
    if named:
        return named
    head = content(manifest, item)[:16]
    if head[:4] == b"RIFF":
        return ".webp" if head[8:12] == b"WEBP" else ".wav"
    if head[4:8] == b"ftyp":
        return ".mp4"
    default = {"image": ".png", "video": ".mp4", "audio": ".wav"}.get(item.modality, ".bin")
    return next((suffix for magic, suffix in _MAGIC if head.startswith(magic)), default)


def gathered(manifest: Manifest, folder: Path, how: str) -> Manifest:
    """Put the media of a manifest below a folder, into `media/`, and give the manifest that lists them there.

    Args:
        manifest: the items.
        folder: where the list is going to lie.
        how: `copy`; or `link`, which makes hard links and copies only where the disk is another one.

    Raises:
        ManifestError: a medium is missing, or two of them would get one name.
    """
    items: list[Item] = []
    taken: dict[str, Item] = {}
    for item in manifest:
        name = safe_name(item.id if inside(item) else str(Path(item.path).with_suffix(""))) + suffix_of(manifest, item)
        target = folder / "media" / name
        # case does not tell names apart on every file system
        if (other := taken.setdefault(name.lower(), item)) is not item and (inside(item) or other.path != item.path):
            raise ManifestError(f"{manifest.name}: items {other.id!r} and {item.id!r} would both be the file {target}")
        _place(manifest, item, target, how)
        path = f"media/{name}"
        items.append(as_file(item, path) if inside(item) else replace(item, path=path))
    return Manifest(manifest.name, folder, tuple(items))


def _place(manifest: Manifest, item: Item, target: Path, how: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if inside(item):
        target.write_bytes(content(manifest, item))
        return
    source = manifest.file(item)
    if not source.is_file():
        raise ManifestError(f"{manifest.name}: item {item.id!r}: there is no file {source}", "get it, or name --media")
    if target.exists():
        if not target.samefile(source) and not filecmp.cmp(source, target, shallow=False):
            raise ManifestError(f"{target}: holds something else than {source}", "remove it, or name a new folder")
        return
    if how == "link":
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
        return
    shutil.copyfile(source, target)


def safe_name(name: str) -> str:
    """Give a relative path that is safe on every file system: odd characters become %XX, no part is empty, `.` or `..`."""
    parts = [quote(part, safe="-_ ().+,=@") for part in name.split("/")]
    return "/".join(part.replace(".", "%2E") if part.startswith(".") else part or "%" for part in parts)
