"""Moving clips: the animated Fluent emoji, 256 px, copied as they are.

The four packages hold 3,391 files. Of these 1,282 have a single frame and are the pictures of `fluent-3d` once more, and 1,375
of the rest are variants by skin tone; the 734 that are left move: at some moment a clip differs from its first frame by at
least `MOVES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbit.data.manifest import Item
from crossbit.data.picto.copying import copy_whole
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names, code_of, has_skin_tone, plain, sequence_of
from crossbit.data.picto.packages import unpacked
from crossbit.data.picto.part import Part, Quarantined
from crossbit.errors import ManifestError, MediaError
from crossbit.media.video import probe_animation, read_animation

SOURCE = "clips"
PACKAGES = ("clips-1", "clips-2", "clips-3", "clips-4")
MOVES = 1.0
"""Mean difference of a channel between two frames, of 255. The clip that moves least, a cloud, has 1.4."""
_LOOK_EDGE, _LOOK_FRAMES = 64, 16


@dataclass(frozen=True)
class _Job:
    file: Path
    sequence: str


def build(folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Copy the clips that move below `folder`; what lies there is kept.

    Args:
        folder: of the prepared data.
        names: which emoji there are, and what they are called.
        progress: show a bar.
        workers: so many clips are looked at a time.

    Raises:
        ManifestError: a package cannot be had, or holds no clips.
    """
    roots = [unpacked(name, progress=progress) / "package" / "assets" for name in PACKAGES]
    return build_from(roots, folder, names, progress=progress, workers=workers)


def build_from(roots: list[Path], folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Do the same from folders of `1f34e.webp` files."""
    jobs, quarantine = [], []
    for file in _files(roots):
        try:
            sequence = sequence_of(file.stem.replace("_", "-"))  # the flags of regions are written with both
        except ValueError:
            quarantine.append(Quarantined(SOURCE, file.stem, "the file is not named by code points"))
            continue
        if has_skin_tone(sequence):
            quarantine.append(Quarantined(SOURCE, file.stem, "a variant by skin tone"))
        elif sequence not in names:
            quarantine.append(Quarantined(SOURCE, file.stem, "no base emoji has these code points"))
        else:
            jobs.append(_Job(file, sequence))
    outcomes = in_parallel(lambda job: _clip(job, folder, names), jobs, "copy clips", progress, workers)
    items: list[Item] = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            quarantine.append(Quarantined(SOURCE, job.file.stem, outcome))
    return Part(tuple(items), tuple(quarantine))


def _files(roots: list[Path]) -> list[Path]:
    found = sorted((file for root in roots for file in root.glob("*.webp")), key=lambda file: file.name)
    if not found:
        raise ManifestError(
            f"{', '.join(map(str, roots))}: no *.webp, expected the clips of the packages",
            "delete the unpacked folders and prepare again",
        )
    return found


def _clip(job: _Job, folder: Path, names: Names) -> Item | str:
    """Give a clip's item, or what is wrong with it."""
    code = code_of(job.sequence)
    target = folder / SOURCE / f"{code}.webp"
    try:
        durations = probe_animation(job.file)  # (T,)
        if len(durations) == 1:
            return "it has a single frame"
        if not target.is_file():
            if movement(job.file) < MOVES:
                return "it does not move"
            copy_whole(job.file, target)
    except MediaError as error:
        return f"cannot be read: {error.message.removeprefix(f'{job.file}: ')}"
    seconds = float(durations.sum()) / 1000
    return Item(
        id=f"{SOURCE}-{code}",
        path=f"{SOURCE}/{code}.webp",
        modality="video",
        captions=names.captions(job.sequence),
        labels=names.labels(job.sequence),
        concept=names.concept(job.sequence),
        source=SOURCE,
        licence=licence_of(SOURCE),
        start=0.0,
        end=seconds,
        metadata={
            "emoji": plain(job.sequence),
            "frames": len(durations),
            "seconds": seconds,
            "fps": round(len(durations) / seconds, 3),
        },
    )


def movement(file: Path) -> float:
    """Say how far a clip moves away from its first frame: the greatest mean difference of a channel, of 255.

    Raises:
        MediaError: it cannot be decoded.
    """
    frames = read_animation(file, edge=_LOOK_EDGE, frames=_LOOK_FRAMES).frames.astype(np.int16)
    return float(np.abs(frames - frames[:1]).mean(axis=(1, 2, 3)).max())
