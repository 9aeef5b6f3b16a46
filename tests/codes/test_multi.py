"""Multi-index hashing against the twin of the scan: same rows, same order, whatever the width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import hamming_topk, hamming_within, kernel, multi
from crossbit.codes.multi import MultiIndex, can_index, table_bytes, tables_for
from crossbit.errors import EngineError

pytestmark = pytest.mark.skipif(kernel.extension() is None, reason="multi-index hashing needs the kernel")


def clustered(rows: int, width: int, seed: int, centres: int = 30, halvings: int = 3) -> np.ndarray:
    """Codes that differ from one of a few by about an eighth of their bits, or less."""
    draw = np.random.default_rng(seed)
    middle = draw.integers(0, 256, (centres, width), dtype=np.uint8)
    noise = np.bitwise_and.reduce(draw.integers(0, 256, (halvings, rows, width), dtype=np.uint8))
    return middle[draw.integers(0, centres, rows)] ^ noise


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 64),
    count=st.integers(1, 3000),
    k=st.integers(1, 40),
    near=st.booleans(),
    share=st.sampled_from([None, 0.01, 0.4, 0.95]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_answer_is_that_of_the_scan(
    width: int, count: int, k: int, near: bool, share: float | None, threads: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    codes = clustered(count + 6, width, seed) if near else draw.integers(0, 256, (count + 6, width), dtype=np.uint8)
    codes, queries = codes[:count], codes[count:]
    allow = None if share is None else draw.random(count) < share
    index = MultiIndex(codes)
    rows, distances = index.topk(queries, k, allow=allow, threads=threads)
    expected = hamming_topk(queries, codes, k, allow=allow, level="numpy")
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(distances, expected[1])
    radius = int(draw.integers(0, 8 * width + 3))
    for one, other in zip(
        index.within(queries, radius, allow=allow, threads=threads),
        hamming_within(queries, codes, radius, allow=allow, level="numpy"),
        strict=True,
    ):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_near_codes_are_found_by_looking_at_few() -> None:
    codes = clustered(40_000, 8, 1, centres=2000, halvings=4)
    index, queries = MultiIndex(codes), codes[::4001] ^ np.uint8(1)
    rows, distances = index.topk(queries, 5)
    expected = hamming_topk(queries, codes, 5, level="numpy")
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(distances, expected[1])
    assert index.given_up == 0
    assert index.looked < len(queries) * len(codes) / 4


def test_what_would_take_longer_than_a_scan_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi, "_LEAST", 0)
    draw = np.random.default_rng(0)
    codes, queries = (draw.integers(0, 256, (n, 32), dtype=np.uint8) for n in (2000, 3))
    index = MultiIndex(codes)
    np.testing.assert_array_equal(index.topk(queries, 4)[0], hamming_topk(queries, codes, 4, level="numpy")[0])
    assert index.given_up == 3
    assert index.looked <= 3 * len(codes)


def test_tables_are_as_large_as_told() -> None:
    # 64 bits of 10 million rows: log2 is 23.3, 64 / 23.3 = 2.7, so three substrings of 21 or 22 bits
    assert tables_for(10_000_000, 64) == 3
    assert tables_for(100_000_000, 64) == 3  # two would have 32 bits, more than a table may have
    assert tables_for(1_000_000, 128) == 6
    codes = clustered(5000, 8, 2)
    assert MultiIndex(codes).bytes == table_bytes(5000, 64)
    bits = np.linspace(0, 64, 6).round()  # log2(5000) is 12.3, so five substrings
    assert table_bytes(5000, 64) == sum(4 * (5000 + 2**b + 1) for b in np.diff(bits).astype(int).tolist())


def test_refuses() -> None:
    codes = clustered(50, 8, 3)
    index = MultiIndex(codes)
    with pytest.raises(EngineError, match=r"0 codes of 64 bits"):
        MultiIndex(codes[:0])
    with pytest.raises(EngineError, match=r"queries are uint8 of shape \(50, 7\)"):
        index.topk(codes[:, :7], 3)
    with pytest.raises(EngineError, match="k is 0"):
        index.topk(codes, 0)
    with pytest.raises(EngineError, match="radius is -1"):
        index.within(codes, -1)
    assert not can_index(10, 2048)


def test_sizes_that_do_not_fit_are_refused_by_the_kernel_itself() -> None:
    built, codes = kernel.built(), clustered(64, 8, 4)
    starts, members = np.empty(257, np.uint32), np.empty(64, np.uint32)
    built.table(codes, 64, 1, 0, 8, starts, members)
    assert starts[-1] == 64
    assert np.array_equal(np.sort(members), np.arange(64))
    edges = np.array([0, 8], np.int32)

    def probe(tables: list[object], some: np.ndarray = edges, k: int = 1) -> object:
        return built.probe(codes[:1], 1, codes, 64, 1, 64, k, -1, some, tables, None, None, 1000)

    assert len(probe([(starts, members)])[0]) == 1  # type: ignore[index]
    for wrong in (
        lambda: built.table(codes, 65, 1, 0, 8, starts, members),
        lambda: built.table(codes, 64, 1, 60, 8, starts, members),
        lambda: built.table(codes, 64, 1, 0, 9, starts, members),
        lambda: built.table(codes, 64, 1, 0, 29, starts, members),
        lambda: probe([]),
        lambda: probe([(starts[:9].copy(), members)]),
        lambda: probe([(starts, members[:9].copy())]),
        lambda: probe([(starts, members)], np.array([60, 68], np.int32)),
        lambda: probe([(starts, members)], np.array([8, 8], np.int32)),
        lambda: probe([(starts, members)], k=0),
    ):
        with pytest.raises(ValueError, match="bytes, expected|out of range"):
            wrong()
