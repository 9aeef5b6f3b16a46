"""What a tree of Tux Paint stamps holds: one record a stamp, with its picture, sentences, voices and sound.

    animals/birds/duck.txt            line 1 the English sentence, then `de.utf8=Eine Ente.` and so on, one language a line
    animals/birds/duck.svg or .png    the picture; where both are there, the PNG is a copy of the SVG
    animals/birds/duck_desc_fr.ogg    a person speaks the French sentence; `duck_desc.ogg` the English one
    animals/birds/duck.ogg or .wav    the sound that goes with it

Languages are written as BCP 47 tags, those of CLDR where it has the language: `zh_CN` is `zh`, `zh_TW` is `zh-Hant`,
`sr@latin` is `sr-Latn`, `ca@valencia` is `ca-valencia`, `pt_BR` is `pt-BR`. (In CLDR `pt` is Brazilian; here it is European.)

Left out, by rules: the letters and digits of `symbols/alphabets`; `_mirror` pictures, which show another stamp turned round;
the sentence of a region that is the one of its language once more (`en-GB`, `en-AU`); one that was never translated.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from crossbit.data.manifest import Caption
from crossbit.data.picto.part import Quarantined
from crossbit.errors import ManifestError

ROOT = Path("usr/share/tuxpaint/stamps")
"""Of the stamps in the Debian package."""
MAX_TEXT_BYTES = 1 << 20
_SKIPPED = ("symbols", "alphabets")
_PICTURES, _SOUNDS = (".svg", ".png"), (".ogg", ".wav")
_LINE = re.compile(rb"([A-Za-z]{2,3}(?:[_@][A-Za-z]+)?)\.utf8=(.*)", re.DOTALL)
_VOICE = re.compile(r"(.+)_desc(?:_([a-z]{2,3}(?:[_@][A-Za-z]+)?))?")
_TAGS = {"zh_CN": "zh", "zh_TW": "zh-Hant", "sr@latin": "sr-Latn"}
# fmt: off
_STATING = frozenset((
    "is", "are", "was", "were", "be", "can", "has", "have", "had", "it", "it's", "it’s", "its", "you", "your", "we",
    "they", "this", "that", "these", "those", "there", "here", "give", "remember", "i'm", "means", "stop", "use",
    "used", "keep", "covered", "eat", "made", "called", "resembles", "enter", "with", "for", "playing", "dancing",
))
# fmt: on
"""Words that make a statement or an order of what would be a name."""
_QUOTES = "“”\"‘’'"
_ARTICLE = re.compile(r"(?:an?|the|some)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Stamp:
    """One stamp.

    Args:
        key: its path in the tree without suffix, such as `animals/birds/duck`.
        pictures: SVG or PNG, or both, the SVG first.
        sentences: one a language, English first.
        voices: language to the recording of its sentence.
        sound: of the thing that it shows.
    """

    key: str
    pictures: tuple[Path, ...]
    sentences: tuple[Caption, ...]
    voices: Mapping[str, Path] = field(default_factory=dict)
    sound: Path | None = None

    @property
    def concept(self) -> str:
        """Give the concept that it is on its own."""
        return f"stamp:{self.key}"

    @cached_property
    def sentence(self) -> Mapping[str, str]:
        """Give language to sentence."""
        return {caption.lang: caption.text for caption in self.sentences}


def read_stamps(root: Path, source: str) -> tuple[tuple[Stamp, ...], tuple[Quarantined, ...]]:
    """List a tree's stamps in the order of their keys, and what in it cannot be used.

    Args:
        root: of the tree.
        source: under which what cannot be used is reported.

    Raises:
        ManifestError: there is no stamp at all.
    """
    files = _by_stem(root)
    voices = _voices(files)
    stamps, quarantine = [], []
    for key, found in sorted(files.items()):
        pictures = tuple(found[suffix] for suffix in _PICTURES if suffix in found)
        if ".txt" not in found:
            if pictures:
                mirror = key.endswith("_mirror")
                reason = "the mirrored picture of another stamp" if mirror else "a picture without a text"
                quarantine.append(Quarantined(source, key, reason))
            continue
        sentences, faults = read_sentences(found[".txt"])
        quarantine += [Quarantined(source, key, fault) for fault in faults]
        if not pictures:
            quarantine.append(Quarantined(source, key, "a text without a picture"))
        elif sentences:
            sound = next((found[suffix] for suffix in _SOUNDS if suffix in found), None)
            stamps.append(Stamp(key, pictures, sentences, voices.get(key, {}), sound))
    if not stamps:
        raise ManifestError(f"{root}: no stamps, expected texts with pictures", "delete the folder and prepare again")
    return tuple(stamps), tuple(quarantine)


def voices_without_a_stamp(root: Path, stamps: tuple[Stamp, ...], source: str) -> tuple[Quarantined, ...]:
    """Report the recordings and sounds of `root` that no stamp claims."""
    used = {path for stamp in stamps for path in (*stamp.voices.values(), stamp.sound)}
    spoken = source == "speech"
    reason = f"a {'recording' if spoken else 'sound'} whose stamp has no text or no picture"
    return tuple(
        Quarantined(source, path.relative_to(root).as_posix(), reason)
        for path in _files(root)
        if path.suffix in _SOUNDS and path not in used and bool(_VOICE.fullmatch(path.stem)) == spoken
    )


def read_sentences(path: Path) -> tuple[tuple[Caption, ...], tuple[str, ...]]:
    """Read a stamp's text: its sentences, English first, and what is wrong with it.

    Without an English sentence there are none: nothing could be checked against it.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        return (), (f"a text of more than {MAX_TEXT_BYTES:,} bytes",)
    first, *rest = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines() or [b""]
    english = _plain(first)
    if not english:
        return (), ("the English sentence is not UTF-8" if english is None else "the English sentence is empty",)
    found, faults = {"en": english}, []
    for line in filter(None, map(bytes.strip, rest)):
        match = _LINE.fullmatch(line)
        if match is None:
            faults.append("a line that is no `language.utf8=sentence`")
            continue
        language = tag(match[1].decode())
        sentence = _plain(match[2])
        if sentence is None:
            faults.append(f"the sentence in {language} is not UTF-8")
        elif sentence:
            found.setdefault(language, _danda(sentence) if language == "hi" else sentence)
    repeated = {language for language in found if _repeats(language, found)}
    faults += [f"the sentence in {language} is the English one" for language in found if _untranslated(language, found)]
    kept = {
        language: text
        for language, text in found.items()
        if language not in repeated and not _untranslated(language, found)
    }
    return tuple(Caption(text, language, "sentence") for language, text in kept.items()), tuple(faults)


def tag(language: str) -> str:
    """Give the BCP 47 tag of a language as the texts write it."""
    return _TAGS.get(language, language.replace("_", "-").replace("@", "-"))


def name_of(sentence: str) -> str | None:
    """Give what a sentence names, where it is no more than a name: "A red apple." is "red apple".

    The part before the first stop, dash or bracket, or else before the first comma, its article left out. None when that has
    more than four words, or a word that makes it a statement.
    """
    head = re.split(r"[.!?—:;(]| [-–] ", sentence, maxsplit=1)[0].strip()
    # "A ripe, red tomato" is one thing, "Bread, sliced, and shared by everyone" is one too and then a remark
    return _plain_name(head.replace(",", "")) or _plain_name(head.partition(",")[0])


def _plain_name(text: str) -> str | None:
    if text[:1] in _QUOTES:
        text = text.strip(_QUOTES)
    name = _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
    words = [word.casefold().strip(_QUOTES) for word in text.split()]
    if not any(map(str.isalnum, name)) or len(name.split()) > 4 or _STATING & set(words):
        return None
    return name


def _by_stem(root: Path) -> dict[str, dict[str, Path]]:
    """Group the files of a tree by their path without suffix."""
    found: dict[str, dict[str, Path]] = {}
    for path in _files(root):
        relative = path.relative_to(root)
        found.setdefault(relative.with_name(path.stem).as_posix(), {})[path.suffix] = path
    return found


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.relative_to(root).parts[:2] != _SKIPPED and path.is_file():
            yield path


def _voices(files: Mapping[str, Mapping[str, Path]]) -> dict[str, dict[str, Path]]:
    """Give key to language to recording."""
    found: dict[str, dict[str, Path]] = {}
    for key, paths in sorted(files.items()):
        match = _VOICE.fullmatch(key)
        sound = next((paths[suffix] for suffix in _SOUNDS if suffix in paths), None)
        if match is not None and sound is not None:
            found.setdefault(match[1], {})[tag(match[2] or "en")] = sound
    return found


def _plain(data: bytes) -> str | None:
    """Give a sentence's text with HTML entities as characters and single spaces; None when it is not UTF-8."""
    try:
        return " ".join(html.unescape(data.decode("utf-8")).split())
    except UnicodeDecodeError:
        return None


def _danda(sentence: str) -> str:
    """Write Hindi's full stop as itself: the texts stand in for it with a vertical bar."""
    return sentence.replace("|", "।")


def _repeats(language: str, sentences: Mapping[str, str]) -> bool:
    """Say whether a region's or variant's sentence is the one of its language."""
    parent = language.partition("-")[0]
    return parent != language and parent in sentences and _bare(sentences[language]) == _bare(sentences[parent])


def _untranslated(language: str, sentences: Mapping[str, str]) -> bool:
    # names such as "Uranus." are the same in many languages, but "A seal." is not
    same = _bare(sentences[language]) == _bare(sentences["en"])
    return same and not language.startswith("en") and _ARTICLE.match(sentences["en"]) is not None


def _bare(text: str) -> str:
    return text.casefold().rstrip(".!?")


def languages_of(stamps: tuple[Stamp, ...]) -> dict[str, int]:
    """Count in how many stamps each language stands, most frequent first."""
    return dict(Counter(caption.lang for stamp in stamps for caption in stamp.sentences).most_common())
