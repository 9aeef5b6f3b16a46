"""Choosing what searches codes, and the graphs that find most of the nearest."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from crossbit.codes import hamming_topk, kernel
from crossbit.codes import level as asked
from crossbit.errors import EngineError, UsageError
from crossbit.search.engines import HammingEngine, HNSWEngine, MultiIndexEngine, choose
from crossbit.search.engines.choice import measured, open_engine, random_distance
from crossbit.search.engines.hnsw import has_faiss, measured_recall

GB = 1 << 30
NEEDS_KERNEL = pytest.mark.skipif(kernel.extension() is None, reason="without the kernel everything is scanned")
NEEDS_FAISS = pytest.mark.skipif(not has_faiss(), reason="needs the extra `faiss`")


def clustered(rows: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    middle = draw.integers(0, 256, (rows // 40, 16), dtype=np.uint8)
    noise = np.bitwise_and.reduce(draw.integers(0, 256, (3, rows, 16), dtype=np.uint8))
    return middle[draw.integers(0, len(middle), rows)] ^ noise


@NEEDS_KERNEL
def test_what_is_scanned_in_time_is_scanned() -> None:
    found = choose(1_000_000, 64)
    assert (found.engine, found.recall, found.bytes) == ("scan", 1.0, 8_000_000)
    assert "1,000,000 codes of 64 bits are scanned within 10 ms" in str(found)


@NEEDS_KERNEL
def test_more_short_codes_than_can_be_scanned_in_time_get_tables() -> None:
    found = choose(200_000_000, 64, memory=20 * GB)
    assert (found.engine, found.recall) == ("mih", 1.0)
    assert found.bytes > 200_000_000 * (8 + 3 * 4)  # codes, and a number in each of three tables
    assert choose(200_000_000, 64, memory=2 * GB, recall=1.0).engine == "scan"
    assert "nothing exact within 10 ms" in choose(200_000_000, 64, memory=2 * GB).why
    assert choose(200_000_000, 64, memory=2 * GB, threads=16, latency_ms=20).engine == "scan"


@NEEDS_FAISS
def test_a_graph_only_where_not_all_must_be_found() -> None:
    assert choose(20_000_000, 256, memory=20 * GB).engine == "scan"  # late, but exact
    found = choose(20_000_000, 256, memory=20 * GB, recall=0.95)
    assert (found.engine, found.recall) == ("hnsw", None)
    assert "recall not measured" in str(found)


def test_what_is_named_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(10, 64, engine="scan").why == "asked for"
    with pytest.raises(UsageError, match="engine 'ivf', expected one of auto, scan, mih, hnsw"):
        choose(10, 64, engine="ivf")  # type: ignore[arg-type]
    monkeypatch.setattr("crossbit.search.engines.choice.has_faiss", lambda: False)
    with pytest.raises(EngineError, match="faiss is not installed"):
        choose(10, 64, engine="hnsw")
    for module in (asked, kernel):
        monkeypatch.setattr(module, "extension", lambda: None)
    with pytest.raises(EngineError, match="engine mih: cannot index 10 codes"):
        choose(10, 64, engine="mih")
    assert choose(10, 64).engine == "scan"


def test_random_codes_are_as_far_as_counted() -> None:
    # one of 2**16 codes of 16 bits is the query itself, 16 are one bit away: the tenth nearest is at 1, the 18th at 2
    assert [random_distance(1 << 16, 16, k) for k in (1, 10, 17, 18)] == [0, 1, 1, 2]
    codes = np.random.default_rng(0).integers(0, 256, (20_000, 8), dtype=np.uint8)
    _, distances = hamming_topk(~codes[:20], codes, 10)
    assert abs(np.median(distances[:, -1]) - random_distance(20_000, 64)) <= 1


@pytest.mark.parametrize("name", ["scan", pytest.param("mih", marks=NEEDS_KERNEL)])
def test_what_was_chosen_is_measured_and_told(name: str, caplog: pytest.LogCaptureFixture) -> None:
    codes = clustered(3000)
    choice = choose(len(codes), 128, engine=name)  # type: ignore[arg-type]
    engine = open_engine(choice)
    engine.add(np.arange(len(codes)), codes)
    with caplog.at_level(logging.INFO, "crossbit"):
        found = measured(choice, engine, queries=5)
    assert (found.engine, found.recall) == (name, 1.0)
    assert found.measured_ms is not None
    assert f"codes: {name}, exact" in caplog.text
    assert found.to_dict()["recall"] == 1.0
    assert measured(choice, open_engine(choice)).measured_ms is None  # nothing to measure on


@NEEDS_KERNEL
def test_small_blocks_are_scanned_and_large_ones_are_not() -> None:
    codes = clustered(3000)
    engine = MultiIndexEngine(128, least=1000)
    engine.add(np.arange(2000), codes[:2000])
    engine.add(np.arange(2000, 2999), codes[2000:2999])
    engine.prepare()
    assert [engine.index(block) is None for block in engine.blocks] == [False, True]
    twin = HammingEngine(128)
    twin.add(np.arange(2999), codes[:2999])
    engine.remove(np.arange(0, 2999, 7))
    twin.remove(np.arange(0, 2999, 7))
    one, other = engine.search(codes[:50], 12), twin.search(codes[:50], 12)
    np.testing.assert_array_equal(one.ids, other.ids)
    assert engine.table_bytes > 0


@NEEDS_FAISS
def test_a_graph_finds_most_and_never_what_is_gone(tmp_path: Path) -> None:
    codes, queries = clustered(6000), clustered(6000)[::60] ^ np.uint8(4)
    engine, twin = HNSWEngine(128, least=1000), HammingEngine(128)
    for one in (engine, twin):
        one.add(np.arange(6000) * 3, codes)
    engine.prepare()
    found, exact = engine.search(queries, 10), twin.search(queries, 10)
    assert (found.scores >= exact.scores[:, -1:]).mean() > 0.95
    assert measured_recall(engine) > 0.95
    assert measured_recall(twin) == 1.0
    gone = np.unique(found.ids[:, 0])
    engine.remove(gone)
    twin.remove(gone)
    found, exact = engine.search(queries, 10), twin.search(queries, 10)
    assert not np.isin(found.ids, gone).any()
    assert (found.ids >= 0).all()
    assert (found.scores >= exact.scores[:, -1:]).mean() > 0.95
    few = np.arange(0, 900, 3)  # a filter is scanned, so it is exact
    np.testing.assert_array_equal(engine.search(queries, 10, few).ids, twin.search(queries, 10, few).ids)
    np.testing.assert_array_equal(engine.search(queries[:2], 4000).ids, twin.search(queries[:2], 4000).ids)
    engine.save(tmp_path)
    again = HNSWEngine.load(tmp_path)
    assert again.least == 1000
    assert (again.search(queries, 10).scores >= exact.scores[:, -1:]).mean() > 0.95


@NEEDS_FAISS
def test_a_graph_with_a_low_recall_says_so() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (5000, 16), dtype=np.uint8)  # nothing to navigate by
    engine = HNSWEngine(128, least=1000, links=2, effort=1, building=4)
    engine.add(np.arange(5000), codes)
    found = measured(choose(5000, 128, engine="hnsw"), engine, queries=3)
    assert found.recall is not None
    assert found.recall < 0.9
    assert f"recall@10 {found.recall:.3f}" in str(found)


def test_without_faiss_a_graph_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    engine = HNSWEngine(128, least=1)
    engine.add(np.arange(100), clustered(100 * 40)[:100])
    with pytest.raises(EngineError, match="faiss is not installed"):
        engine.search(clustered(4000)[:1], 3)
