"""Probabilities: the regression against scikit-learn's, and what a collection makes of its captions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from crossbit.errors import CollectionError, UsageError
from crossbit.search.calibrate import Calibration, features_of, find
from crossbit.search.collection import Collection
from crossbit.search.fitting import _Asked, _measure, _weights
from search.fakes import COLOURS, FakeModel, paint

SHAPES = ("square", "stripe", "cross", "star", "arrow", "leaf", "fish", "boat", "tree", "house")
"""Words that the fake model tells apart."""


@pytest.fixture
def described(tmp_path: Path, model: FakeModel) -> Collection:
    """Eighty pictures, each said to be of one shape in one colour: a caption tells its picture from all others."""
    paths, captions = [], []
    for number, (colour, shape) in enumerate((c, s) for c in COLOURS for s in SHAPES):
        paths.append(paint(tmp_path / "p" / f"{number}.png", colour, mark=number + 1))
        captions.append([f"{shape} {colour}", f"a {colour} {shape}"])
    made = Collection.create(tmp_path / "c", model, root=tmp_path / "p")
    made.add(paths, captions=captions)
    return made


def drawn(count: int, seed: int) -> _Asked:
    """Answers whose probability is known: the log-odds are -4 + 3 * score + 5 * margin."""
    draw = np.random.default_rng(seed)
    scores = -np.sort(-draw.random((count, 4)), axis=1)
    features = np.concatenate([features_of(row) for row in scores])
    chance = 1 / (1 + np.exp(4 - 3 * features[:, 1] - 5 * features[:, 2]))
    right = draw.random(len(chance)) < chance
    question = np.repeat(np.arange(count), 4)
    return _Asked(features, right, np.tile([True, False, False, False], count), question, np.ones(count, bool))


def test_features_by_hand() -> None:
    # each answer against the last, which is at most the tenth
    np.testing.assert_allclose(features_of(np.array([0.9, 0.7, 0.2])), [[1, 0.9, 0.7], [1, 0.7, 0.5], [1, 0.2, 0.0]])
    assert features_of(np.linspace(0.9, 0.1, 17))[0, 2] == pytest.approx(0.9 - 0.45)
    np.testing.assert_allclose(features_of(np.array([0.6])), [[1, 0.6, 0.6]])


def test_weights_are_those_of_scikit_learn_and_of_the_truth() -> None:
    asked = drawn(5000, 0)
    found = _weights(asked.features, asked.right)
    twin = LogisticRegression(C=1e6, tol=1e-10, max_iter=1000).fit(asked.features[:, 1:], asked.right)
    np.testing.assert_allclose(found[1:], twin.coef_[0], rtol=2e-2)
    np.testing.assert_allclose(found[0], twin.intercept_[0], rtol=2e-2)
    np.testing.assert_allclose(found, [-4, 3, 5], rtol=0.1)


def test_a_probability_of_the_truth_is_calibrated_and_another_is_not() -> None:
    asked = drawn(5000, 1)
    weights = np.array([-4.0, 3.0, 5.0])
    true, off = _measure(asked, weights, weights), _measure(asked, weights + [2, 0, 0], weights)
    assert true["error"] < 0.03 < off["error"]
    assert true["brier"] < true["plain_brier"]
    assert true["brier"] < off["brier"]


def test_answers_that_can_be_told_apart_without_error_keep_finite_weights() -> None:
    features = np.array([[1, 0.9, 0.5]] * 30 + [[1, 0.1, 0.0]] * 30)
    right = np.arange(60) < 30
    found = _weights(features, right)
    assert np.isfinite(found).all()
    assert ((features @ found > 0) == right).all()


def test_a_collection_is_calibrated_on_its_captions(described: Collection) -> None:
    assert described.search("a red star", k=1)[0].probability is None
    with pytest.raises(UsageError, match="not calibrated for its model"):
        described.search("a red star", min_probability=0.5)
    found = described.calibrate(queries=120)
    assert (found.queries, found.fingerprint) == (120, described.meta.fingerprint)
    assert found.brier < found.plain_brier
    assert found.kept > 0.8
    assert found.refused > 0.8
    again = Collection.open(described.folder, FakeModel())
    hits = again.search("a red star", k=3)
    assert hits[0].captions[1] == "a red star"
    assert hits[0].probability is not None
    assert hits[0].probability > 0.5
    assert json.loads(json.dumps(hits[0].to_dict()))["probability"] == hits[0].probability
    # the second answer does not make the first what it is
    assert again.search("a red star", k=1)[0].probability == hits[0].probability
    assert [hit.id for hit in again.search("a red star", k=3, min_probability=0.5)] == [hits[0].id]
    assert again.search("nothing that anybody would have said", min_probability=0.5) == []
    assert again.search("nothing that anybody would have said") != []
    assert len(again.search("a red star", k=80, threshold=hits[1].score)) == sum(
        h.score >= hits[1].score for h in again.search("a red star", k=80)
    )


def test_questions_with_known_answers_are_asked_instead(described: Collection) -> None:
    ids = {item.captions[0]: item.id for item in described}
    questions = [(text, [number]) for text, number in ids.items()]
    found = described.calibrate(questions=[*questions, ("asked of nothing that is here", [99_999])])
    assert found.queries == len(questions)
    assert found.kept > 0.9
    assert described.search("star red", k=1, min_probability=0.5)[0].id == ids["star red"]
    with pytest.raises(CollectionError, match="3 questions that a picture here answers, expected at least 20"):
        described.calibrate(questions=questions[:3])


def test_only_words_have_a_probability(described: Collection) -> None:
    described.calibrate()
    picture = described.search("a red star", k=1)[0].path
    assert described.search(image=picture, k=1)[0].probability is None
    with pytest.raises(UsageError, match="given for words"):
        described.search(image=picture, min_probability=0.5)
    with pytest.raises(UsageError, match="min_probability is 1.5, expected 0 to 1"):
        described.search("a red star", min_probability=1.5)


def test_codes_alone_are_calibrated_too(tmp_path: Path) -> None:
    paths = [paint(tmp_path / "p" / f"{n}.png", "red", mark=n + 1) for n in range(40)]
    made = Collection.create(tmp_path / "c", FakeModel(dim=0), root=tmp_path / "p")
    made.add(
        paths, captions=[[f"{SHAPES[n % 10]} {list(COLOURS)[n % 8]} {n}", f"{n} {SHAPES[n % 10]}"] for n in range(40)]
    )
    assert made.calibrate().queries == 80
    assert made.search("star yellow 4", k=1)[0].probability is not None


def test_too_few_captions_are_said_to_be_too_few(model: FakeModel, pictures: Path, tmp_path: Path) -> None:
    made = Collection.create(tmp_path / "c", model, root=pictures)
    made.sync(pictures, progress=False)
    with pytest.raises(CollectionError, match="0 captions of pictures that have another one, expected at least 20"):
        made.calibrate()


def test_one_for_another_model_or_damaged_is_not_used(
    described: Collection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = described.calibrate()
    assert find(described.folder, "another") is None
    assert "fitted for another model" in caplog.text
    found.save(tmp_path / "calibration.json")  # as it would lie in a model's folder
    (described.folder / "calibration.json").unlink()
    assert find(described.folder, found.fingerprint) is None
    assert find(described.folder, found.fingerprint, tmp_path) == found
    path = tmp_path / "calibration.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CollectionError, match="damaged"):
        Calibration.load(path)


def test_verify_and_rebuild_know_the_file(described: Collection, model: FakeModel) -> None:
    described.calibrate()
    assert described.verify().ok
    described.compact()
    assert described.calibration is not None
    assert Collection.create(described.folder, model, replace=True).calibration is None
