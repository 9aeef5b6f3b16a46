"""Mixtures against sampled ones whose parameters are known, scipy's likelihood and scikit-learn's Gaussian mixture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.mixture import GaussianMixture

from crossbit.nn.mixtures import EDGE, Mixture, fit_beta, fit_beta_beside_uniform, fit_gaussian

CASES = [((2, 8), (8, 2), 0.4), ((1.2, 6), (3, 2), 0.3), ((0.6, 8), (6, 1.2), 0.5), ((2, 12), (5, 4), 0.2)]


def sampled(clean: tuple[float, float], noise: tuple[float, float], share: float, count: int = 5000, seed: int = 0):
    draw = np.random.default_rng(seed)
    wrong = draw.random(count) < share
    return np.where(wrong, draw.beta(*noise, count), draw.beta(*clean, count)), wrong


@pytest.mark.parametrize(("clean", "noise", "share"), CASES)
def test_a_sampled_mixture_is_found_again(clean, noise, share) -> None:
    x, wrong = sampled(clean, noise, share)
    found = fit_beta(x)
    inside = np.clip(x, EDGE, 1 - EDGE)
    truth = np.log((1 - share) * stats.beta.pdf(inside, *clean) + share * stats.beta.pdf(inside, *noise)).mean()
    assert found.log_likelihood > truth - 0.005
    np.testing.assert_allclose(found.means, [clean[0] / sum(clean), noise[0] / sum(noise)], atol=0.05)
    assert abs(found.weights[1] - share) < 0.08
    assert found.separated
    assert 1 < found.sweeps <= 100
    # the posterior decides nearly as well as the true one
    p = share * stats.beta.pdf(inside, *noise)
    best = ((p / (p + (1 - share) * stats.beta.pdf(inside, *clean)) > 0.5) == wrong).mean()
    assert ((found.posterior(x) > 0.5) == wrong).mean() > best - 0.02


def test_the_likelihood_is_that_of_scipy() -> None:
    x, _ = sampled((2, 8), (8, 2), 0.4, 300)
    found = fit_beta(x)
    inside = np.clip(x, EDGE, 1 - EDGE)
    parts = [w * stats.beta.pdf(inside, a, b) for w, a, b in zip(found.weights, found.first, found.second, strict=True)]
    np.testing.assert_allclose(found.log_likelihood, np.log(sum(parts)).mean(), rtol=1e-10)
    np.testing.assert_allclose(found.posterior(x, monotone=False), parts[1] / sum(parts), rtol=1e-9)


def test_ten_sweeps_have_not_converged() -> None:
    x, _ = sampled((2, 8), (8, 2), 0.4)
    assert fit_beta(x, tolerance=0.0, sweeps=10).log_likelihood < fit_beta(x).log_likelihood - 0.005


def test_gaussians_agree_with_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    x = np.clip(np.concatenate([draw.normal(0.2, 0.05, 700), draw.normal(0.7, 0.1, 300)]), 0.001, 0.999)
    found = fit_gaussian(x, tolerance=1e-9, sweeps=500)
    peer = GaussianMixture(2, random_state=0, tol=1e-9, max_iter=500, reg_covar=1e-9).fit(x[:, None])
    order = peer.means_[:, 0].argsort()
    np.testing.assert_allclose(found.means, peer.means_[order, 0], atol=1e-3)
    np.testing.assert_allclose(found.weights, peer.weights_[order], atol=1e-3)
    np.testing.assert_allclose(
        found.posterior(x, monotone=False), peer.predict_proba(x[:, None])[:, order[1]], atol=0.01
    )


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1), min_size=2, max_size=60),
    st.sampled_from([fit_beta, fit_gaussian]),
)
def test_any_values_give_a_sound_and_monotone_posterior(values: list[float], fit) -> None:
    x = np.array(values)
    found: Mixture = fit(x)
    for numbers in (found.first, found.second, found.weights, found.log_likelihood, found.bic_gain):
        assert np.isfinite(numbers).all()
    assert found.means[0] <= found.means[1]
    np.testing.assert_allclose(found.weights.sum(), 1)
    p = found.posterior(np.sort(x))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= -1e-12).all()


def test_one_kind_of_pairs_is_not_taken_apart() -> None:
    assert not fit_beta(np.random.default_rng(0).beta(2, 9, 4000)).separated
    assert not fit_beta(np.full(50, 0.3)).separated


@pytest.mark.parametrize("x", [np.array([0.5]), np.array([0.5, np.nan])])
def test_too_few_or_broken_values_are_refused(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least two finite values"):
        fit_beta(x)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.8])
def test_one_beta_beside_a_uniform_finds_the_share_of_the_uniform(share: float) -> None:
    draw = np.random.default_rng(3)
    count = 4000
    noise = draw.random(count) < share
    x = np.where(noise, draw.random(count), draw.beta(0.4, 9, count))
    found = fit_beta_beside_uniform(x)
    assert found.weights[1] == pytest.approx(max(share, 0.01), abs=0.03)
    assert found.means[0] < 0.1
    assert found.means[1] == 0.5
    said = found.posterior(x)
    assert said.mean() == pytest.approx(share, abs=0.05)
    order = np.argsort(x)
    assert (np.diff(said[order]) >= 0).all()
    with pytest.raises(ValueError, match="two finite values"):
        fit_beta_beside_uniform(np.array([np.nan, 0.5]))
