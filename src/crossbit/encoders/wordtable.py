"""The encoder `minilm-words`: the word embeddings of MiniLM alone, as they stand in its table before any layer reads them.

    text -> pieces -> word embeddings (N,L,384), gathered by NumPy -> tokens (N,L,384), pooled = their mean over the real pieces

What a recurrent network reads in place of contextual states: it so starts from the same vocabulary as the transformer that it
is compared to. Frozen; only the dozen rows of a text are read.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int32

from crossbit.encoders.text import MiniLM, word_rows

if TYPE_CHECKING:
    from torch import nn

MINILM_WORDS = "minilm-words"


class MiniLMWords(MiniLM):
    """The word table of MiniLM."""

    name = MINILM_WORDS
    recipe = "word table, masked-mean v1"

    @cached_property
    def folder(self) -> Path:
        """Give the folder of MiniLM itself, which holds the table."""
        return MiniLM().folder

    def run(
        self, ids: Int32[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
    ) -> tuple[Float[np.ndarray, "N L D"], Float[np.ndarray, "N P"]]:
        """Look framed rows up: tokens, zero where padded, and their masked mean."""
        tokens = word_rows(self._words, ids) * mask[..., None].astype(np.float32)
        weight = (mask / mask.sum(1, keepdims=True)).astype(np.float32)
        return tokens, (weight[:, None] @ tokens)[:, 0]

    def module(self) -> nn.Module:
        """Give the torch twin, with gradient into every word: (ids, mask) -> (tokens, mask, pooled)."""
        import torch
        from torch import Tensor, nn

        table = torch.from_numpy(word_rows(self._words, np.arange(len(self._words))))

        class Twin(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.words = nn.Embedding.from_pretrained(table, freeze=False)

            def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                tokens = self.words(ids.long()) * mask[..., None]
                return tokens, mask, tokens.sum(1) / mask.sum(1, keepdim=True)

        return Twin().eval()
