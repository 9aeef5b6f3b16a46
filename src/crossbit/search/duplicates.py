"""Duplicates: pictures that are the same file, and pictures that nearly look the same.

The same file is told by its SHA-256. Near ones are close in the embedding: up to 20,000 different contents all pairs are
compared; above, codes give each its nearest neighbours first, as in a search. What is close there may show the same thing and
be another picture, so the two files are looked at as well, by a difference hash; where one is gone, the embedding decides alone
and must be much closer. benchmarks/duplicates.py says why. A group has one picture that is kept, the one with most pixels, and
others that are all close to that one: a chain of small steps does not join what has nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64

from crossbit.codes.hamming import hamming_topk
from crossbit.errors import MediaError, UsageError
from crossbit.media.looks import BITS, difference_hash
from crossbit.search.engines.flat import restore
from crossbit.search.records import Item
from crossbit.search.snapshot import Snapshot

NEAR = 0.8
"""Cosine from which on two pictures may nearly look the same, so that it is worth to look at them."""

LOOK = 10
"""Bits of the difference hash in which two pictures may differ that nearly look the same; 64 does not look at the files."""

ALONE = 0.97
"""Cosine from which on they do where one of the files cannot be read."""

ALL_PAIRS_BELOW = 20_000
NEIGHBOURS = 32
_BLOCK = 1024


@dataclass(frozen=True)
class Twin:
    """A picture of a group.

    Args:
        item: the picture.
        similarity: cosine to the one that is kept; of codes alone, that of the ±1 codes.
        same: whether it is the same file, byte by byte.
    """

    item: Item
    similarity: float
    same: bool


@dataclass(frozen=True)
class Group:
    """Pictures that are the same, or nearly.

    Args:
        kept: the one with most pixels, then most bytes, then the oldest.
        twins: the others, most similar first.
    """

    kept: Item
    twins: tuple[Twin, ...]

    @property
    def spare(self) -> int:
        """Give the bytes that the others take."""
        return sum(twin.item.size for twin in self.twins)

    def to_dict(self) -> dict[str, Any]:
        """Give the group as JSON knows it."""
        twins = [
            {"id": t.item.id, "path": str(t.item.path), "similarity": round(t.similarity, 4), "same": t.same}
            for t in self.twins
        ]
        return {"kept": {"id": self.kept.id, "path": str(self.kept.path)}, "twins": twins, "spare_bytes": self.spare}


def duplicates(
    snapshot: Snapshot, *, kind: Literal["same", "near"] = "near", threshold: float = NEAR, look: int = LOOK
) -> list[Group]:
    """Find groups of pictures that are the same or nearly so, those that take most room first.

    Args:
        snapshot: the items.
        kind: "same" compares files only, "near" also what they look like.
        threshold: cosine from which on two pictures can be near.
        look: bits of 64 in which their difference hashes may differ; 64 takes the cosine alone.

    Raises:
        UsageError: the threshold is none of a cosine, or the bits are not 0 to 64.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"duplicates: threshold is {threshold}, expected more than 0 and at most 1")
    if not 0 <= look <= BITS:
        raise UsageError(f"duplicates: look is {look}, expected 0 to {BITS} bits")
    pictures = _Pictures(snapshot)
    one_of = pictures.contents()  # (n,) the first place with the same content
    parts = np.unique(one_of)
    leader = {int(place): int(place) for place in parts}
    likeness = dict.fromkeys(leader, 1.0)
    if kind == "near" and len(parts) > 1:
        _lead(pictures, parts, threshold, look, leader, likeness)
    members: dict[int, list[int]] = {}
    for place, first in enumerate(one_of.tolist()):
        members.setdefault(leader[first], []).append(place)
    groups = [_group(snapshot, pictures, places, one_of, likeness) for places in members.values() if len(places) > 1]
    return sorted(groups, key=lambda group: (-group.spare, group.kept.id))


class _Pictures:
    """The pictures of a snapshot, best first: most pixels, most bytes, lowest id."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        ids, sizes, pixels = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
        sha256: list[bytes] = []
        rows: list[tuple[int, int]] = []
        for number, segment in enumerate(snapshot.segments):
            at = np.flatnonzero(segment.alive)
            table = segment.table
            wide = [
                table.column(f"int:{n}").to_pylist() if f"int:{n}" in segment.names else None
                for n in ("width", "height")
            ]
            area = np.ones(len(segment.ids))
            for column in wide:
                area *= [value or 0 for value in column] if column is not None else 0
            ids.append(segment.ids[at])
            sizes.append(np.asarray(table.column("size").to_pylist(), np.int64)[at])
            pixels.append(area[at])
            known = table.column("sha256").to_pylist()
            sha256.extend(known[place] for place in at.tolist())
            rows.extend((number, int(segment.first[place])) for place in at.tolist())
        order = np.lexsort((np.concatenate(ids), -np.concatenate(sizes), -np.concatenate(pixels)))
        self.ids: Int64[np.ndarray, " n"] = np.concatenate(ids)[order]
        self.sha256 = [sha256[place] for place in order.tolist()]
        self.rows = np.asarray(rows, np.int64).reshape(-1, 2)[order]

    def contents(self) -> Int64[np.ndarray, " n"]:
        """Give for each picture the first place of the same content."""
        first: dict[bytes, int] = {}
        return np.asarray([first.setdefault(key, place) for place, key in enumerate(self.sha256)], np.int64)

    def held(self, name: str, places: Int64[np.ndarray, " m"]) -> np.ndarray:
        """Give rows of some pictures: "vectors" as float32, or "codes"."""
        where = self.rows[places]
        shape = self.snapshot.segments[0].arrays[name].shape[1]
        rows = np.empty((len(places), shape), np.float32 if name == "vectors" else np.uint8)
        for number, segment in enumerate(self.snapshot.segments):
            mine = np.flatnonzero(where[:, 0] == number)
            if len(mine):
                at = where[mine, 1]
                part = segment.arrays[name][at]
                scales = segment.arrays.get("scales")
                rows[mine] = part if name == "codes" else restore(part, None if scales is None else scales[at])
        return rows


def _lead(
    pictures: _Pictures,
    parts: Int64[np.ndarray, " m"],
    threshold: float,
    look: int,
    leader: dict[int, int],
    likeness: dict[int, float],
) -> None:
    """Let every content that is near a better one follow it; one that follows leads nobody."""
    looks = _Looks(pictures)
    for place, near, scores in _near_pairs(pictures, parts, threshold):
        if leader[place] != place:
            continue
        free = [
            (other, score)
            for other, score in zip(near, scores, strict=True)
            if other > place and leader[other] == other
        ]
        if look < BITS and free:
            looks.prepare([place, *(other for other, _ in free)])
            free = [(other, score) for other, score in free if looks.alike(place, other, look, score)]
        for other, score in free:
            leader[other], likeness[other] = place, score


class _Looks:
    """Difference hashes of pictures, made when they are asked for, a few files at a time."""

    def __init__(self, pictures: _Pictures) -> None:
        self.pictures = pictures
        self.known: dict[int, np.ndarray | None] = {}

    def prepare(self, places: list[int]) -> None:
        """Read the files that were not read yet."""
        new = [place for place in places if place not in self.known]
        items = self.pictures.snapshot.items([int(self.pictures.ids[place]) for place in new])
        with ThreadPoolExecutor(4) as pool:
            self.known.update(zip(new, pool.map(_hash, (item.path for item in items)), strict=True))

    def alike(self, place: int, other: int, look: int, score: float) -> bool:
        """Say whether two pictures look alike; where one cannot be read, by their cosine."""
        first, second = self.known[place], self.known[other]
        if first is None or second is None:
            return score >= ALONE
        return int((first != second).sum()) <= look


def _hash(path: Path) -> np.ndarray | None:
    try:
        return difference_hash(path)
    except (MediaError, OSError):
        return None


def _near_pairs(
    pictures: _Pictures, parts: Int64[np.ndarray, " m"], threshold: float
) -> Iterator[tuple[int, list[int], list[float]]]:
    """Give for each content, best first, which others are near, and how near."""
    meta = pictures.snapshot.meta
    by_codes = bool(meta.bits) and (not meta.dim or len(parts) > ALL_PAIRS_BELOW)
    codes = pictures.held("codes", parts) if by_codes else None
    unit = _unit(pictures.held("vectors", parts)) if meta.dim else None
    for start in range(0, len(parts), _BLOCK):
        mine = slice(start, start + _BLOCK)
        if codes is not None:
            near, distances = hamming_topk(codes[mine], codes, min(NEIGHBOURS, len(parts)))
            near = near.astype(np.int64)
            scores = 1 - 2 * distances / meta.bits if unit is None else np.einsum("qe,qke->qk", unit[mine], unit[near])
        else:
            assert unit is not None
            scores = unit[mine] @ unit.T
            near = np.broadcast_to(np.arange(len(parts)), scores.shape)
        for row in range(len(scores)):
            close = np.flatnonzero((scores[row] >= threshold) & (near[row] >= 0))
            yield int(parts[start + row]), parts[near[row][close]].tolist(), scores[row][close].tolist()


def _unit(rows: Float32[np.ndarray, "m E"]) -> Float32[np.ndarray, "m E"]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def _group(
    snapshot: Snapshot, pictures: _Pictures, places: list[int], one_of: np.ndarray, likeness: dict[int, float]
) -> Group:
    """Put a group together; the first place is the best one."""
    items = snapshot.items([int(pictures.ids[place]) for place in places])
    twins = [
        Twin(item, likeness[int(one_of[place])], bool(one_of[place] == one_of[places[0]]))
        for place, item in zip(places[1:], items[1:], strict=True)
    ]
    return Group(items[0], tuple(sorted(twins, key=lambda twin: (-twin.same, -twin.similarity, twin.item.id))))
