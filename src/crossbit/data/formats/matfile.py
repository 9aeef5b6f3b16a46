"""MATLAB files of both kinds as named arrays whose rows can be read in parts: version 5 by SciPy, version 7.3 (HDF5) by h5py.

MATLAB writes columns first, so an array of N pictures is (height, width, 3, N) to it and (N, 3, width, height) to h5py.
Here shapes are MATLAB's, and whichever side holds the rows is found by its length.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.io
from jaxtyping import Shaped
from scipy.io.matlab import MatReadError

from crossbit.errors import ManifestError

CAP = 4 << 30
"""Bytes of the largest array of a version 5 file, which is read whole; its own limit is half of that."""
BLOCK_CAP = 1 << 30
"""Bytes that are read at once from an HDF5 file, and of the largest piece that it may be stored in."""
TEXT_CAP = 1 << 16
"""Letters of the longest text in a cell."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FAULTS = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    zlib.error,
    MatReadError,
)


class Variable(Protocol):
    """A named array in a file."""

    file: Path
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the shape as MATLAB has it."""
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
        listing = scipy.io.whosmat(file)
    except _FAULTS as error:
        raise _damaged(file, error) from error
    return [_Version5(file, name, tuple(shape), kind) for name, shape, kind in listing]


@dataclass
class _Version5:
    """An array that is read whole when it is first asked for, and then kept."""

    file: Path
    name: str
    shape: tuple[int, ...]
    kind: str
    _array: Any = None

    def _whole(self) -> Any:
        if self._array is None:
            size = int(np.prod(self.shape, dtype=object)) * (
                8 if self.kind in ("double", "int64", "uint64", "cell") else 4
            )
            if size > CAP:
                raise ManifestError(f"{self.file}: {self.name} has {size >> 20} MB, expected at most {CAP >> 20} MB")
            try:
                self._array = scipy.io.loadmat(self.file, variable_names=[self.name])[self.name]
            except _FAULTS as error:
                raise _damaged(self.file, error) from error
            if self._array.dtype.kind not in "fiubOU" or self._array.dtype.names:
                raise _no_array(self.file, self.name, f"of kind {self.kind}")
        return self._array

    def rows(self, start: int, stop: int, axis: int) -> Shaped[np.ndarray, "rows ..."]:
        array = self._whole()
        if hasattr(array, "tocsr"):  # sparse
            return np.asarray((array if axis == 0 else array.T).tocsr()[start:stop].toarray())
        if array.dtype.kind not in "fiub":
            raise _no_array(self.file, self.name, f"of kind {self.kind}")
        block: np.ndarray = np.moveaxis(array, axis, 0)[start:stop]
        return block

    def texts(self) -> list[list[str]]:
        array = self._whole()
        if array.dtype.kind not in "OU":
            raise ManifestError(f"{self.file}: {self.name} is of kind {self.kind}, expected a cell array of text")
        return [list(_inner(cell, self.file, self.name)) for cell in np.ravel(array, order="F")]


def _inner(cell: Any, file: Path, name: str) -> Iterator[str]:
    if isinstance(cell, str):
        yield cell[:TEXT_CAP].rstrip()  # a matrix of letters is filled up with blanks
    elif isinstance(cell, np.ndarray) and cell.dtype.kind in "OU":
        for inner in cell.ravel():
            yield from _inner(inner, file, name)
    else:
        raise ManifestError(f"{file}: {name} holds a {type(cell).__name__} in a cell, expected text")


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
            if isinstance(one, h5py.Dataset) and not one.is_virtual and not one.external:
                found.append(_Hdf5(file, name, one, opened_file))
    except _FAULTS as error:
        raise _damaged(file, error) from error
    return found


@dataclass
class _Hdf5:
    """An array that stays on disk."""

    file: Path
    name: str
    data: Any
    parent: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(reversed(self.data.shape))

    def _check(self, count: int) -> None:
        for what, number in (
            ("in one read", count),
            ("in one piece", int(np.prod(self.data.chunks or (1,), dtype=object))),
        ):
            size = number * self.data.dtype.itemsize
            if size > BLOCK_CAP:
                raise ManifestError(
                    f"{self.file}: {self.name} has {size >> 20} MB {what}, expected at most {BLOCK_CAP >> 20} MB"
                )

    def rows(self, start: int, stop: int, axis: int) -> Shaped[np.ndarray, "rows ..."]:
        if self.data.dtype.kind not in "fiub":
            raise _no_array(self.file, self.name, f"of type {self.data.dtype}")
        here = self.data.ndim - 1 - axis
        length = self.data.shape[here]
        stop = min(stop, length)
        self._check(int(np.prod(self.data.shape, dtype=object)) // max(length, 1) * max(stop - start, 0))
        where = tuple(slice(start, stop) if side == here else slice(None) for side in range(self.data.ndim))
        try:
            block = np.asarray(self.data[where])
        except _FAULTS as error:
            raise _damaged(self.file, error) from error
        return np.moveaxis(block.transpose(), axis, 0)

    def texts(self) -> list[list[str]]:
        import h5py

        self._check(self.data.size)
        if h5py.check_ref_dtype(self.data.dtype) is not h5py.Reference:
            raise ManifestError(f"{self.file}: {self.name} is of type {self.data.dtype}, expected a cell array of text")
        try:
            return [[self._text(reference)] for reference in self.data[()].ravel()]
        except _FAULTS as error:
            raise _damaged(self.file, error) from error

    def _text(self, reference: Any) -> str:
        letters = self.parent[reference]
        if not hasattr(letters, "dtype") or letters.dtype != np.uint16 or letters.size > TEXT_CAP:
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
