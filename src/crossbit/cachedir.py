"""Where the cache lies: features, converted encoders, prepared data."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path

_ABANDONED_S = 3600.0


def cache_dir() -> Path:
    """Give the cache folder: `CROSSBIT_CACHE`, else `XDG_CACHE_HOME/crossbit`, else `.cache/crossbit` of the home folder."""
    if own := os.environ.get("CROSSBIT_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "crossbit"


def scratch_folder(parent: Path) -> Path:
    """Make a folder to write in before it is renamed into place beside it, and clear away what killed processes left.

    Whoever looks into `parent` so sees a thing whole or not at all, and two who make the same do not meet.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(".partial-*"):
        try:
            abandoned = time.time() - left.stat().st_mtime > _ABANDONED_S  # nobody can still be writing it
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(left, ignore_errors=True)
    made = parent / f".partial-{os.getpid()}-{secrets.token_hex(4)}"  # not mkdtemp: that closes it to other users
    made.mkdir()
    return made
