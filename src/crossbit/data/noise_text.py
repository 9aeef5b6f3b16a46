"""Captions made half wrong: half of a text exchanged with another's, or its head noun alone. Text in, text out."""

from __future__ import annotations

import re

_WITHOUT_SPACES = frozenset({"zh", "ja", "yue", "th", "lo", "km", "my"})
_LIST = re.compile(r"\s*[,،、，]\s*")
_ENDS_PHRASE = re.compile(
    r"with|without|of|in|on|at|for|from|to|by|and|or|under|over|above|below|behind|before|after|near|beside|between|through|"
    r"into|onto|off|up|down|that|which|who|whose|where|while|as|is|are|was|were|be|been|has|have|had|can|will|not|no|"
    r"(?!(?:(?:build|ceil|cloth|dumpl|duckl|gosl|earr|even|herr|k|lightn|morn|paint|pudd|r|sibl|sl|spr|str|sw|th|w|wedd)ing)$).*ing"
)
_DETERMINER = re.compile(r"an?|the|this|that|these|those|some|its|his|her|their|my|your|one|two|three|four|five")


def normal(text: str) -> str:
    """Fold case and spaces: captions that differ in nothing else are one text."""
    return " ".join(text.casefold().split())


def pieces(text: str, lang: str, kind: str) -> tuple[list[str], str]:
    """Cut a text into what can be exchanged, and say what joins it: entries of a keyword list, words, or characters.

    Characters where the language writes no spaces; a text in one of them that has spaces is cut there.
    """
    if kind == "keywords":
        return [entry for entry in _LIST.split(text.strip()) if entry], ", "
    words = text.split()
    if len(words) == 1 and lang in _WITHOUT_SPACES:
        return list(words[0]), ""
    return words, " "


def half(text: str, other: str, *, lang: str, kind: str, front: bool) -> str:
    """Exchange half of a text with the same half of another.

    Of an odd number of pieces the larger part stays. A text of one piece keeps it and takes half of the other besides, so
    that it too is half right.

    Args:
        text: what stays half.
        other: where the rest comes from.
        lang: of both.
        kind: of both; keyword lists are cut between entries.
        front: keep the first half, else the last.
    """
    (own, joint), (strange, _) = pieces(text, lang, kind), pieces(other, lang, kind)
    kept = len(own) - len(own) // 2
    if front:
        return joint.join([*own[:kept], *strange[len(strange) // 2 :]])
    return joint.join([*strange[: len(strange) - len(strange) // 2], *own[len(own) - kept :]])


def head(text: str) -> str:
    """Give the head noun of an English name or sentence, by rule: "face with tears of joy" is a face, "red apple" an apple.

    The first noun phrase ends before a preposition, a verb form in -ing or a stop; its last word is the head.
    """
    return _head(text)[1]


def exchange_head(text: str, new: str, *, own: str, kind: str) -> str:
    """Put another head noun in the place of a text's own.

    Args:
        text: an English caption.
        new: the noun that comes in.
        own: the head of the item's name; in a keyword list the entry that holds it is exchanged, else the first.
        kind: of the caption.
    """
    if kind == "keywords":
        entries, joint = pieces(text, "en", kind)
        holds = [place for place, entry in enumerate(entries) if own.casefold() in entry.casefold().split()]
        entries[holds[0] if holds else 0] = new
        return joint.join(entries)
    start, word = _head(text)
    return text[:start] + new + text[start + len(word) :]


def _head(text: str) -> tuple[int, str]:
    """Give where the head noun starts, and the word."""
    phrase = re.split(r"[:,;(&]|\.(?:\s|$)", text, maxsplit=1)[0]
    words = [(match.start(), match[0]) for match in re.finditer(r"[^\W_][\w'’-]*", phrase)]
    while len(words) > 1 and _DETERMINER.fullmatch(words[0][1].casefold()):
        del words[0]
    for place, (_, word) in enumerate(words):
        if place and _ENDS_PHRASE.fullmatch(word.casefold()):
            return words[place - 1]
    if words:
        return words[-1]
    first = re.search(r"\S+", text)  # a caption of signs alone
    return (first.start(), first[0]) if first else (0, "")
