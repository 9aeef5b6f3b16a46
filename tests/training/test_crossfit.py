"""Cross-fitting on toy pairs, some of them wrong: folds keep concepts whole, wrong pairs are found, better ones named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossbit.data.loader import Pairs, RowsInMemory
from crossbit.errors import ManifestError
from crossbit.evaluation.detection import auroc
from crossbit.features import Features
from crossbit.training.crossfit import BESIDE, CrossfitConfig, beside, fingerprint, folds_of, judge_fold, posterior

CONFIG = CrossfitConfig(folds=3, epochs=6, batch_size=64, learning_rate=5e-3)
ITEMS, WRONG = 480, 120


def toy(seed: int = 0, concepts: int | None = None, count: int = WRONG) -> tuple[Pairs, np.ndarray, np.ndarray]:
    """Give pairs that share a hidden vector, which of them are wrong, and where the right caption of each lies."""
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(ITEMS, 6))
    pictures, words = (
        (hidden @ draw.normal(size=(6, 24)) + 0.1 * draw.normal(size=(ITEMS, 24))).astype(np.float32) for _ in range(2)
    )
    bad = np.sort(draw.permutation(ITEMS)[:count])
    words[np.roll(bad, -1)] = words[bad]
    right = np.arange(ITEMS)
    right[bad] = np.roll(bad, -1)  # where the caption of each picture has gone

    def rows(modality: str, pooled: np.ndarray) -> RowsInMemory:
        return RowsInMemory(Features(modality, pooled[:, None], np.ones((len(pooled), 1), bool), pooled))  # type: ignore[arg-type]

    wrong = np.zeros(ITEMS, bool)
    wrong[bad] = True
    pairs = Pairs(
        rows("image", pictures),
        rows("text", words),
        np.arange(ITEMS),
        np.arange(ITEMS) if concepts is None else np.arange(ITEMS) % concepts,
        [f"text {number}" for number in range(ITEMS)],
        ["en"] * ITEMS,
    )
    return pairs, wrong, right


def test_wrong_pairs_are_found_by_models_that_have_not_seen_them(tmp_path: Path) -> None:
    pairs, wrong, right = toy()
    fold_of = folds_of(pairs, CONFIG)
    parts = [judge_fold(pairs, fold_of, fold, CONFIG, tmp_path / str(fold)) for fold in range(CONFIG.folds)]
    rows = np.concatenate([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(ITEMS))  # each once
    for fold, part in enumerate(parts):
        assert set(fold_of[part.rows]) == {fold}
    probability = posterior(np.concatenate([part.alike for part in parts]))
    truth = wrong[rows]
    assert auroc(probability, truth) > 0.97
    assert abs(probability.mean() - truth.mean()) < 0.1  # it knows how many there are
    better = np.concatenate([part.caption for part in parts])
    assert (better[truth] == right[rows][truth]).mean() > 0.3  # of 480 captions, often the very one
    assert (np.concatenate([part.item for part in parts])[truth] >= 0).mean() > 0.9


def test_where_nothing_is_wrong_little_is_suspected(tmp_path: Path) -> None:
    clean, _, _ = toy(count=0)
    fold_of = folds_of(clean, CONFIG)
    judged = judge_fold(clean, fold_of, 0, CONFIG, tmp_path)
    assert posterior(judged.alike).mean() < 0.1


def test_what_stands_beside_is_learnt_from_and_not_judged(tmp_path: Path) -> None:
    pairs, wrong, _ = toy()
    config = replace(CONFIG, epochs=3)
    few = np.arange(ITEMS) < 48  # too few to learn much from
    judged, others = _some(pairs, few), _some(pairs, ~few)
    fold_of = folds_of(judged, config)
    names = [f"concept {number}" for number in range(ITEMS)]
    both = beside(judged, others, names)
    assert len(both) == ITEMS
    np.testing.assert_array_equal(both.items.pooled, pairs.items.pooled)
    np.testing.assert_array_equal(both.captions.pooled[both.item_of == 100], pairs.captions.pooled[[100]])
    wider = np.concatenate([fold_of, np.full(ITEMS - 48, BESIDE)])
    found = {}
    for name, seen, folds in (("alone", judged, fold_of), ("beside", both, wider)):
        parts = [judge_fold(seen, folds, fold, config, tmp_path / f"{name}{fold}") for fold in range(config.folds)]
        rows = np.concatenate([part.rows for part in parts])
        assert sorted(rows.tolist()) == list(range(48))
        for better in ("caption", "item"):
            assert max(int(getattr(part, better).max()) for part in parts) < 48
        found[name] = auroc(np.concatenate([part.alike for part in parts]).astype(np.float64), wrong[rows])
    assert found["beside"] > max(0.95, found["alone"])


def _some(pairs: Pairs, kept: np.ndarray) -> Pairs:
    """Give some of the toy's items, each with its one caption."""
    features = [RowsInMemory(view.features[kept]) for view in (pairs.items, pairs.captions)]  # type: ignore[attr-defined]
    number = np.arange(int(kept.sum()))
    return Pairs(*features, number, number, [pairs.texts[row] for row in np.flatnonzero(kept)], ["en"] * len(number))


def test_folds_are_even_and_keep_concepts_whole() -> None:
    pairs, _, _ = toy(concepts=37)
    fold_of = folds_of(pairs, CONFIG)
    for concept in range(37):
        assert len(set(fold_of[pairs.concept_of == concept])) == 1
    sizes = np.bincount(fold_of)
    assert len(sizes) == 3
    assert sizes.max() - sizes.min() <= 13  # the size of a concept
    assert (folds_of(pairs, CONFIG) == fold_of).all()
    assert (folds_of(pairs, replace(CONFIG, seed=1)) != fold_of).any()
    with pytest.raises(ManifestError, match="480 pairs of 5 concepts"):
        folds_of(toy(concepts=5)[0], CONFIG)


def test_the_fingerprint_follows_the_pairs() -> None:
    pairs, _, _ = toy()
    assert fingerprint(pairs) == fingerprint(toy()[0])
    assert fingerprint(pairs) != fingerprint(toy(seed=1)[0])
    assert fingerprint(pairs) != fingerprint(replace(pairs, texts=[*pairs.texts[:-1], "another"]))
