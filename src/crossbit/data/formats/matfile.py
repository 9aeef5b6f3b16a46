"""MATLAB files of both kinds as named arrays whose rows can be read in parts: version 5 (`mat5.py`), and 7.3, which is HDF5.

MATLAB writes columns first, so an array of N pictures is (height, width, 3, N) to it and (N, 3, width, height) to h5py.
Here shapes are MATLAB's, and whichever side holds the rows is found by its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped

from crossbit.data.formats.mat5 import Mat5Error, Matrix, dense_rows, matrices
from crossbit.errors import ManifestError

BLOCK_CAP = 1 << 30
"""Bytes that are read at once from an HDF5 file, and of the largest piece that it may be stored in."""
TEXT_CAP = 1 << 16
"""Letters of the longest text in a cell."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FAULTS = (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, RuntimeError, MemoryError)


class Variable(Protocol):
    """A named array in a file."""

    file: Path
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the sides as MATLAB has them."""
        ...

    def rows(self, start: int, stop: int, axis: int) -> Shaped[np.ndarray, "rows ..."]:
        """Give some rows along an axis, which comes to stand first."""
        ...

    def texts(self) -> list[list[str]]:
        """Give the texts of a cell array or of a matrix of letters, several where a cell holds several."""
        ...


@contextmanager
def opened(files: Sequence[Path]) -> Iterator[Mapping[str, Variable]]:
    """Open files and give what is in all of them by name; of two variables of one name the first file's counts.

    Raises:
        ManifestError: a file is no MATLAB file, is damaged, or needs h5py.
    """
    found: dict[str, Variable] = {}
    with ExitStack() as stack:
        for file in files:
            with file.open("rb") as raw:
                head = raw.read(520)
            if _HDF5 in (head[:8], head[512:]):
                variables = _hdf5(file, stack)
            elif head.startswith(b"MATLAB 5.0"):
                variables = _version5(file)
            else:
                raise ManifestError(
                    f"{file}: begins with {head[:12]!r}, expected a MATLAB file of version 5 or 7.3",
                    "the file is damaged or no MATLAB file: get it again",
                )
            for variable in variables:
                found.setdefault(variable.name, variable)
        yield found


def _version5(file: Path) -> list[Variable]:
    try:
        return [_Version5(file, matrix.name, matrix) for matrix in matrices(file)]
    except (Mat5Error, OSError, ValueError) as error:
        raise _damaged(file, error) from error


@dataclass
class _Version5:
    """A matrix that is read whole when it is first asked for, and then kept."""

    file: Path
    name: str
    matrix: Matrix
    _kept: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.matrix.shape

    def rows(self, start: int, stop: int, axis: int) -> Shaped[np.ndarray, "rows ..."]:
        try:
            if self._kept is None:
                self._kept = self.matrix.places() if self.matrix.sparse else self.matrix.numbers()
            if self.matrix.sparse:
                wide = self.shape[1 - axis] * min(stop - start, self.shape[axis]) * 8
                if wide > BLOCK_CAP:
                    raise Mat5Error(f"{wide >> 20} MB in one read, expected at most {BLOCK_CAP >> 20} MB")
                return dense_rows(self._kept, self.shape, start, stop, axis)
        except Mat5Error as error:
            raise _damaged(self.file, error) from error
        block: np.ndarray = np.moveaxis(self._kept, axis, 0)[start:stop]
        return block

    def texts(self) -> list[list[str]]:
        try:
            return self.matrix.texts()
        except Mat5Error as error:
            raise _damaged(self.file, error) from error


def _hdf5(file: Path, stack: ExitStack) -> list[Variable]:
    try:
        import h5py
    except ImportError as error:
        hint = "install it: pip install 'crossbit[mat]'; or save the file in MATLAB with `-v7`"
        raise ManifestError(f"{file}: is of version 7.3, which is HDF5 and needs h5py", hint) from error
    try:
        opened_file = stack.enter_context(h5py.File(file, "r"))
        found: list[Variable] = []
        for name in opened_file:
            # links lead out of the file, and so do external and virtual arrays: none of them is followed
            if not isinstance(opened_file.get(name, getlink=True), h5py.HardLink):
                continue
            one = opened_file[name]
            if _own(one):
                # asking a damaged array for its type may fail, so it is done here
                found.append(_Hdf5(file, name, one, opened_file, tuple(reversed(one.shape)), one.dtype))
    except _FAULTS as error:
        raise _damaged(file, error) from error
    return found


def _own(one: Any) -> bool:
    """Say whether this is an array whose numbers lie in the file itself."""
    import h5py

    return isinstance(one, h5py.Dataset) and not one.is_virtual and not one.external


@dataclass
class _Hdf5:
    """An array that stays on disk."""

    file: Path
    name: str
    data: Any
    parent: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def _check(self, count: int) -> None:
        for what, number in (
            ("in one read", count),
            ("in one piece", int(np.prod(self.data.chunks or (1,), dtype=object))),
        ):
            size = number * self.dtype.itemsize
            if size > BLOCK_CAP:
                raise ManifestError(
                    f"{self.file}: {self.name} has {size >> 20} MB {what}, expected at most {BLOCK_CAP >> 20} MB"
                )

    def rows(self, start: int, stop: int, axis: int) -> Shaped[np.ndarray, "rows ..."]:
        if self.dtype.kind not in "fiub":
            raise _no_array(self.file, self.name, f"of type {self.dtype}")
        here = len(self.shape) - 1 - axis
        length = self.shape[axis]
        stop = min(stop, length)
        self._check(int(np.prod(self.shape, dtype=object)) // max(length, 1) * max(stop - start, 0))
        where = tuple(slice(start, stop) if side == here else slice(None) for side in range(len(self.shape)))
        try:
            block = np.asarray(self.data[where])
        except _FAULTS as error:
            raise _damaged(self.file, error) from error
        return np.moveaxis(block.transpose(), axis, 0)

    def texts(self) -> list[list[str]]:
        import h5py

        self._check(int(np.prod(self.shape, dtype=object)))
        if h5py.check_ref_dtype(self.dtype) is not h5py.Reference:
            raise ManifestError(f"{self.file}: {self.name} is of type {self.dtype}, expected a cell array of text")
        try:
            return [[self._text(reference)] for reference in self.data[()].ravel()]
        except _FAULTS as error:
            raise _damaged(self.file, error) from error

    def _text(self, reference: Any) -> str:
        letters = self.parent[reference]
        if not _own(letters) or letters.dtype != np.uint16 or letters.size > TEXT_CAP:
            raise ManifestError(
                f"{self.file}: {self.name} holds in a cell what is no text of at most {TEXT_CAP} letters"
            )
        if letters.attrs.get("MATLAB_empty", 0):  # the numbers are its shape then
            return ""
        return bytes(letters[()].transpose().tobytes(order="F")).decode("utf-16-le", "replace").rstrip()


def _damaged(file: Path, error: BaseException) -> ManifestError:
    return ManifestError(f"{file}: cannot be read ({error})", "the file is cut or damaged: get it again")


def _no_array(file: Path, name: str, found: str) -> ManifestError:
    return ManifestError(
        f"{file}: {name} is {found}, expected an array of numbers", "save it in MATLAB as a full matrix"
    )
