"""Layers that several methods put together in the same way."""

from __future__ import annotations

from torch import nn


def two_layers(width: int, hidden: int, out: int) -> nn.Sequential:
    """Give a linear layer, a ReLU and another linear layer: (*N, width) to (*N, out)."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out))
