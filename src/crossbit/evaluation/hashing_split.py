"""Who asks, who is searched and who is learned from, in a comparison of hashing methods: a file with a fingerprint.

As in the literature the queries stand outside of the database and the training pairs are drawn from the database. Here the
queries are the concepts of the split that asks, the database is all other splits, and training sees the split "train".
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError

FORMAT = 1


@dataclass(frozen=True)
class HashingSplit:
    """Name the items of the three sets, and the labels that make two of them relevant to each other.

    Args:
        data: name of the manifest.
        data_fingerprint: of its records, texts and labels.
        labels: that items can share.
        query: ids of the items that ask.
        retrieval: ids of those that are searched.
        training: ids of those that are learned from.

    Raises:
        ManifestError: an item asks and is searched, or is learned from and not searched.
    """

    data: str
    data_fingerprint: str
    labels: tuple[str, ...]
    query: tuple[str, ...]
    retrieval: tuple[str, ...]
    training: tuple[str, ...]

    def __post_init__(self) -> None:
        if both := set(self.query) & set(self.retrieval):
            raise ManifestError(f"{self.data}: item {min(both)!r} asks and is searched, expected one of them")
        if outside := set(self.training) - set(self.retrieval):
            raise ManifestError(f"{self.data}: item {min(outside)!r} is learned from and not searched")

    @classmethod
    def of(cls, manifest: Manifest, query: str = "test", training: str = "train") -> HashingSplit:
        """Take the sets of a manifest.

        Raises:
            ManifestError: a split is empty, or a concept of the queries is searched too.
        """
        sets = {
            "query": [item for item in manifest if item.split == query],
            "retrieval": [item for item in manifest if item.split != query],
            "training": [item for item in manifest if item.split == training],
        }
        if empty := [name for name, items in sets.items() if not items]:
            known = sorted({item.split for item in manifest})
            raise ManifestError(f"{manifest.name}: no {empty[0]} items, it has splits {known}")
        known_concepts = {item.concept for item in sets["retrieval"] if item.concept}
        if shared := sorted({item.concept for item in sets["query"]} & known_concepts):
            raise ManifestError(f"{manifest.name}: concept {shared[0]!r} asks and is searched, expected one of them")
        return cls(
            manifest.name,
            manifest.fingerprint,
            tuple(sorted({label for item in manifest for label in item.labels})),
            **{name: tuple(item.id for item in items) for name, items in sets.items()},
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hash everything."""
        return hashlib.sha256(json.dumps(self._record(), sort_keys=True).encode()).hexdigest()[:16]

    def write(self, path: Path) -> None:
        """Write a JSON file, a set a line, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        record = {"format": FORMAT, "fingerprint": self.fingerprint, **self._record()}
        lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in record.items()]
        partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> HashingSplit:
        """Read a file and check it against its fingerprint.

        Raises:
            ManifestError: there is none, it is damaged, or it was changed by hand.
        """
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            version, mark = record.pop("format"), record.pop("fingerprint")
            fields: dict[str, Any] = {
                n: tuple(value) if isinstance(value, list) else value for n, value in record.items()
            }
            found = cls(**fields)
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read ({error.strerror}), expected a hashing split") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(
                f"{path}: no hashing split ({error})", "write it again: `crossbit bench hashing`"
            ) from error
        if version != FORMAT or mark != found.fingerprint:
            raise ManifestError(
                f"{path}: format {version}, fingerprint {mark}; expected {FORMAT} and {found.fingerprint}",
                "it was changed after it was written; write it again: `crossbit bench hashing`",
            )
        return found

    def _record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}
