"""What a format cannot hold is said, not dropped in silence: the fields, captions and metadata that a writer leaves behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from crossbit.data.formats.gather import SUFFIXES, one_line
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError, UsageError

_CHECKED = ("labels", "split", "concept", "source", "licence", "start", "end")
_PLACES = {
    ".tar": ("member", "offset", "size"),
    ".parquet": ("column", "row", "member"),
    ".arrow": ("column", "row", "member"),
    ".npy": ("row",),
    ".mat": ("array", "row"),
}
"""Metadata that say where an item lies, by the suffix of a file that holds many."""


@dataclass(frozen=True)
class Holds:
    """What of an item a format can hold beside id, path and captions.

    Args:
        fields: names of `Item` fields.
        metadata: names of metadata; None holds them all.
        kinds: whether the kind of a caption is kept.
    """

    fields: Set[str] = frozenset()
    metadata: Set[str] | None = frozenset()
    kinds: bool = False

    def losses(self, manifest: Manifest) -> list[str]:
        """Give a sentence for each field that some item has and the format has no place for."""
        counts: Counter[str] = Counter()
        for item in manifest:
            counts.update(
                name for name in _CHECKED if name not in self.fields and getattr(item, name) not in ("", (), None)
            )
            name = str(place_of(item).get("member", item.path))
            guessed = SUFFIXES.get(PurePosixPath(name).suffix.lower(), "image")
            counts["modality"] += "modality" not in self.fields and item.modality != guessed
            if self.metadata is not None:
                counts.update(f"metadata {name}" for name in item.metadata if name not in self.metadata)
            counts["line breaks and bare ends of captions"] += any(c.text != one_line(c.text) for c in item.captions)
            if not self.kinds and any(caption.kind != "caption" for caption in item.captions):
                counts["kind of captions"] += 1
        return [
            f"{name}: the format has no place for it ({count:,} items)"
            for name, count in sorted(counts.items())
            if count
        ]


def one_language(manifest: Manifest, language: str | None) -> tuple[Manifest, list[str]]:
    """Keep the captions of one language, for formats that do not say the language, and tell what that costs.

    Raises:
        UsageError: there are several languages and none was named.
    """
    if language is None and len(manifest.languages) > 1:
        raise UsageError(
            f"{manifest.name}: captions in {', '.join(manifest.languages[:12])}, and the format holds one language",
            f"name it: --to-option language={manifest.languages[0]}",
        )
    language = language or (manifest.languages[0] if manifest.languages else "en")
    others = sum(c.lang != language for item in manifest for c in item.captions)
    if not others:
        return manifest, [] if language == "en" else [f"language {language!r}: the format does not name it"]
    return manifest.select(languages=[language]), [f"{others:,} captions in other languages than {language!r}"]


def whole_file(manifest: Manifest, name: str) -> None:
    """Refuse items that lie inside another file.

    Raises:
        ManifestError: an item is a member of a tar, a row of a table or of an array.
    """
    for item in manifest:
        if inside(item):
            raise ManifestError(
                f"{manifest.name}: item {item.id!r} lies inside {item.path}, and format {name!r} lists whole files",
                "take the media out first: crossbit data convert ... --copy copy",
            )


def place_of(item: Item) -> dict[str, Any]:
    """Give where in the file at its path an item lies: a member of a tar, a cell of a table, a row of an array; else empty."""
    return {
        name: item.metadata[name] for name in _PLACES.get(PurePosixPath(item.path).suffix, ()) if name in item.metadata
    }


def inside(item: Item) -> bool:
    """Say whether an item is a part of the file at its path."""
    return bool(place_of(item))


def as_file(item: Item, path: str) -> Item:
    """Give the item as a file of its own, after it was taken out of a tar or table."""
    place = place_of(item)
    return replace(item, path=path, metadata={name: v for name, v in item.metadata.items() if name not in place})
