"""Names of the data sets that come with packages; nothing is imported, so that a command line can list them at no cost."""

from __future__ import annotations

import re

PACKAGED = ("openmoji", "openmoji-each", "picto", "picto-hand")
"""Data sets that come with packages, by name."""

DRAWINGS = ("noto", "twemoji", "openmoji", "fluent-flat", "fluent-3d")
"""The drawing sets of picto, by source."""

HAND = "openmoji"
"""The drawing set that `picto-hand` holds out whole."""

NAME = re.compile(rf"({'|'.join(PACKAGED)})(?::([a-z0-9+-]+))?")


def is_packaged(name: str) -> bool:
    """Say whether this names a packaged set, such as `picto:noto+stamps`."""
    return NAME.fullmatch(name) is not None
