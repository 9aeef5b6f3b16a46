"""Care: what an open collection does for itself: keep its past, move to another model, mend, give its rows out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from crossbit.search import snapshots
from crossbit.search.durable import told
from crossbit.search.exchange import export
from crossbit.search.head import is_collection
from crossbit.search.ingest import Settings
from crossbit.search.migrate import cancel, migrate
from crossbit.search.opened import Opened
from crossbit.search.place import load_model
from crossbit.search.records import SyncReport
from crossbit.search.repair import RepairReport, repair
from crossbit.search.writer import writer

FOLDER = ".crossbit"
"""Where the collection of a folder of pictures lies, unless another place is named."""


class Care(Opened):
    """What `Collection` can do to stay as it should be. Each takes the lock, as everything that writes."""

    def take_snapshot(self, name: str) -> None:
        """Keep the last commit by name; it outlives `compact` until `drop_snapshot`.

        Raises:
            UsageError: the name cannot be one, or is taken.
            CollectionError: another process writes.
        """
        with writer(self.folder, self.meta, self.wait) as committing, told(self.folder):
            snapshots.take(committing, name)

    def drop_snapshot(self, name: str) -> None:
        """Forget a snapshot.

        Raises:
            CollectionError: there is none of that name, or another process writes.
        """
        with writer(self.folder, self.meta, self.wait), told(self.folder):
            snapshots.drop(self.folder, name)

    def restore(self, version: str | int) -> tuple[int, int]:
        """Make the items of a commit of the past the last commit again, with their ids.

        Returns:
            How many items came back or changed, and how many went.

        Raises:
            CollectionError: there is no such commit any more, it was made with another model, or another process writes.
        """
        with writer(self.folder, self.meta, self.wait) as committing:
            return snapshots.restore(committing, self.at(version))

    def migrate(
        self,
        model: Any,
        *,
        batch_size: int = 32,
        max_pixels: int = 200_000_000,
        progress: bool = True,
        drop_missing: bool = False,
    ) -> SyncReport:
        """Move to another model: encode everything anew beside the old files, then switch in one step.

        Until the switch everybody searches with the old model. A run that was stopped goes on where it was. Ids, captions,
        metadata and snapshots stay.

        Args:
            model: the new one, or its name or folder.
            batch_size: pictures encoded at a time.
            max_pixels: larger pictures are broken.
            progress: show a bar on stderr.
            drop_missing: leave pictures out that cannot be read any more; else the old model stays while there are any.

        Raises:
            UsageError: the collection is made with that model already.
            AbilityError: the model neither embeds nor hashes.
            CollectionError: pictures cannot be read any more, another process writes, or the disk is full.
        """
        began, report, new = time.monotonic(), SyncReport(), load_model(model)
        settings = Settings(batch_size, max_pixels, progress)
        with writer(self.folder, self.meta, self.wait) as old:
            migrate(old, new, settings, report, drop_missing=drop_missing, named=model)
        self.meta, self._model = self.snapshot.meta, new
        report.seconds = time.monotonic() - began
        return report

    def cancel_migration(self) -> bool:
        """Give up an unfinished move to another model, and say whether there was one."""
        with writer(self.folder, self.meta, self.wait) as old:
            return cancel(old)

    def repair(self, *, give_up: bool = False, batch_size: int = 32, progress: bool = True) -> RepairReport:
        """Mend damaged files from what remains: copies, the store, the segments, the pictures. See `mend`."""
        report = self.mend(self.folder, self._model, give_up=give_up, batch_size=batch_size, progress=progress)
        self._snapshot = None
        return report

    @classmethod
    def mend(
        cls,
        folder: str | Path,
        model: Any = None,
        *,
        give_up: bool = False,
        batch_size: int = 32,
        progress: bool = True,
        wait: float = 0.0,
    ) -> RepairReport:
        """Mend a collection that may be too damaged to be opened.

        Args:
            folder: of the collection, or with one in `.crossbit`.
            model: encodes pictures again where no other copy is left; None loads the one that the collection names.
            give_up: drop what cannot be mended, instead of refusing.
            batch_size: pictures encoded at a time.
            progress: show a bar on stderr.
            wait: seconds to wait for another writer.

        Raises:
            CollectionError: something cannot be mended (the message names it, nothing was dropped), or another process
                writes.
        """
        folder = Path(folder)
        inside = folder / FOLDER
        place = inside if not is_collection(folder) and inside.is_dir() else folder

        def encoder() -> Any:
            return cls(place, model).model

        return repair(place, encoder, Settings(batch_size, progress=progress), wait=wait, give_up=give_up)

    def export(self, target: str | Path, kind: str, *, at: str | int | None = None) -> list[str]:
        """Write all items with their rows in one of `exchange.FORMATS`; give notes on what that cannot hold.

        Raises:
            UsageError: there is no such format, its package is not installed, or the target exists.
        """
        return export(self.snapshot if at is None else self.at(at), Path(target), kind)
