"""`cmfh`: collective matrix factorisation hashing, unsupervised, in closed-form sweeps.

"Collective Matrix Factorization Hashing for Multimodal Data", Ding, Guo, Zhou; CVPR 2014.

    minimise  sum_t alpha_t |X_t - V U_t|^2 + mu sum_t |V - X_t W_t|^2 + gamma (|V|^2 + sum_t |U_t|^2 + |W_t|^2)
    over V (N, K), U_t (K, P), W_t (P, K), for the modalities t; items are rows here, columns in the paper
    codes: the signs of x W_t minus their mean over the training items

From the paper: objective, alternating closed forms, alpha 0.5 each, mu 100, gamma 0.01, codes of new items through W.
Our reconstruction: features are centred and scaled to unit variance together, 25 sweeps, the mean of each bit is taken from the
modality's own training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from crossbit.batch import Encoded
from crossbit.methods.base import Method

Matrix = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class CMFHConfig:
    """Settings of CMFH; the defaults are the paper's.

    Args:
        bits: K.
        alpha: weight of the picture's factorisation; the text's is 1 - alpha.
        mu: weight of the maps from features to the common factor.
        gamma: weight of the squared norms.
        sweeps: of the alternation.
        seed: of the factor that it starts from.
    """

    bits: int = 128
    alpha: float = 0.5
    mu: float = 100.0
    gamma: float = 0.01
    sweeps: int = 25
    seed: int = 0

    @classmethod
    def small(cls) -> CMFHConfig:
        """Give the same setting: it costs seconds."""
        return cls()


class CMFH(Method):
    """Two linear maps from a common factorisation; abilities: hashes, fits."""

    Config = CMFHConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: CMFHConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: CMFHConfig = config
        draw = torch.Generator().manual_seed(config.seed)
        for view in self.reads:
            width = dims[view][1]
            self.register_buffer(f"mean_{view}", torch.zeros(width))
            self.register_buffer(f"map_{view}", torch.randn(width, config.bits, generator=draw) / width**0.5)
            self.register_buffer(f"offset_{view}", torch.zeros(config.bits))
        self.objective: tuple[float, ...] = ()

    def fit(self, views: Mapping[str, Float[np.ndarray, "N D"]], labels: Float[np.ndarray, "N C"] | None) -> CMFH:
        """Factorise pooled pairs; labels are not looked at."""
        means = {view: np.asarray(views[view], np.float64).mean(0) for view in self.reads}
        scale = {view: 1 / max(1e-6, float((views[view] - means[view]).std())) for view in self.reads}
        rows = [(views[view] - means[view]) * scale[view] for view in self.reads]
        maps, self.objective = factorise(rows, self.config)
        for view, own, mapped in zip(self.reads, rows, maps, strict=True):
            self._own("mean", view).copy_(torch.from_numpy(means[view]))
            # a common length of the bits changes no sign and keeps the relaxed values away from the ends
            length = max(1e-9, float((own @ mapped).std()))
            self._own("map", view).copy_(torch.from_numpy(mapped * scale[view] / length))
            self._own("offset", view).copy_(torch.from_numpy((own @ mapped).mean(0) / length))
        return self

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the mapped features, squashed; what counts is their sign."""
        (view,) = views
        mean, mapped, offset = (self._own(kind, view.modality) for kind in ("mean", "map", "offset"))
        return torch.tanh((view.pooled - mean) @ mapped - offset)

    def _own(self, kind: str, view: str) -> Tensor:
        found: Tensor = getattr(self, f"{kind}_{view}")
        return found


def factorise(rows: list[Matrix], config: CMFHConfig) -> tuple[list[Matrix], tuple[float, ...]]:
    """Alternate the three closed forms, and give the maps W_t (P, K) and the objective after each sweep.

    Source: Ding and others, section 3.3, transposed. No update can raise the objective.
    """
    alphas, identity = (config.alpha, 1 - config.alpha), np.eye(config.bits)
    mu, gamma = config.mu, config.gamma
    factor = np.random.default_rng(config.seed).standard_normal((len(rows[0]), config.bits))
    grams = [x.T @ x + gamma / mu * np.eye(x.shape[1]) for x in rows]
    bases: list[Matrix] = []
    maps: list[Matrix] = []
    course = []
    for _ in range(config.sweeps):
        inner = factor.T @ factor
        bases = [np.linalg.solve(inner + gamma / a * identity, factor.T @ x) for a, x in zip(alphas, rows, strict=True)]
        maps = [np.linalg.solve(gram, x.T @ factor) for gram, x in zip(grams, rows, strict=True)]
        left = sum(a * u @ u.T for a, u in zip(alphas, bases, strict=True)) + (2 * mu + gamma) * identity
        right = sum(x @ (a * u.T + mu * w) for a, x, u, w in zip(alphas, rows, bases, maps, strict=True))
        factor = np.linalg.solve(left, np.asarray(right).T).T
        course.append(objective(rows, factor, bases, maps, config))
    return maps, tuple(course)


def objective(rows: list[Matrix], factor: Matrix, bases: list[Matrix], maps: list[Matrix], config: CMFHConfig) -> float:
    """Give what is minimised, as written above."""
    total = config.gamma * float((factor**2).sum())
    for alpha, x, u, w in zip((config.alpha, 1 - config.alpha), rows, bases, maps, strict=True):
        total += alpha * float(((x - factor @ u) ** 2).sum()) + config.mu * float(((factor - x @ w) ** 2).sum())
        total += config.gamma * float((u**2).sum() + (w**2).sum())
    return total
