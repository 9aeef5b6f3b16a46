"""When two English texts name the same thing, and when one stands in another: written rules, the same on both sides.

normal("The Red Apples")            "red apple"      small letters, no articles, simple plurals off
normal("duck_2", digits=False)      "duck"           file stems and titles are numbered
Phrases(["red apple"]).found_in("Two red apples on a plate")     {"red apple"}
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ARTICLES = frozenset({"a", "an", "the", "some"})
_UNCHANGED = ("ss", "us", "is", "os")


def words(text: str, *, digits: bool = True) -> tuple[str, ...]:
    """Give the words of a text in small letters and the singular, without articles.

    Args:
        digits: keep numbers at the end, which tell keycaps apart; without them `frog-1`, `frog 2` and `frog3` are one.
    """
    found = [
        word.replace("’", "'").removesuffix("'s")
        for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    ]
    if not digits and found:
        while len(found) > 1 and found[-1].isdigit():
            found.pop()
        found[-1] = found[-1].rstrip("0123456789") or found[-1]
    return tuple(_singular(word) for word in found if word not in _ARTICLES)


def normal(text: str, *, digits: bool = True) -> str:
    """Give a text in the form in which two names of one thing are equal; "" where no word is left."""
    return " ".join(words(text, digits=digits))


def _singular(word: str) -> str:
    """Take a simple English plural off; what is no plural may lose a letter too, but does so everywhere."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(_UNCHANGED):
        return word[:-1]
    return word


class Phrases:
    """Names to look for in texts, as whole words in their order.

    Args:
        names: in any form; those of which no word is left are never found.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        for name in names:
            if phrase := words(name):
                self._by_first.setdefault(phrase[0], set()).add(phrase)

    def found_in(self, text: str) -> set[str]:
        """Give the names, in their normal form, that stand in a text."""
        said = words(text)
        if said and said[-1] != (last := said[-1].rstrip("0123456789")) and last:
            said = (*said[:-1], last)
        return {
            " ".join(phrase)
            for place, word in enumerate(said)
            for phrase in self._by_first.get(word, ())
            if said[place : place + len(phrase)] == phrase
        }
