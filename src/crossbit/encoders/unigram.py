"""Split text into the pieces of a unigram vocabulary, reading from the vocabulary only what the text needs.

The usual library reads all 250,037 pieces first, which takes 0.9 s: too long for `crossbit search "red apple"`, which
has one query. Here the pieces lie sorted in a memory-mapped table, every stretch of an unseen word is looked up at once
by binary search, and the likeliest way through is found per word (Viterbi). Words are independent of each other, so each
is split once; in bulk this is as fast as the library, and the pieces are the same (tests/encoders/test_unigram.py).

Source: Kudo, "Subword Regularization", ACL 2018, for the model; the tie rule (first found wins, shorter start first) and
the price of an unknown character are those of the `tokenizers` library.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32, Shaped

if TYPE_CHECKING:
    from crossbit.encoders.e5file import Pieces

_SPACE = "\u2581"
_UNKNOWN_PRICE = 10.0
_REMEMBERED = 200_000


class UnigramTokenizer:
    """Split normalised words into piece ids."""

    def __init__(self, folder: Path) -> None:
        self._sorted: Shaped[np.ndarray, " V"] = np.load(folder / "pieces.npy", mmap_mode="r")
        self._ids: Int32[np.ndarray, " V"] = np.load(folder / "piece-ids.npy", mmap_mode="r")
        self._scores = np.load(folder / "piece-scores.npy", mmap_mode="r")
        settings = json.loads((folder / "unigram.json").read_text(encoding="utf-8"))
        self._replacements = {int(code): text for code, text in settings["replacements"].items()}
        self._unknown: int = settings["unknown"]
        self._unknown_score: float = settings["lowest_score"] - _UNKNOWN_PRICE
        self._longest: int = settings["longest"]
        self._words: dict[str, list[int]] = {}

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the piece ids of each text, without special pieces."""
        words = [self.words(text) for text in texts]
        if len(self._words) > _REMEMBERED:
            self._words.clear()
        self._learn({word for line in words for word in line if word not in self._words})
        known = self._words
        return [[piece for word in line for piece in known[word]] for line in words]

    def words(self, text: str) -> list[str]:
        """Normalise a text and cut it at spaces; each word begins with the sign for a space.

        Letters are replaced one by one as the vocabulary's own table says and then composed, so that "e" with an accent
        from a file name of another system is the same letter as "é".
        """
        normal = unicodedata.normalize("NFC", text.translate(self._replacements))
        return [_SPACE + word for word in normal.split()]

    def _learn(self, words: Iterable[str]) -> None:
        stretches: list[bytes] = []
        ends: list[tuple[str, list[tuple[int, int]]]] = []  # per word: start and end of each of its stretches
        width = self._sorted.dtype.itemsize
        for word in words:
            spans = []
            for start in range(len(word)):
                for end in range(start + 1, min(len(word), start + self._longest) + 1):
                    stretch = word[start:end].encode()
                    if len(stretch) > width:
                        break
                    stretches.append(stretch)
                    spans.append((start, end))
            ends.append((word, spans))
        if not stretches:
            return
        wanted = np.array(stretches, self._sorted.dtype)
        places = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        found = self._sorted[places] == wanted
        ids = np.where(found, self._ids[places], -1).tolist()
        scores = self._scores[places].astype(np.float64).tolist()
        first = 0
        for word, spans in ends:
            last = first + len(spans)
            self._words[word] = self._best(len(word), spans, ids[first:last], scores[first:last])
            first = last

    def _best(self, length: int, spans: list[tuple[int, int]], ids: list[int], scores: list[float]) -> list[int]:
        """Find the likeliest pieces; runs of unknown characters become one unknown piece."""
        total = [0.0] + [-np.inf] * length
        came_from = [0] * (length + 1)
        piece = [self._unknown] * (length + 1)
        single = {start for (start, end), id_ in zip(spans, ids, strict=True) if end == start + 1 and id_ >= 0}
        place = 0
        for start in range(length):
            while place < len(spans) and spans[place][0] == start:
                if ids[place] >= 0:
                    end = spans[place][1]
                    if total[start] + scores[place] > total[end]:
                        total[end], came_from[end], piece[end] = total[start] + scores[place], start, ids[place]
                place += 1
            if start not in single and total[start] + self._unknown_score > total[start + 1]:
                total[start + 1], came_from[start + 1] = total[start] + self._unknown_score, start
                piece[start + 1] = self._unknown
        backwards: list[int] = []
        end = length
        while end:
            if piece[end] != self._unknown or not backwards or backwards[-1] != self._unknown:
                backwards.append(piece[end])
            end = came_from[end]
        return backwards[::-1]


def write_tables(pieces: Pieces, folder: Path) -> None:
    """Write the sorted pieces, their ids and log probabilities, and the replacements.

    Special pieces are left out: `<s>` in somebody's caption is three characters, not the beginning of a sentence.
    """
    special = {pieces.bos, pieces.eos, pieces.pad, pieces.unknown, pieces.texts.index("<mask>")}
    texts = np.array([text.encode() for text in pieces.texts])
    order = np.argsort(texts, kind="stable")
    order = order[~np.isin(order, list(special))].astype(np.int32)
    np.save(folder / "pieces.npy", texts[order])
    np.save(folder / "piece-ids.npy", order)
    np.save(folder / "piece-scores.npy", pieces.scores[order])
    # what the table of sorted bytes cannot hold: a zero byte; and halves of surrogate pairs, from undecodable file names
    more = {0: "", **dict.fromkeys(range(0xD800, 0xE000), " ")}
    settings = {
        "unknown": pieces.unknown,
        "lowest_score": float(pieces.scores.min()),
        "longest": max(map(len, pieces.texts)),
        "replacements": pieces.replacements | more,
    }
    (folder / "unigram.json").write_text(json.dumps(settings), encoding="utf-8")
