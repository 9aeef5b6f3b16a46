"""A bidirectional GRU over words: embeddings or places in a vocabulary go in, a state of every word and a summary come out.

    tokens (B,L,D), or places (B,L) of a vocabulary -> words (B,L,W) -> GRU forwards  \
                                                                    -> GRU backwards / mean -> states (B,L,H) -> pooled (B,H)

Padding is read by nobody: it stands at the end, where the forward direction has already passed, and the backward direction
starts at each row's own last word. Rows are turned round by looking places up and not by packing, so that the whole can be
exported.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from crossbit.nn.pooling import masked_max, masked_mean

GRUPool = Literal["mean", "max", "last"]


class BiGRU(nn.Module):
    """Read words in both directions; the two states of a word are averaged.

    Args:
        width: D of the embeddings that come in, or W of a vocabulary's.
        hidden: H.
        words: size of a vocabulary whose places come in instead of embeddings, 1 to `words`, 0 for unknown; 0 for none.
        narrowed: width of a linear map in front of the GRU; 0 for none.
        pool: the summary is the mean of the states, their maximum, or what each direction says at its end.
        dropout: on what the GRU reads.

    Source: the sentence encoder of VSE++ and SCAN (Faghri and others, BMVC 2018; Lee and others, ECCV 2018), whose directions
        are averaged as well.
    """

    def __init__(
        self, width: int, hidden: int, words: int = 0, narrowed: int = 0, pool: GRUPool = "mean", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.pool = pool
        self.words = nn.Embedding(words + 1, width, padding_idx=0) if words else None
        self.narrow = nn.Linear(width, narrowed) if narrowed else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.forwards = nn.GRU(narrowed or width, hidden, batch_first=True)
        self.backwards = nn.GRU(narrowed or width, hidden, batch_first=True)

    def forward(
        self, tokens: Float[Tensor, "B L D"] | Int64[Tensor, "B L"], mask: Bool[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B L H"], Float[Tensor, "B H"]]:
        """Give the states, zero where masked, and the summary; a row without any word gives zeros.

        Args:
            tokens: embeddings, or places where the GRU has a vocabulary.
            mask: True for real words; one that is missing between others is read as nothing.
        """
        read = self.drop(self.narrow(tokens if self.words is None else self.words(tokens)))
        read = read * mask.unsqueeze(-1)
        place = turned(mask)
        first = self.forwards(read)[0]
        second = _at(self.backwards(_at(read, place))[0], place)
        states = (first + second) / 2 * mask.unsqueeze(-1)
        if self.pool == "last":
            length = _lengths(mask)
            last = _at(first, (length - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
            return states, (last + second[:, 0]) / 2 * (length > 0).unsqueeze(-1)
        return states, masked_mean(states, mask) if self.pool == "mean" else masked_max(states, mask)


def turned(mask: Bool[Tensor, "B L"]) -> Int64[Tensor, "B L"]:
    """Give the places that turn each row's words round and leave its padding; applied twice, nothing has changed."""
    place = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    length = _lengths(mask).unsqueeze(1)
    return torch.where(place < length, length - 1 - place, place)


def _lengths(mask: Bool[Tensor, "B L"]) -> Int64[Tensor, " B"]:
    """Give the places up to the last real word."""
    return (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)


def _at(rows: Float[Tensor, "B L D"], place: Int64[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
    return rows.gather(1, place.unsqueeze(-1).expand(-1, -1, rows.shape[2]))
