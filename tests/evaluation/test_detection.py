"""Detection against values worked by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from crossbit.errors import MetricError
from crossbit.evaluation.detection import Bin, auroc, average_precision, detect


def test_by_hand() -> None:
    found = detect(np.array([0.95, 0.85, 0.65, 0.05, 0.02]), np.array([True, False, True, False, False]))
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.auroc == pytest.approx(5 / 6)  # of six couples one is the wrong way round
    assert found.accuracy == pytest.approx(4 / 5)
    assert found.estimated == pytest.approx(0.504)
    assert found.wrong == 0.4
    assert found.bins[0] == Bin(2, pytest.approx(0.035), 0.0)  # type: ignore[arg-type]
    assert found.bins[9] == Bin(1, pytest.approx(0.95), 1.0)  # type: ignore[arg-type]
    assert found.bins[5] == Bin(0, 0.0, 0.0)
    assert found.calibration_error == pytest.approx((2 * 0.035 + 0.35 + 0.85 + 0.05) / 5)


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60))
def test_as_scikit_learn_has_it(pairs: list[tuple[int, bool]]) -> None:
    said = np.array([value / 12 for value, _ in pairs])  # many ties
    wrong = np.array([truth for _, truth in pairs])
    wrong[0], wrong[1] = True, False
    found = detect(said, wrong)
    assert found.average_precision == pytest.approx(average_precision_score(wrong, said))
    assert found.auroc == pytest.approx(roc_auc_score(wrong, said))
    assert found.brier == pytest.approx(brier_score_loss(wrong, said))
    assert sum(bar.pairs for bar in found.bins) == len(said)


def test_what_is_not_defined_is_nan_and_none_on_disk() -> None:
    right = np.zeros(3, bool)
    assert np.isnan(average_precision(np.ones(3), right))
    assert np.isnan(auroc(np.ones(3), ~right))
    record = detect(np.array([0.1, 0.2, 0.7]), right).to_record()
    assert (record["average_precision"], record["auroc"]) == (None, None)
    assert record["accuracy"] == pytest.approx(2 / 3, abs=1e-5)
    assert len(record["bins"]) == 10


@pytest.mark.parametrize(
    ("said", "wrong", "message"),
    [([], [], "0 probabilities of 0"), ([0.5], [True, False], "1 probabilities of 2"), ([1.5], [True], "outside")],
)
def test_wrong_use_is_named(said: list[float], wrong: list[bool], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        detect(np.array(said), np.array(wrong, bool))
