"""RCAR: labels by hand, tasks that are there when they should be, and nothing doubted before its time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossbit.batch import Moment
from crossbit.strategies.ncr import NCR, NCRConfig
from crossbit.strategies.rcar import RCAR, RCARConfig
from strategies.toys import COUNT, Noting, Scoring, batch, evidence

AT = Moment("train", 0.5)


def test_the_label_is_belief_and_posterior_as_written() -> None:
    strategy, seen = RCAR(RCARConfig(warm_up=0)), evidence()
    strategy.start_epoch(0, [seen])
    assert strategy.mixture is not None
    noise = strategy.mixture.posterior(1 - seen.forward.astype(np.float64))
    own = np.minimum(seen.forward / np.quantile(seen.forward, 0.95), 1)
    assert strategy.correspondence is not None
    np.testing.assert_allclose(strategy.correspondence, (1 - noise) + noise * own, atol=1e-5)
    assert (noise[:100] > 0.5).mean() > 0.95
    assert (noise[100:] > 0.5).mean() < 0.05


def test_zero_leaves_the_belief_out_and_none_believes_all() -> None:
    zero = RCAR(RCARConfig(warm_up=0, refurbish="zero"))
    zero.start_epoch(0, [evidence()])
    assert zero.correspondence is not None
    assert zero.posterior is not None
    np.testing.assert_allclose(zero.correspondence, 1 - zero.posterior, atol=1e-6)
    none = RCAR(RCARConfig(warm_up=0, refurbish="none"))
    none.start_epoch(0, [evidence()])
    assert none.correspondence is None


def test_the_posterior_remembers() -> None:
    strategy = RCAR(RCARConfig(warm_up=0, memory=0.25))
    strategy.start_epoch(0, [evidence()])
    first = strategy.posterior
    strategy.start_epoch(1, [evidence(slice(100, 200))])
    fresh = RCAR(RCARConfig(warm_up=0))
    fresh.start_epoch(1, [evidence(slice(100, 200))])
    assert first is not None
    assert strategy.posterior is not None
    assert fresh.posterior is not None
    np.testing.assert_allclose(strategy.posterior, 0.25 * first + 0.75 * fresh.posterior, atol=1e-6)


def test_all_are_believed_in_the_warm_up() -> None:
    strategy, method = RCAR(RCARConfig(warm_up=2)), Noting()
    strategy.start_epoch(1, [evidence()])
    terms = strategy.losses(method, batch([0, 1, 2, 3]), AT, 0)
    assert method.seen[0].correspondence is None
    assert terms["own"].tolist() == [1.0] * 4


def test_evidence_is_wanted_once_it_is_used() -> None:
    assert [RCAR(RCARConfig(warm_up=2)).looks(epoch) for epoch in range(4)] == [False, False, True, True]
    assert [NCR(NCRConfig(warm_up=1)).looks(epoch) for epoch in range(3)] == [False, True, True]
    believing = RCAR(RCARConfig(warm_up=0, refurbish="none"))
    assert not believing.needs_evidence
    assert not believing.looks(5)


def test_pairs_that_look_wrong_weigh_less_and_the_mean_weight_is_one() -> None:
    strategy, method = RCAR(RCARConfig(warm_up=0)), Noting()
    strategy.start_epoch(0, [evidence()])
    terms = strategy.losses(method, batch([0, 1, 200, 201]), AT, 0)
    label = method.seen[0].correspondence
    assert label is not None
    torch.testing.assert_close(terms["own"], label / label.mean())
    assert float(terms["own"][:2].max()) < 0.5 < float(terms["own"][2:].min())
    assert float(terms["balance"]) == 0.5
    assert set(terms) == {"own", "balance", "matching", "consistency_image", "consistency_text"}


def test_consistency_does_not_look_at_the_pairing() -> None:
    strategy, method, pairs = RCAR(), Noting(), batch([0, 1, 2, 3])
    turned = replace(pairs.views["text"], pooled=pairs.views["text"].pooled.roll(1, 0))
    swapped = replace(pairs, views={**pairs.views, "text": turned})
    found = []
    for given in (pairs, swapped):
        torch.manual_seed(1)
        found.append(strategy.losses(method, given, AT, 0))
    assert torch.equal(found[0]["consistency_image"], found[1]["consistency_image"])
    assert not torch.equal(found[0]["matching"], found[1]["matching"])


def test_tasks_can_be_left_out() -> None:
    strategy = RCAR(RCARConfig(matching=0.0, consistency=0.0))
    assert set(strategy.losses(Noting(), batch([0, 1]), AT, 0)) == {"own", "balance"}


def test_a_joint_scorer_has_no_consistency() -> None:
    assert set(RCAR().losses(Scoring(), batch([0, 1]), AT, 0)) == {"own", "matching"}


def test_a_thinned_item_keeps_a_token() -> None:
    view = RCAR(RCARConfig(drop=1.0 - 1e-6))._thinned(batch([0, 1, 2]).views["image"])
    assert view.mask.any(1).all()


@pytest.mark.parametrize("mixture", ["beta", "gaussian"])
def test_without_noise_little_is_doubted(mixture: str) -> None:
    strategy = RCAR(RCARConfig(warm_up=0, mixture=mixture))  # type: ignore[arg-type]
    strategy.start_epoch(0, [evidence(slice(0, 0))])
    assert strategy.correspondence is not None
    assert len(strategy.correspondence) == COUNT
    assert strategy.correspondence.mean() > 0.85
