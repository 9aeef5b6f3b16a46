"""The kernel in C against its twin, at every level that this machine has."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import hamming_distances, hamming_topk, hamming_within, kernel
from crossbit.codes import level as asked
from crossbit.errors import EngineError

COMPILED = [level for level in kernel.levels() if level != "numpy"]


def some(rows: int, width: int, seed: int, few: bool = False) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.integers(0, 4 if few else 256, (rows, width), dtype=np.uint8)


def test_the_kernel_is_built_where_there_is_a_compiler() -> None:
    if shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) is None:
        pytest.skip("no C compiler here, so the package was built without the kernel")
    assert COMPILED, "install the package again: its build left the kernel out"


@pytest.mark.parametrize("level", COMPILED)
@pytest.mark.parametrize("width", [1, 7, 8, 16, 24, 32, 40, 64, 72, 128, 512])
def test_long_lists_agree_with_the_twin(level: str, width: int) -> None:
    # more rows than a query has room for, so that candidates are thinned out; few different bytes, so that ties are many
    codes, queries = some(9001, width, 1, few=True), some(5, width, 2, few=True)
    for k, threads in ((1, 1), (10, 2), (3000, 1), (20_000, 3)):
        found = hamming_topk(queries, codes, k, level=level, threads=threads)
        expected = hamming_topk(queries, codes, k, level="numpy")
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 512),
    count=st.integers(1, 700),
    asked=st.integers(1, 9),
    k=st.integers(1, 60),
    share=st.sampled_from([None, 0.02, 0.3, 0.9]),
    threads=st.integers(1, 3),
    near=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_width_agrees_with_the_twin(
    width: int, count: int, asked: int, k: int, share: float | None, threads: int, near: bool, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    codes, queries = some(count, width, seed, few=True), some(asked, width, seed + 1, few=True)
    if near:  # many equal codes, and queries among them
        codes = codes[draw.integers(0, max(1, count // 20), count)]
        queries = codes[draw.integers(0, count, asked)]
    allow = None if share is None else draw.random(count) < share
    distances = hamming_distances(queries, codes)
    radius = int(draw.choice(distances.ravel()))
    expected = hamming_topk(queries, codes, k, allow=allow, level="numpy")
    around = hamming_within(queries, codes, radius, allow=allow, level="numpy")
    for query, (rows, found) in enumerate(around):  # the twin against a plain count
        inside = np.flatnonzero((distances[query] <= radius) & (True if allow is None else allow))
        np.testing.assert_array_equal(rows, inside[np.argsort(distances[query][inside], kind="stable")])
        np.testing.assert_array_equal(found, distances[query][rows])
    for level in COMPILED:
        rows, found = hamming_topk(queries, codes, k, allow=allow, level=level, threads=threads)
        np.testing.assert_array_equal(rows, expected[0])
        np.testing.assert_array_equal(found, expected[1])
        for one, other in zip(
            hamming_within(queries, codes, radius, allow=allow, level=level, threads=threads), around, strict=True
        ):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("level", kernel.levels())
def test_a_radius_finds_more_than_there_is_room_for_at_first(level: str) -> None:
    codes = np.zeros((5000, 8), np.uint8)
    codes[1::2, 0] = 1
    codes[7, 0] = 3
    rows, distances = hamming_within(np.zeros((1, 8), np.uint8), codes, 1, level=level)[0]
    assert rows.tolist() == [*range(0, 5000, 2), *(n for n in range(1, 5000, 2) if n != 7)]
    assert distances.tolist() == [0] * 2500 + [1] * 2499
    assert len(hamming_within(np.zeros((1, 8), np.uint8), codes, 99, level=level)[0][0]) == 5000


@pytest.mark.parametrize("level", kernel.levels())
def test_a_radius_around_nothing_is_empty(level: str) -> None:
    found = hamming_within(some(3, 8, 0), np.empty((0, 8), np.uint8), 9, level=level)
    assert [len(rows) for rows, _ in found] == [0, 0, 0]
    found = hamming_within(some(3, 8, 0), some(50, 8, 1), 64, allow=np.zeros(50, bool), level=level)
    assert [len(rows) for rows, _ in found] == [0, 0, 0]
    with pytest.raises(EngineError, match="radius is -1"):
        hamming_within(some(3, 8, 0), some(50, 8, 1), -1, level=level)


INTERRUPTED = """
import numpy as np
from crossbit.codes import hamming_topk, hamming_within
codes = np.zeros((125_000_000, 8), np.uint8)  # a gigabyte of one and the same page of zeros
queries = np.zeros((256, 8), np.uint8)
print("begin", flush=True)
try:
    {call}
    print("went to the end")
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(len(hamming_topk(queries[:2], codes[:5], 3)[0]))
"""


@pytest.mark.skipif(not COMPILED or sys.platform == "win32", reason="needs the kernel, and signals of POSIX")
@pytest.mark.parametrize(
    "call",
    [
        "hamming_topk(queries, codes, 3, level='plain')",
        "hamming_topk(queries, codes, 3, level='plain', threads=2)",
        "hamming_within(~queries, codes, 3, level='plain')",
    ],
)
def test_an_interrupt_ends_one_pass_of_half_a_minute(call: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.replace("{call}", call)], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begin\n"
        time.sleep(0.3)
        program.send_signal(signal.SIGINT)
        assert program.stdout.read() == "interrupted\n2\n"
    assert program.returncode == 0


def test_reading_is_for_whole_words() -> None:
    if not COMPILED:
        pytest.skip("the kernel is not built here")
    kernel.read(some(100, 8, 0), threads=3)
    with pytest.raises(EngineError, match="codes of 7 bytes"):
        kernel.read(some(100, 7, 0))


@pytest.mark.parametrize("level", COMPILED)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("width", [8, 16, 20])
def test_filters_agree_with_the_twin(level: str, share: float, width: int) -> None:
    codes, queries = some(6007, width, 3, few=True), some(6, width, 4, few=True)
    allow = np.random.default_rng(5).random(len(codes)) < share
    for threads in (1, 2):
        found = hamming_topk(queries, codes, 40, allow=allow, level=level, threads=threads)
        expected = hamming_topk(queries, codes, 40, allow=allow, level="numpy")
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
        assert allow[found[0][found[0] >= 0]].all()


@pytest.mark.parametrize("level", COMPILED)
def test_codes_that_come_worst_first_all_enter_and_leave_again(level: str) -> None:
    # distances fall from row to row, so that every code enters for a while
    codes = np.packbits(np.tri(256, 256, -1, dtype=np.uint8)[::-1], axis=1).repeat(40, axis=0)
    found = hamming_topk(np.zeros((1, 32), np.uint8), codes, 100, level=level)
    expected = hamming_topk(np.zeros((1, 32), np.uint8), codes, 100, level="numpy")
    np.testing.assert_array_equal(found[0], expected[0])


def test_many_queries_pass_in_groups() -> None:
    codes, queries = some(500, 8, 6), some(600, 8, 7)
    for level in COMPILED:
        found = hamming_topk(queries, codes, 3, level=level)
        np.testing.assert_array_equal(found[0], hamming_topk(queries, codes, 3, level="numpy")[0])


@pytest.mark.parametrize("level", kernel.levels())
def test_a_search_can_be_stopped(level: str) -> None:
    with pytest.raises(EngineError, match="hamming_topk: stopped"):
        hamming_topk(some(2, 8, 0), some(5000, 8, 1), 3, level=level, stop=np.ones(1, np.uint8))
    with pytest.raises(EngineError, match="hamming_within: stopped"):
        hamming_within(some(2, 8, 0), some(5000, 8, 1), 3, level=level, stop=np.ones(1, np.uint8))
    rows, _ = hamming_topk(some(2, 8, 0), some(5000, 8, 1), 3, level=level, stop=np.zeros(1, np.uint8))
    assert (rows >= 0).all()


def test_a_level_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineError, match="level 'quantum', this machine has .*numpy"):
        hamming_topk(some(1, 8, 0), some(4, 8, 1), 1, level="quantum")
    assert kernel.chosen("auto", 8) == kernel.levels()[0]


def test_without_the_kernel_the_twin_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, queries = some(300, 8, 8), some(4, 8, 9)
    expected = hamming_topk(queries, codes, 5)
    for module in (asked, kernel):
        monkeypatch.setattr(module, "extension", lambda: None)
    assert kernel.levels() == ("numpy",)
    np.testing.assert_array_equal(hamming_topk(queries, codes, 5)[0], expected[0])


def test_sizes_that_do_not_fit_are_refused_by_the_kernel_itself() -> None:
    built = kernel.extension()
    if built is None:
        pytest.skip("the kernel is not built here")
    codes, rows, distances = some(64, 8, 0), np.empty((1, 2), np.int64), np.empty((1, 2), np.int32)

    def call(first: int, last: int, words: int, k: int, out: np.ndarray = rows, bitmap: object = None) -> object:
        return built.nearest(codes[:1], 1, codes, first, last, words, k, 64 * words, bitmap, None, -1, out, distances)

    assert call(0, 64, 1, 2) is False
    for wrong in (
        lambda: call(0, 65, 1, 2),  # more rows than there are
        lambda: call(0, 64, 2, 2),  # wider than they are
        lambda: call(9, 8, 1, 2),
        lambda: call(0, 64, 1, 0),
        lambda: call(0, 64, 1, 3),  # no room for the answer
        lambda: call(0, 64, 1, 2, rows[:, :1].copy()),
        lambda: call(0, 64, 1, 2, bitmap=np.zeros(7, np.uint8)),
        lambda: call(3, 64, 1, 2, bitmap=np.zeros(8, np.uint8)),
        lambda: built.within(codes[:1], 1, codes, 0, 64, 1, 65, 64, None, None, -1),
        lambda: built.within(codes[:1], 1, codes, 0, 65, 1, 3, 64, None, None, -1),
        lambda: built.read(codes, 0, 65),
        lambda: built.read(codes, 9, 8),
    ):
        with pytest.raises(ValueError, match="bytes, expected|out of range|multiple of 8"):
            wrong()
