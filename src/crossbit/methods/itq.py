"""`itq`: canonical correlations, then a rotation towards the corners of the cube; fitted in a second.

"Iterative Quantization: A Procrustean Approach to Learning Binary Codes", Gong, Lazebnik; CVPR 2011, its CCA-ITQ with the
captions in the place of the labels.

    image pooled (N, P) -> standardise -> canonical map (N, E)
    text  pooled (N, P) -> standardise -> canonical map (N, E)
    both -> one rotation (N, K) -> signs

From the paper: canonical directions scaled by their correlations, the alternation between corners and rotation.
Our reconstruction: ridge and power of the canonical map (nn/canonical.py); several rotations side by side where more bits are
asked for than there are sure directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from crossbit.batch import Encoded
from crossbit.methods.base import Method
from crossbit.nn.canonical import canonical_maps
from crossbit.nn.hashing import itq


@dataclass(frozen=True)
class ITQConfig:
    """Settings of CCA-ITQ.

    Args:
        bits: K.
        width: canonical directions of the embedding.
        directions: how many of the strongest directions the bits share; 0 takes half as many as bits.
        sweeps: of the alternation.
        seed: of the rotations that it starts from.
    """

    bits: int = 128
    width: int = 256
    directions: int = 0
    sweeps: int = 30
    seed: int = 0

    @classmethod
    def small(cls) -> ITQConfig:
        """Give the same setting: it costs a second."""
        return cls()


class ITQ(Method):
    """Two linear maps in closed form; abilities: embeds, hashes, fits."""

    Config = ITQConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")
    reads_tokens: ClassVar[bool] = False

    def __init__(self, config: ITQConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.config: ITQConfig = config
        self.kept = min(config.width, *(dims[view][1] for view in self.reads))
        for view in self.reads:
            self.register_buffer(f"mean_{view}", torch.zeros(dims[view][1]))
            self.register_buffer(f"map_{view}", torch.eye(dims[view][1], self.kept))
        start = torch.randn(self.kept, config.bits, generator=torch.Generator().manual_seed(config.seed))
        self.register_buffer("rotation", start / self.kept**0.5)

    @torch.no_grad()
    def fit(self, views: Mapping[str, Float[np.ndarray, "N D"]], labels: Float[np.ndarray, "N C"] | None) -> ITQ:
        """Fit maps and rotation on pooled pairs; labels are not looked at."""
        rows = {}
        for view in self.reads:
            given = torch.from_numpy(np.asarray(views[view], np.float32))
            self._own("mean", view).copy_(given.mean(0))
            centred = given - given.mean(0)
            rows[view] = centred / centred.square().mean().sqrt().clamp(min=1e-6)
        image, text, _ = canonical_maps(rows["image"], rows["text"], self.kept)
        for view, found in (("image", image), ("text", text)):
            spread = (rows[view] @ found).square().sum(1).mean().sqrt().clamp(min=1e-6)
            self._own("map", view).zero_()[:, : found.shape[1]] = found / spread
        joined = torch.cat([F.normalize(rows[view] @ self._own("map", view), dim=-1) for view in self.reads])
        config = self.config
        shared = min(config.directions or max(1, config.bits // 2), self.kept)
        self.rotation.copy_(itq(joined, config.bits, shared, config.sweeps, config.seed))  # type: ignore[operator]
        return self

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the canonical embedding, a unit vector."""
        (view,) = views
        mean, projection = self._own("mean", view.modality), self._own("map", view.modality)
        return F.normalize((view.pooled - mean) @ projection, dim=-1)

    def relax(self, *views: Encoded) -> Float[Tensor, "B K"]:
        """Give the rotated embedding, squashed; what counts is its sign."""
        turned: Tensor = self.embed(*views) @ self.rotation  # type: ignore[operator]
        return torch.tanh(turned * self.kept**0.5)

    def _own(self, kind: str, view: str) -> Tensor:
        found: Tensor = getattr(self, f"{kind}_{view}")
        return found
