"""Copy media as they are, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file beside its place and rename it into it, so that a copy that broke off is never taken for a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.replace(target)
