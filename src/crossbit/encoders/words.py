"""The encoder `words`: a text as the numbers of its words, for methods that learn a vocabulary of their own (TF-IDF, GRU).

    text -> words (crossbit/words.py) -> tokens (N, L, 3): the bytes of each word's number
                                      -> pooled (N, 3): their mean, which says little

Nothing is learned here and nothing is loaded; what a word means is the method's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossbit.encoders.base import EncoderCard, Inputs, Media
from crossbit.encoders.ragged import mean_of_real, padded
from crossbit.errors import UsageError
from crossbit.features import Features
from crossbit.words import CHANNELS, split_words, word_bytes

if TYPE_CHECKING:
    from torch import nn

MAX_WORDS = 128


class Words:
    """Give word numbers; nothing is learned and nothing is loaded."""

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        return EncoderCard("words", "text", CHANNELS, CHANNELS, "words-crc24-1", MAX_WORDS)

    def prepare(self, media: Sequence[Media], *, on_long_text: str = "truncate") -> Inputs:
        """Split texts into words: `bytes` (N, L, 3) and `mask` (N, L).

        Args:
            on_long_text: "error" refuses more than 128 words; "truncate" and "chunk" keep the first 128.

        Raises:
            UsageError: something is not a string, or is too long and the policy is "error".
        """
        rows = []
        for place, text in enumerate(media):
            if not isinstance(text, str):
                raise UsageError(f"text {place}: found a {type(text).__name__}, expected a string")
            words = split_words(text)
            if len(words) > MAX_WORDS and on_long_text == "error":
                raise UsageError(f"text {place}: has {len(words)} words, expected at most {MAX_WORDS}")
            rows.append([word_bytes(word) for word in words[:MAX_WORDS]])
        tokens, mask = padded(rows, CHANNELS)
        return {"bytes": tokens, "mask": mask}

    def encode(self, inputs: Inputs) -> Features:
        """Give the bytes as tokens."""
        tokens, mask = inputs["bytes"], inputs["mask"]
        return Features("text", tokens, mask, mean_of_real(tokens, mask))

    def module(self) -> nn.Module:
        """Give the torch twin, which hands its inputs on.

        Raises:
            UsageError: always: there is nothing to train.
        """
        raise UsageError("encoder `words` has no weights, so it has no torch twin", "train the method that reads it")
