"""Five drawings of every base emoji: Noto, Twemoji, OpenMoji, Fluent flat and Fluent with shades, drawn at 224 px on white.

An icon set lists its drawings by name (`icons.json`: the inside of an SVG, its box, aliases that may mirror another) and its
code points (`chars.json`). The set with shades has no code points of its own: its names are those of the flat one. Variants
by skin tone are left out: they would stand five times for one concept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from crossbit.data.manifest import Item
from crossbit.data.picto.licences import licence_of
from crossbit.data.picto.names import Names, code_of, plain, sequence_of
from crossbit.data.picto.packages import unpacked
from crossbit.data.picto.part import Part, Quarantined
from crossbit.errors import ManifestError, MediaError
from crossbit.media.image import load_image
from crossbit.media.write import write_png

EDGE = 224
SETS: Mapping[str, str] = {
    "noto": "noto",
    "twemoji": "twemoji",
    "openmoji": "openmoji",
    "fluent-flat": "fluent-flat",
    "fluent-3d": "fluent-flat",
}
"""Each set, and the one whose code points it goes by."""


@dataclass(frozen=True)
class _Job:
    item: Item
    svg: bytes


def build(folder: Path, names: Names, *, progress: bool = True, workers: int = 2) -> Part:
    """Draw the five sets below `folder`; drawings that lie there are kept.

    Args:
        folder: of the prepared data.
        names: which emoji there are, and what they are called.
        progress: show a bar for each set.
        workers: so many drawings are made at a time, each in a process of its own.

    Raises:
        ManifestError: a package cannot be had, or does not hold what is expected.
    """
    items: list[Item] = []
    quarantine: list[Quarantined] = []
    for source, points_of in SETS.items():
        icons = _json(unpacked(source, progress=progress) / "package" / "icons.json")
        points = _json(unpacked(points_of, progress=progress) / "package" / "chars.json")
        made, left_out = _build_set(source, icons, points, folder, names, progress, workers)
        items += made
        quarantine += left_out
    return Part(tuple(items), tuple(quarantine))


def _build_set(
    source: str,
    icons: Mapping[str, Any],
    points: Mapping[str, str],
    folder: Path,
    names: Names,
    progress: bool,
    workers: int,
) -> tuple[list[Item], list[Quarantined]]:
    (folder / source).mkdir(parents=True, exist_ok=True)
    by_code = {code_of(sequence_of(code)): name for code, name in points.items()}
    jobs: list[_Job] = []
    quarantine: list[Quarantined] = []
    for sequence in names:
        code = code_of(sequence)
        svg = svg_of(icons, by_code[code]) if code in by_code else None
        if svg is None:
            quarantine.append(Quarantined(source, code, "the set has no drawing of this emoji"))
            continue
        item = Item(
            id=f"{source}-{code}",
            path=f"{source}/{code}.png",
            captions=names.captions(sequence),
            labels=names.labels(sequence),
            concept=names.concept(sequence),
            source=source,
            licence=licence_of(source),
            metadata={"emoji": plain(sequence)},
        )
        jobs.append(_Job(item, svg))
    faults = list(in_parallel(lambda job: _draw(job, folder), jobs, f"draw {source}", progress, workers))
    items = [job.item for job, fault in zip(jobs, faults, strict=True) if fault is None]
    quarantine += [
        Quarantined(source, job.item.id, fault) for job, fault in zip(jobs, faults, strict=True) if fault is not None
    ]
    return items, quarantine


def in_parallel(work: Callable[[Any], Any], jobs: list[Any], what: str, progress: bool, workers: int) -> Iterator[Any]:
    """Give the outcomes of work in the order of the jobs, several at a time, with a bar.

    Threads, because the heavy part runs without the interpreter: drawings in processes of their own, pictures in the decoder.
    """
    with ThreadPoolExecutor(workers) as pool:
        yield from tqdm(
            pool.map(work, jobs), desc=what, total=len(jobs), unit="item", disable=None if progress else True
        )


def svg_of(icons: Mapping[str, Any], name: str) -> bytes | None:
    """Give a drawing of an icon set as SVG, by its name or an alias; None when there is none."""
    turns: Mapping[str, Any] = {}
    if name not in icons["icons"]:
        turns = icons.get("aliases", {}).get(name, {})
        name = turns.get("parent", "")
        if name not in icons["icons"] or turns.get("rotate"):
            return None
    icon = icons["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    body = icon["body"]
    if turns.get("hFlip"):
        body = f'<g transform="translate({2 * left + width} 0) scale(-1 1)">{body}</g>'
    if turns.get("vFlip"):
        body = f'<g transform="translate(0 {2 * top + height}) scale(1 -1)">{body}</g>'
    box = f"{left} {top} {width} {height}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" '
        f'width="{width}" height="{height}">{body}</svg>'
    ).encode()


def _draw(job: _Job, folder: Path) -> str | None:
    """Draw one picture; say what is wrong with it, or None."""
    target = folder / job.item.path
    if target.is_file():
        return None
    try:
        picture = load_image(job.svg, size=EDGE)
    except MediaError as error:
        return f"cannot be drawn: {error.message.removeprefix('picture: ')}"
    if np.ptp(picture) == 0:
        return "the drawing is blank"
    write_png(picture, target)
    return None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error}), expected JSON of the package", "delete its folder and prepare again"
        ) from error
