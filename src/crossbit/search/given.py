"""What is handed over in Python: files with their captions and metadata, or items of a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossbit.data.manifest import Item as ManifestItem
from crossbit.data.manifest import Manifest
from crossbit.errors import MediaError, UsageError
from crossbit.search.metadata import clean, dump
from crossbit.search.tables import Texts
from crossbit.search.walk import TABLES, Broken, Picture, Walked

Addable = str | Path | ManifestItem


class Given:
    """Texts by key, as `plan.Sayings`."""

    def __init__(self, texts: Mapping[bytes, Texts]) -> None:
        self.texts_of = texts

    def digest(self, picture: Picture) -> bytes:
        """Give a fingerprint of the texts."""
        texts = self.texts_of[picture.key]
        told = json.dumps([texts.captions, dump(texts.metadata)])
        return hashlib.blake2b(told.encode(), digest_size=16).digest()

    def read(self, picture: Picture) -> tuple[Texts, list[Broken]]:
        """Give the texts."""
        texts = self.texts_of[picture.key]
        return Texts(list(texts.captions), dict(texts.metadata)), []


def pictures_of(items: Iterable[Addable], files: Path | None, root: Path | None) -> list[Picture]:
    """Find the files of what is to be added.

    Args:
        items: paths, or items of a manifest.
        files: what relative paths are relative to; None for the working directory.
        root: of the collection; what lies below is kept relative to it.

    Raises:
        MediaError: a file is not there; nothing was added.
    """
    found = []
    base = os.path.realpath(root) if root is not None else None
    for item in items:
        path = os.path.abspath(os.path.join(files or "", item.path if isinstance(item, ManifestItem) else item))
        try:
            info = os.stat(path)
        except OSError as error:
            raise MediaError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
        if os.path.isdir(path):
            raise MediaError(f"{path}: a folder, expected a picture", "`sync` takes whole folders")
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        inside = base is not None and real.startswith(os.path.join(base, ""))
        key = os.path.relpath(real, base) if inside else path
        found.append(Picture(os.fsencode(key), path, info.st_size, info.st_mtime_ns))
    return found


def texts_given(
    items: Sequence[Addable],
    pictures: Sequence[Picture],
    captions: Sequence[Sequence[str]] | None,
    metadata: Sequence[Mapping[str, Any]] | None,
) -> Given | None:
    """Give what is said of the items in Python; None where nothing is and their sidecars should be read.

    Raises:
        UsageError: there are more or fewer captions or metadata than items.
    """
    for name, given in (("captions", captions), ("metadata", metadata)):
        if given is not None and len(given) != len(items):
            raise UsageError(f"add: {len(given)} {name} for {len(items)} items, expected one list for each")
        if given is not None and any(isinstance(one, str) for one in given):
            raise UsageError(f"add: {name} of an item is a text, expected a list of captions for each item")
    if captions is None and metadata is None and not any(isinstance(item, ManifestItem) for item in items):
        return None
    texts = {}
    for place, (item, picture) in enumerate(zip(items, pictures, strict=True)):
        said = Texts()
        if isinstance(item, ManifestItem):
            facts = {name: getattr(item, name) for name in ("concept", "split", "source", "licence")}
            known = {"key": item.id, **{name: value for name, value in facts.items() if value}, **item.metadata}
            said.add([caption.text for caption in item.captions], clean(known, item.id))
        said.add(
            [] if captions is None else [" ".join(text.split()) for text in captions[place] if text.strip()],
            {} if metadata is None else clean(metadata[place], picture.file),
        )
        texts[picture.key] = said
    return Given(texts)


def beside(pictures: Sequence[Picture], root: Path | None) -> Walked:
    """Look only beside some pictures: the files of the same stem, and the tables of their folders."""
    walked = Walked(os.fspath(root or ""), list(pictures))
    for folder in {os.path.dirname(picture.key) for picture in pictures}:
        names = os.listdir(os.path.join(walked.root, os.fsdecode(folder)) or ".")
        walked.tables.extend(os.path.join(folder, os.fsencode(name)) for name in names if name.lower() in TABLES)
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in (".txt", ".json"):
                key = os.path.join(folder, os.fsencode(stem))
                walked.texts.setdefault(key, []).append(os.path.join(folder, os.fsencode(name)))
    return walked


def items_of(items: Iterable[Addable] | Manifest, files: Path | None) -> tuple[list[Addable], Path | None]:
    """Give a list of items and what their paths are relative to."""
    if isinstance(items, Manifest):
        return list(items), items.root
    if isinstance(items, (str, Path)):
        return [items], files
    return list(items), files
