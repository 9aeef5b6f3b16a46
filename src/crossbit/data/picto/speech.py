"""Human speech: people who read the sentences of the stamps aloud, in 13 languages; Ogg Vorbis, copied as it is.

A recording's captions are the sentence that is heard first, then the English one. Its concept and labels are those of the
stamp, so that a split keeps picture, sentence and voice together. Every recording is decoded once before it is copied.

Texts were written anew after some of them had been read aloud: of "Pluto—until recently, it was considered the 9th planet" some
say "Pluto". What would have to be read faster than anybody reads is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.copying import copy_whole
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names
from crossbit.data.picto.packages import unpacked
from crossbit.data.picto.part import Part, Quarantined
from crossbit.data.picto.stamplist import ROOT, Stamp, read_stamps, voices_without_a_stamp
from crossbit.data.picto.stamps import stamp_labels
from crossbit.errors import MediaError
from crossbit.media.audio import AudioFacts, load_audio, probe_audio

SOURCE = "speech"
SHORTEST_S = 0.3
SILENT = 0.003
"""Loudness, as the root mean square of the loudest tenth of a second, below which nothing is heard; full scale is 1."""
FASTEST = 28.0
"""Letters a second beyond which a recording cannot say its sentence; 26 are reached where it does, by a hasty reader."""
_RATE = 16000
_TRIMMED_S = 0.2
"""Added to every recording: some are cut so close that a word loses its ends."""
_UNREAD = re.compile(r"\([^)]*\)|[^\w\s]")
"""What nobody reads aloud: brackets and marks."""


@dataclass(frozen=True)
class _Job:
    stamp: Stamp
    language: str
    file: Path


def build(folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Copy the recordings below `folder`; those that lie there are kept.

    Args:
        folder: of the prepared data.
        names: whose groups the labels are.
        progress: show a bar.
        workers: so many recordings are listened to at a time.

    Raises:
        ManifestError: the package cannot be had, or holds no stamps.
    """
    return build_from(unpacked("stamps", progress=progress) / ROOT, folder, names, progress=progress, workers=workers)


def build_from(root: Path, folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Do the same from a tree of stamps."""
    stamps, _ = read_stamps(root, SOURCE)
    jobs = [_Job(stamp, language, file) for stamp in stamps for language, file in stamp.voices.items()]
    outcomes = in_parallel(lambda job: _recording(job, folder, names), jobs, "copy speech", progress, workers)
    items: list[Item] = []
    quarantine = list(voices_without_a_stamp(root, stamps, SOURCE))
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            quarantine.append(Quarantined(SOURCE, job.file.relative_to(root).as_posix(), outcome))
    return Part(tuple(items), tuple(quarantine))


def _recording(job: _Job, folder: Path, names: Names) -> Item | str:
    """Give a recording's item, or what is wrong with it."""
    stamp = job.stamp
    said = stamp.sentence.get(job.language) or stamp.sentence.get(job.language.partition("-")[0])
    if said is None:
        return f"nobody wrote down what is said in {job.language}"
    relative = f"{SOURCE}/{job.language}/{stamp.key}{job.file.suffix}"
    facts = copied(job.file, folder / relative, said=said)
    if isinstance(facts, str):
        return facts
    english = () if job.language == "en" else (Caption(stamp.sentence["en"], "en", "sentence"),)
    return Item(
        id=f"{SOURCE}-{job.language}-{stamp.key}",
        path=relative,
        modality="audio",
        captions=(Caption(said, job.language, "sentence"), *english),
        labels=stamp_labels(stamp, names),
        concept=stamp.concept,
        source=SOURCE,
        licence=licence_of(SOURCE),
        start=0.0,
        end=round(facts.seconds, 3),
        metadata={"stamp": f"stamps-{stamp.key}", "lang": job.language, "seconds": round(facts.seconds, 3)},
    )


def letters_a_second(text: str, seconds: float) -> float:
    """Say how fast a text is read; brackets and marks are not."""
    return len(_UNREAD.sub("", text).strip()) / (seconds + _TRIMMED_S)


def copied(file: Path, target: Path, shortest_s: float = SHORTEST_S, said: str = "") -> AudioFacts | str:
    """Copy a sound that can be heard, unless it lies there; give its facts, or what is wrong with it.

    Args:
        file: the sound.
        target: where it is copied to.
        shortest_s: what is shorter is no sound.
        said: what it has to be long enough for.
    """
    try:
        facts = probe_audio(file)
        if letters_a_second(said, facts.seconds) > FASTEST:
            return "too short to say its sentence"
        if not target.is_file():
            samples = load_audio(file, _RATE)  # (S,)
            if len(samples) < shortest_s * _RATE:
                return f"shorter than {shortest_s:g} s"
            if loudness(samples) < SILENT:
                return "silent"
            copy_whole(file, target)
        return facts
    except MediaError as error:
        return error.message.removeprefix(f"{file}: ")


def loudness(samples: np.ndarray) -> float:
    """Give the root mean square of the loudest tenth of a second."""
    window = _RATE // 10
    whole = samples[: len(samples) // window * window].reshape(-1, window)
    return float(np.sqrt((whole.astype(np.float64) ** 2).mean(axis=1)).max(initial=0.0))
