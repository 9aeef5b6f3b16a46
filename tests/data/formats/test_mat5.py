"""Version 5 of MATLAB's files: what SciPy writes is read as SciPy reads it, and damage is named and ends nothing."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossbit.data import formats
from crossbit.data.formats import mat5
from crossbit.data.formats.mat5 import Mat5Error, dense_rows, matrices
from crossbit.errors import CrossbitError
from data.formats import made_benchmarks as made

TYPES = ("u1", "i2", "i4", "i8", "f4", "f8", "?")


def written(folder: Path, compress: bool = False, **values: Any) -> Path:
    path = folder / "a.mat"
    scipy.io.savemat(path, values, do_compression=compress)
    return path


@settings(max_examples=60, deadline=None)
@given(
    array=st.sampled_from(TYPES).flatmap(
        lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5))
    ),
    compress=st.booleans(),
)
def test_full_matrices_are_as_scipy_reads_them(
    array: np.ndarray, compress: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("mat"), compress, first=np.eye(3), XAll=array)
    found = matrices(path)
    assert [matrix.name for matrix in found] == ["first", "XAll"]
    assert found[1].shape == array.shape
    np.testing.assert_array_equal(found[1].numbers(), scipy.io.loadmat(path)["XAll"])


@settings(max_examples=40, deadline=None)
@given(
    table=hnp.arrays(
        "f8", hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.sampled_from([0.0, 0.0, 1.0, 2.5])
    ),
    compress=st.booleans(),
    start=st.integers(0, 7),
    length=st.integers(0, 7),
)
def test_sparse_matrices_give_rows_of_either_side(
    table: np.ndarray, compress: bool, start: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("mat"), compress, YAll=scipy.sparse.csc_matrix(table))
    (matrix,) = matrices(path)
    assert matrix.sparse
    for axis, rows in ((0, table), (1, table.T)):
        found = dense_rows(matrix.places(), matrix.shape, start, start + length, axis)
        np.testing.assert_array_equal(found, rows[start : start + length])


def test_letters_and_cells(tmp_path: Path) -> None:
    cells = np.empty(4, object)
    cells[:] = ["im1.jpg", "кот 猫", np.array(["one", "two"], object), ""]
    path = written(tmp_path, True, FAll=cells, index=["a.jpg", "longer.jpg"], word="naïve", numbers=np.eye(2))
    found = {matrix.name: matrix for matrix in matrices(path)}
    assert found["FAll"].texts() == [["im1.jpg"], ["кот 猫"], ["one", "two"], []]
    assert found["index"].texts() == [["a.jpg"], ["longer.jpg"]]
    assert found["word"].texts() == [["naïve"]]
    with pytest.raises(Mat5Error, match="numbers is of class 6, expected a cell array of text"):
        found["numbers"].texts()
    with pytest.raises(Mat5Error, match="FAll is of class 1, which is no full matrix"):
        found["FAll"].numbers()


def test_what_is_not_needed_stands_beside(tmp_path: Path) -> None:
    path = written(tmp_path, param={"seed": 1.0}, wave=np.array([[1 + 2j]]), LAll=np.eye(2))
    found = {matrix.name: matrix for matrix in matrices(path)}
    np.testing.assert_array_equal(found["LAll"].numbers(), np.eye(2))
    with pytest.raises(Mat5Error, match="param is of class 2"):
        found["param"].numbers()
    with pytest.raises(Mat5Error, match="complex numbers"):
        found["wave"].numbers()


def big_endian() -> bytes:
    """A file by hand, from the letters of its specification, of a machine that writes the large end first."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    inner = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 2, 3))
    inner += struct.pack(">HH4s", 2, 1, b"Ab\0\0")  # a short element: two letters of a name
    inner += element(3, struct.pack(">6h", 1, 2, 3, 4, 5, -6))  # doubles may be stored in two bytes
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    return head + element(14, inner)


def test_the_other_end_first(tmp_path: Path) -> None:
    path = tmp_path / "big.mat"
    path.write_bytes(big_endian())
    (matrix,) = matrices(path)
    assert matrix.name == "Ab"
    assert matrix.numbers().tolist() == [[1, 3, 5], [2, 4, -6]]


def test_a_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, True, XAll=np.zeros((1000, 1000)))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(mat5, "CAP", 1 << 20)
    (matrix,) = matrices(path)  # sides and name are seen all the same
    assert matrix.shape == (1000, 1000)
    with pytest.raises(Mat5Error, match="inflates to more than 1 MB"):
        matrix.numbers()


def test_a_cut_file_is_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, XAll=np.arange(100.0).reshape(10, 10))
    whole = path.read_bytes()
    for size in (90, 130, 200, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(Mat5Error):
            matrices(path)


def test_cut_compressed_data_are_named(tmp_path: Path) -> None:
    raw = big_endian()[128:]
    squeezed = zlib.compress(raw)[:-3]
    path = tmp_path / "a.mat"
    path.write_bytes(big_endian()[:128] + struct.pack(">II", 15, len(squeezed)) + squeezed)
    (matrix,) = matrices(path)
    with pytest.raises(Mat5Error, match="compressed data are cut"):
        matrix.numbers()


@pytest.mark.parametrize("made_set", ["mirflickr25k", "iaprtc12", "coco-hashing", "iaprtc12 7.3"])
def test_changed_bytes_are_found_or_harmless_and_end_nothing(tmp_path: Path, made_set: str) -> None:
    name, maker, options = made.MAKERS[made_set]
    path = maker(tmp_path / "toy")
    files = [path] if path.is_file() else sorted(path.glob("*.mat"))
    whole = {file: file.read_bytes() for file in files}
    chance = random.Random(5)
    outcomes = set()
    for _ in range(40):
        file = chance.choice(files)
        changed = bytearray(whole[file])
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        file.write_bytes(changed)
        try:
            outcomes.add(bool(formats.validate(name, path, media_files=False, counts=False, **options).problems))
        except CrossbitError:
            outcomes.add(True)
        file.write_bytes(whole[file])
    assert outcomes == {True, False}
