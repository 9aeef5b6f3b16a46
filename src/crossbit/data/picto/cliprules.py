"""The written rules by which clip art is kept: which titles are names, which keywords and descriptions say something.

"Clipart by Caleb Moore - vanuatu"          -> "vanuatu"            who drew it
"mouth - body part", "Hot Dog (B and W)"    -> "mouth", "Hot Dog"   what a collection adds
"pink_cake", "clock12", "Bad Guy FR#1"      -> "pink cake", "clock", "Bad Guy FR"
"armenia", "capeverde" among the flags      -> "flag: Armenia", "flag: Cape Verde"  as Unicode calls them
"gramastar", "AIGA_Symbol_Signs"            the title of at least 18 drawings is a collection's
"Clipart by Nicu Buculei - pear"            over a lemon too: such a title of two drawings was copied with the file
                                            for both the file's name stands in where it is words: "rail_fence", "lemon"
"Lemon SVG theme", "Etiquette Icons"        a theme: its drawings are left out, and so are gradients
"Coniglio", "libellule"                     no English: its words are Unicode's in another language
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from crossbit.data.picto.cliptext import Facts
from crossbit.data.picto.names import Names

COLLECTION = 18
"""So many drawings under one title are a collection's. A dozen clouds or hummers by one author are clouds and hummers."""
MAX_WORDS = 7
_KNOWN_FROM = 2
"""A keyword that so many drawings have is an English word."""
_OTHER_LANGUAGES = ("it", "fr", "es", "pt", "de", "nl", "ro", "pl")
_FOREIGN_AUTHORS = ("rollandin", "guillou")
"""Authors who title in Italian or French."""
_SMALL_WORDS = frozenset(
    ("al", "col", "con", "de", "del", "della", "des", "di", "du", "e", "et", "il", "les", "un", "una", "une")
)

_BY = re.compile(r"^(?:free )?clip ?art by .*? - ", re.IGNORECASE)
_ADDED = re.compile(
    r" - (?:body part|clothing|rpg map elements|clip ?art.*)$|\s*\([^)]*\)?|\s+(?:clip ?art|openclipart)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?:[\s#.-]*(?:\b|(?<=[a-z]))(?:no\.?|nr\.?|v)?[#.]?\d+[a-z]?)+$|^\d{2,}[\s.-]+", re.IGNORECASE)
_FILE = re.compile(
    r"\.(?:svgz?|png|jpe?g|gif|eps|ai|wmf)\b|https?:|www\.|HASH\(0x|^0x|^(?=.*\d)[0-9a-f]{6,}$", re.IGNORECASE
)
_THEME = re.compile(r"icon|theme|gradient", re.IGNORECASE)
_STEM_WORD = r"(?:[A-Z]?[a-z]{2,}|of|in|on|up|no|to|or)"
_STEM = re.compile(rf"(?:aiga_)?([A-Z]?[a-z]{{2,}}(?:[_ -]{_STEM_WORD}){{0,3}}?)(?:[_-](?:bw|md))?[_1]?")
_WORD = re.compile(r"[^\W\d_]+")

# fmt: off
_SAYING_NOTHING = frozenset((
    "action", "actions", "appicon", "application", "applications", "architetto", "cartoon", "clip", "art",
    "clipart", "clip_art", "cv-clip", "device", "devices", "filesystem", "filesystems", "geometry", "hash", "icon",
    "icons", "lemon_theme_icon", "magick", "mapsym", "map_symbol", "menu", "mime-types", "mimetypes", "musicstuff",
    "openclipart", "shape", "shapes", "sign", "signs_and_symbols", "special", "stock", "svg", "symbol", "symbols",
    "theme", "todo", "united_nations_member", "unsorted", "vector", "webpage", "work",
))
# fmt: on
_NO_KEYWORD = re.compile(
    r"hash\(|0x|\d+$|.*(?:sym|clip)$|.*\b(?:francesco|rollandin|buculei|inkscape)\b", re.IGNORECASE
)
_NOT_FOR_ALL = frozenset(("erotic", "erotik", "naked", "nude", "porn", "sexy"))
_NO_SENTENCE = re.compile(
    r"@|https?:|www\.|\.org\b|HASH\(|inkscape|sodipodi|illustrator|openclipart|clip ?art|converted|created (?:by|with|using)|"
    r"part of|collection|licen[cs]e|copyright|\bi\b|\bmy\b|submission|svg",
    re.IGNORECASE,
)


class Lexicon:
    """Words that Unicode's names and keywords use, by language: enough to tell an English title from an Italian one."""

    def __init__(self, names: Names, english: Iterable[str] = ()) -> None:
        self._words = {language: _vocabulary(names, language) for language in ("en", *_OTHER_LANGUAGES)}
        self._words["en"] |= frozenset(english)

    def foreign(self, text: str, author: str = "") -> bool:
        """Say whether a text is in another language than English.

        It is when another language knows a word of it and English none. Where the author titles in another language, or an
        article or preposition of one stands in it, English has to know more than half of the words.
        """
        words = [word.casefold() for word in _WORD.findall(text) if len(word) > 2]
        english = sum(_known(word, self._words["en"]) for word in words)
        small = {word.casefold() for word in _WORD.findall(text)} & _SMALL_WORDS
        if small or any(name in author.casefold() for name in _FOREIGN_AUTHORS):
            return 2 * english <= len(words)
        elsewhere = max(sum(word in self._words[language] for word in words) for language in _OTHER_LANGUAGES)
        return english == 0 and elsewhere > 0


def english_words(facts: Iterable[Facts]) -> frozenset[str]:
    """Give the words that keywords of at least two drawings use, those of authors aside who write another language."""
    counts = Counter(
        word
        for fact in facts
        if not any(name in fact.author.casefold() for name in _FOREIGN_AUTHORS)
        for word in {word.casefold() for keyword in fact.keywords for word in _WORD.findall(keyword.replace("_", " "))}
    )
    return frozenset(word for word, count in counts.items() if count >= _KNOWN_FROM)


def clean_title(title: str) -> str:
    """Take off a title what authors and collections add to a name."""
    text = _BY.sub("", " ".join(html.unescape(title).split()))
    text = _ADDED.sub("", text.replace("_", " "))
    text = _NUMBERED.sub("", text)
    return " ".join(text.split()).strip(" -–.,:;!?\"'#")


def collections_in(titles: Iterable[str]) -> frozenset[str]:
    """Give those of the titles of all drawings that are no title of a single one."""
    counts = Counter(titles)
    return frozenset(
        title for title, count in counts.items() if count >= COLLECTION or (count > 1 and _BY.match(title))
    )


def name_in(title: str, path: str, collections: frozenset[str]) -> tuple[str, str]:
    """Give the name of a drawing and "", or "" and the reason why it has none.

    Args:
        title: as the drawing has it.
        path: of the file; its stem stands in where the title is a collection's or empty.
        collections: from `collections_in`.
    """
    if "-theme/" in path or (title in collections and _THEME.search(title)):
        return "", "one of an icon theme or of a set of gradients"
    if title not in collections and _FILE.search(title):
        return "", "its title is a file name or a hash"
    name = clean_title(title)
    if not name or title in collections:
        match = _STEM.fullmatch(path.rpartition("/")[2].removesuffix(".svg"))
        if match is None:
            return "", "only a collection's title" if name else "no title"
        name = " ".join(re.split(r"[_ -]", match[1])).casefold()
    letters = sum(map(str.isalpha, name))
    if letters < 3 or 2 * letters < len(name):
        return "", "its title is no words"
    if len(name.split()) > MAX_WORDS:
        return "", f"its title is longer than {MAX_WORDS} words"
    return name, ""


class Flags:
    """Flags under the names that Unicode gives them: "armenia" and "capeverde" are "flag: Armenia" and "flag: Cape Verde"."""

    def __init__(self, names: Names) -> None:
        called = (names.name(sequence) for sequence in names)
        self._known = {_squashed(name): name for name in called if name and name.startswith("flag: ")}

    def name(self, name: str, path: str) -> str:
        """Give the name of a picture among the flags; that of any other as it is."""
        if not path.startswith("signs_and_symbols/flags/") or "flag" in name.casefold():
            return name
        if (
            "/historic/" not in path
        ):  # "United Kingdom - Montserrat" is a flag of its own, "Historic - Vietnam" no flag of today
            for part in (name, name.rpartition(" - ")[2]):
                if known := self._known.get(_squashed(part)):
                    return known
        return f"flag: {name}"


def _squashed(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold().replace("saint", "st"))
    words = _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))
    return "".join(word for word in words if word not in ("flag", "and", "the", "of"))


def clean_keywords(keywords: Iterable[str], name: str) -> tuple[str, ...]:
    """Give the keywords that say something, without the name itself."""
    found = []
    for keyword in keywords:
        word = " ".join(keyword.replace("_", " ").replace(",", " ").split()).casefold()
        plain = word.replace(" ", "_")
        if len(word) > 1 and plain not in _SAYING_NOTHING and not _NO_KEYWORD.match(word) and word != name.casefold():
            found.append(word)
    return tuple(dict.fromkeys(found))


def for_all_eyes(keywords: Iterable[str]) -> bool:
    """Say whether a drawing can be shown to anybody, by its keywords."""
    return not any(_NOT_FOR_ALL & set(_WORD.findall(keyword.casefold())) for keyword in keywords)


def sane_description(description: str, name: str, title: str) -> str:
    """Give a description that says something about the picture; "" for addresses, thanks and the title once more."""
    text = description.split("\n")[0].strip()
    words = _WORD.findall(text)
    said = {text.casefold().strip(" ."), clean_title(text).casefold()}
    if not 3 <= len(words) <= 30 or len(text) > 200 or _NO_SENTENCE.search(text):
        return ""
    if said & {name.casefold(), title.casefold(), clean_title(title).casefold()}:
        return ""
    return text


def _vocabulary(names: Names, language: str) -> frozenset[str]:
    found: set[str] = set()
    for sequence in names:
        for text in (names.name(sequence, language) or "", *names.keywords(sequence, language)):
            found.update(word.casefold() for word in _WORD.findall(text))
    return frozenset(found)


def _known(word: str, words: frozenset[str]) -> bool:
    return word in words or word.removesuffix("s") in words or word.removesuffix("es") in words
