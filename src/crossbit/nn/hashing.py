"""Hash heads: from an embedding to values in [-1, 1] whose signs are the code."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

HashKind = Literal["tanh", "ste", "select"]


class HashHead(nn.Module):
    """A linear layer to K bits and a relaxation of the sign.

    Args:
        width: of the embedding.
        bits: K.
        kind: "tanh", the smooth stand-in; "ste", hard signs forward and the gradient of tanh backward (straight-through);
            "select", two logits a bit with a softmax, as DCHMT has it (Tu and others, ACM MM 2022).
        balance: BatchNorm without weights before the relaxation, which centres every bit: balanced bits for free.
    """

    def __init__(self, width: int, bits: int, kind: HashKind = "tanh", balance: bool = True) -> None:
        super().__init__()
        self.kind = kind
        self.project = nn.Linear(width, 2 * bits if kind == "select" else bits)
        self.norm = nn.BatchNorm1d(bits, affine=False) if balance else nn.Identity()

    def forward(self, embedding: Float[Tensor, "B E"]) -> Float[Tensor, "B K"]:
        """Give the relaxed code."""
        z = self.project(embedding)
        if self.kind == "select":
            pairs = z.reshape(len(z), -1, 2)
            z = (pairs[..., 0] - pairs[..., 1]) / 2  # tanh of half the difference is the difference of the softmax pair
        relaxed = torch.tanh(self.norm(z))
        if self.kind == "ste":
            hard = torch.where(relaxed >= 0, 1.0, -1.0)
            relaxed = relaxed + (hard - relaxed).detach()
        out: Tensor = relaxed
        return out
