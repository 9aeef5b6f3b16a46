"""Which model re-ranks: a folder, a run, the newest of a method, the collection's own; how a budget is written."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossbit.cli.index import _tokens_before
from crossbit.cli.search import milliseconds
from crossbit.errors import ConfigError, UsageError
from crossbit.search import reranking
from crossbit.search.reranking import reranker
from crossbit.search.tokens import keep


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranking, "load_model", lambda named: f"loaded {os.fspath(named)}")


def write_run(folder: Path, age: int = 0) -> Path:
    (folder / "model").mkdir(parents=True)
    file = folder / "model" / "config.json"
    file.write_text("{}")
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return folder


@pytest.mark.usefixtures("loaded")
def test_a_name_finds_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = SimpleNamespace(card=SimpleNamespace(method="vse_fusion"))
    old, new = write_run(tmp_path / "runs" / "scan-a-0", age=50), write_run(tmp_path / "runs" / "scan-b-0")
    found: Any = reranker("scan", own)
    assert found == f"loaded {Path('runs') / 'scan-b-0' / 'model'}"
    assert reranker(str(old), own) == f"loaded {old / 'model'}"
    assert reranker(new / "model", own) == f"loaded {new / 'model'}"
    assert reranker("vse_fusion", own) is own
    assert reranker("base", own) == "loaded base"
    assert reranker(own, None) is own
    with pytest.raises(ConfigError, match="no model of this method"):
        reranker("mvsen", own)


def test_a_budget_is_a_time() -> None:
    assert [milliseconds(text) for text in ("50ms", "0.2s", "30", "1.5 s")] == [50, 200, 30, 1500]
    for text in ("soon", "0ms", "-5ms", "5m"):
        with pytest.raises(UsageError, match="expected a time"):
            milliseconds(text)


def test_a_rebuilt_collection_keeps_tokens_as_before(tmp_path: Path) -> None:
    assert _tokens_before(tmp_path, None) is None
    keep(tmp_path, "int8")
    assert _tokens_before(tmp_path / "elsewhere", tmp_path) == "int8"
    (tmp_path / "tokens" / "settings.json").write_text("{}")
    assert _tokens_before(tmp_path, tmp_path) is None
