"""Drafts: items between file and record, and how the model fills them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossbit.errors import FingerprintError, MediaError
from crossbit.features import Features
from crossbit.search.head import Meta
from crossbit.search.metadata import Value, clean
from crossbit.search.records import Record
from crossbit.search.snapshot import Snapshot
from crossbit.search.tables import Texts
from crossbit.search.tokens import KeptTokens
from crossbit.search.walk import Picture

Rows = tuple[np.ndarray | None, np.ndarray | None]
"""Embedding and code of one thing, or of several; None where the model has none."""


@dataclass
class Draft:
    """An item on its way. `rows` are (None, None) until its picture is encoded.

    Args:
        id: of the item.
        picture: its file.
        sha256: of the file's content.
        sidecar: fingerprint of what is said of it.
        texts: captions and metadata.
        facts: what the file says of itself; metadata goes before.
        from_folder: whether it belongs to the folder that is synchronised.
        pixels: to be encoded; None when the rows are known.
        rows: of the picture.
        old: item whose caption rows can be used again, -1 for none.
        withdrawn: the model could not encode it.
    """

    id: int
    picture: Picture
    sha256: bytes
    sidecar: bytes
    texts: Texts
    facts: Mapping[str, Value]
    from_folder: bool
    pixels: np.ndarray | None = None
    rows: Rows = (None, None)
    old: int = -1
    withdrawn: bool = False

    def record(self, captions: Mapping[str, Rows]) -> Record:
        """Give the whole item, with the rows of its captions behind the picture's."""
        rows = [self.rows, *(captions[text] for text in self.texts.captions)]
        embeddings = [row for row, _ in rows if row is not None]
        codes = [row for _, row in rows if row is not None]
        return Record(
            id=self.id,
            key=self.picture.key,
            sha256=self.sha256,
            size=self.picture.size,
            mtime_ns=self.picture.mtime_ns,
            from_folder=self.from_folder,
            sidecar=self.sidecar,
            captions=tuple(self.texts.captions),
            metadata=clean({**self.facts, **self.texts.metadata}),
            embedding=np.stack(embeddings) if embeddings else None,
            code=np.stack(codes) if codes else None,
        )


class Encoder:
    """Fills drafts with the model's rows.

    Args:
        model: gives the model; called when the first thing has to be encoded.
        meta: what the rows have to look like.
        batch_size: things encoded at a time.
    """

    def __init__(self, model: Callable[[], Any], meta: Meta, batch_size: int) -> None:
        self.model, self.meta, self.batch_size = model, meta, batch_size
        self.encoded = 0
        self.kept: KeptTokens | None = None  # takes the tokens of every picture, where the collection keeps them

    def pictures(self, drafts: Sequence[Draft]) -> Iterator[tuple[Draft, str]]:
        """Encode pictures; give those that cannot be, each with the reason."""
        if not drafts:
            return
        try:
            media = [draft.pixels for draft in drafts]
            features = None if self.kept is None else self.model().features("image", media)
            embeddings, codes = self.rows("image", media, features)
        except MediaError as error:
            if len(drafts) == 1:
                yield drafts[0], error.message
            else:  # one of them is at fault: find it, and do not lose the others
                for draft in drafts:
                    yield from self.pictures([draft])
            return
        for place, draft in enumerate(drafts):
            draft.pixels = None
            if embeddings is not None and not np.isfinite(embeddings[place]).all():
                yield draft, "the model gives no finite embedding for it"
                continue
            draft.rows = row(embeddings, place), row(codes, place)
            if self.kept is not None and features is not None:
                self.kept.add(draft.sha256, features[place : place + 1])
            self.encoded += 1

    def captions(self, drafts: Sequence[Draft], snapshot: Snapshot) -> dict[str, Rows]:
        """Give the rows of every caption: each text is encoded once, those of an item's last state not at all."""
        found: dict[str, Rows] = {}
        for draft in drafts:
            if draft.old >= 0 and draft.texts.captions and (item := snapshot.items([draft.old])):
                embeddings, codes = snapshot.embeddings(draft.old)
                for view, text in enumerate(item[0].captions, start=1):
                    found[text] = row(embeddings, view), row(codes, view)
        missing = list(dict.fromkeys(text for draft in drafts for text in draft.texts.captions if text not in found))
        if missing:
            embeddings, codes = self.rows("text", missing)
            for place, text in enumerate(missing):
                found[text] = row(embeddings, place), row(codes, place)
        return found

    def rows(self, view: str, media: Sequence[Any], features: Features | None = None) -> Rows:
        """Encode, or take what was encoded on from its features, and check that the rows are what the collection was made for.

        Raises:
            FingerprintError: they are not.
        """
        if features is None:
            rows = self.model().encode(view, media, batch_size=self.batch_size, on_long_text="truncate")
        else:
            rows = self.model().rows(features)
        for name, found, width in (
            ("embedding", rows.embedding, self.meta.dim),
            ("code", rows.code, -(-self.meta.bits // 8)),
        ):
            if width and (found is None or found.shape != (len(media), width)):
                shape = None if found is None else found.shape
                raise FingerprintError(
                    f"model `{self.meta.model}`: gave {name} {shape}, expected {(len(media), width)}"
                )
        return (rows.embedding if self.meta.dim else None), (rows.code if self.meta.bits else None)


def row(rows: np.ndarray | None, place: int) -> np.ndarray | None:
    """Give one of the rows, where there are any."""
    return None if rows is None else rows[place]
