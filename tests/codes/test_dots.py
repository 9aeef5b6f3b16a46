"""Dot products of rows where they lie, against NumPy in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.codes import kernel
from crossbit.codes import level as asked
from crossbit.codes.dots import dots_at


def rows_of(kind: str, count: int, width: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    if kind == "int8":
        return draw.integers(-127, 128, (count, width), dtype=np.int8)
    return (draw.standard_normal((count, width)) * 10.0 ** draw.integers(-6, 4, (count, 1))).astype(kind)


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["int8", "float16", "float32"]),
    width=st.integers(1, 131),
    count=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    scaled=st.booleans(),
)
def test_they_are_those_of_numpy(kind: str, width: int, count: int, seed: int, scaled: bool) -> None:
    draw = np.random.default_rng(seed)
    rows, query = rows_of(kind, count, width, seed), draw.standard_normal(width).astype(np.float32)
    places = draw.integers(0, count, 2 * count)
    scales = draw.random(count).astype(np.float32) if scaled else None
    expected = rows.astype(np.float64) @ query.astype(np.float64)
    size = np.abs(rows.astype(np.float64)) @ np.abs(query.astype(np.float64))
    if scales is not None:
        expected, size = expected * scales, size * scales
    found = dots_at(rows, places, query, scales)
    assert found.dtype == np.float32
    assert (np.abs(found - expected[places]) <= 1e-7 * size[places] + 1e-30).all()
    for place in range(count):  # equal rows, equal scores
        assert len(np.unique(found[places == place])) <= 1


def test_halves_of_every_pattern() -> None:
    if kernel.extension() is None:
        pytest.skip("the kernel is not built here")
    patterns = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = patterns[np.isfinite(patterns)][:, None].copy()
    found = dots_at(finite, np.arange(len(finite)), np.ones(1, np.float32))
    np.testing.assert_array_equal(found, finite[:, 0].astype(np.float32))
    for plain in (0, 1):
        sums = np.empty(len(finite))
        kernel.built().dots(finite, len(finite), 1, 1, np.arange(len(finite)), np.ones(1), sums, plain)
        np.testing.assert_array_equal(sums, finite[:, 0].astype(np.float64))


@pytest.mark.parametrize("kind", ["int8", "float16", "float32"])
def test_plain_c_agrees(kind: str) -> None:
    if kernel.extension() is None:
        pytest.skip("the kernel is not built here")
    rows, query, sums = rows_of(kind, 20, 77, 3), np.random.default_rng(4).standard_normal(77), np.empty(20)
    kernel.built().dots(rows, 20, 77, {"int8": 0, "float16": 1, "float32": 2}[kind], np.arange(20), query, sums, 1)
    np.testing.assert_allclose(sums, rows.astype(np.float64) @ query, rtol=1e-9)


def test_rows_of_a_mapped_file_and_without_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, query, places = rows_of("int8", 50, 37, 1), np.linspace(-1, 1, 37, dtype=np.float32), np.array([49, 0, 7, 7])
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    found = dots_at(mapped, places, query)
    for module in (asked, kernel):
        monkeypatch.setattr(module, "extension", lambda: None)
    np.testing.assert_array_equal(found, dots_at(rows, places, query))
    assert dots_at(rows, places[:0], query).shape == (0,)


def test_places_that_are_not_there_are_refused_by_the_kernel_itself() -> None:
    if kernel.extension() is None:
        pytest.skip("the kernel is not built here")
    rows, query, scores = rows_of("int8", 5, 4, 2), np.ones(4), np.empty(2)
    for places, count, width, kind, out in (
        ([0, 5], 5, 4, 0, scores),
        ([-1, 0], 5, 4, 0, scores),
        ([0, 1], 6, 4, 0, scores),
        ([0, 1], 5, 4, 1, scores),
        ([0, 1], 5, 0, 0, scores),
        ([0, 1], 5, 4, 3, scores),
        ([0, 1], 5, 4, 0, scores[:1].copy()),
    ):
        with pytest.raises(ValueError, match="out of range|bytes, expected"):
            kernel.built().dots(rows, count, width, kind, np.array(places), query, out)
