"""Pooling: from tokens to one vector, blind to padding."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from crossbit.nn.ranking import by_rank

Pool = Literal["first", "mean", "max", "gpo"]


def masked_mean(tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """Average the real tokens; a row without any gives zero."""
    weight = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1)


def masked_max(tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """Take the largest value of every channel among the real tokens; a row without any gives zero."""
    filled = tokens.masked_fill(~mask.unsqueeze(-1), -math.inf).amax(1)
    return filled.masked_fill(~mask.any(1, keepdim=True), 0.0)


class GPO(nn.Module):
    """Generalised pooling: every channel is sorted, the ranks get learned weights that depend on the number of tokens.

    Source: VSE-infinity (Chen and others, CVPR 2021), section 3.2. Ranks are coded by sinusoids of width 32, read by a
    bidirectional GRU, turned into a softmax over the valid ranks.

    Args:
        width: of the codes.
        even: begin with the mean. Weights that begin at random favour some ranks, and then all items share what those ranks
            have in common: all embeddings begin in one narrow cone.
        quick: sort as `ranking` does. The values are the same; where channels tie, gradients may go to another of them.
    """

    def __init__(self, width: int = 32, even: bool = False, quick: bool = False) -> None:
        super().__init__()
        self.width, self.quick = width, quick
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.weigh = nn.Linear(width, 1, bias=False)
        if even:
            nn.init.zeros_(self.weigh.weight)

    def forward(self, tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        """Pool (B, L, D) to (B, D); a row without any token gives zero."""
        lengths = mask.sum(1).clamp(min=1)
        if torch.jit.is_tracing():  # type: ignore[attr-defined]  # an exported graph takes each row by itself
            weights = self._weights(lengths, tokens.shape[1])
        else:  # weights depend on the length alone, and a batch has few different ones
            different, place = lengths.unique(return_inverse=True)
            weights = self._weights(different, tokens.shape[1])[place]
            if self.quick:
                return by_rank(tokens, mask, weights)
        # padding sorts to the end, where its weight is 0, and is then set to 0 since 0 * -inf is NaN; channels lie in rows,
        # since sorting down columns takes twice as long
        filled = tokens.masked_fill(~mask.unsqueeze(-1), -math.inf).transpose(1, 2).contiguous()  # (B, D, L)
        ranked = filled.sort(2, descending=True).values
        ranked = ranked.masked_fill(~torch.isfinite(ranked), 0.0)
        return (ranked * weights.unsqueeze(1)).sum(2)

    def _weights(self, lengths: Tensor, longest: Any) -> Float[Tensor, "B L"]:
        # `longest` is a number, or while a graph is traced for any number of tokens, a tensor
        rank = torch.arange(longest, device=lengths.device, dtype=torch.float32)
        half = torch.arange(0, self.width, 2, device=lengths.device, dtype=torch.float32)
        angle = rank[:, None] * torch.exp(-half * (math.log(10_000.0) / self.width))
        code = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (L, width)
        packed = nn.utils.rnn.pack_padded_sequence(
            code.expand(lengths.shape[0], -1, -1), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=longest)
        both = (states[..., : self.width] + states[..., self.width :]) / 2
        scores = self.weigh(both).squeeze(-1) / 0.1
        valid = rank[None, :] < lengths[:, None]
        return torch.softmax(scores.masked_fill(~valid, -1e4), 1)
