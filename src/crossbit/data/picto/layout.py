"""Where the things of a scene lie: boxes on a canvas that do not touch, and what can be said of their places beyond dispute.

left of     the whole box lies left of the other one                 above: the same upwards
furthest    the box begins before every other one and its middle lies clearly before every other middle
in a row    all middles, read in one direction, lie clearly apart
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CLEARLY = 12
"""Pixels between two middles."""
_GAP = 4
_TRIES = 60
_LAYOUTS = 200
_SHRINK = 0.93
_LEAST = 40


@dataclass(frozen=True)
class Box:
    """A box in pixels; `right` and `bottom` lie just outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def middle(self) -> tuple[float, float]:
        """Give the middle, across and down."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def is_left_of(self, other: Box) -> bool:
        """Say whether the whole box lies left of the other."""
        return self.right <= other.left

    def is_above(self, other: Box) -> bool:
        """Say whether the whole box lies above the other."""
        return self.bottom <= other.top


def placed(
    ratios: Sequence[float], canvas: int, longest: tuple[int, int], generator: np.random.Generator
) -> tuple[Box, ...]:
    """Throw boxes onto a square canvas until they lie apart and can be told in order, across or down.

    Args:
        ratios: width by height of each box.
        canvas: edge in pixels.
        longest: least and greatest length of the longer side; shrinks as far as it takes to find room.
        generator: where chance comes from.
    """
    scale = 1.0
    for _ in range(_LAYOUTS):
        sides = [max(_LEAST, round(float(side) * scale)) for side in generator.integers(*longest, len(ratios))]
        sizes = [
            (side, max(1, round(side / ratio))) if ratio >= 1 else (max(1, round(side * ratio)), side)
            for side, ratio in zip(sides, ratios, strict=True)
        ]
        boxes = _thrown(sizes, canvas, generator)
        if boxes and (in_a_row(boxes, 0) or in_a_row(boxes, 1)):
            return boxes
        scale = max(scale * _SHRINK, _LEAST / longest[0])
    raise AssertionError(f"no room for {len(ratios)} boxes on {canvas} pixels")


def _thrown(sizes: Sequence[tuple[int, int]], canvas: int, generator: np.random.Generator) -> tuple[Box, ...]:
    boxes: list[Box] = []
    for width, height in sizes:
        for _ in range(_TRIES):
            left = int(generator.integers(_GAP, canvas - width - _GAP + 1))
            top = int(generator.integers(_GAP, canvas - height - _GAP + 1))
            box = Box(left, top, left + width, top + height)
            if not any(_touch(box, other) for other in boxes):
                boxes.append(box)
                break
        else:
            return ()
    return tuple(boxes)


def _touch(one: Box, other: Box) -> bool:
    return (
        one.left < other.right + _GAP
        and other.left < one.right + _GAP
        and one.top < other.bottom + _GAP
        and other.top < one.bottom + _GAP
    )


def in_a_row(boxes: Sequence[Box], axis: int) -> tuple[int, ...]:
    """Give the places of the boxes from left to right (axis 0) or from top to bottom (1); empty where two are nearly level."""
    middles = [box.middle[axis] for box in boxes]
    order = sorted(range(len(boxes)), key=lambda place: middles[place])
    if any(middles[after] - middles[before] < CLEARLY for before, after in zip(order, order[1:], strict=False)):
        return ()
    return tuple(order)


def furthest(boxes: Sequence[Box]) -> dict[str, int]:
    """Give for left, right, top and bottom the place of the box that is furthest there, where one clearly is."""
    found: dict[str, int] = {}
    for edge, axis, sign in (("left", 0, 1), ("right", 0, -1), ("top", 1, 1), ("bottom", 1, -1)):
        borders = [sign * getattr(box, edge) for box in boxes]
        middles = [sign * box.middle[axis] for box in boxes]
        first = min(range(len(boxes)), key=lambda place: borders[place])
        rest = [place for place in range(len(boxes)) if place != first]
        if all(borders[first] < borders[other] and middles[first] + CLEARLY <= middles[other] for other in rest):
            found[edge] = first
    return found
