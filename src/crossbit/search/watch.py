"""Watch: keep a collection up to date with its folder, by looking at sizes and times again and again.

Looking works on every file system, network ones too. A change is taken up once a second look finds nothing new, so a file
that is still being copied is left alone; looking takes at most a tenth of the time.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.errors import CollectionError, NothingFound
from crossbit.search.records import SyncReport
from crossbit.search.walk import walk

if TYPE_CHECKING:
    from crossbit.search.collection import Collection

_SHARE = 9  # pauses are at least so many times as long as a look


def watch(
    collection: Collection,
    folder: str | Path,
    *,
    every: float = 2.0,
    stop: threading.Event | None = None,
    told: Callable[[SyncReport], None] = lambda _: None,
    failed: Callable[[CollectionError], None] = lambda _: None,
    **settings: Any,
) -> None:
    """Bring a collection up to date whenever its folder changes, until it is stopped.

    What goes wrong (another writer, a full disk, a folder that is not there for a while) is told once, and tried again at
    every look.

    Args:
        collection: is synchronised.
        folder: of the pictures.
        every: seconds between two looks.
        stop: ends the watch when it is set; a run that has begun comes to its end first.
        told: is handed the report of each run that changed something, and of the first.
        failed: is handed what went wrong, once for each message.
        settings: of `Collection.sync`.
    """
    stop = stop or threading.Event()
    done, before, message, first = "", "", "", True
    while not stop.is_set():
        began = time.monotonic()
        now = state_of(folder, collection.folder)
        took = time.monotonic() - began
        if now != done and (now == before or first):
            try:
                report = collection.sync(folder, **settings)
            except NothingFound:
                report = SyncReport()
            except CollectionError as error:
                if error.message != message:
                    failed(error)
                message = error.message
            else:
                if first or report.added or report.changed or report.renamed or report.removed or report.broken:
                    told(report)
                done, message, first = now, "", False
        before = now
        stop.wait(max(every, _SHARE * took))


def state_of(folder: str | Path, collection: Path) -> str:
    """Give a fingerprint of everything that `sync` looks at: names, sizes and times of pictures, captions and tables."""
    digest = hashlib.blake2b(digest_size=16)
    walked = walk(folder, skip=[collection])
    for picture in walked.pictures:
        digest.update(b"%s\0%d\0%d\0" % (picture.key, picture.size, picture.mtime_ns))
    for key in (*walked.tables, *sorted(key for keys in walked.texts.values() for key in keys)):
        try:
            info = os.stat(os.path.join(walked.root, os.fsdecode(key)))
        except OSError:
            continue
        digest.update(b"%s\0%d\0%d\0" % (key, info.st_size, info.st_mtime_ns))
    for broken in walked.broken:
        digest.update(b"%s\0" % broken.key)
    return digest.hexdigest()
