"""Result files: nothing lost on the way, nothing overwritten, damage named."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossbit.errors import DataError, MetricError, UsageError
from crossbit.evaluation import Result, evaluate
from crossbit.metrics import statistic
from evaluation import toys


@pytest.fixture(scope="module")
def result() -> Result:
    return evaluate(toys.ToyModel(noise=1.0, bits=12), toys.manifest(60), by="code", seeds=[3], progress=False)


def test_nothing_is_lost_on_the_way(result: Result, tmp_path: Path) -> None:
    read = Result.read(result.write(tmp_path))
    for language in result.languages:
        for side in ("image_to_text", "text_to_image"):
            a, b = result.answers[language][side], read.answers[language][side]
            for name in ("item", "ahead", "tied", "relevant"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
            for name, value in result.metrics[language][side].items():
                assert read.metrics[language][side][name] == pytest.approx(value, abs=1e-4)
    assert replace(read, metrics=result.metrics, answers=result.answers) == result
    assert read.seeds == (3,)


def test_measures_can_be_computed_again_from_the_file(result: Result, tmp_path: Path) -> None:
    read = Result.read(result.write(tmp_path))
    assert statistic(read.terms("rsum")) == pytest.approx(result.rsum)
    one = result.metrics["en"]["text_to_image"]["recall_at_5"]
    assert statistic(read.terms("text_to_image recall_at_5", ["en"])) == pytest.approx(one)
    both = [result.metrics["de"][side]["recall_at_1"] for side in ("image_to_text", "text_to_image")]
    assert statistic(read.terms("recall_at_1", ["de"])) == pytest.approx(np.mean(both))


def test_map_can_be_computed_again_from_the_file(tmp_path: Path) -> None:
    result = evaluate(
        toys.ToyModel(noise=0.3, bits=16), toys.manifest(60), by="code", protocol="hashing", progress=False
    )
    read = Result.read(result.write(tmp_path))
    assert statistic(read.terms("map_all", ["en"])) == pytest.approx(result.metrics["en"]["both"]["map_all"], abs=1e-3)


def test_results_are_never_overwritten(result: Result, tmp_path: Path) -> None:
    names = [result.write(tmp_path / "results").name for _ in range(3)]
    assert names == [f"toy-model-12-bit-code-toy-test-seed3{count}.json" for count in ("", "-2", "-3")]
    path = result.write(tmp_path / "mine.json")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        result.write(path)
    assert path.read_bytes() == before


def test_file_says_how_it_came_about(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/crossbit", "evaluate", "a model"])
    fresh = evaluate(toys.ToyModel(), toys.manifest(), progress=False)
    record = json.loads(fresh.write(tmp_path).read_text())
    assert record["command"] == "crossbit evaluate 'a model'"
    assert record["data"]["fingerprint"] == toys.manifest().fingerprint
    assert record["protocol"]["name"] == "concept-retrieval"
    assert record["model"] == {
        "name": "toy model",
        "fingerprint": "f00d",
        "by": "embedding",
        "width": 32,
        "features": "fresh",
    }
    assert record["ties"] == "expected"
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["packages"]["numpy"]
    assert record["version"]
    assert record["date"].endswith("+00:00")
    assert not any(str(Path.home()) in text for text in [fresh.to_json()])


def test_values_of_queries_stand_in_one_line(result: Result) -> None:
    lines = result.to_json().splitlines()
    assert sum('"first_rank"' in line for line in lines) == 4  # two languages, two directions
    assert len(lines) < 200


def test_text_ties_are_kept_only_where_there_are_any() -> None:
    text = evaluate(toys.ToyModel(), toys.manifest(captions=(1,)), progress=False).to_json()
    assert '"tied"' not in text
    assert json.loads(text)["per_query"]["en"]["image_to_text"] == {"first_rank": [1] * 20}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a result file"),
        ('{"per_query": {}, "format": 99}', "result format 99, this version reads 1"),
        ('{"per_query": {"en": 3}, "format": 1}', "damaged result file"),
        ('{"per_query": {}, "format": 1}', "damaged result file"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as found:
        Result.read(path)
    assert str(path) in str(found.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Result.read(tmp_path / "none.json")


def test_terms_that_are_not_means_are_refused(result: Result) -> None:
    for metric in ("median_rank", "rsum recall_at_1", "recall_at_x"):
        with pytest.raises(MetricError, match="not a mean over queries"):
            result.terms(metric)
    with pytest.raises(MetricError, match="no language 'fr'"):
        result.terms("rsum", ["fr"])


def test_full_disk_leaves_no_half_file(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.open

    def full(self: Path, *args: object, **kwargs: object) -> object:
        file = plain(self, *args, **kwargs)  # type: ignore[call-overload]

        def flush() -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(file, "flush", flush, raising=False)
        return file

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        result.write(tmp_path)
    assert list(tmp_path.iterdir()) == []
