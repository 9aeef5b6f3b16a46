"""Claims on hashing: who is compared with whom, at which lengths, by which measure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossbit.cli import claims
from crossbit.cli.hashing_claims import Measured, cmhr_drn_on_labels, fgcmh_on_captions
from crossbit.cli.hashing_systems import SYSTEMS, Wanted
from crossbit.evaluation import Result, evaluate
from crossbit.evaluation.claims import FIELDS
from evaluation import toys

GOOD = {"fgcmh", "cmhr_drn"}


class Bench:
    """Stands for the bench: a good system has little noise; remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Wanted] = []
        self.made: dict[tuple[bool, str, int], Result] = {}

    def measured(self, run: Wanted) -> Result:
        assert run.system in SYSTEMS
        self.asked.append(run)
        key = (run.system in GOOD, run.track, run.seed)
        if key not in self.made:
            model = toys.ToyModel(noise=0.5 if key[0] else 3.0, seed=run.seed, bits=24)
            self.made[key] = evaluate(
                model,
                toys.manifest(120),
                by="code",
                languages=["en"],
                protocol="hashing" if run.track == "labels" else "same-concept",
                seeds=[run.seed],
                progress=False,
            )
        return replace(self.made[key], system=run.label)


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    found = Measured(tmp_path, tmp_path, "typed", (0, 1))
    found.bench = Bench()  # type: ignore[assignment]
    return found


def test_codes_are_compared_on_captions_at_equal_bits(measured: Measured) -> None:
    checks = fgcmh_on_captions(measured, lengths=(64, 128))
    assert len(checks) == 12
    assert all(set(check) == set(FIELDS) for check in checks)
    assert [check["baseline_name"] for check in checks[:2]] == ["dcmh 64bit", "cmhr_drn 64bit"]
    assert [check["main"] for check in checks] == [False] * 6 + [True] * 6
    # dcmh is bad here, cmhr_drn as good as ours
    assert [check["verdict"] for check in checks[:2]] == ["holds", "does not hold"]
    assert checks[0]["metric"] == "rsum, mean over languages"
    assert checks[0]["seeds"] == [0, 1]
    asked = measured.bench.asked  # type: ignore[attr-defined]
    assert {run.track for run in asked} == {"captions"}
    assert {(run.system, run.bits, run.seed) for run in asked} >= {("fgcmh", 64, 1), ("vsepp-itq", 128, 0)}


def test_cmhr_drn_is_compared_on_labels(measured: Measured) -> None:
    checks = cmhr_drn_on_labels(measured, lengths=(16,))
    assert [check["baseline_name"] for check in checks] == [
        "cmfh 16bit", "cmssh 16bit", "cmdn 16bit", "cmdn-float 16bit", "dcmh 16bit", "itq 16bit", "cmhr_drn-no-distance 16bit",
    ]  # fmt: skip
    assert [check["main"] for check in checks] == [True] * 3 + [False] * 4
    assert checks[0]["metric"] == "map_all, mean over languages"
    assert {run.track for run in measured.bench.asked} == {"labels"}  # type: ignore[attr-defined]


def test_a_result_whose_model_is_gone_stands_while_data_and_settings_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import asdict

    from crossbit.cli.fit import settings_for

    monkeypatch.setattr("crossbit.cli.data.open_data", lambda name: toys.manifest(120))
    bench = claims.Bench("toy", tmp_path / "runs", tmp_path / "results", "typed")
    monkeypatch.setattr(bench, "_model", lambda system, seed: pytest.fail("nothing has to be trained"))
    settings = asdict(settings_for("vsepp", seed=0))
    result = evaluate(toys.ToyModel(), toys.manifest(120), seeds=[0], progress=False)
    result = replace(result, config={"settings": settings})
    result.write(tmp_path / "results" / "toy" / "vsepp-seed0.json")
    assert bench.measured("vsepp", [0])[0].date == result.date
    (tmp_path / "results" / "toy" / "vsepp-seed0.json").unlink()
    changed = replace(result, config={"settings": {**settings, "epochs": 1}})
    changed.write(tmp_path / "results" / "toy" / "vsepp-seed0.json")
    with pytest.raises(pytest.fail.Exception):
        bench.measured("vsepp", [0])
