"""Claims: verdicts that follow from the numbers, files in the one format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import FingerprintError, MetricError, UsageError
from crossbit.evaluation import Result, claim, claim_of_runs, evaluate, write_claims
from crossbit.evaluation.claims import FIELDS
from crossbit.metrics import Term
from evaluation import toys


def run(noise: float, seed: int, **changes: object) -> Result:
    model = toys.ToyModel(noise=noise, seed=seed, bits=24)
    return evaluate(model, toys.manifest(120), seeds=[seed], progress=False, **changes)  # type: ignore[arg-type]


GOOD = [run(1.0, seed) for seed in (0, 1, 2)]
BAD = [run(1.8, seed) for seed in (0, 1, 2)]


def test_a_true_claim_holds() -> None:
    check = claim("good beats bad", GOOD, BAD, main=True, command="x")
    assert tuple(check) == FIELDS
    assert check["verdict"] == "holds"
    assert check["ours"] == [round(result.rsum, 4) for result in GOOD]
    assert check["baseline"] == [round(result.rsum, 4) for result in BAD]
    assert check["difference"] == pytest.approx(np.mean(check["ours"]) - np.mean(check["baseline"]), abs=1e-3)
    assert check["ci95"][0] < check["difference"] < check["ci95"][1]
    assert check["p_value"] < 0.001
    assert check["seeds"] == [0, 1, 2]
    assert check["baseline_name"] == "toy model embedding"
    assert check["data"] == {"name": "toy", "split": "test", "fingerprint": toys.manifest(120).fingerprint}


def test_a_false_claim_does_not_hold_either_way_round() -> None:
    assert claim("bad beats good", BAD, GOOD)["verdict"] == "does not hold"
    assert claim("bad is lower", BAD, GOOD, higher_is_better=False)["verdict"] == "holds"
    assert claim("alike", GOOD, [run(1.0, seed) for seed in (3, 4, 5)])["verdict"] == "does not hold"


def test_a_share_of_the_baseline() -> None:
    codes = [run(1.0, seed, by="code") for seed in (0, 1, 2)]
    kept = np.mean([result.rsum for result in codes]) / np.mean([result.rsum for result in GOOD])
    assert 0.3 < kept < 0.95
    above = claim("code keeps some", codes, GOOD, times=kept - 0.2)
    below = claim("code keeps more than it does", codes, GOOD, times=kept + 0.2)
    assert above["verdict"] == "holds"
    assert below["verdict"] == "does not hold"
    assert above["baseline_name"].endswith(" x toy model embedding")
    assert above["baseline"][0] == pytest.approx((kept - 0.2) * GOOD[0].rsum, rel=1e-3)


def test_a_number_from_a_table() -> None:
    value = np.mean([result.rsum for result in GOOD])
    assert claim("above", GOOD, value - 60, baseline_name="a table")["verdict"] == "holds"
    close = claim("just above", GOOD, value - 0.5)
    assert close["verdict"] == "does not hold"
    assert close["baseline"] == [pytest.approx(value - 0.5, abs=1e-3)] * 3
    assert claim("below", GOOD, value + 60)["verdict"] == "does not hold"


def test_one_language_against_another() -> None:
    check = claim("German is no better than half", GOOD, GOOD, languages=["de"], baseline_languages=["en"], times=0.5)
    assert check["metric"] == "rsum, de"
    assert check["verdict"] == "holds"
    assert check["ours"][0] == pytest.approx(GOOD[0].metrics["de"]["both"]["rsum"], abs=1e-3)


def test_values_of_queries_without_results() -> None:
    items = np.arange(40)
    runs = [[Term(np.ones(40), items, 100.0)]], [[Term(np.zeros(40), items, 100.0)]]
    check = claim_of_runs("all", *runs, baseline_name="none", metric="hits", data={"name": "n"}, seeds=[0])
    assert (check["difference"], check["ci95"], check["verdict"]) == (100, [100, 100], "holds")


def test_claims_are_written_whole_and_in_one_format(tmp_path: Path) -> None:
    check = claim("good beats bad", GOOD, BAD, main=True)
    path = write_claims("toy", "A. Author, 2020", [check], tmp_path / "claims")
    record = json.loads(path.read_text())
    assert path.name == "toy.json"
    assert list(record) == ["system", "paper", "checks"]
    assert tuple(record["checks"][0]) == FIELDS
    assert [p.name for p in path.parent.iterdir()] == ["toy.json"]
    write_claims("toy", "A. Author, 2020", [check, check], tmp_path / "claims")
    assert len(json.loads(path.read_text())["checks"]) == 2


def test_what_cannot_be_claimed_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results"):
        claim("x", [], BAD)
    with pytest.raises(FingerprintError, match="protocol"):
        claim("x", GOOD, [run(1.0, 0, protocol="same-concept")])
    with pytest.raises(MetricError, match="different queries"):
        claim("x", GOOD, BAD, languages=["en"], baseline_languages=["en", "de"])
    with pytest.raises(MetricError, match="no checks"):
        write_claims("x", "y", [], tmp_path)
    check = claim("x", GOOD, BAD)
    del check["verdict"]
    with pytest.raises(MetricError, match="verdict"):
        write_claims("x", "y", [check], tmp_path)
