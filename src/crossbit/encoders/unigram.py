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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32, Shaped

if TYPE_CHECKING:
    from crossbit.encoders.e5file import Pieces

_SPACE = "\u2581"
_UNKNOWN_PRICE = 10.0
_REMEMBERED = 200_000
# characters whose stretches are looked up together: some MB
_AT_ONCE = 20_000


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
            self._words = {}  # a new one: other threads go on with theirs
        known = self._words
        self._learn({word for line in words for word in line if word not in known}, known)
        return [[piece for word in line for piece in known[word]] for line in words]

    def words(self, text: str) -> list[str]:
        """Normalise a text and cut it at spaces; each word begins with the sign for a space.

        Letters are replaced one by one as the vocabulary's own table says and then composed, so that "e" with an accent
        from a file name of another system is the same letter as "é".
        """
        normal = unicodedata.normalize("NFC", text.translate(self._replacements))
        return [_SPACE + word for word in normal.split()]

    def _learn(self, words: set[str], known: dict[str, list[int]]) -> None:
        """Split unseen words, looking up many of them at once."""
        together: list[str] = []
        size = 0
        for word in words:
            if len(word) > _AT_ONCE:  # no word, but a text of a script without spaces
                known[word] = self._split_long(word)
                continue
            together.append(word)
            size += len(word)
            if size > _AT_ONCE:
                self._learn_together(together, known)
                together, size = [], 0
        self._learn_together(together, known)

    def _learn_together(self, words: list[str], known: dict[str, list[int]]) -> None:
        spans = [self._spans(word, 0, len(word)) for word in words]
        found = self._look_up([word[start:end] for word, own in zip(words, spans, strict=True) for start, end in own])
        for word, own in zip(words, spans, strict=True):
            path = _Path(len(word), self._unknown, self._unknown_score)
            path.extend(own, found, 0, len(word))
            known[word] = path.pieces()

    def _split_long(self, word: str) -> list[int]:
        path = _Path(len(word), self._unknown, self._unknown_score)
        for first in range(0, len(word), _AT_ONCE):
            last = min(first + _AT_ONCE, len(word))
            spans = self._spans(word, first, last)
            path.extend(spans, self._look_up([word[start:end] for start, end in spans]), first, last)
        return path.pieces()

    def _spans(self, word: str, first: int, last: int) -> list[tuple[int, int]]:
        """List start and end of every stretch that could be a piece, by start and then by end."""
        length, longest = len(word), self._longest
        starts = range(first, last)
        return [(start, end) for start in starts for end in range(start + 1, min(length, start + longest) + 1)]

    def _look_up(self, stretches: list[str]) -> Iterator[tuple[int, float]]:
        """Give id and log probability of each stretch, -1 where it is no piece."""
        if not stretches:
            return iter(())
        width = self._sorted.dtype.itemsize
        # what is longer than the table's pieces would be cut to fit it, and then match its beginning
        wanted = np.array(
            [raw if len(raw := text.encode()) <= width else b"" for text in stretches], self._sorted.dtype
        )
        places = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        ids = np.where(self._sorted[places] == wanted, self._ids[places], -1)
        return zip(ids.tolist(), self._scores[places].astype(np.float64).tolist(), strict=True)


class _Path:
    """The likeliest way to each place of a word, as far as it has been looked at."""

    def __init__(self, length: int, unknown: int, unknown_score: float) -> None:
        self.total = [0.0] + [-np.inf] * length
        self.came_from = [0] * (length + 1)
        self.piece = [unknown] * (length + 1)
        self.unknown, self.unknown_score = unknown, unknown_score

    def extend(self, spans: list[tuple[int, int]], found: Iterator[tuple[int, float]], first: int, last: int) -> None:
        """Go on from the places first..last, given what stretches begin there and, in step with them, what they are."""
        total, came_from, piece = self.total, self.came_from, self.piece
        place = 0
        for start in range(first, last):
            here = total[start]
            single = False
            while place < len(spans) and spans[place][0] == start:
                id_, score = next(found)
                end = spans[place][1]
                place += 1
                if id_ < 0:
                    continue
                single = single or end == start + 1
                if here + score > total[end]:
                    total[end], came_from[end], piece[end] = here + score, start, id_
            if not single and here + self.unknown_score > total[start + 1]:
                total[start + 1], came_from[start + 1], piece[start + 1] = (
                    here + self.unknown_score,
                    start,
                    self.unknown,
                )

    def pieces(self) -> list[int]:
        """Read the way off, backwards; runs of unknown characters become one unknown piece."""
        backwards: list[int] = []
        end = len(self.total) - 1
        while end:
            if self.piece[end] != self.unknown or not backwards or backwards[-1] != self.unknown:
                backwards.append(self.piece[end])
            end = self.came_from[end]
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
    settings = {
        "unknown": pieces.unknown,
        "lowest_score": float(pieces.scores.min()),
        "longest": max(map(len, pieces.texts)),
        "replacements": pieces.replacements | {0: ""},  # a zero byte would end a row of the table
    }
    (folder / "unigram.json").write_text(json.dumps(settings), encoding="utf-8")
