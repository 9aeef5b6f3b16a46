"""Recurrent text: a bidirectional GRU over tokens, and one over words of a vocabulary that is learned from training captions.

Source: the text side of SCAN (Lee and others, ECCV 2018), section 3.2: embeddings of 300 numbers, both directions averaged.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from crossbit.nn.vocabulary import Vocabulary

EMBEDDING = 300
"""Numbers of a word's embedding, as in the papers."""


class BiGRU(nn.Module):
    """Reads tokens from both ends; what a state says does not depend on padding."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)

    def forward(
        self, tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B L H"], Float[Tensor, "B H"]]:
        """Give the states, both directions averaged and zero where masked, and the mean of the two last ones.

        The real tokens of a row come first, or are brought there and back; a row without any gives zeros.
        """
        count = mask.sum(1)
        if torch.jit.is_tracing():  # type: ignore[attr-defined]  # neither sorting nor packing can be exported here
            return self._by_counting(tokens, mask, count)
        order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)  # the real tokens first, in their order
        back = order.argsort(dim=1)
        front = tokens.gather(1, order.unsqueeze(-1).expand_as(tokens))
        packed = nn.utils.rnn.pack_padded_sequence(
            front, count.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, last = self.gru(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=mask.shape[1])
        both = (padded[..., : self.hidden] + padded[..., self.hidden :]) / 2
        both = both.gather(1, back.unsqueeze(-1).expand_as(both)) * mask.unsqueeze(-1)
        return both, (last[0] + last[1]) / 2 * (count > 0).unsqueeze(-1)

    def _by_counting(
        self, tokens: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"], count: Int64[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B L H"], Float[Tensor, "B H"]]:
        """Give the same in plain operations: each direction apart, words turned round and padding left at the end."""
        step = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        real = mask.long()  # ONNX counts numbers alone
        back = torch.where(mask, real.cumsum(1), count[:, None] + (1 - real).cumsum(1)) - 1
        order = torch.zeros_like(back).scatter(1, back, step)
        turned = torch.where(step < count[:, None], count[:, None] - 1 - step, step)
        front = _at(tokens, order)
        first, second = self._one(front, ""), self._one(_at(front, turned), "_reverse")
        end = _at(first + second, (count - 1).clamp(min=0).unsqueeze(1)).squeeze(1) / 2
        both = (first + _at(second, turned)) / 2
        return _at(both, back) * mask.unsqueeze(-1), end * (count > 0).unsqueeze(-1)

    def _one(self, tokens: Float[Tensor, "B L D"], direction: str) -> Float[Tensor, "B L H"]:
        """Run one direction's weights from the first token to the last."""
        weights = [
            getattr(self.gru, f"{name}_l0{direction}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        start = tokens.new_zeros(1, tokens.shape[0], self.hidden)
        states: Tensor = torch.gru(tokens, start, weights, True, 1, 0.0, False, False, True)[0]
        return states


class WordGRU(nn.Module):
    """Words of a learned vocabulary -> embeddings -> BiGRU; it reads the tokens of the encoder `words`.

    Args:
        size: words that are known, the most frequent of the training captions; all others share one embedding.
        width: of the embeddings.
        hidden: of the GRU.
    """

    def __init__(self, size: int, width: int, hidden: int) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(size, common=1.0)
        self.embed = nn.Embedding(size + 1, width)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        self.read = BiGRU(width, hidden)

    def forward(
        self, tokens: Float[Tensor, "B L 3"], mask: Bool[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B L H"], Float[Tensor, "B H"]]:
        """Give the states of the words and the last state."""
        states: tuple[Tensor, Tensor] = self.read(self.embed(self.vocabulary.places(tokens, mask)), mask)
        return states


def _at(rows: Float[Tensor, "B L D"], place: Int64[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
    return rows.gather(1, place.unsqueeze(-1).expand(-1, -1, rows.shape[2]))
