"""Fit how likely an answer is right: a collection asks itself.

    caption, hidden wherever it stands -> search -> score and margin of the ten best -> right or wrong    \
    the same with the items hidden too: nothing there is right                                            > logistic regression

A collection's own captions are the queries: each is asked as if somebody had just thought of it. So its text is hidden in all
items, and only captions are asked whose item says it in other words or another language too: a collection with one caption a
picture has nothing to tell how near other words are. Half of the questions have an answer in the collection and half have none,
since nobody knows how often that is so in use; the probability is calibrated for that mixture. It is given for words only.

A hidden caption is harder to answer than most real questions, which may use its words. Whoever has real questions, each with
the pictures that answer it, has them asked instead, and nothing is hidden.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from crossbit.errors import CollectionError
from crossbit.search.calibrate import BEST, Calibration, features_of, sigmoid
from crossbit.search.records import VIEWS
from crossbit.search.snapshot import Snapshot

FEWEST = 20
"""Captions below which nothing can be fitted."""

_LARGEST = 16 << 20  # bytes of a file of questions
_WIDE = 200  # rows that are looked at, at least: the hidden ones are among them
_BATCH = 64  # queries asked together
_BINS = 10


@dataclass(frozen=True)
class _Asked:
    """What some questions came to: features and truth of every answer, and the question that each belongs to."""

    features: Float64[np.ndarray, "n 3"]
    right: Bool[np.ndarray, " n"]
    first: Bool[np.ndarray, " n"]
    question: Int64[np.ndarray, " n"]
    has_answer: Bool[np.ndarray, " q"]

    def some(self, wanted: Bool[np.ndarray, " q"]) -> _Asked:
        """Keep some questions, all of them in place."""
        rows = wanted[self.question]
        return _Asked(self.features[rows], self.right[rows], self.first[rows], self.question[rows], self.has_answer)


@dataclass(frozen=True)
class _Question:
    """One question as it is searched, and what of an answer fits and is hidden."""

    row: np.ndarray
    judge: Callable[[Int64[np.ndarray, " n"]], tuple[Int64[np.ndarray, " f"], Bool[np.ndarray, " n"]]]
    """Takes row ids; gives the items that the question fits, and which of the rows are hidden."""


def fit(snapshot: Snapshot, *, queries: int = 500, seed: int = 0) -> Calibration:
    """Fit a calibration on a collection's own captions.

    Args:
        snapshot: the collection.
        queries: captions to ask, drawn without replacement; all where there are fewer.
        seed: of the draw.

    Raises:
        CollectionError: fewer than 20 captions of pictures that have another one, or fewer than two pictures.
    """
    captions = _own(snapshot)
    drawn = np.sort(np.random.default_rng(seed).choice(captions, min(queries, len(captions)), replace=False))
    rows = _rows(snapshot, drawn)
    return _fitted(
        snapshot, [_Question(row, partial(_fitting, snapshot, int(n))) for row, n in zip(rows, drawn, strict=True)]
    )


def fit_questions(snapshot: Snapshot, rows: np.ndarray, answers: Sequence[Collection[int]]) -> Calibration:
    """Fit a calibration on questions whose answers are known.

    Args:
        snapshot: the collection.
        rows: the questions' embeddings, or codes where the model has no other.
        answers: ids of the items that answer each.

    Raises:
        CollectionError: fewer than 20 questions that some item answers, or fewer than two pictures.
    """
    known = {item for segment in snapshot.segments for item in segment.ids[segment.alive].tolist()}
    fitting = [np.array(sorted(known.intersection(some)), np.int64) for some in answers]
    asked = [
        _Question(row, lambda ids, fits=fits: (fits, np.zeros(len(ids), bool)))  # type: ignore[misc]
        for row, fits in zip(rows, fitting, strict=True)
        if len(fits)
    ]
    if len(asked) < FEWEST or len(known) < 2:
        raise CollectionError(
            f"{snapshot.folder}: {len(asked)} questions that a picture here answers, expected at least {FEWEST} to calibrate"
        )
    return _fitted(snapshot, asked)


def read_questions(path: Path, snapshot: Snapshot) -> list[tuple[str, list[int]]]:
    """Read questions with known answers: one a line, then the pictures that answer it, all separated by tabs.

    Args:
        path: a text file; paths in it are relative to the collection's folder of pictures, or as they are.
        snapshot: the collection.

    Raises:
        CollectionError: the file cannot be read, is larger than 16 MB, or a line names no picture of the collection.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise CollectionError(f"{path}: {path.stat().st_size:,} bytes, expected questions of at most {_LARGEST:,}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CollectionError(f"{path}: cannot be read ({error}), expected text in UTF-8") from error
    ids = {os.path.abspath(item.path): item.id for item in snapshot.all_items()}
    root = snapshot.root or Path()
    found = []
    for number, line in enumerate(lines, start=1):
        text, *names = line.split("\t")
        if not line.strip():
            continue
        places = [
            os.path.abspath(root / name) if os.path.abspath(root / name) in ids else os.path.abspath(name)
            for name in names
        ]
        missing = [name for name, place in zip(names, places, strict=True) if place not in ids]
        if missing or not names or not text.strip():
            what = f"{missing[0]!r} is no picture of the collection" if missing else "a question and no picture"
            raise CollectionError(f"{path}:{number}: {what}, expected a question, a tab, and paths separated by tabs")
        found.append((text.strip(), [ids[place] for place in places]))
    return found


def _own(snapshot: Snapshot) -> Int64[np.ndarray, " c"]:
    """Give the rows of the captions that can be asked."""
    captions = np.array(
        [
            item.id * VIEWS + view
            for item in snapshot.all_items()
            if len({_plain(text) for text in item.captions}) > 1
            for view in range(1, len(item.captions) + 1)
        ],
        np.int64,
    )
    if len(captions) < FEWEST or len(snapshot) < 2:
        what = f"{len(captions)} captions of pictures that have another one"
        raise CollectionError(
            f"{snapshot.folder}: {what}, expected at least {FEWEST} to calibrate",
            "captions in other words or languages lie beside the pictures; see docs/guides/search.md",
        )
    return captions


def _fitted(snapshot: Snapshot, questions: Sequence[_Question]) -> Calibration:
    """Ask, measure on one half what the other half fits, and fit on all."""
    asked = _ask(snapshot, questions)
    even = (np.arange(len(asked.has_answer)) // 2) % 2 == 0  # both questions of a caption stay together
    tried = _measure(asked.some(~even), *_both(asked.some(even)))
    first, others = (tuple(weights.tolist()) for weights in _both(asked))
    return Calibration(
        first, others, snapshot.meta.fingerprint, snapshot.head.commit, len(questions),
        **{name: round(value, 4) for name, value in tried.items()},
    )  # fmt: skip


def _ask(snapshot: Snapshot, questions: Sequence[_Question]) -> _Asked:
    """Ask every question twice: with what is hidden hidden, and with every item hidden that it would fit."""
    features: list[np.ndarray] = []
    right: list[bool] = []
    first: list[bool] = []
    question: list[int] = []
    has_answer: list[bool] = []
    wide = min(max(_WIDE, (BEST + 4) * snapshot.views), snapshot.rows)
    for start in range(0, len(questions), _BATCH):
        part = questions[start : start + _BATCH]
        asked = np.stack([one.row for one in part])
        found = snapshot.flat.search(asked, wide) if snapshot.meta.dim else snapshot.hamming.search(asked, wide)
        for place, one in enumerate(part):
            ids, scores = found.ids[place], found.scores[place]
            ids, scores = ids[ids >= 0], scores[ids >= 0]
            fitting, hidden = one.judge(ids)
            for gone in (hidden, np.isin(ids // VIEWS, fitting)):
                items, best = _fold(ids[~gone], scores[~gone])
                if not len(items):
                    continue
                features.append(features_of(best))
                right.extend(np.isin(items, fitting).tolist())
                first.extend(n == 0 for n in range(len(items)))
                question.extend([len(has_answer)] * len(items))
                has_answer.append(gone is hidden)
    return _Asked(
        np.concatenate(features), np.array(right), np.array(first), np.array(question, np.int64), np.array(has_answer)
    )


def _rows(snapshot: Snapshot, rows: Int64[np.ndarray, " q"]) -> np.ndarray:
    """Give rows of the collection itself, as they are searched with."""
    if snapshot.meta.dim:
        return snapshot.flat.rows(rows)
    codes = np.zeros((len(rows), snapshot.hamming.width), np.uint8)
    for block in snapshot.hamming.blocks:
        where, at = block.places(rows)
        codes[where] = block.rows[at]
    return codes


def _fitting(
    snapshot: Snapshot, caption: int, ids: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " f"], Bool[np.ndarray, " n"]]:
    """Say which items a caption fits, and which rows are hidden when it is asked: those with the same text.

    It fits its own item, and those found that say the same or are the same picture.
    """
    own = caption // VIEWS
    candidates = {item.id: item for item in snapshot.items(list(dict.fromkeys([own, *(ids // VIEWS).tolist()])))}
    mine = candidates[own]
    text = _plain(mine.captions[caption % VIEWS - 1])
    same = [
        number * VIEWS + view
        for number, item in candidates.items()
        for view, one in enumerate(item.captions, start=1)
        if _plain(one) == text
    ]
    saying = {row // VIEWS for row in same}
    fitting = [number for number, item in candidates.items() if number in saying or item.sha256 == mine.sha256]
    return np.array(fitting, np.int64), np.isin(ids, same)


def _fold(
    ids: Int64[np.ndarray, " n"], scores: np.ndarray
) -> tuple[Int64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Give the best items, each as good as its best row."""
    items, at = np.unique(ids // VIEWS, return_index=True)
    at = np.sort(at)[:BEST]
    return ids[at] // VIEWS, scores[at].astype(np.float64)


def _both(asked: _Asked) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, " 3"]]:
    """Fit first answers and the others each for themselves: what a margin says differs."""
    first, others = ((asked.features[some], asked.right[some]) for some in (asked.first, ~asked.first))
    return _weights(*first), _weights(*others)


def _weights(x: Float64[np.ndarray, "n 3"], right: Bool[np.ndarray, " n"]) -> Float64[np.ndarray, " 3"]:
    """Fit by Newton's method, with a little pull towards 0 that keeps separable answers finite."""
    y = right.astype(np.float64)
    if not len(y):
        return np.array([-np.log(1e6), 0.0, 0.0])  # there was never a second answer
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    middle[0], spread[0] = 0.0, 1.0
    z, weights = (x - middle) / spread, np.zeros(3)
    pull = np.diag([1e-3, 1.0, 1.0])
    for _ in range(50):
        p = sigmoid(z @ weights)
        step = np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + pull, z.T @ (y - p) - pull @ weights)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    plain: np.ndarray = weights / spread
    plain[0] = weights[0] - float((weights[1:] * middle[1:] / spread[1:]).sum())
    return plain


def _measure(asked: _Asked, first: Float64[np.ndarray, " 3"], others: Float64[np.ndarray, " 3"]) -> dict[str, float]:
    """Say what weights are worth on answers that they were not fitted on."""
    y = asked.right.astype(np.float64)
    p = sigmoid(np.where(asked.first, asked.features @ first, asked.features @ others))
    top, truth = p[asked.first], y[asked.first]
    bins = np.minimum((top * _BINS).astype(int), _BINS - 1)
    error = sum(abs(float((top - truth)[bins == one].sum())) for one in range(_BINS)) / len(top)
    answered = asked.has_answer[asked.question[asked.first]]
    sure = top >= 0.5
    good, without = (truth == 1) & answered, ~answered
    return {
        "error": error,
        "brier": float(((top - truth) ** 2).mean()),
        "plain_brier": float(truth.mean() * (1 - truth.mean())),
        "kept": float(sure[good].mean()) if good.any() else 0.0,
        "refused": float((~sure)[without].mean()) if without.any() else 0.0,
    }


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
