"""`check_engine` passes a plain scan, and names the property for each way of answering wrongly."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.errors import EngineError
from crossbit.ranking import Ranking
from crossbit.search.engines import FlatEngine, HammingEngine
from crossbit.testing import PropertyFailed, check_engine
from crossbit.testing.engine import scan

WIDTH = {"float32": 32, "uint8": 8}


class Scan:
    """The slowest engine that is right."""

    row = "float32"

    def __init__(self) -> None:
        self.held: dict[int, np.ndarray] = {}

    def _look(self, rows: np.ndarray) -> None:
        if rows.dtype != self.row or rows.shape[1] != WIDTH[self.row] or not np.isfinite(rows).all():
            raise EngineError(f"rows are {rows.dtype} {rows.shape}")

    def add(self, ids: np.ndarray, rows: np.ndarray) -> None:
        self._look(rows)
        if len(set(ids)) < len(ids) or set(ids) & set(self.held) or min(ids) < 0:
            raise EngineError("an id is negative or stands twice")
        self.held.update(zip(ids.tolist(), rows, strict=True))

    def remove(self, ids: np.ndarray) -> int:
        return sum(self.held.pop(i, None) is not None for i in ids.tolist())

    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        self._look(rows)
        held = self.held if allow is None else {i: self.held[i] for i in allow.tolist() if i in self.held}
        ids = np.array(list(held), dtype=np.int64)
        return Ranking(*scan(rows, ids, np.array(list(held.values()), self.row).reshape(len(ids), WIDTH[self.row]), k))

    def save(self, folder: Path) -> None:
        np.savez(folder / "rows.npz", ids=np.array(list(self.held)), rows=np.array(list(self.held.values())))

    def load(self, folder: Path) -> Scan:
        loaded = type(self)()
        with np.load(folder / "rows.npz") as saved:
            loaded.held = dict(zip(saved["ids"].tolist(), saved["rows"], strict=True))
        return loaded

    def __len__(self) -> int:
        return len(self.held)


class ScanCodes(Scan):
    row = "uint8"


@pytest.mark.parametrize(
    "make", [Scan, ScanCodes, FlatEngine, partial(FlatEngine, "float32"), partial(FlatEngine, "int8"), HammingEngine]
)
def test_right_engines_pass(make: Any) -> None:
    assert check_engine(make) == ("row", "empty", "exact", "k beyond size", "ids", "remove", "allow", "save and load")


class OtherRow(Scan):
    row = "float64"


class TakesAnything(Scan):
    def _look(self, rows: np.ndarray) -> None:
        pass


class TakesNaN(Scan):
    def _look(self, rows: np.ndarray) -> None:
        super()._look(np.nan_to_num(rows))


class Overwrites(Scan):
    def add(self, ids: np.ndarray, rows: np.ndarray) -> None:
        self._look(rows)
        self.held.update(zip(ids.tolist(), rows, strict=True))


class AddsWhatItRefuses(Scan):
    def add(self, ids: np.ndarray, rows: np.ndarray) -> None:
        try:
            super().add(ids, rows)
        except EngineError:
            self.held.update(zip(ids.tolist(), rows, strict=True))
            raise


class FailsEmpty(Scan):
    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        found = super().search(rows, k, allow)
        return found if self.held else Ranking(found.ids[:, :0], found.scores[:, :0])


class Changed(Scan):
    """Search right, then spoil the answer."""

    def spoil(self, ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        found = super().search(rows, k, allow)
        return Ranking(*self.spoil(found.ids.copy(), found.scores.copy())) if len(self.held) > 5 else found


class ForgetsTheBest(Changed):
    def spoil(self, ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.roll(ids, -1, axis=1), scores


class OtherScale(Changed):
    def spoil(self, ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ids, scores / 2


class TiesDescending(Scan):
    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        self._look(rows)
        if not self.held:
            return super().search(rows, k, allow)
        held = self.held if allow is None else {i: self.held[i] for i in allow.tolist() if i in self.held}
        ids = -np.array(list(held), dtype=np.int64)
        found, scores = scan(rows, ids, np.array(list(held.values())), k)
        return Ranking(np.abs(found), scores)


class PadsWithFirst(Scan):
    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        return super().search(rows, min(k, max(3, len(self.held))), allow)


class CountsUnknown(Scan):
    def remove(self, ids: np.ndarray) -> int:
        super().remove(ids)
        return len(ids)


class RemovesNothing(Scan):
    def remove(self, ids: np.ndarray) -> int:
        return len(set(ids.tolist()) & set(self.held))


class LengthStays(Scan):
    most = 0

    def __len__(self) -> int:
        self.most = max(self.most, len(self.held))
        return 300


class AllowsAll(Scan):
    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        return super().search(rows, k)


class NoneMeansAll(Scan):
    def search(self, rows: np.ndarray, k: int, allow: np.ndarray | None = None) -> Ranking:
        return super().search(rows, k, None if allow is None or len(allow) == 0 else allow)


class LosesOne(Scan):
    def save(self, folder: Path) -> None:
        self.held.popitem()
        super().save(folder)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (OtherRow, "row"),
        (TakesAnything, "row"),
        (TakesNaN, "row"),
        (Overwrites, "ids"),
        (AddsWhatItRefuses, "ids"),
        (FailsEmpty, "empty"),
        (ForgetsTheBest, "exact"),
        (OtherScale, "exact"),
        (TiesDescending, "exact"),
        (PadsWithFirst, "k beyond size"),
        (CountsUnknown, "remove"),
        (RemovesNothing, "remove"),
        (LengthStays, "remove"),
        (AllowsAll, "allow"),
        (NoneMeansAll, "allow"),
        (LosesOne, "save and load"),
    ],
)
def test_each_wrong_answer_is_named(cls: type[Scan], name: str) -> None:
    with pytest.raises(PropertyFailed, match=f"{cls.__name__}: {name}: ") as caught:
        check_engine(cls)
    assert caught.value.name == name


def test_scan_by_hand() -> None:
    rows = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
    ids, scores = scan(np.array([[1, 0]], dtype=np.float32), np.array([9, 4, 2]), rows, 4)
    # rows 9 and 2 both score 1, the lower id first; 4 scores 0; then padding
    assert ids.tolist() == [[2, 9, 4, -1]]
    assert scores.tolist() == [[1.0, 1.0, 0.0, -np.inf]]
    codes = np.array([[0b1111_0000], [0b0000_0000]], dtype=np.uint8)
    ids, scores = scan(np.array([[0b1111_1111]], dtype=np.uint8), np.array([1, 2]), codes, 2)
    # 4 of 8 bits differ: 1 - 2 * 4 / 8 = 0; 8 of 8: -1
    assert ids.tolist() == [[1, 2]]
    assert scores.tolist() == [[0.0, -1.0]]
