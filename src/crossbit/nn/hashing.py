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


def itq(rows: Float[Tensor, "N E"], bits: int, sweeps: int = 30, seed: int = 0) -> Float[Tensor, "E K"]:
    """Give the projection whose signs lose least: the strongest directions, rotated towards the corners of the cube.

    Source: ITQ (Gong and Lazebnik, CVPR 2011). More bits than directions are filled up with random ones.
    """
    rows = rows.double()
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    kept = min(bits, int((values > 1e-9 * values.max()).sum()))
    directions = vectors[:, -kept:]
    projected = rows @ directions
    generator = torch.Generator().manual_seed(seed)
    rotation = torch.linalg.qr(torch.randn(kept, kept, generator=generator, dtype=rows.dtype))[0]
    for _ in range(sweeps):
        corners = torch.where(projected @ rotation >= 0, 1.0, -1.0).to(rows.dtype)
        u, _, v = torch.linalg.svd(corners.T @ projected)
        rotation = (u @ v).T
    spare = torch.randn(rows.shape[1], bits - kept, generator=generator, dtype=rows.dtype)
    return torch.cat([directions @ rotation, spare], 1).float()
