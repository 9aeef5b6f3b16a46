"""Canonical maps: two linear maps into one space, in closed form, as a starting point for trained heads.

Heads that start at random spend most of a small data set on finding the common space; regularised canonical correlation
analysis finds it in a second, and training only has to improve on it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

log = logging.getLogger(__name__)


def canonical_maps(
    x: Float[Tensor, "M P"],
    y: Float[Tensor, "M Q"],
    width: int,
    *,
    ridge: tuple[float, float] = (1.0, 0.5),
    power: float = 0.75,
) -> tuple[Float[Tensor, "P K"], Float[Tensor, "Q K"], Float[Tensor, " K"]]:
    """Give the maps of both sides and the canonical correlations, strongest first; K is at most min(width, P, Q).

    Args:
        x: rows of one side, centred.
        y: the paired rows of the other side, centred.
        width: how many directions.
        ridge: added to each side's covariance, as a share of its mean variance; a small data set needs about 1.
        power: each direction is scaled by its correlation to this power, so that sure directions count for more.

    Source: Hotelling, Biometrika 1936, with the ridge of Vinod, Journal of Econometrics 1976; the scaling by correlations
    as in Gong and others, IJCV 2014 ("A multi-view embedding space", there with power 4).
    """
    x, y = x.double(), y.double()
    half_x, half_y = (
        _inverse_root(side.T @ side / len(side), share) for side, share in zip((x, y), ridge, strict=True)
    )
    u, correlations, v = torch.linalg.svd(half_x @ (x.T @ y / len(x)) @ half_y, full_matrices=False)
    kept = min(width, len(correlations))
    scale = correlations[:kept].clamp(min=0) ** power
    return (
        (half_x @ u[:, :kept] * scale).float(),
        (half_y @ v[:kept].T * scale).float(),
        correlations[:kept].float(),
    )


def pooled_fit(dims: Mapping[str, tuple[int, int]]) -> bool:
    """Say whether pooled vectors are as wide as tokens, so that a layer that reads tokens can start from them; warn if not.

    Args:
        dims: widths of the tokens and of the pooled vector by view.
    """
    if unlike := [f"{view} {width} and {pooled}" for view, (width, pooled) in dims.items() if width != pooled]:
        log.warning("start at random: tokens and pooled vectors have other widths (%s)", ", ".join(unlike))
    return not unlike


@torch.no_grad()
def start_canonical(first: nn.Linear, x: Float[Tensor, "M P"], second: nn.Linear, y: Float[Tensor, "M Q"]) -> None:
    """Start two linear layers from the canonical maps of paired rows; outputs have zero mean and about unit variance.

    Args:
        first: from P to the common width; outputs beyond what P and Q allow are zero.
        x: rows of one side, as its layer sees them.
        second: from Q to the same width.
        y: the paired rows of the other side.
    """
    width = first.out_features
    maps = canonical_maps(x - x.mean(0), y - y.mean(0), width)
    for linear, rows, found in zip((first, second), (x, y), maps[:2], strict=True):
        found = found.to(rows)
        spread = ((rows - rows.mean(0)) @ found).square().sum(1).mean().sqrt() / math.sqrt(width)
        linear.weight.zero_()
        linear.weight[: found.shape[1]] = found.T / spread.clamp(min=1e-6)
        linear.bias.copy_(-linear.weight @ rows.mean(0))


def start_from_pooled(
    layers: Sequence[tuple[nn.Linear, nn.Module]],
    pooled: Sequence[Tensor],
    beside: Iterable[nn.Module] = (),
) -> None:
    """Start the projections of both sides from the canonical maps of their standardised pooled vectors.

    Args:
        layers: of each side the projection and what standardises its input.
        pooled: paired rows of each side, (M, P) and (M, Q).
        beside: networks whose result is added to that of a projection; their last layers start at zero.
    """
    (first, x), (second, y) = ((layer, ready(rows)) for (layer, ready), rows in zip(layers, pooled, strict=True))
    start_canonical(first, x, second, y)
    for last in (network[-1] for network in beside if len(network)):  # type: ignore[arg-type, index]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def _inverse_root(covariance: Tensor, share: float) -> Tensor:
    ridge = share * covariance.diagonal().mean() + 1e-12
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(len(covariance), dtype=covariance.dtype))
    root: Tensor = (vectors / values.clamp(min=1e-12).sqrt()) @ vectors.T
    return root
