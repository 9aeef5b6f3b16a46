"""Hash heads: from an embedding to values in [-1, 1] whose signs are the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crossbit.codes.lengths import nested_lengths
from crossbit.nn.standardise import Standardise

HashKind = Literal["tanh", "ste", "select"]


class HashHead(nn.Module):
    """A linear layer to K bits and a relaxation of the sign.

    Args:
        width: of the embedding.
        bits: K.
        kind: "tanh", the smooth stand-in; "ste", hard signs forward and the gradient of tanh backward (straight-through);
            "select", two logits a bit with a softmax, as DCHMT has it (Tu and others, ACM MM 2022).
        balance: BatchNorm without weights before the relaxation, which centres every bit: balanced bits for free.
        noise: spread of the Gaussian noise that is added before the relaxation in training.
    """

    def __init__(
        self, width: int, bits: int, kind: HashKind = "tanh", balance: bool = True, noise: float = 0.0
    ) -> None:
        super().__init__()
        self.kind = kind
        self.noise = noise
        self.project = nn.Linear(width, 2 * bits if kind == "select" else bits)
        self.norm = nn.BatchNorm1d(bits, affine=False) if balance else nn.Identity()

    def forward(self, embedding: Float[Tensor, "B E"], sharpness: float = 1.0) -> Float[Tensor, "B K"]:
        """Give the relaxed code; a larger `sharpness` brings the values nearer to their signs."""
        z = self.project(embedding)
        if self.kind == "select":
            pairs = z.reshape(len(z), -1, 2)
            z = (pairs[..., 0] - pairs[..., 1]) / 2  # tanh of half the difference is the difference of the softmax pair
        z = self.norm(z)
        if self.training and self.noise:
            z = z + self.noise * torch.randn_like(z)
        relaxed = torch.tanh(z if sharpness == 1.0 else sharpness * z)
        if self.kind == "ste":
            hard = torch.where(relaxed >= 0, 1.0, -1.0)
            relaxed = relaxed + (hard - relaxed).detach()
        out: Tensor = relaxed
        return out


class HashNetwork(nn.Module):
    """Pooled features to a relaxed code: standardise, one hidden layer, a hash head.

    Args:
        width: of the pooled features.
        hidden: width of the hidden layer.
        bits: K.
        dropout: after the hidden layer.
        balance: as `HashHead` has it.
    """

    def __init__(self, width: int, hidden: int, bits: int, dropout: float = 0.0, balance: bool = True) -> None:
        super().__init__()
        self.standardise = Standardise(width)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.head = HashHead(hidden, bits, balance=balance)

    def forward(self, pooled: Float[Tensor, "B P"], sharpness: float = 1.0) -> Float[Tensor, "B K"]:
        """Give the relaxed code; a larger `sharpness` brings the values nearer to their signs."""
        out: Tensor = self.head(self.hidden(self.standardise(pooled)), sharpness)
        return out


def over_lengths(bits: int, nested: bool, term: Callable[[int], Tensor]) -> Tensor:
    """Give the mean of a loss over the lengths at which a code is to be usable: the whole, and where it is nested each prefix.

    Args:
        bits: K.
        nested: whether the first 16, 32, 64 ... bits are to be codes as well.
        term: called with a length, gives the loss of the first so many bits.

    Source: Matryoshka Representation Learning (Kusupati and others, NeurIPS 2022), equation 1 with even weights, on bits.
    """
    lengths = nested_lengths(bits) if nested else (bits,)
    return torch.stack([term(length) for length in lengths]).mean(0)


def nested_itq(rows: Float[Tensor, "N E"], bits: int, sweeps: int = 30, seed: int = 0) -> Float[Tensor, "E K"]:
    """Give a projection whose prefixes are projections too: each length adds a rotation of as many directions as it adds bits.

    Source: our addition.
    """
    blocks, start = [], 0
    for stop in nested_lengths(bits):
        wide = min(stop - start, rows.shape[1]) if start else max(1, stop // 2)
        blocks.append(itq(rows, stop - start, wide, sweeps, seed + start))
        start = stop
    return torch.cat(blocks, 1)


def itq(
    rows: Float[Tensor, "N E"], bits: int, directions: int = 0, sweeps: int = 30, seed: int = 0
) -> Float[Tensor, "E K"]:
    """Give the projection whose signs lose least: the strongest directions, rotated towards the corners of the cube.

    Args:
        rows: about centred.
        bits: K.
        directions: how many of the strongest directions the bits share; with fewer than `bits`, several rotations of them
            stand side by side, which beats spending bits on weak directions. 0 takes as many as bits, or as there are.
        sweeps: of the alternation between corners and rotation.
        seed: of the rotations that it starts from.

    Source: ITQ (Gong and Lazebnik, CVPR 2011); several rotations are our addition.
    """
    rows = rows.double()
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    kept = min(directions or bits, bits, int((values > 1e-9 * values.max()).sum()))
    strongest = vectors[:, -kept:]
    projected = rows @ strongest
    generator = torch.Generator().manual_seed(seed)
    rotations = [_rotation(projected, sweeps, generator) for _ in range(-(-bits // kept))]
    projection: Tensor = (strongest @ torch.cat(rotations, 1))[:, :bits].float()
    return projection


def _rotation(projected: Tensor, sweeps: int, generator: torch.Generator) -> Tensor:
    width = projected.shape[1]
    rotation: Tensor = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=projected.dtype))[0]
    for _ in range(sweeps):
        corners = torch.where(projected @ rotation >= 0, 1.0, -1.0).to(projected.dtype)
        u, _, v = torch.linalg.svd(corners.T @ projected)
        rotation = (u @ v).T
    return rotation
