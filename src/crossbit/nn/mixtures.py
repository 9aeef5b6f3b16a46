"""Two-component mixtures over one number a pair: which pairs are right, which are wrong.

A statistic x in (0, 1) is small for pairs that fit and large for pairs that do not; the component with the larger mean is the
noise. `fit_beta` is the mixture of RCAR, `fit_gaussian` the one that NCR takes, both on the same statistic and with the same
posterior, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import betaln, expit

Kind = Literal["beta", "gaussian"]
Values = Float[np.ndarray, " N"]
Pair = Float[np.ndarray, " 2"]

EDGE = 1e-4
"""The beta density has no finite value at 0 and 1, so values are kept this far away from both."""
_FLOOR = 1e-12
_WEIGHT = 0.01
_SHAPE = (0.05, 200.0)
_SPREAD = 1e-6
_GRID = np.linspace(EDGE, 1 - EDGE, 1001)


@dataclass(frozen=True)
class _Known:
    """Values and what every sweep needs of them, computed once."""

    x: Values
    square: Values
    log: Values
    log_rest: Values

    @classmethod
    def of(cls, x: Values) -> _Known:
        return cls(x, x**2, np.log(x), np.log1p(-x))


Density = Callable[[_Known, Pair, Pair], "tuple[Values, Values]"]


@dataclass(frozen=True)
class Mixture:
    """Hold two fitted components, the clean one first.

    Args:
        kind: "beta" (`first`, `second` are the shapes a, b) or "gaussian" (mean and variance).
        first: of both components.
        second: of both components.
        weights: shares; the second is the estimated share of noise.
        log_likelihood: mean over the values.
        sweeps: how many the fit took.
        bic_gain: by how much two components are better than one in the Bayesian information criterion, per value. It says
            little of a beta mixture: one component with both shapes below 1 has two peaks as well.
    """

    kind: Kind
    first: Pair
    second: Pair
    weights: Pair
    log_likelihood: float
    sweeps: int
    bic_gain: float

    @property
    def means(self) -> Pair:
        """Give the means, clean first."""
        means: Pair = self.first if self.kind == "gaussian" else self.first / (self.first + self.second)
        return means

    @property
    def separated(self) -> bool:
        """Say whether there are two kinds of pairs at all: the means lie apart. Our guard."""
        return bool(self.means[1] - self.means[0] >= 0.15)

    def log_densities(self, x: Values) -> Float[np.ndarray, "2 N"]:
        """Give the log of weight times density of both components."""
        density = _beta if self.kind == "beta" else _gaussian
        known = np.stack(density(_Known.of(_inside(x)), self.first, self.second))
        logs: np.ndarray = known + np.log(self.weights)[:, None]
        return logs

    def posterior(self, x: Values, monotone: bool = True) -> Values:
        """Give the probability that each value comes from the noise.

        Args:
            x: values in [0, 1].
            monotone: a larger value is never less suspicious. The raw posterior of a beta mixture falls on both ends where a
                shape is below 1 or the spreads differ: left of its minimum it is set to the minimum, right of it to the running
                maximum. (Arazo and others, ICML 2019, mend the right side only.)
        """
        raw = self._raw(x)
        if not monotone:
            return raw
        grid = self._raw(_GRID)
        lowest = int(grid.argmin())
        grid[:lowest] = grid[lowest]
        mended: Values = np.interp(_inside(x), _GRID, np.maximum.accumulate(grid))
        return mended

    def _raw(self, x: Values) -> Values:
        one, two = self.log_densities(x)
        found: Values = expit(two - one)
        return found


def fit_beta(x: Values, *, tolerance: float = 1e-5, sweeps: int = 100) -> Mixture:
    """Fit two beta components by EM with weighted moments.

    Args:
        x: values in [0, 1].
        tolerance: relative change of the mean log-likelihood at which the fit has converged. Ten sweeps, as published, have
            not (docs/methods/rcar.md); `tolerance=0.0, sweeps=10` is that setting.
        sweeps: at most so many.

    Raises:
        ValueError: there are fewer than two values, or some are not finite.

    Source: Arazo and others, ICML 2019 (start and updates); guards and stopping are ours. The moment step is not exact EM, so
        the likelihood may wobble by tiny amounts.
    """
    return _fit("beta", x, np.array([1.0, 2.0]), np.array([2.0, 1.0]), _beta, _beta_moments, tolerance, sweeps)


def fit_gaussian(x: Values, *, tolerance: float = 1e-5, sweeps: int = 100) -> Mixture:
    """Fit two Gaussian components by EM, started at the quartiles.

    Raises:
        ValueError: there are fewer than two values, or some are not finite.
    """
    values = _inside(np.asarray(x, np.float64))
    start = np.quantile(values, [0.25, 0.75]) if len(values) else np.zeros(2)
    spread = np.full(2, max(float(values.var()), _SPREAD) if len(values) else _SPREAD)
    return _fit("gaussian", x, start, spread, _gaussian, _gaussian_moments, tolerance, sweeps)


def fit_beta_beside_uniform(x: Values, *, tolerance: float = 1e-6, sweeps: int = 200) -> Mixture:
    """Fit one falling beta component beside a uniform one, for a statistic that is uniform where a pair is wrong.

    So it is for the share of strangers that fit at least as well as the pair, judged by a model that has not seen the pair. The
    noise is then known before, and cannot be drawn to the right pairs where there is little of it.

    Raises:
        ValueError: there are fewer than two values, or some are not finite.
    """
    x = _checked(x)
    values = _Known.of(_inside(x))
    first, second = np.array([0.5, 1.0]), np.array([8.0, 1.0])
    share = float(np.clip(2 * (x > 0.5).mean(), _WEIGHT, 1 - _WEIGHT))  # right pairs seldom lie in the upper half

    def moments(mean: Pair, variance: Pair) -> tuple[Pair, Pair]:
        a, b = _beta_moments(mean, variance)
        return np.array([min(float(a[0]), 1.0), 1.0]), np.array(
            [max(float(b[0]), 1.0), 1.0]
        )  # falling, or no right pairs'

    started = _State(first, second, np.array([1 - share, share]))
    (first, second, weights), done, likelihood = _swept(values, started, _beta, moments, tolerance, sweeps)
    gain = likelihood - 1.5 * np.log(len(x)) / len(x)  # one uniform component has likelihood 0
    return Mixture("beta", first, second, weights, likelihood, done, gain)


class _State(NamedTuple):
    """Where expectation and maximisation stand: the two numbers of each component, and its share."""

    first: Pair
    second: Pair
    weights: Pair


def _checked(x: Values) -> Values:
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"a mixture needs at least two finite values in one row, got {x.shape}")
    return x


def _swept(
    values: _Known,
    state: _State,
    density: Density,
    moments: Callable[[Pair, Pair], tuple[Pair, Pair]],
    tolerance: float,
    sweeps: int,
) -> tuple[_State, int, float]:
    """Sweep until the likelihood stands still; give where it ended, the number of sweeps, and the likelihood there."""
    before, done = np.nan, 0  # nothing is close to nan
    for done in range(1, sweeps + 1):  # noqa: B007 - the count is kept
        now, belong = _expected(values, *state, density)
        if abs(now - before) <= tolerance * abs(before):
            break
        before = now
        state = _State(*moments(*_weighted(values, belong)), _shares(belong))
    likelihood, _ = _expected(values, *state, density)
    return state, done, likelihood


def _fit(
    kind: Kind,
    x: Values,
    first: Pair,
    second: Pair,
    density: Density,
    moments: Callable[[Pair, Pair], tuple[Pair, Pair]],
    tolerance: float,
    sweeps: int,
) -> Mixture:
    x = _checked(x)
    values = _Known.of(_inside(x))
    started = _State(first, second, np.full(2, 0.5))
    (first, second, weights), done, likelihood = _swept(values, started, density, moments, tolerance, sweeps)
    gain = likelihood - _alone(values, density, moments) - 1.5 * np.log(len(x)) / len(x)  # 5 numbers against 2
    found = Mixture(kind, first, second, weights, likelihood, done, gain)
    order = np.argsort(found.means, kind="stable")  # by mean after every fit, never by place
    return Mixture(kind, first[order], second[order], weights[order], likelihood, done, gain)


def _expected(
    values: _Known, first: Pair, second: Pair, weights: Pair, density: Density
) -> tuple[float, Float[np.ndarray, "2 N"]]:
    """Give the mean log-likelihood, and to which component each value belongs."""
    one, two = density(values, first, second)
    one, two = one + np.log(weights[0]), two + np.log(weights[1])
    share = expit(one - two)
    return float(np.logaddexp(one, two).mean()), np.maximum(np.stack([share, 1 - share]), _FLOOR)


def _shares(belong: Float[np.ndarray, "2 N"]) -> Pair:
    clipped = np.clip(belong.mean(1), _WEIGHT, 1 - _WEIGHT)
    shares: Pair = clipped / clipped.sum()
    return shares


def _alone(values: _Known, density: Density, moments: Callable[[Pair, Pair], tuple[Pair, Pair]]) -> float:
    """Give the mean log-likelihood of one component."""
    first, second = moments(*_weighted(values, np.ones((2, len(values.x)))))
    return float(density(values, first, second)[0].mean())


def _weighted(values: _Known, belong: Float[np.ndarray, "2 N"]) -> tuple[Pair, Pair]:
    mass = belong.sum(1)
    mean = belong @ values.x / mass
    spread = belong @ values.square / mass - mean**2
    return mean, np.maximum(spread, _SPREAD)


def _beta_moments(mean: Pair, spread: Pair) -> tuple[Pair, Pair]:
    room = mean * (1 - mean)
    common = room / np.minimum(spread, 0.99 * room) - 1  # a wider spread belongs to no beta distribution
    return np.clip(mean * common, *_SHAPE), np.clip((1 - mean) * common, *_SHAPE)


def _gaussian_moments(mean: Pair, spread: Pair) -> tuple[Pair, Pair]:
    return mean, spread


def _beta(values: _Known, a: Pair, b: Pair) -> tuple[Values, Values]:
    normal = betaln(a, b)
    one, two = ((a[k] - 1) * values.log + (b[k] - 1) * values.log_rest - normal[k] for k in range(2))
    return one, two


def _gaussian(values: _Known, mean: Pair, spread: Pair) -> tuple[Values, Values]:
    one, two = (-0.5 * ((values.x - mean[k]) ** 2 / spread[k] + np.log(2 * np.pi * spread[k])) for k in range(2))
    return one, two


def _inside(x: Values) -> Values:
    inside: Values = np.clip(x, EDGE, 1 - EDGE)
    return inside
