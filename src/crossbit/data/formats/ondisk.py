"""Media inside tars and tables, put into the cache once as files: encoders, sheets and the cache of features take paths."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from crossbit.cachedir import cache_dir
from crossbit.data.formats.content import content, safe_name, suffix_of
from crossbit.data.formats.losses import as_file, inside
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError


def on_disk(manifest: Manifest, *, progress: bool = False) -> Manifest:
    """Give the manifest with every item as a file of its own; one that has only such is given back as it is.

    What was taken out before is kept as long as the tar or table is the same, by its name, size and time of change.

    Raises:
        ManifestError: some items are files and others lie inside files; or one is a row of features, which is no medium.
    """
    within = [inside(item) for item in manifest]
    if not any(within):
        return manifest
    if not all(within):
        first = manifest.items[within.index(False)]
        what = f"item {first.id!r} is a file, and others lie inside tars or tables"
        raise ManifestError(f"{manifest.name}: {what}", "convert it first: crossbit data convert ... --copy copy")
    folder = cache_dir() / "media" / f"{safe_name(manifest.name).replace('/', '-')[:40]}-{_key(manifest)}"
    items = tqdm(manifest, desc=f"take {manifest.name} out", unit="file", disable=None if progress else True)
    return Manifest(manifest.name, folder, tuple(_taken(manifest, item, folder) for item in items))


def _taken(manifest: Manifest, item: Item, folder: Path) -> Item:
    name = f"{safe_name(item.id)}{suffix_of(manifest, item)}"
    target = folder / name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
        partial.write_bytes(content(manifest, item))
        partial.replace(target)  # so a file that is there is whole, however the last run ended
    return replace(as_file(item, name), path=name)


def _key(manifest: Manifest) -> str:
    digest = hashlib.sha256()
    for path in sorted({item.path for item in manifest}):
        file = (manifest.root / path).resolve()
        stamp = file.stat()
        digest.update(f"{file}\0{stamp.st_size}\0{stamp.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:12]
