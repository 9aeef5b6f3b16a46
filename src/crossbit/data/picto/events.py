"""Two-event clips: two moving clips of one split in one film, and beside it a twin that only time or place tells apart.

    order   one film after the other; the twin shows the same frames, the second film first
    side    both at once, left and right; the twin with exchanged sides
    entry   one stands at the top, the other comes in below from the left or the right and crosses the picture; in the twin it
            comes from the other side. Over the whole film both show the same places: only the order of them differs.

Each names its twin as `hard_negative`, and says in thirteen languages (grammar.json) what comes first, stands where, or enters
from where. Which clips are paired follows from the seed and their ids by hashing, not from the order of the items.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto.drawings import in_parallel
from crossbit.data.picto.grammar import event_languages, grammars, plain_names
from crossbit.data.picto.licences import strictest
from crossbit.data.picto.names import Names
from crossbit.data.picto.part import Part, Quarantined
from crossbit.errors import MediaError
from crossbit.media.resize import letterbox
from crossbit.media.video import Animation, read_animation
from crossbit.media.write import write_animation

SOURCE = "events"
KINDS = ("order", "side", "entry")
PAIRS: Mapping[str, int] = {"train": 120, "val": 20, "test": 60}
"""Pairs of clips for each kind; a pair gives two films."""
EDGE = 192
STEP_MS = 125
MOST_STEPS = 24
_HALF = 88
_GAP = (EDGE - 2 * _HALF) // 3
_FAR = EDGE - _HALF - _GAP
_ROUNDS = 200

Film = UInt8[np.ndarray, "T H W 3"]


@dataclass(frozen=True)
class Pair:
    """Two clips that are shown together, in this order, in both twins."""

    kind: str
    first: Item
    second: Item


def build(
    folder: Path, names: Names, items: Sequence[Item], *, seed: int = 0, progress: bool = True, workers: int = 2
) -> Part:
    """Make the films below `folder`; films that lie there are kept.

    Args:
        folder: of the prepared data, which holds the clips too.
        names: not used; the names are those that the clips carry, after what the split has taken from them.
        items: clips with their split; all other items are passed over, and no film joins clips of two splits.
        seed: another seed pairs other clips.
        progress: show a bar.
        workers: so many films are made at a time.
    """
    made: list[Item] = []
    quarantine: list[Quarantined] = []
    for split in sorted({item.split for item in items if item.source == "clips"}):
        clips = [item for item in items if item.source == "clips" and item.split == split]
        usable, left_out = usable_clips(clips)
        quarantine += left_out
        pairs = [pair for kind in KINDS for pair in paired(usable, kind, PAIRS.get(split, 0), seed)]
        (folder / SOURCE).mkdir(parents=True, exist_ok=True)
        faults = in_parallel(
            lambda pair: _make(pair, folder), pairs, f"make two-event clips of {split}", progress, workers
        )
        for pair, fault in zip(pairs, faults, strict=True):
            if isinstance(fault, str):
                quarantine.append(Quarantined(SOURCE, f"{pair.kind} {pair.first.id}+{pair.second.id}", fault))
            else:
                made += fault
    return Part(tuple(made), tuple(quarantine))


def usable_clips(clips: Sequence[Item]) -> tuple[list[Item], list[Quarantined]]:
    """Keep the clips that have a plain name in every language, one that no other clip has; in the order of their ids."""
    usable: list[tuple[Item, dict[str, str]]] = []
    quarantine: list[Quarantined] = []
    languages = event_languages()
    for clip in sorted(clips, key=lambda clip: clip.id):
        found = plain_names(clip, languages)
        if found is None:
            quarantine.append(Quarantined(SOURCE, clip.id, "no plain name in every language of the grammar"))
        else:
            usable.append((clip, found))
    counts = Counter((lang, name.casefold()) for _, found in usable for lang, name in found.items())
    kept = []
    for clip, found in usable:
        if any(counts[lang, name.casefold()] > 1 for lang, name in found.items()):
            quarantine.append(Quarantined(SOURCE, clip.id, "another clip has the same name in some language"))
        else:
            kept.append(clip)
    return kept, quarantine


def paired(clips: Sequence[Item], kind: str, count: int, seed: int) -> Iterator[Pair]:
    """Pair clips of different concepts, at most `count` times, each clip about as often as another.

    In every round the clips are put into the order of a hash, and neighbours are paired; no two concepts meet twice.
    """
    seen: set[frozenset[str]] = set()
    for turn in range(_ROUNDS):
        order = sorted(clips, key=lambda clip: hashlib.sha256(f"{seed}/{kind}/{turn}/{clip.id}".encode()).digest())
        for first, second in zip(order[::2], order[1::2], strict=False):
            if len(seen) == count:
                return
            concepts = frozenset((first.concept, second.concept))
            if len(concepts) == 2 and concepts not in seen:
                seen.add(concepts)
                yield Pair(kind, first, second)


def twins(pair: Pair, first: Film, second: Film) -> tuple[Film, Film]:
    """Compose the two films of a pair out of the frames of its clips.

    Args:
        pair: its kind says how.
        first: frames of the first clip, `EDGE` square for `order`, else half of that.
        second: frames of the second clip, of the same size.
    """
    if pair.kind == "order":
        return np.concatenate((first, second)), np.concatenate((second, first))
    steps = max(len(first), len(second))
    if pair.kind == "side":
        middle = (EDGE - _HALF) // 2
        sides = (_GAP, middle), (_FAR, middle)
        return (
            _placed(steps, (first, [sides[0]] * steps), (second, [sides[1]] * steps)),
            _placed(steps, (first, [sides[1]] * steps), (second, [sides[0]] * steps)),
        )
    across = [(left, _FAR) for left in np.linspace(-_HALF, EDGE, steps + 2)[1:-1].round().astype(int).tolist()]
    top = [((EDGE - _HALF) // 2, _GAP)] * steps
    return (
        _placed(steps, (first, across), (second, top)),
        # the places backwards, the animation itself still forwards
        _placed(steps, (first, across[::-1]), (second, top)),
    )


def _placed(steps: int, *layers: tuple[Film, Sequence[tuple[int, int]]]) -> Film:
    """Put films that repeat on white, each frame at its (left, top); what reaches beyond the border is cut off."""
    made = np.full((steps, EDGE, EDGE, 3), 255, np.uint8)
    for film, places in layers:
        for step, (left, top) in enumerate(places):
            frame = film[step % len(film)]
            start, end = max(left, 0), min(left + frame.shape[1], EDGE)
            made[step, top : top + frame.shape[0], start:end] = frame[:, start - left : end - left]
    return made


def steps_of(clip: Item) -> int:
    """Say how many frames a clip gives: one every `STEP_MS`, once through; one that is too long goes faster and is not cut."""
    seconds = (clip.end or 0.0) - (clip.start or 0.0)
    return max(1, min(MOST_STEPS, round(seconds * 1000 / STEP_MS)))


def frames_of(animation: Animation, steps: int, edge: int) -> Film:
    """Give so many frames of a clip, those seen in the middle of equal spans of time, in a square of `edge` pixels."""
    ends = animation.durations_ms.cumsum()
    chosen = np.searchsorted(ends, (np.arange(steps) + 0.5) * ends[-1] / steps, side="right")
    return np.stack([letterbox(frame, edge) for frame in animation.frames[chosen]])


def _make(pair: Pair, folder: Path) -> tuple[Item, Item] | str:
    """Write the two films of a pair, or say why not."""
    items = items_of(pair)
    if not all((folder / item.path).is_file() for item in items):
        edge = EDGE if pair.kind == "order" else _HALF
        try:
            first, second = (
                frames_of(read_animation(folder / clip.path, edge=edge), steps_of(clip), edge)
                for clip in (pair.first, pair.second)
            )
        except MediaError:
            return "one of its clips cannot be read"
        for item, film in zip(items, twins(pair, first, second), strict=True):
            write_animation(film, np.full(len(film), STEP_MS), folder / item.path)
    return items


def items_of(pair: Pair) -> tuple[Item, Item]:
    """Give the records of the two films of a pair."""
    first, second = pair.first, pair.second
    a, b = (Path(clip.path).stem for clip in (first, second))
    stems = {
        "order": (f"order-{a}+{b}", f"order-{b}+{a}"),
        "side": (f"side-{a}+{b}", f"side-{b}+{a}"),
        "entry": (f"entry-left-{a}+{b}", f"entry-right-{a}+{b}"),
    }[pair.kind]
    ids = [f"{SOURCE}-{stem}" for stem in stems]
    roles = _roles(pair)
    lengths = steps_of(first), steps_of(second)
    steps = sum(lengths) if pair.kind == "order" else max(lengths)
    shared = Item(
        id="",
        path="",
        modality="video",
        labels=tuple(sorted({*first.labels, *second.labels})),
        split=first.split,
        concept="+".join(sorted((first.concept, second.concept))),
        source=SOURCE,
        licence=strictest((first.licence, second.licence)),
        start=0.0,
        end=steps * STEP_MS / 1000,
    )
    made = []
    for place, (own, twin) in enumerate(((0, 1), (1, 0))):
        metadata = {
            "kind": pair.kind,
            **roles[own],
            "hard_negative": ids[twin],
            "seconds": shared.end,
            "fps": 1000 / STEP_MS,
        }
        if place:
            metadata["reversed_of"] = ids[0]
        captions = _captions(pair, reversed_=bool(place))
        made.append(
            replace(shared, id=ids[own], path=f"{SOURCE}/{stems[own]}.webp", captions=captions, metadata=metadata)
        )
    return made[0], made[1]


def _roles(pair: Pair) -> tuple[dict[str, str], dict[str, str]]:
    a, b = pair.first.id, pair.second.id
    if pair.kind == "order":
        return {"first": a, "second": b}, {"first": b, "second": a}
    if pair.kind == "side":
        return {"left": a, "right": b}, {"left": b, "right": a}
    return {"enters": a, "stands": b, "from": "left"}, {"enters": a, "stands": b, "from": "right"}


def _captions(pair: Pair, *, reversed_: bool) -> tuple[Caption, ...]:
    languages = event_languages()
    first, second = plain_names(pair.first, languages), plain_names(pair.second, languages)
    assert first is not None
    assert second is not None
    kind = pair.kind
    if kind == "entry":
        kind = "entry-right" if reversed_ else "entry-left"
    elif reversed_:
        first, second = second, first
    return tuple(
        Caption(text, lang, "sentence")
        for lang in languages
        for text in grammars()[lang].event(kind, first[lang], second[lang])
    )
