"""Transformer encoder over tokens, with this project's mask: True is real."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """Multi-head self-attention. Written out, because the fused module cannot be exported with a free batch size."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], ask: int | None = None
    ) -> Float[Tensor, "B A D"]:
        """Let the first `ask` tokens, or all, look at the real tokens of their row."""
        batch, length, width = x.shape
        heads, each = self.heads, width // self.heads
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(x[:, :ask], weight[:width], bias[:width]).reshape(batch, -1, heads, each).transpose(1, 2)
        both = F.linear(x, weight[width:], bias[width:]).reshape(batch, length, 2, heads, each)
        k, v = both.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :], dropout_p=dropout)
        out: Tensor = self.out(seen.transpose(1, 2).reshape(batch, -1, width))
        return out


class EncoderLayer(nn.Module):
    """One layer: attention, then a two-layer network, each with residual and LayerNorm (after it, or before it)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = SelfAttention(width, heads, dropout)
        self.hidden = nn.Linear(width, hidden)
        self.shown = nn.Linear(hidden, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.drop = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], ask: int | None = None
    ) -> Float[Tensor, "B A D"]:
        """Give the first `ask` tokens, or all; the others are looked at and not computed."""
        first, second = self.norms
        if self.norm_first:
            x = x[:, :ask] + self.drop(self.attention(first(x), mask, ask))
            out: Tensor = x + self.drop(self.shown(self.drop(F.gelu(self.hidden(second(x))))))
            return out
        x = first(x[:, :ask] + self.drop(self.attention(x, mask, ask)))
        out = second(x + self.drop(self.shown(self.drop(F.relu(self.hidden(x))))))
        return out


class Encoder(nn.Module):
    """A stack of layers. With none it gives its input back.

    `norm_first=False` is the original transformer, and what TERN uses; `True` trains without warm-up on small data.
    """

    def __init__(
        self, width: int, layers: int, heads: int, hidden: int, dropout: float, norm_first: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout, norm_first) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm_first and layers else nn.Identity()

    def forward(
        self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], ask: int | None = None
    ) -> Float[Tensor, "B A D"]:
        """Give the first `ask` tokens, or all; padding stays padding and is seen by nobody.

        A method that pools to the first token asks for one: the last layer then costs a sixth.
        """
        for place, layer in enumerate(self.layers):
            x = layer(x, mask, ask if place + 1 == len(self.layers) else None)
        out: Tensor = self.norm(x[:, :ask])
        return out


def prepend(
    first: Float[Tensor, " D"], x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]
) -> tuple[Float[Tensor, "B M D"], Bool[Tensor, "B M"]]:
    """Put one learned token first, never masked."""
    batch = x.shape[0]
    head = first.expand(batch, 1, -1)
    seen = torch.ones_like(mask[:, :1])
    return torch.cat([head, x], 1), torch.cat([seen, mask], 1)
