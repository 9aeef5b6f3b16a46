"""Opened: a collection that is open for reading: its last commit, its model, what it holds, how large it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from crossbit.errors import FingerprintError
from crossbit.search.calibrate import Calibration, find
from crossbit.search.duplicates import LOOK, NEAR, Group, duplicates
from crossbit.search.far import Far
from crossbit.search.head import read_head, read_meta
from crossbit.search.mirror import mirror_of
from crossbit.search.place import load_model, reference_of
from crossbit.search.records import Item, Stats, VerifyReport, Version
from crossbit.search.snapshot import Snapshot, open_snapshot
from crossbit.search.snapshots import names, open_at, versions
from crossbit.search.verify import verify
from crossbit.search.walk import Broken


class Opened:
    """What `Collection` can do without writing. It needs no lock and sees the last commit, also of other processes."""

    def __init__(self, folder: Path, model: Any = None, wait: float = 0.0) -> None:
        """Use `open` or `create`."""
        self.folder, self.wait = folder, wait
        self.meta = read_meta(folder)
        if place := read_head(folder).place:
            self.meta = read_meta(folder / place)
        self._model: Any = None
        self._snapshot: Snapshot | None = None
        self._state: tuple[int, ...] = ()
        self._past: dict[str, Snapshot] = {}
        self._server: Far | None = None
        if model is not None:
            self._model = self._checked(load_model(model))

    @property
    def snapshot(self) -> Snapshot:
        """Give the last commit; a newer one, made by whichever process, is opened when there is one."""
        try:
            info = os.stat(self.folder / "head.json")
            state: tuple[int, ...] = (info.st_ino, info.st_mtime_ns, info.st_size)
        except FileNotFoundError:
            state = ()
        if self._snapshot is None or state != self._state:
            self._snapshot, self._state = open_snapshot(self.folder, self.meta, self._snapshot), state
            if self._snapshot.meta.fingerprint != self.meta.fingerprint:
                self._model = None  # it moved to another model meanwhile
            self.meta = self._snapshot.meta
            self._snapshot.far = self._far()
        return self._snapshot

    def _far(self) -> Any:
        """Give what searches on a server, where the collection has one; the connection is kept from commit to commit."""
        mirror = mirror_of(self.folder / (self._snapshot.head.place if self._snapshot else ""), self.meta)
        if mirror is None:
            return None
        if self._server is None or (self._server.mirror.folder, self._server.mirror.meta) != (
            mirror.folder,
            mirror.meta,
        ):
            self._server = Far(mirror)
        return self._server

    def at(self, version: str | int) -> Snapshot:
        """Give a commit of the past: a snapshot by name, a commit by number, or the last one up to a date or time (UTC).

        Raises:
            CollectionError: there is none such, or `compact` has dropped it.
        """
        key = str(version)
        found = self._past.get(key) or open_at(self.folder, self.meta, self.snapshot.head, version)
        if key.isdecimal():  # a number means the same commit for ever, a name or a day need not
            self._past[key] = found
        return found

    def versions(self) -> list[Version]:
        """Give the commits that `at` can open, oldest first: all since the last `compact`, and the snapshots."""
        return versions(self.folder, self.snapshot.head)

    def _model_of(self, snapshot: Snapshot) -> Any:
        """Give the model that a commit was made with, which may be another than today's."""
        if snapshot.meta.fingerprint == self.meta.fingerprint:
            return self.model
        return load_model(snapshot.meta.reference)

    @property
    def root(self) -> Path | None:
        """Give the folder that item paths are relative to."""
        return self.snapshot.root

    @property
    def model(self) -> Any:
        """Give the model, loading it when it is first asked for.

        Raises:
            FingerprintError: the model of that name is not the one any more that the collection was made with.
        """
        if self._model is None:
            self._model = self._checked(load_model(self.meta.reference))
        return self._model

    @property
    def calibration(self) -> Calibration | None:
        """Give what turns scores into probabilities: the collection's own, else that of the model's folder, else None."""
        reference = self.meta.reference
        return find(self.folder, self.meta.fingerprint, Path(reference) if os.path.isdir(reference) else None)

    def __len__(self) -> int:
        return len(self.snapshot)

    def __bool__(self) -> bool:
        return True  # an empty collection is a collection

    def __iter__(self) -> Iterator[Item]:
        return self.snapshot.all_items()

    def __getitem__(self, item: int) -> Item:
        """Give an item by id.

        Raises:
            KeyError: there is none.
        """
        found = self.snapshot.items([item])
        if not found:
            raise KeyError(item)
        return found[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files and the model."""
        self._snapshot, self._model, self._server = None, None, None
        self._past.clear()

    def duplicates(
        self, *, kind: Literal["same", "near"] = "near", threshold: float = NEAR, look: int = LOOK
    ) -> list[Group]:
        """Find groups of pictures that are the same file ("same"), or nearly look the same as well ("near").

        See `duplicates.duplicates`; nothing is deleted.
        """
        return duplicates(self.snapshot, kind=kind, threshold=threshold, look=look)

    def quarantine(self) -> list[Broken]:
        """Give the files that could not be used, with reasons."""
        return sorted(self.snapshot.quarantine().values(), key=lambda broken: broken.key)

    def verify(self) -> VerifyReport:
        """Compare every file with the checksum that it was committed with; `.check()` of the report raises on damage."""
        return verify(self.folder)

    def stats(self) -> Stats:
        """Give counts, sizes and what the collection was made with."""
        snapshot, meta = self.snapshot, self.meta
        sizes: dict[str, int] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(self.folder).as_posix()
                name = re.sub(r"(^|/)store/.*", r"\1store", name)
                sizes[name] = sizes.get(name, 0) + path.stat().st_size
        return Stats(
            folder=self.folder,
            root=snapshot.root,
            model=meta.model,
            fingerprint=meta.fingerprint,
            dim=meta.dim,
            bits=meta.bits,
            vectors=meta.vectors,
            items=len(snapshot),
            rows=snapshot.rows,
            captions=snapshot.rows - len(snapshot),
            dead=sum(card.dead for card in snapshot.head.segments),
            quarantined=len(snapshot.quarantine()),
            fields={name: sorted(kinds) for name, kinds in sorted(snapshot.fields.items())},
            bytes=sizes,
            migrating=read_meta(self.folder / snapshot.head.migrating).model if snapshot.head.migrating else "",
            snapshots=tuple(names(self.folder)),
            engine=snapshot.choice.to_dict() if meta.bits else {},
            server=None if snapshot.far is None else snapshot.far.told(snapshot),
        )

    def _checked(self, model: Any) -> Any:
        """Refuse a model that did not make the collection; of one with nested codes take as many bits as it keeps."""
        if model.fingerprint != self.meta.fingerprint and 0 < self.meta.bits < model.bits:
            model = model.with_bits(self.meta.bits)
        if model.fingerprint != self.meta.fingerprint:
            raise FingerprintError(
                f"{self.folder}: made with model `{self.meta.model}` (fingerprint {self.meta.fingerprint}), asked with "
                f"`{model.name}` ({model.fingerprint})",
                f"index again: `crossbit index FOLDER --model {reference_of(model)} --rebuild`, "
                f"or search with `--model {self.meta.reference}`",
            )
        return model
