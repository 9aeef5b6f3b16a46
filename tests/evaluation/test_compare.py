"""Tables: the right numbers in every format, tests only where they mean something."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import ConfigError, FingerprintError, UsageError
from crossbit.evaluation import Result, compare, evaluate
from evaluation import toys


def run(noise: float, seed: int = 0, name: str = "good", **changes: object) -> Result:
    model = toys.ToyModel(noise=noise, seed=seed, name=name)
    return evaluate(model, toys.manifest(120), seeds=[seed], progress=False, **changes)  # type: ignore[arg-type]


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_seeds_are_averaged_and_methods_tested() -> None:
    good = [run(1.0, seed, "good") for seed in (0, 1, 2)]
    bad = [run(1.8, seed, "bad") for seed in (0, 1, 2)]
    head, first, second, *rest = cells(compare([*good, *bad], format="csv"))
    line = dict(zip(head[:9], first, strict=False))
    assert line["system"] == "good embedding"
    assert line["seeds"] == "3"
    rsums = [result.rsum for result in good]
    assert line["rsum"] == f"{np.mean(rsums):.1f} ± {np.std(rsums, ddof=1):.1f}"
    low, high = (float(word) for word in first[9].split(" to "))
    assert low < np.mean(rsums) < high
    assert first[10:] == ["", "", ""]
    difference = np.mean([result.rsum for result in bad]) - np.mean(rsums)
    assert second[10] == f"{difference:+.1f}"
    assert second[12] == "< 0.001"
    # the second table: rsum by language
    by_language = rest[rest.index([]) + 1 :] if [] in rest else rest
    assert by_language[0][0] == "rsum by language"
    assert by_language[1][1] == f"{np.mean([r.metrics[by_language[0][1]]['both']['rsum'] for r in good]):.1f}"


def test_alike_methods_are_not_told_apart() -> None:
    table = cells(compare([run(1.0, 0, "one"), run(1.0, 1, "two")], format="csv"))
    low, high = (float(word) for word in table[2][11].split(" to "))
    assert low < 0 < high
    assert float(table[2][12]) > 0.05


def test_p_values_are_corrected_for_their_number() -> None:
    base, other = run(1.0, 0, "base"), run(1.05, 1, "other")
    alone = cells(compare([base, other], format="csv"))[2][12]
    copies = [replace(other, system=f"copy {number}") for number in range(3)]
    among = cells(compare([base, *copies], format="csv"))[2][12]
    assert float(among) == pytest.approx(min(1.0, 3 * float(alone)), abs=0.002)


def test_against_the_best() -> None:
    table = cells(compare([run(2.0, 0, "bad"), run(0.8, 0, "good")], format="csv", against="best"))
    assert table[2][10] == ""
    assert float(table[1][10]) < 0


def test_other_data_is_shown_but_not_tested() -> None:
    here = run(1.0, 0, "here")
    there = evaluate(toys.ToyModel(noise=1.0, name="there"), toys.manifest(100), progress=False)
    with pytest.warns(
        UserWarning, match=r"'there embedding' and 'here embedding' cannot be compared: they differ in data"
    ):
        table = cells(compare([here, there], format="csv"))
    assert table[2][10:] == ["", "", ""]
    assert table[2][8] == f"{there.rsum:.1f}"


def test_runs_of_one_system_must_be_alike() -> None:
    here = run(1.0)
    with pytest.raises(FingerprintError, match="differ in protocol"):
        compare([here, run(1.0, 1, protocol="same-concept")])


def test_files_and_formats(tmp_path: Path) -> None:
    paths = [run(1.0, seed, "some_method").write(tmp_path) for seed in (0, 1)]
    markdown = compare(paths, languages=["en"])
    lines = markdown.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("| system ")
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) <= set("|-: ")
    latex = compare(paths, languages=["en"], format="latex")
    assert latex.startswith("\\begin{tabular}{lrrrrrrrrrrrr}\n\\toprule")
    assert "some\\_method embedding & 2 &" in latex
    assert "$\\pm$" in latex


def test_hashing_results_have_maps() -> None:
    result = evaluate(
        toys.ToyModel(noise=0.3, bits=16), toys.manifest(60), by="code", protocol="hashing", progress=False
    )
    table = cells(compare([result], format="csv"))
    assert table[0][2:6] == ["i2t MAP", "t2i MAP", "MAP", "95 %"]
    assert table[1][4] == f"{result.metrics['mean']['both']['map_all']:.1f}"
    with pytest.raises(UsageError, match="one family"):
        compare([result, run(1.0)])


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(UsageError, match="no results"):
        compare([])
    with pytest.raises(UsageError, match="not all results have language 'ja'"):
        compare([run(1.0)], languages=["ja"])
    with pytest.raises(UsageError, match="no language in common"):
        compare([run(1.0, 0, "a", languages=["en"]), run(1.0, 0, "b", languages=["de"])])
    with pytest.raises(ConfigError, match="format 'html'"):
        compare([run(1.0)], format="html")  # type: ignore[arg-type]
