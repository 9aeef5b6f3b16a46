"""A cache of one's own for what fetches and prepares."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data.picto.packages import FOLDER_VARIABLE


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no folder of downloads."""
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return tmp_path / "cache"
