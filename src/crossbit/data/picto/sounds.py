"""Sounds: what the things on 120 stamps sound like, a blackbird or a fire engine; copied as they are.

Captions, concept and labels are those of the stamp.
"""

from __future__ import annotations

from pathlib import Path

from crossbit.data.manifest import Item
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names
from crossbit.data.picto.packages import unpacked
from crossbit.data.picto.part import Part, Quarantined
from crossbit.data.picto.speech import copied
from crossbit.data.picto.stamplist import ROOT, Stamp, read_stamps, voices_without_a_stamp
from crossbit.data.picto.stamps import stamp_captions, stamp_labels

SOURCE = "sounds"
SHORTEST_S = 0.15
"""A hammer needs less time than a sentence."""


def build(folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Copy the sounds below `folder`; those that lie there are kept.

    Args:
        folder: of the prepared data.
        names: whose groups the labels are.
        progress: show a bar.
        workers: so many sounds are listened to at a time.

    Raises:
        ManifestError: the package cannot be had, or holds no stamps.
    """
    return build_from(unpacked("stamps", progress=progress) / ROOT, folder, names, progress=progress, workers=workers)


def build_from(root: Path, folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Do the same from a tree of stamps."""
    stamps, _ = read_stamps(root, SOURCE)
    jobs = [stamp for stamp in stamps if stamp.sound is not None]
    outcomes = in_parallel(lambda stamp: _sound(stamp, folder, names), jobs, "copy sounds", progress, workers)
    items: list[Item] = []
    quarantine = list(voices_without_a_stamp(root, stamps, SOURCE))
    for stamp, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            quarantine.append(Quarantined(SOURCE, stamp.key, outcome))
    return Part(tuple(items), tuple(quarantine))


def _sound(stamp: Stamp, folder: Path, names: Names) -> Item | str:
    """Give a sound's item, or what is wrong with it."""
    assert stamp.sound is not None
    relative = f"{SOURCE}/{stamp.key}{stamp.sound.suffix}"
    facts = copied(stamp.sound, folder / relative, SHORTEST_S)
    if isinstance(facts, str):
        return facts
    return Item(
        id=f"{SOURCE}-{stamp.key}",
        path=relative,
        modality="audio",
        captions=stamp_captions(stamp),
        labels=stamp_labels(stamp, names),
        concept=stamp.concept,
        source=SOURCE,
        licence=licence_of(SOURCE),
        start=0.0,
        end=round(facts.seconds, 3),
        metadata={"stamp": f"stamps-{stamp.key}", "seconds": round(facts.seconds, 3)},
    )
