"""`cmssh`: cross-modality similarity-sensitive hashing, a boosting of one bit after the other.

"Data Fusion through Cross-modality Metric Learning using Similarity-Sensitive Hashing", Bronstein, Bronstein, Michel, Paragios;
CVPR 2010.

    pairs (x_k, y_k) with s_k = +1 where they belong together and -1 where not, weights w_k
    for each bit:  C = sum_k w_k s_k x_k y_k^T  ->  its first singular vectors p, q
                   thresholds a, b with the lowest weighted error of  s_k against sign(p x_k + a) sign(q y_k + b)
                   w_k <- w_k exp(-s_k sign(p x_k + a) sign(q y_k + b)), scaled to sum to 1

From the paper: the weak learner, its relaxation by the singular vectors, the weights. Our reconstruction: as many random pairs
that do not match as there are that do; centred features, whitened in their strongest directions, which makes a bit cost some
hundredths of a second; thresholds by turns over quantiles;
`rate` and `balance`. Later bits see ever noisier weights, so more bits may be worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from crossbit.batch import Encoded
from crossbit.methods.base import Method

Matrix = Float[np.ndarray, "_ _"]
Row = Float[np.ndarray, " _"]

_RIDGE = 0.1


@dataclass(frozen=True)
class CMSSHConfig:
    """Settings of CMSSH.

    Args:
        bits: K.
        directions: strongest directions of each side that are kept; 0 keeps all.
        whiten: scale them to one spread, so that the singular vectors of both sides point to one cause; weak directions less.
        thresholds: how many are tried for each side of a bit.
        rate: what the exponent of the weights is multiplied by: AdaBoost's half log odds of the "error", or "one" as published.
        balance: matching and other pairs keep half of the weight each. As published (False) the matching pairs have none left
            after some bits, for they agree in all bits and the others in half of them, and later bits turn against them.
        seed: of the pairs that do not match.
    """

    bits: int = 128
    directions: int = 128
    whiten: bool = True
    thresholds: int = 33
    rate: Literal["error", "one"] = "error"
    balance: bool = True
    seed: int = 0

    @classmethod
    def small(cls) -> CMSSHConfig:
        """Give the same setting: it costs seconds."""
        return cls()


class CMSSH(Method):
    """Two linear maps with thresholds, bit by bit; abilities: hashes, fits."""

    Config = CMSSHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: CMSSHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: CMSSHConfig = config
        draw = torch.Generator().manual_seed(config.seed)
        for view in self.reads:
            width = dims[view][1]
            self.register_buffer(f"map_{view}", torch.randn(width, config.bits, generator=draw) / width**0.5)
            self.register_buffer(f"offset_{view}", torch.zeros(config.bits))

    def fit(self, views: Mapping[str, Float[np.ndarray, "N D"]], labels: Float[np.ndarray, "N C"] | None) -> CMSSH:
        """Boost on pooled pairs and on as many that do not match; labels are not looked at."""
        config = self.config
        sides = [_Side.of(views[view], config.directions, config.whiten) for view in self.reads]
        maps, offsets = boost(sides[0].rows, sides[1].rows, config)
        for place, (view, side) in enumerate(zip(self.reads, sides, strict=True)):
            whole, shift = side.basis @ maps[place], offsets[place]
            length = np.maximum((side.rows @ maps[place]).std(0), 1e-9)
            self._own("map", view).copy_(torch.from_numpy(whole / length))
            self._own("offset", view).copy_(torch.from_numpy((shift - side.mean @ whole) / length))
        return self

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the projections over their thresholds, squashed; what counts is their sign."""
        (view,) = views
        return torch.tanh(view.pooled @ self._own("map", view.modality) + self._own("offset", view.modality))

    def _own(self, kind: str, view: str) -> Tensor:
        found: Tensor = getattr(self, f"{kind}_{view}")
        return found


@dataclass(frozen=True)
class _Side:
    """Rows of one modality in their strongest directions."""

    rows: Matrix
    basis: Matrix
    mean: Row

    @classmethod
    def of(cls, given: Matrix, directions: int, whiten: bool) -> _Side:
        mean = np.asarray(given, np.float64).mean(0)
        centred = given - mean
        spread, basis = np.linalg.eigh(centred.T @ centred / len(centred))
        kept = slice(None, None, -1) if not directions else slice(None, -directions - 1, -1)  # the strongest first
        spread, basis = spread[kept].clip(0), basis[:, kept]
        common = max(1e-12, float(spread.mean()))
        basis = basis / np.sqrt(spread + _RIDGE * common) if whiten else basis / np.sqrt(common)
        return cls(centred @ basis, basis, mean)


def boost(x: Matrix, y: Matrix, config: CMSSHConfig) -> tuple[tuple[Matrix, Matrix], tuple[Row, Row]]:
    """Give the maps (D, K) of both sides and their thresholds (K,), which are added to the projections."""
    draw = np.random.default_rng(config.seed)
    count = len(x)
    other = (np.arange(count) + draw.integers(1, max(2, count), count)) % count  # never the own partner
    left, right = np.concatenate([x, x]), np.concatenate([y, y[other]])
    agree = np.repeat([1.0, -1.0], count)
    weights = np.full(2 * count, 0.5 / count)
    maps = np.empty((x.shape[1], config.bits)), np.empty((y.shape[1], config.bits))
    shifts = np.empty(config.bits), np.empty(config.bits)
    for place in range(config.bits):
        covariance = (left * (weights * agree)[:, None]).T @ right
        u, _, v = np.linalg.svd(covariance, full_matrices=False)
        maps[0][:, place], maps[1][:, place] = u[:, 0], v[0]
        projected = left @ u[:, 0], right @ v[0]
        shifts[0][place], shifts[1][place], bit = _thresholds(projected, weights * agree, config.thresholds)
        error = float(np.clip(weights[agree * bit < 0].sum(), 1e-6, 0.5))
        rate = 0.5 * np.log((1 - error) / error) if config.rate == "error" else 1.0
        weights = weights * np.exp(-rate * agree * bit)
        for kind in (slice(count), slice(count, None)) if config.balance else ():
            weights[kind] *= 0.5 / weights[kind].sum()
        weights /= weights.sum()
    return maps, shifts


def _thresholds(projected: tuple[Row, Row], signed: Row, count: int) -> tuple[float, float, Row]:
    """Find by turns the threshold of each side that agrees best with the signed weights, and give the bit (+1 or -1)."""
    shares = np.linspace(0, 1, count + 2)[1:-1]
    tried = [np.quantile(side, shares) for side in projected]
    chosen = [float(np.median(side)) for side in projected]
    for _ in range(2):
        for side in (0, 1):
            fixed = np.where(projected[1 - side] >= chosen[1 - side], 1.0, -1.0) * signed
            order = np.argsort(projected[side], kind="stable")
            gained = np.concatenate([[0.0], np.cumsum(fixed[order])])  # what lies below a threshold
            below = np.searchsorted(projected[side][order], tried[side], side="left")
            chosen[side] = float(tried[side][int(np.argmax(gained[-1] - 2 * gained[below]))])
    bit = np.prod([np.where(side >= at, 1.0, -1.0) for side, at in zip(projected, chosen, strict=True)], axis=0)
    return -chosen[0], -chosen[1], bit
