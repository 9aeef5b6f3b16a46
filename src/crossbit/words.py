"""Words of a text and their numbers: what a method with a vocabulary of its own reads, the same on every machine.

A word's number is a hash of 24 bits and needs no vocabulary to be made, so an encoder can give it before any training; which
words are known is the method's affair. As three bytes it survives a cache of half-precision numbers.
"""

from __future__ import annotations

import re
import unicodedata
import zlib

CHANNELS = 3
"""Bytes of a word's number."""

_WORDS = (
    "about above after all also and any are around been before being below beneath beside between both but can could down "
    "during each for from had has have her here him his how into its itself just like more most near not off onto other our "
    "out over own she some such than that the their them then there these they this those through under until upon very was "
    "were what when where which while who with without would you your"
)
FUNCTION_WORDS = frozenset(_WORDS.split())
"""English words of three letters or more that say nothing of a picture."""

# letters, marks and digits; a character of a script that is written without spaces stands for itself
_WORD = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff\u0e00-\u0e7f\uf900-\ufaff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff\u0e00-\u0e7f]+"
)


def split_words(text: str) -> list[str]:
    """Give the words of a text, folded in case and form; each character of Chinese, Japanese and Thai is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def word_number(word: str) -> int:
    """Give the number of a word, below 2^24; two words of ten thousand share one in about one case of three."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) & 0xFFFFFF


def word_bytes(word: str) -> tuple[int, int, int]:
    """Give the number as three bytes, the most significant first."""
    number = word_number(word)
    return number >> 16, number >> 8 & 0xFF, number & 0xFF
