"""A small vision transformer: squares of pixels are its tokens, and a learned first token becomes its summary.

    pixels (B,3,h,w) -> squares of `patch` pixels, one linear map -> tokens (B,L,W), a first token before them, places added
                     -> layers of self-attention -> tokens (B,L,W), pooled (B,W), which is the first token

Source: Dosovitskiy and others, "An Image is Worth 16x16 Words", ICLR 2021; width and heads of DeiT-Ti (Touvron and others, ICML
2021), half of its layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.nn.attention import Encoder, prepend

FIRST_SPREAD = 0.02


@dataclass(frozen=True)
class ViTConfig:
    """Sizes.

    Args:
        edge: side of a picture in pixels, for which the places are learned.
        patch: side of a square.
        width: W.
        layers: of the transformer.
        heads: of attention.
        hidden: width of the two-layer networks, as a multiple of W.
        dropout: in all layers.
    """

    edge: int = 112
    patch: int = 16
    width: int = 192
    layers: int = 6
    heads: int = 3
    hidden: int = 4
    dropout: float = 0.0


class ViT(nn.Module):
    """Pixels to tokens and a summary."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.side = config.edge // config.patch
        self.squares = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.first = nn.Parameter(torch.zeros(config.width))
        self.places = nn.Parameter(torch.empty(1 + self.side**2, config.width))
        hidden = config.hidden * config.width
        self.encoder = Encoder(config.width, config.layers, config.heads, hidden, config.dropout, norm_first=True)
        nn.init.trunc_normal_(self.places, std=FIRST_SPREAD)
        nn.init.trunc_normal_(self.first, std=FIRST_SPREAD)

    def forward(self, pixels: Float[Tensor, "B 3 h w"]) -> tuple[Float[Tensor, "B L W"], Float[Tensor, "B W"]]:
        """Give tokens, row by row, and the summary; sides that `patch` does not divide lose what is left over."""
        grid = self.squares(pixels)
        tokens = grid.flatten(2).transpose(1, 2)
        tokens, mask = prepend(self.first, tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=pixels.device))
        out = self.encoder(tokens + self._places(*grid.shape[2:]), mask)
        return out[:, 1:], out[:, 0]

    def undecayed(self) -> list[nn.Parameter]:
        """Name the matrices that weight decay would pull towards what they must not be: places, the first token."""
        return [self.places, self.first]

    def _places(self, rows: int, columns: int) -> Float[Tensor, "M W"]:
        """Give the places of a grid; of another size than was learned they are interpolated."""
        if (rows, columns) == (self.side, self.side):
            return self.places
        learned = self.places[1:].T.reshape(1, -1, self.side, self.side)
        drawn = F.interpolate(learned, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([self.places[:1], drawn[0].flatten(1).T])
