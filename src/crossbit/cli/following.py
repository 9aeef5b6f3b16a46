"""crossbit index --watch: stay, follow the folder, say what changed."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.show import counted, printable, say

if TYPE_CHECKING:
    from crossbit.errors import CollectionError
    from crossbit.search.collection import Collection
    from crossbit.search.records import SyncReport

_KINDS = ("added", "changed", "renamed", "removed")


def follow(collection: Collection, folder: Path, as_json: bool, *, every: float, **settings: Any) -> None:
    """Follow a folder until Ctrl-C or a polite kill, both of which are its normal end."""
    from crossbit.search.watch import watch

    def told(report: SyncReport) -> None:
        if as_json:
            typer.echo(json.dumps({"collection": str(collection.folder), **report.to_dict(), "items": len(collection)}))
            return
        parts = [f"{getattr(report, kind):,} {kind}" for kind in _KINDS if getattr(report, kind)]
        typer.echo(f"{', '.join(parts) or 'nothing changed'}; {counted(len(collection), 'picture')}")
        for broken in report.broken:
            say(f"  {printable(broken.path)}: {broken.reason}")

    def failed(error: CollectionError) -> None:
        say(f"note: {error.message}; trying again")

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    say(f"watching {printable(folder)}; Ctrl-C ends it")
    try:
        watch(collection, folder, every=every, stop=stop, told=told, failed=failed, **settings)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
    say(f"\nstopped; {counted(len(collection), 'picture')} in {printable(collection.folder)}")
