"""`check_strategy` passes an honest strategy, and names the property for each way of being none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from torch import Tensor

from crossbit.batch import Batch, Moment
from crossbit.strategies.base import Learner, PairEvidence, Strategy
from crossbit.strategies.plain import Plain
from crossbit.testing import PropertyFailed, check_strategy
from crossbit.testing.strategy import _area_under_curve


class Mixture(Strategy):
    """Believes in a pair as far as a mixture of two says that its match is no accident."""

    needs_evidence = True
    warm_up = 3

    def __init__(self) -> None:
        self.belief: np.ndarray | None = None

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        if epoch >= self.warm_up:
            own = (evidence[0].forward + evidence[0].backward)[:, None] / 2
            mixture = GaussianMixture(2, random_state=0).fit(own)
            self.belief = mixture.predict_proba(own)[:, int(np.argmax(mixture.means_))].astype(np.float32)

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        if self.belief is not None:
            batch = replace(batch, correspondence=torch.from_numpy(self.belief)[batch.pair])
        return method.losses(batch, moment)


def test_plain_passes_and_claims_nothing() -> None:
    assert check_strategy(Plain) == ("peers", "terms", "beliefs", "deterministic")


def test_mixture_finds_the_wrong_pairs() -> None:
    assert "finds wrong pairs" in check_strategy(Mixture)


def test_weights_count_as_beliefs() -> None:
    class Weighs(Mixture):
        peers = 2

        def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
            weight = None if self.belief is None else torch.from_numpy(self.belief)[batch.pair]
            return method.losses(replace(batch, weight=weight), moment)

    assert "finds wrong pairs" in check_strategy(Weighs)


class NoPeers(Plain):
    peers = 0


class LeavesTheMethodOut(Plain):
    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        return {"own": torch.zeros((), requires_grad=True)}


class AddsAMatrix(Plain):
    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        terms = method.losses(batch, moment)
        return {**terms, "matrix": terms["hinge"][:, None]}


class AddsNaN(Plain):
    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        return {**method.losses(batch, moment), "ratio": torch.tensor(float("nan"))}


class BelievesTooMuch(Mixture):
    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        return method.losses(replace(batch, correspondence=torch.full((len(batch),), 1.2)), moment)


class NegativeWeight(Mixture):
    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        return method.losses(replace(batch, weight=torch.full((len(batch),), -0.1)), moment)


class BelievesWithoutEvidence(Plain):
    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        return method.losses(replace(batch, correspondence=torch.full((len(batch),), 0.5)), moment)


class Throws(Mixture):
    """Draws its beliefs from a generator that nobody seeds."""

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        belief = np.random.default_rng().random(len(batch), dtype=np.float32)
        return method.losses(replace(batch, correspondence=torch.from_numpy(belief)), moment)


class BelievesAll(Mixture):
    warm_up = 1000


class BelievesTheWrong(Mixture):
    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        super().start_epoch(epoch, evidence)
        if self.belief is not None:
            self.belief = 1 - self.belief


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (NoPeers, "peers"),
        (LeavesTheMethodOut, "terms"),
        (AddsAMatrix, "terms"),
        (AddsNaN, "terms"),
        (BelievesTooMuch, "beliefs"),
        (NegativeWeight, "beliefs"),
        (BelievesWithoutEvidence, "beliefs"),
        (Throws, "deterministic"),
        (BelievesAll, "finds wrong pairs"),
        (BelievesTheWrong, "finds wrong pairs"),
    ],
)
def test_each_broken_promise_is_named(cls: type[Strategy], name: str) -> None:
    with pytest.raises(PropertyFailed, match=f"{cls.__name__}: {name}: ") as caught:
        check_strategy(cls)
    assert caught.value.name == name


def test_area_under_curve_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    right = generator.random(200) < 0.6
    belief = np.round(right + generator.normal(0, 1, 200), 1)  # rounded, so that there are ties
    assert _area_under_curve(belief, right) == pytest.approx(roc_auc_score(right, belief))
