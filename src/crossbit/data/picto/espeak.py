"""Synthesised speech on demand: the names of the emoji, spoken by espeak-ng in any language that it and CLDR both know.

For languages in which no person has spoken the stamps. Voice, pitch and speed differ from name to name, chosen by a hash of
the seed, the language and the emoji, so that what is learnt is not one voice. The program reads the text from its standard
input; nothing of it goes through a shell.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.drawings import SETS, in_parallel
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names
from crossbit.data.picto.part import Part, Quarantined
from crossbit.errors import ManifestError, MediaError
from crossbit.media.audio import probe_audio

SOURCE = "espeak"
PROGRAM = "espeak-ng"
TIMEOUT_S = 20.0
MAX_LETTERS = 500
_SHORTEST_S = 0.1
_SPEAKERS = ("", "+f1", "+f2", "+f3", "+m1", "+m3", "+m7")
_PITCHES, _SPEEDS = range(35, 66), range(140, 181)


@dataclass(frozen=True)
class Voice:
    """How something is spoken.

    Args:
        speaker: a variant of the language's voice as espeak-ng calls it, such as `+f2`; "" is the voice itself.
        pitch: 0 to 99.
        speed: words a minute.
    """

    speaker: str = ""
    pitch: int = 50
    speed: int = 160


def speak(text: str, lang: str, path: Path, *, voice: Voice | None = None, timeout_s: float = TIMEOUT_S) -> None:
    """Speak a text into a WAV file, whole or not at all; the same text and voice give the same file.

    Args:
        text: at most `MAX_LETTERS` letters.
        lang: a language of espeak-ng, such as `el`; its folder must be there.
        path: of the file, in a folder that is there.
        voice: the language's own at its usual pitch by default.
        timeout_s: give up after this many seconds.

    Raises:
        ManifestError: the program is not on this machine, or does not speak the language.
        MediaError: the text is empty or too long, or was not spoken.
    """
    voice = voice or Voice()
    said = " ".join(text.replace("[[", "[").split())  # two brackets would begin phonemes
    if not 0 < len(said) <= MAX_LETTERS:
        raise MediaError(f"{path.name}: a text of {len(said)} letters, expected 1 to {MAX_LETTERS}")
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    # the value stands with its letter, so that a language that begins with a hyphen is no option
    options = (f"-v{lang}{voice.speaker}", f"-p{voice.pitch}", f"-s{voice.speed}", "-b1", f"-w{partial}")
    try:
        _run(options, said, lang, timeout_s)
        if not partial.is_file() or probe_audio(partial).seconds < _SHORTEST_S:
            raise MediaError(f"{path.name}: {PROGRAM} said nothing to {said!r} in {lang}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_languages(languages: Sequence[str], known: Sequence[str]) -> None:
    """Find out beforehand whether espeak-ng and the names both have every language.

    Raises:
        ManifestError: no language is named, there are no names in one, or the program is missing or does not speak it.
    """
    if not languages:
        raise ManifestError("espeak: no language is named, expected at least one", "such as `--languages el,sw`")
    for lang in languages:
        if lang not in known:
            raise ManifestError(f"espeak: no names in {lang!r}, expected one of {', '.join(sorted(known))}")
        try:
            _run((f"-v{lang}", "-q"), "a", lang, TIMEOUT_S)
        except MediaError as error:
            raise ManifestError(error.message, f"try `{PROGRAM} -v {lang} a` by hand") from error


def build(
    folder: Path,
    names: Names,
    items: Sequence[Item],
    *,
    languages: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
    workers: int = 2,
) -> Part:
    """Speak the name of every emoji in some languages below `folder`; recordings that lie there are kept.

    Args:
        folder: of the prepared data.
        names: which languages there are; what is spoken is what the drawings are called after the split.
        items: drawings with their split; all other items are passed over.
        languages: of those that have names, such as `el` and `sw`.
        seed: another seed gives each name another voice.
        progress: show a bar for each language.
        workers: so many names are spoken at a time, each by a process of its own.

    Raises:
        ManifestError: as `check_languages`.
    """
    check_languages(languages, names.languages)
    emoji: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: item.id):
        if item.source in SETS:
            emoji.setdefault(Path(item.path).stem, item)
    made: list[Item] = []
    quarantine: list[Quarantined] = []
    for lang in dict.fromkeys(languages):
        (folder / SOURCE / lang).mkdir(parents=True, exist_ok=True)
        outcomes = in_parallel(
            lambda code, lang=lang: _spoken(code, emoji[code], lang, folder, seed),  # type: ignore[misc]
            list(emoji),
            f"speak {lang}",
            progress,
            workers,
        )
        for code, outcome in zip(emoji, outcomes, strict=True):
            if isinstance(outcome, Item):
                made.append(outcome)
            else:
                quarantine.append(Quarantined(SOURCE, f"{lang} {code}", outcome))
    return Part(tuple(made), tuple(quarantine))


def voice_of(lang: str, code: str, seed: int) -> Voice:
    """Choose the voice that speaks a name."""
    digest = hashlib.sha256(f"{seed}/{lang}/{code}".encode()).digest()
    return Voice(
        _SPEAKERS[digest[0] % len(_SPEAKERS)],
        _PITCHES[digest[1] % len(_PITCHES)],
        _SPEEDS[digest[2] % len(_SPEEDS)],
    )


def _spoken(code: str, drawing: Item, lang: str, folder: Path, seed: int) -> Item | str:
    """Give the item of a spoken name, or why there is none."""
    named = {caption.lang: caption for caption in reversed(drawing.captions) if caption.kind == "name"}
    if lang not in named:
        return "it has no name in this language"
    text, voice = named[lang].text, voice_of(lang, code, seed)
    # named after what is said and how, so that a recording of another text or voice is never taken for this one
    content = json.dumps([text, voice.speaker, voice.pitch, voice.speed])
    path = f"{SOURCE}/{lang}/{code}-{hashlib.sha256(content.encode()).hexdigest()[:8]}.wav"
    try:
        if not (folder / path).is_file():
            speak(text, lang, folder / path, voice=voice)
        seconds = round(probe_audio(folder / path).seconds, 3)
    except MediaError:
        return "the program did not speak it"
    english = (named["en"],) if lang != "en" and "en" in named else ()
    return Item(
        id=f"{SOURCE}-{lang}-{code}",
        path=path,
        modality="audio",
        captions=(Caption(text, lang, "name"), *english),
        labels=drawing.labels,
        split=drawing.split,
        concept=drawing.concept,
        source=SOURCE,
        licence=licence_of(SOURCE),
        start=0.0,
        end=seconds,
        metadata={
            "emoji": drawing.metadata.get("emoji", code),
            "lang": lang,
            "seconds": seconds,
            "speaker": voice.speaker,
            "pitch": voice.pitch,
            "speed": voice.speed,
        },
    )


def _run(options: Sequence[str], text: str, lang: str, timeout_s: float) -> None:
    program = shutil.which(PROGRAM)
    if program is None:
        raise ManifestError(
            f"espeak: the program `{PROGRAM}` is not on this machine, expected it to speak {lang}",
            f"install it: `apt-get install {PROGRAM}` on Debian and Ubuntu, `brew install {PROGRAM}` on macOS",
        )
    try:
        done = subprocess.run(
            (program, *options, "--stdin"),
            input=text.encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MediaError(f"espeak: {text!r} in {lang} not spoken after {timeout_s:g} s, given up") from error
    except OSError as error:
        raise ManifestError(
            f"espeak: {program} cannot be run ({error.strerror or error})", f"install {PROGRAM} anew"
        ) from error
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else "it said nothing"
        if "voice" in said:
            raise ManifestError(
                f"espeak: {PROGRAM} has no voice for {lang!r} ({said})", f"`{PROGRAM} --voices` lists its languages"
            )
        raise MediaError(f"espeak: {PROGRAM} ended with {done.returncode} on {text!r} in {lang}: {said}")
