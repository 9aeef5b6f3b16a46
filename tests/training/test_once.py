"""Closed-form methods go the way of trained ones: measured, reported, and refused where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crossbit.data.loader import Pairs, RowsInMemory
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ConfigError
from crossbit.features import Features
from crossbit.methods.itq import ITQ, ITQConfig
from crossbit.methods.vsepp import VSEPP
from crossbit.training.once import fit_once


def pairs(count: int = 60) -> Pairs:
    draw = np.random.default_rng(0)
    hidden = draw.standard_normal((count, 6))
    views = []
    for modality, width in (("image", 8), ("text", 7)):
        pooled = (hidden @ draw.standard_normal((6, width))).astype(np.float32)
        views.append(RowsInMemory(Features(modality, pooled[:, None], np.ones((count, 1), bool), pooled)))  # type: ignore[arg-type]
    items = [
        Item(str(n), "a.png", captions=(Caption(f"thing {n}"),), labels=("even",) if n % 2 == 0 else ("odd", "third"))
        for n in range(count)
    ]
    return Pairs.of(Manifest("toy", Path(), tuple(items)), *views)


def test_labels_travel_with_the_pairs() -> None:
    found = pairs()
    assert found.label_names == ("even", "odd", "third")
    batch = found.batch(np.array([4, 7]))
    assert batch.labels is not None
    assert batch.labels.tolist() == [[1, 0, 0], [0, 1, 1]]
    rows = found.pooled_labels(limit=10, seed=3)
    assert rows is not None
    drawn = found.pooled(limit=10, seed=3)["image"].numpy()
    whole = found.items.pooled
    for row, label in zip(drawn, rows, strict=True):
        place = int(np.flatnonzero((whole == row).all(1))[0])
        assert label[0] == (place % 2 == 0)


def test_a_fit_is_measured_and_reported(tmp_path: Path) -> None:
    seen: list[int] = []

    def validate(methods: object) -> float:
        seen.append(1)
        return 42.0

    method = ITQ(ITQConfig(bits=8, width=6), {"image": (8, 8), "text": (7, 7)})
    report = fit_once(method, pairs(), tmp_path, validate)
    assert (report.best_rsum, report.epochs, seen) == (42.0, 1, [1])
    assert report.methods[0] is method
    assert len(report.bits) > 0
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"epoch": 0, "pairs": 60, "val_rsum": 42.0}


def test_a_method_that_learns_is_refused(tmp_path: Path) -> None:
    method = VSEPP(VSEPP.Config.small(), {"image": (8, 8), "text": (7, 7)})  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="`VSEPP` is not fitted in closed form"):
        fit_once(method, pairs(), tmp_path, lambda _: 0.0)
