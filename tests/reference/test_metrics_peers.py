"""Measures against ranx, ir-measures and scikit-learn, on lists without ties (each breaks ties in its own way)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from crossbit.metrics import (
    Relevant,
    Standings,
    average_precision,
    first_rank,
    precision_at_n,
    r_precision,
    recall_at_k,
    relevant_recall_at_k,
    standings,
)

pytestmark = pytest.mark.reference

CUTS = (1, 3, 10)


def problem() -> tuple[np.ndarray, np.ndarray, Standings]:
    random = np.random.default_rng(0)
    similarity = random.permuted(np.tile(np.arange(40.0), (25, 1)), axis=1)
    table = random.random((25, 40)) < 0.15
    table[np.arange(25), random.integers(0, 40, 25)] = True
    return similarity, table, standings(similarity, table)


def ours(found: Standings) -> dict[str, np.ndarray]:
    """Give our values by the names that ir-measures has for them."""
    values = {"AP": average_precision(found), "Rprec": r_precision(found), "RR": 1 / first_rank(found)}
    for k in CUTS:
        values[f"Success@{k}"] = recall_at_k(found, k)
        values[f"R@{k}"] = relevant_recall_at_k(found, k)
        values[f"P@{k}"] = precision_at_n(found, k)
        # information retrieval's tools divide by all relevant items, ours by those that fit into the cut
        values[f"AP@{k}"] = average_precision(found, cut=k) * np.minimum(k, found.totals) / found.totals
    return values


def test_ir_measures_agrees_query_by_query() -> None:
    ir_measures = pytest.importorskip("ir_measures")
    similarity, table, found = problem()
    qrels = [ir_measures.Qrel(f"q{q}", f"d{i}", 1) for q, i in np.argwhere(table)]
    run = [ir_measures.ScoredDoc(f"q{q}", f"d{i}", value) for (q, i), value in np.ndenumerate(similarity)]
    for name, values in ours(found).items():
        answers = {a.query_id: a.value for a in ir_measures.iter_calc([ir_measures.parse_measure(name)], qrels, run)}
        np.testing.assert_allclose(values, [answers[f"q{q}"] for q in range(25)], atol=1e-9, err_msg=name)


_RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
asked = json.load(sys.stdin)
print(json.dumps({name: float(evaluate(Qrels(asked["qrels"]), Run(asked["run"]), name)) for name in asked["names"]}))
"""


def test_ranx_agrees_on_the_means() -> None:
    """In a process of its own, as plain Python: compiling ranx takes half a minute and warns on the way."""
    pytest.importorskip("numba")
    similarity, table, found = problem()
    names = {"map": "AP", "r-precision": "Rprec", "mrr": "RR"}
    for k in CUTS:
        names |= {
            f"hit_rate@{k}": f"Success@{k}",
            f"recall@{k}": f"R@{k}",
            f"precision@{k}": f"P@{k}",
            f"map@{k}": f"AP@{k}",
        }
    asked = {
        "names": list(names),
        "qrels": {f"q{q}": {f"d{i}": 1 for i in np.flatnonzero(table[q])} for q in range(25)},
        "run": {f"q{q}": {f"d{i}": float(similarity[q, i]) for i in range(40)} for q in range(25)},
    }
    done = subprocess.run(
        [sys.executable, "-c", _RANX],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        timeout=300,
    )
    if "No module named 'ranx'" in done.stderr:
        pytest.skip("ranx is not installed")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    values = ours(found)
    for theirs, mine in names.items():
        assert values[mine].mean() == pytest.approx(answers[theirs], abs=1e-9), theirs


def test_scikit_learn_agrees() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    similarity, table, found = problem()
    expected = [sklearn.average_precision_score(table[q], similarity[q]) for q in range(25)]
    np.testing.assert_allclose(average_precision(found), expected, atol=1e-9)
    assert average_precision(found).mean() == pytest.approx(
        sklearn.label_ranking_average_precision_score(table, similarity), abs=1e-9
    )
    # one relevant item a query: R@K is top-k accuracy
    random = np.random.default_rng(1)
    logits, classes = random.standard_normal((200, 30)), random.integers(0, 30, 200)
    classes[:30] = np.arange(30)
    answered = standings(logits, Relevant.from_owner(classes, 30))
    for k in CUTS:
        assert recall_at_k(answered, k).mean() == pytest.approx(sklearn.top_k_accuracy_score(classes, logits, k=k))
