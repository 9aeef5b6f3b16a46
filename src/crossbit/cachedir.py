"""Where the cache lies: features, converted encoders, prepared data."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Give the cache folder: `CROSSBIT_CACHE`, else `XDG_CACHE_HOME/crossbit`, else `.cache/crossbit` of the home folder."""
    if own := os.environ.get("CROSSBIT_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "crossbit"
