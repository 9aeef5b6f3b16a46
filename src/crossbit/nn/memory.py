"""Self-attention with a memory: keys and values are extended by learned slots that belong to no token.

Source: "Meshed-Memory Transformer for Image Captioning", Cornia, Stefanini, Baraldi, Cucchiara; CVPR 2020.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class MemoryAttention(nn.Module):
    """Multi-head self-attention whose tokens also look at `slots` learned keys and values, which are never masked."""

    def __init__(self, width: int, heads: int, slots: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.slots, self.dropout = heads, slots, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        if slots:  # small numbers that are scaled up, so that the optimiser moves them as it moves weights
            each = width // heads
            self.keys = nn.Parameter(torch.randn(heads, slots, each) / each)
            self.values = nn.Parameter(torch.randn(heads, slots, each) / slots)

    def forward(self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Let every token look at the real tokens of its row and at the memory; a row without any sees the memory alone."""
        batch, length, width = x.shape
        each = width // self.heads
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, each).permute(2, 0, 3, 1, 4)
        seen = mask[:, None, None, :]
        if self.slots:
            k = torch.cat([k, math.sqrt(each) * self.keys.expand(batch, -1, -1, -1)], 2)
            v = torch.cat([v, math.sqrt(self.slots) * self.values.expand(batch, -1, -1, -1)], 2)
            seen = torch.cat([seen, seen.new_ones(batch, 1, 1, self.slots)], 3)
        else:
            seen = seen | ~mask.any(1)[:, None, None, None]  # a row without any token would divide by nothing
        dropout = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)
        out: Tensor = self.out(found.transpose(1, 2).reshape(batch, length, width))
        return out


class MemoryLayer(nn.Module):
    """One encoder layer, normalised after each step: attention with a memory, then a two-layer network."""

    def __init__(self, width: int, heads: int, slots: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = MemoryAttention(width, heads, slots, dropout)
        self.network = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Give the tokens after the layer."""
        first, second = self.norms
        x = first(x + self.drop(self.attention(x, mask)))
        out: Tensor = second(x + self.drop(self.network(x)))
        return out
