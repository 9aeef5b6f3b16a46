"""MATLAB files of version 5, read with bounds checked at every step.

SciPy's reader ends the whole process on some damaged files (a changed byte is enough), and data sets come from anywhere,
so this one reads what the sets need and no more: matrices of numbers, full or sparse, letters and cells of letters.

A file is a header of 128 bytes and elements: a tag of kind and size, then the data, filled up to 8 bytes; one of up to 4
bytes has a short tag. A matrix is an element of elements: flags, sides, name, then what it holds. It may be compressed.
Source: MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

CAP = 4 << 30
"""Bytes of the largest matrix after it is inflated; the format's own limit is half of that."""
_HEAD = 4096
"""Bytes of a compressed matrix that are inflated to see its name and sides."""
_DEEP = 3

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_LETTERS = {2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR, _SPARSE = 1, 4, 5
_FULL = range(6, 16)
_OPAQUE = 16


class Mat5Error(ValueError):
    """The file is not what the format says."""


@dataclass
class Matrix:
    """A matrix of a file, of which name and sides are known and the rest is read when it is asked for.

    Args:
        name: of the variable.
        shape: its sides.
        kind: MATLAB's number of the class.
        data: the element, perhaps compressed.
        packed: whether it is.
        order: `<` or `>`.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    data: memoryview
    packed: bool
    order: str

    def _parts(self) -> _Parts:
        return _Parts(_inflated(self.data, CAP) if self.packed else self.data, self.order)

    def numbers(self) -> Shaped[np.ndarray, "*sides"]:
        """Give a full matrix.

        Raises:
            Mat5Error: it is damaged or holds something else.
        """
        parts = self._parts()
        parts.head()
        if self.kind in _FULL:
            return parts.full(self.shape)
        raise Mat5Error(f"{self.name} is of class {self.kind}, which is no full matrix")

    @property
    def sparse(self) -> bool:
        """Say whether it holds the places of what is not zero."""
        return self.kind == _SPARSE

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give a sparse matrix as values, row of each, and where each column begins.

        Raises:
            Mat5Error: it is damaged.
        """
        parts = self._parts()
        parts.head()
        rows, starts, values = parts.numbers(), parts.numbers(), parts.numbers()
        columns = self.shape[1]
        sound = len(self.shape) == 2 and len(starts) == columns + 1 and starts[0] == 0 and (np.diff(starts) >= 0).all()
        count = int(starts[-1]) if sound else -1
        if not sound or not 0 <= count <= min(len(rows), len(values)):
            raise Mat5Error(f"{self.name}: the columns of a sparse matrix do not fit")
        if count and not 0 <= rows[:count].min() <= rows[:count].max() < self.shape[0]:
            raise Mat5Error(f"{self.name}: a row of a sparse matrix is not there")
        return values[:count], rows[:count].astype(np.int64), starts.astype(np.int64)

    def texts(self) -> list[list[str]]:
        """Give the texts of a cell array, or the rows of a matrix of letters; several where a cell holds several.

        Raises:
            Mat5Error: it is damaged or holds something else.
        """
        if self.kind == _CHAR:
            return [[text] for text in self._parts().texts(0)]
        if self.kind != _CELL:
            raise Mat5Error(f"{self.name} is of class {self.kind}, expected a cell array of text")
        parts = self._parts()
        parts.head()
        count = int(np.prod(self.shape, dtype=object))
        return [parts.inner().texts(0) for _ in range(count)]


def matrices(path: Path) -> list[Matrix]:
    """Give the matrices of a file in their order.

    Raises:
        Mat5Error: it is cut or damaged.
    """
    with path.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    order = {b"IM": "<", b"MI": ">"}.get(bytes(view[126:128]))
    if order is None:
        raise Mat5Error("the header is cut or damaged")
    found = []
    at = 128
    while at < len(view):
        kind, data, at = _element(view, at, order)
        if kind not in (_MATRIX, _COMPRESSED):
            raise Mat5Error(f"an element of kind {kind}, expected a matrix")
        parts = _Parts(_inflated(data, _HEAD, whole=False) if kind == _COMPRESSED else data, order)
        if parts.class_of() < _OPAQUE:  # functions and the like have heads of their own, and are no data
            head = parts.head()
            found.append(Matrix(head[2], head[1], head[0], data, kind == _COMPRESSED, order))
    return found


def _element(view: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """Give kind and data of an element, and where the next one begins."""
    if at + 8 > len(view):
        raise Mat5Error(f"ends at {len(view)}, within an element")
    first, size = (int(n) for n in np.frombuffer(view[at : at + 8], f"{order}u4"))
    if first >> 16:  # a short one: size and kind share four bytes, the data follow in the other four
        kind, size, start, end = first & 0xFFFF, first >> 16, at + 4, at + 8
        if size > 4:
            raise Mat5Error(f"a short element of {size} bytes, expected at most 4")
    else:
        kind, start = first, at + 8
        end = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
    if start + size > len(view):
        raise Mat5Error(f"ends at {len(view)}, expected {start + size}")
    return kind, view[start : start + size], end


def _inflated(data: memoryview, limit: int, whole: bool = True) -> memoryview:
    """Give a compressed matrix without its tag, or its beginning."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, limit)
    except zlib.error as error:
        raise Mat5Error(f"compressed data are damaged ({error})") from error
    if whole and not stream.eof and (stream.unconsumed_tail or len(raw) >= limit):
        raise Mat5Error(f"a matrix inflates to more than {limit >> 20} MB")
    if whole and not stream.eof:
        raise Mat5Error("compressed data are cut")
    return memoryview(raw)[8:]


class _Parts:
    """The elements within a matrix, one after the other."""

    def __init__(self, view: memoryview, order: str) -> None:
        self.view, self.order, self.at = view, order, 0
        self.complex = False

    def next(self) -> tuple[int, memoryview]:
        kind, data, self.at = _element(self.view, self.at, self.order)
        return kind, data

    def numbers(self) -> Shaped[np.ndarray, " n"]:
        kind, data = self.next()
        if kind not in _NUMBERS:
            raise Mat5Error(f"an element of kind {kind}, expected numbers")
        dtype = np.dtype(self.order + _NUMBERS[kind])
        if len(data) % dtype.itemsize:
            raise Mat5Error(f"{len(data)} bytes of numbers of {dtype.itemsize}")
        return np.frombuffer(data, dtype)

    def class_of(self) -> int:
        """Look at the class without going on."""
        flags = self.numbers()
        self.at = 0
        return int(flags[0]) & 0xFF if len(flags) else 0

    def head(self) -> tuple[int, tuple[int, ...], str]:
        """Give class, sides and name."""
        flags, sides = self.numbers(), self.numbers()
        kind, name = self.next()
        if len(flags) != 2 or not 2 <= len(sides) <= 32 or (sides < 0).any() or kind != 1:
            raise Mat5Error("the head of a matrix is damaged")
        self.complex = bool(int(flags[0]) & 0x800)
        return int(flags[0]) & 0xFF, tuple(int(side) for side in sides), bytes(name).decode("ascii", "replace")

    def full(self, shape: tuple[int, ...]) -> Shaped[np.ndarray, "*sides"]:
        if self.complex:
            raise Mat5Error("complex numbers, expected real ones")
        values = self.numbers()
        count = int(np.prod(shape, dtype=object))
        if len(values) != count:
            raise Mat5Error(f"{len(values):,} numbers for sides of {shape}")
        return values.reshape(shape, order="F")

    def inner(self) -> _Parts:
        kind, data = self.next()
        if kind != _MATRIX:
            raise Mat5Error(f"a cell of kind {kind}, expected a matrix")
        return _Parts(data, self.order)

    def texts(self, depth: int) -> list[str]:
        """Give the texts of a matrix of letters, or of cells of them."""
        if not self.view:  # an empty cell
            return []
        kind, shape, _ = self.head()
        count = int(np.prod(shape, dtype=object))
        if kind == _CELL and depth < _DEEP:
            return [text for _ in range(count) for text in self.inner().texts(depth + 1)]
        if kind in _FULL and not count:  # MATLAB's [] stands for no text
            return []
        if kind != _CHAR:
            raise Mat5Error(f"a matrix of class {kind}, expected letters")
        return list(self._rows_of_letters(shape, count))

    def _rows_of_letters(self, shape: tuple[int, ...], count: int) -> Iterator[str]:
        kind, data = self.next()
        if kind not in _LETTERS or len(shape) != 2:
            raise Mat5Error(f"letters of kind {kind} and sides {shape}")
        coding = _LETTERS[kind]
        if coding in ("utf-16", "utf-32"):
            coding += "-le" if self.order == "<" else "-be"
        letters = bytes(data).decode(coding, "replace")
        if len(letters) < count:
            raise Mat5Error(f"{len(letters)} letters for sides of {shape}")
        for row in range(
            shape[0] if count else min(shape[0], 1)
        ):  # columns first; short rows are filled up with blanks
            yield letters[row : count : shape[0]].rstrip()


def dense_rows(places: tuple[Any, Any, Any], shape: tuple[int, ...], start: int, stop: int, axis: int) -> np.ndarray:
    """Give some rows of a sparse matrix, or of its transpose where `axis` is 1, as a full one.

    Args:
        places: see `Matrix.places`.
        shape: the sides.
        start: the first row.
        stop: the row after the last.
        axis: which side the rows are.
    """
    values, rows, starts = places
    columns = np.repeat(np.arange(shape[1]), np.diff(starts))
    along, across = (rows, columns) if axis == 0 else (columns, rows)
    stop = min(stop, shape[axis])
    block = np.zeros((max(stop - start, 0), shape[1 - axis]))
    chosen = (along >= start) & (along < stop)
    block[along[chosen] - start, across[chosen]] = values[chosen]
    return block
