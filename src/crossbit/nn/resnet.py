"""A small residual network: blocks of two convolutions with a way around them, down to a grid of cells.

    pixels (B,3,h,w) -> convolution and maximum, a fourth of the side -> stages of residual blocks, a sixteenth of the side
                     -> tokens (B,L,W), the cells row by row, pooled (B,W), their mean

Source: He and others, "Deep Residual Learning for Image Recognition", CVPR 2016, its basic block; sizes are our own, chosen to
have the cost of the small vision transformer and a grid of the same cells.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes.

    Args:
        edge: side of a picture in pixels.
        widths: channels of each stage; the last one is W.
        strides: of each stage.
        blocks: of each stage.
        residual: False leaves the ways around the blocks out: a plain network of the same depth.
    """

    edge: int = 112
    widths: tuple[int, ...] = (32, 64, 128, 192)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    residual: bool = True

    @property
    def width(self) -> int:
        """Give W."""
        return self.widths[-1]


class Block(nn.Module):
    """Two convolutions of 3 x 3, and the input added to what they make."""

    def __init__(self, channels: int, width: int, stride: int, residual: bool = True) -> None:
        super().__init__()
        self.first = _convolution(channels, width, 3, stride)
        self.second = _convolution(width, width, 3, 1)
        same = channels == width and stride == 1
        self.around = None if not residual else nn.Identity() if same else _convolution(channels, width, 1, stride)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B W i j"]:
        """Give the next map."""
        made = self.second(F.relu(self.first(x)))
        return F.relu(made if self.around is None else made + self.around(x))


class ResNet(nn.Module):
    """Pixels to tokens and a summary."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = _convolution(3, config.widths[0], 7, 2)
        blocks, channels = [], config.widths[0]
        for width, stride, count in zip(config.widths, config.strides, config.blocks, strict=True):
            for number in range(count):
                blocks.append(Block(channels, width, stride if number == 0 else 1, config.residual))
                channels = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pixels: Float[Tensor, "B 3 h w"]) -> tuple[Float[Tensor, "B L W"], Float[Tensor, "B W"]]:
        """Give the cells, row by row, and their mean."""
        halved = F.max_pool2d(F.relu(self.stem(pixels)), 3, 2, 1)
        tokens = self.blocks(halved).flatten(2).transpose(1, 2)
        return tokens, tokens.mean(1)

    def undecayed(self) -> list[nn.Parameter]:
        """Name the matrices that must not decay: none."""
        return []


def _convolution(channels: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    layer = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(width))
