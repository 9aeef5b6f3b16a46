"""Cross-fitting: every pair is judged by a model that was not trained on it, nor on anything of its concept.

    pairs -> folds, whole concepts; other pairs that are not to be judged may stand beside them, in no fold
    each fold   VSE++ under RCAR on all other folds and what stands beside -> embeddings of everything
                z_i     similarity of pair i, in standard deviations above the strangers in its fold, mean of both directions
                u_i     share of couples of strangers with a z at least as large
    all folds   u is uniform for a pair that has nothing in common, and near 0 for one that fits  -> posterior (nn/mixtures)

A model that has seen a wrong pair has begun to learn it by heart, and believes it more than it should; here none has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from crossbit.data.loader import FeatureRows, Pairs, RowsInMemory
from crossbit.errors import ManifestError
from crossbit.features import Features, Modality
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.nn.mixtures import fit_beta_beside_uniform
from crossbit.strategies.rcar import RCAR, RCARConfig
from crossbit.training.loop import TrainingConfig, train

FEWEST = 24
"""Pairs below which nothing can be said: a fold would hold too few strangers."""

_GALLERY = 1000
"""Strangers that a pair is compared with."""

_ROWS = 512

BESIDE = -1
"""The fold of items that are learnt from and not judged."""


@dataclass(frozen=True)
class CrossfitConfig:
    """Settings of cross-fitting.

    Args:
        folds: how many models are trained; each judges the pairs of one fold.
        epochs: of each model.
        batch_size: pairs in a batch.
        learning_rate: at the top of the schedule.
        seed: of folds and models.
    """

    folds: int = 5
    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """Hold what the models say of some pairs that they were not trained on.

    Args:
        rows: the caption rows that were judged.
        alike: share of couples of strangers that are at least as much alike.
        caption: the caption row that fits the item better than its own does, most of all; -1 where none does.
        item: the item row that the caption fits better than its own item, most of all; -1 where none does.
    """

    rows: Int64[np.ndarray, " M"]
    alike: Float32[np.ndarray, " M"]
    caption: Int64[np.ndarray, " M"]
    item: Int64[np.ndarray, " M"]


def folds_of(pairs: Pairs, config: CrossfitConfig) -> Int64[np.ndarray, " N"]:
    """Give the fold of each item; a concept lies in one fold, and folds are as even as whole concepts allow.

    Raises:
        ManifestError: there are too few pairs or concepts.
    """
    concepts, count = np.unique(pairs.concept_of[pairs.item_of], return_counts=True)
    if len(pairs) < FEWEST or len(concepts) < 2 * config.folds:
        raise ManifestError(
            f"audit: {len(pairs)} pairs of {len(concepts)} concepts, expected at least {FEWEST} pairs and two concepts in "
            f"each of {config.folds} folds",
            "take fewer folds with --folds, or more data",
        )
    order = np.random.default_rng(config.seed).permutation(len(concepts))
    order = order[np.argsort(-count[order], kind="stable")]
    fold_of, load = np.zeros(int(concepts.max()) + 1, np.int64), np.zeros(config.folds, np.int64)
    for place in order:  # the largest first, each into the fold that has least
        fold = int(load.argmin())
        fold_of[concepts[place]] = fold
        load[fold] += count[place]
    found: Int64[np.ndarray, " N"] = fold_of[pairs.concept_of]
    return found


def judge_fold(
    pairs: Pairs, fold_of: Int64[np.ndarray, " N"], fold: int, config: CrossfitConfig, folder: Path
) -> Judged:
    """Train a model on all other folds and judge the pairs of one.

    Args:
        pairs: all of them.
        fold_of: the fold of each item, or `BESIDE`.
        fold: the one to be judged.
        config: the settings.
        folder: takes the log and checkpoint of the training, which goes on from there.
    """
    learned = _part(pairs, fold_of != fold)
    seed = config.seed + fold
    torch.manual_seed(seed)
    dims = {pairs.view: (1, pairs.items.pooled.shape[1]), "text": (1, pairs.captions.pooled.shape[1])}
    method = VSEPP(replace(VSEPPConfig.small(), mean_negatives=1.0), dims)  # type: ignore[type-var]
    training = TrainingConfig(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        validate_every=config.epochs,  # there are no pairs to choose by that are known to be right
        seed=seed,
    )
    strategy = RCAR(RCARConfig(matching=1.0))
    train([method], learned, training, folder, lambda _: 0.0, strategy, resume=True, progress=False)
    items, captions = _embedded(method, pairs.items, pairs.view), _embedded(method, pairs.captions, "text")
    judged = fold_of != BESIDE  # what stands beside is no better place for anything
    return _judged(pairs, np.flatnonzero(fold_of[pairs.item_of] == fold), judged, items, captions, seed)


def posterior(alike: Float32[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """Give the probability that each pair is wrong, from `Judged.alike` of all folds together."""
    values = alike.astype(np.float64)
    return fit_beta_beside_uniform(values).posterior(values)


def fingerprint(pairs: Pairs) -> str:
    """Hash features, captions and concepts: what was judged on other pairs is not gone on with."""
    digest = sha256(
        "\n".join(f"{lang} {text}" for lang, text in zip(pairs.languages, pairs.texts, strict=True)).encode()
    )
    for array in (pairs.item_of, pairs.concept_of, pairs.items.pooled, pairs.captions.pooled):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def beside(pairs: Pairs, others: Pairs, concepts: Sequence[str]) -> Pairs:
    """Put other pairs behind those that are to be judged, with the pooled vectors alone.

    Args:
        pairs: to be judged.
        others: to be learnt from as well.
        concepts: the concept of each item of both.
    """
    numbers: dict[str, int] = {}
    return Pairs(
        _joined(pairs.items, others.items, pairs.view),
        _joined(pairs.captions, others.captions, "text"),
        np.concatenate([pairs.item_of, others.item_of + len(pairs.items)]),
        np.array([numbers.setdefault(concept, len(numbers)) for concept in concepts], np.int64),
        [*pairs.texts, *others.texts],
        [*pairs.languages, *others.languages],
        pairs.view,
    )


def _joined(first: FeatureRows, second: FeatureRows, view: str) -> RowsInMemory:
    parts = [_pooled(features, np.arange(len(features)), view).features for features in (first, second)]
    pooled = np.concatenate([part.pooled for part in parts])
    none = np.zeros((len(pooled), 0, 1), np.float32)
    return RowsInMemory(Features(parts[0].modality, none, np.zeros((len(pooled), 0), bool), pooled))


def _part(pairs: Pairs, kept: np.ndarray) -> Pairs:
    """Give the pairs of some items, with the pooled vectors alone."""
    rows = np.flatnonzero(kept[pairs.item_of])
    place = np.cumsum(kept) - 1
    return Pairs(
        _pooled(pairs.items, np.flatnonzero(kept), pairs.view),
        _pooled(pairs.captions, rows, "text"),
        place[pairs.item_of[rows]].astype(np.int64),
        pairs.concept_of[kept],
        [pairs.texts[row] for row in rows.tolist()],
        [pairs.languages[row] for row in rows.tolist()],
        pairs.view,
    )


def _pooled(features: FeatureRows, rows: np.ndarray, view: str) -> RowsInMemory:
    pooled = features.pooled[rows].astype(np.float32)
    modality: Modality = "text" if view == "text" else "image"
    none = np.zeros((len(rows), 0, 1), np.float32)
    return RowsInMemory(Features(modality, none, np.zeros((len(rows), 0), bool), pooled))


@torch.no_grad()
def _embedded(method: VSEPP, features: FeatureRows, view: str) -> Float[Tensor, "N E"]:
    from crossbit.data.loader import encoded

    method.eval()
    kept = _pooled(features, np.arange(len(features)), view)
    starts = range(0, len(features), _ROWS)
    parts = [
        method.embed(encoded(kept, np.arange(start, min(start + _ROWS, len(features))), tokens=False))
        for start in starts
    ]
    return torch.cat(parts)


def _judged(pairs: Pairs, rows: np.ndarray, judged: np.ndarray, items: Tensor, captions: Tensor, seed: int) -> Judged:
    """Compare the pairs of a fold with the strangers in it, and look in all data for what fits better."""
    concept = torch.from_numpy(pairs.concept_of)
    of_row = concept[torch.from_numpy(pairs.item_of)]
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:_GALLERY])
    there_items, there_captions = items[pairs.item_of[drawn]], captions[drawn]
    there = of_row[torch.from_numpy(drawn)]
    z, spreads = np.zeros(len(rows)), np.zeros((4, len(rows)))
    better = np.full((2, len(rows)), -1, np.int64)
    text_of = _numbers(pairs.texts)
    known_items, known_rows = torch.from_numpy(judged), torch.from_numpy(judged[pairs.item_of])
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        here = slice(start, start + len(some))
        mine, own = items[pairs.item_of[some]], captions[some]
        similar = (mine * own).sum(1)
        concepts = of_row[torch.from_numpy(some)]
        strangers = concepts[:, None] != there[None, :]
        spreads[:2, here] = _mean_and_spread(mine @ there_captions.T, strangers)
        spreads[2:, here] = _mean_and_spread(own @ there_items.T, strangers)
        z[here] = _standing(similar.numpy(), *spreads[:, here])
        texts = torch.from_numpy(text_of[some])[:, None] != torch.from_numpy(text_of)[None, :]
        better[0, here] = _best(mine @ captions.T, (concepts[:, None] != of_row[None, :]) & texts & known_rows, similar)
        better[1, here] = _best(own @ items.T, (concepts[:, None] != concept[None, :]) & known_items, similar)
    place = np.searchsorted(rows, drawn)
    couples = (there_items @ there_captions.T).numpy()
    apart = (there[:, None] != there[None, :]).numpy()
    forward, backward = spreads[:2, place, None], spreads[2:, None, place]
    known = np.sort(_standing(couples, *forward, *backward)[apart])
    above = len(known) - np.searchsorted(known, z, side="left")
    alike = ((above + 0.5) / (len(known) + 1)).astype(np.float32)
    return Judged(rows.astype(np.int64), alike, better[0], better[1])


def _standing(
    similar: np.ndarray, mean: np.ndarray, spread: np.ndarray, back: np.ndarray, wide: np.ndarray
) -> np.ndarray:
    """Give similarities in standard deviations above the strangers, the mean of both directions."""
    standing: np.ndarray = ((similar - mean) / spread + (similar - back) / wide) / 2
    return standing


def _mean_and_spread(scores: Tensor, strangers: Tensor) -> np.ndarray:
    count = strangers.sum(1).clamp(min=1)
    mean = (scores * strangers).sum(1) / count
    spread = (((scores - mean[:, None]) ** 2 * strangers).sum(1) / count).sqrt().clamp(min=1e-6)
    return torch.stack([mean, spread]).numpy()


def _best(scores: Tensor, allowed: Tensor, similar: Tensor) -> np.ndarray:
    """Give the column of the best allowed score of each row, -1 where it is no better than the pair's own."""
    value, column = scores.masked_fill(~allowed, -2.0).max(1)
    return torch.where(value > similar, column, torch.full_like(column, -1)).numpy()


def _numbers(texts: object) -> np.ndarray:
    """Number texts, so that equal ones have one number."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts], np.int64)  # type: ignore[attr-defined]
