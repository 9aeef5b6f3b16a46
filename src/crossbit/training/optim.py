"""Optimiser and schedule: AdamW, linear warm-up, cosine to zero."""

from __future__ import annotations

import math
from typing import Any

import torch


def make_optimiser(groups: list[dict[str, Any]], weight_decay: float) -> torch.optim.AdamW:
    """Give AdamW over the method's parameter groups; each keeps its own rate under `base`."""
    for group in groups:
        group.setdefault("weight_decay", weight_decay)
        group["base"] = group["lr"]
    return torch.optim.AdamW(groups)


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Give the share of the learning rate at a step: linear over the first `warm_up` of training, then half a cosine."""
    first = max(1, round(warm_up * steps))
    if step < first:
        return (step + 1) / first
    return 0.5 * (1 + math.cos(math.pi * (step - first) / max(1, steps - first)))


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Multiply every group's own rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * factor
