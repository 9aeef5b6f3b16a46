"""A vocabulary that a method learns from its training captions: places of words for a GRU, or a TF-IDF vector.

It reads the tokens of the encoder `words`. The known words are kept as numbers in a buffer, so that they are saved with the
weights. A word is looked up by bisection; an exported graph, which knows none, compares it with all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from crossbit.words import split_words, word_number

_NOTHING = -1


class Vocabulary(nn.Module):
    """Know up to `size` words, the most frequent of the training captions.

    Args:
        size: V.
        common: words in more than this share of the captions are left out: they tell nothing apart.
    """

    numbers: Tensor
    weight: Tensor

    def __init__(self, size: int, common: float = 0.5) -> None:
        super().__init__()
        self.common = common
        self.register_buffer("numbers", torch.full((size,), _NOTHING, dtype=torch.long))
        self.register_buffer("weight", torch.zeros(size))

    def learn(self, captions: Sequence[str]) -> None:
        """Choose the words and their inverse document frequencies, `ln((1 + n) / (1 + df)) + 1`."""
        seen: Counter[int] = Counter()
        for caption in captions:
            seen.update({word_number(word) for word in split_words(caption)})
        total, size = len(captions), len(self.numbers)
        most = max(1, int(self.common * total)) if total > 2 else total
        chosen = sorted((n for n in seen if seen[n] <= most), key=lambda n: (-seen[n], n))[:size]
        self.numbers.fill_(_NOTHING)
        self.weight.zero_()
        for place, number in enumerate(chosen):
            self.numbers[place] = number
            self.weight[place] = math.log((1 + total) / (1 + seen[number])) + 1

    def places(self, tokens: Float[Tensor, "B L 3"], mask: Bool[Tensor, "B L"]) -> Int64[Tensor, "B L"]:
        """Give each word's place from 1 on; 0 for words that are not known and for padding."""
        if not torch._C._is_tracing():
            return self._bisected(tokens, mask)
        equal = self._equal(tokens, mask)
        return torch.where(equal.any(2), equal.to(torch.long).argmax(2) + 1, 0)

    def tf_idf(self, tokens: Float[Tensor, "B L 3"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B V"]:
        """Give unit vectors of counts times inverse document frequencies; zero where no word is known."""
        if torch._C._is_tracing():
            counts = self._equal(tokens, mask).to(tokens.dtype).sum(1)
        else:
            counts = tokens.new_zeros(len(tokens), len(self.numbers) + 1)
            counts = counts.scatter_add_(1, self._bisected(tokens, mask), mask.to(tokens.dtype))[:, 1:]
        return F.normalize(counts * self.weight, dim=-1)

    def _bisected(self, tokens: Tensor, mask: Tensor) -> Int64[Tensor, "B L"]:
        numbers, sizes = _numbers(tokens), self.numbers.sort()
        at = torch.searchsorted(sizes.values, numbers).clamp(max=len(self.numbers) - 1)
        return torch.where((sizes.values[at] == numbers) & mask, sizes.indices[at] + 1, 0)

    def _equal(self, tokens: Tensor, mask: Tensor) -> Bool[Tensor, "B L V"]:
        return (_numbers(tokens)[..., None] == self.numbers) & mask[..., None]


def _numbers(tokens: Float[Tensor, "B L 3"]) -> Int64[Tensor, "B L"]:
    whole = tokens.round().to(torch.long)
    return whole[..., 0] * 65536 + whole[..., 1] * 256 + whole[..., 2]
