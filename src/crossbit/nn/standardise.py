"""Standardise: take out what all items share.

Raw features of frozen encoders sit in a narrow cone (cosines of 0.7 to 0.9 between any two sentences of e5), so a head on top
first spends its training on leaving the cone. Mean and spread of the training rows are known beforehand: use them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standardise(nn.Module):
    """Subtract the mean of the training rows and divide by one common spread (not one a channel, which would lift noise)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(()))

    def learn(self, rows: Float[Tensor, "N D"]) -> None:
        """Take mean and spread of these rows."""
        self.mean.copy_(rows.mean(0))
        self.spread.copy_((rows - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """Give rows of about unit variance."""
        return (x - self.mean).div_(self.spread)  # in place: one large tensor less, the same numbers
