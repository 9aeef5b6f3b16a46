"""Places in a scene, against a twin that asks every pixel and every pair."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.data.picto.layout import CLEARLY, Box, furthest, in_a_row, placed

CORNER = st.integers(0, 200)
SIDE = st.integers(1, 60)
BOXES = st.lists(
    st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), CORNER, CORNER, SIDE, SIDE), min_size=2, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(
    ratios=st.lists(st.floats(0.25, 4), min_size=2, max_size=5),
    seed=st.integers(0, 10_000),
    longest=st.sampled_from([(56, 80), (72, 116)]),
)
def test_boxes_lie_on_the_canvas_apart_and_in_some_order(
    ratios: list[float], seed: int, longest: tuple[int, int]
) -> None:
    boxes = placed(ratios, 256, longest, np.random.default_rng(seed))
    drawn = np.zeros((256, 256), int)
    for box, ratio in zip(boxes, ratios, strict=True):
        assert 0 <= box.left < box.right <= 256
        assert 0 <= box.top < box.bottom <= 256
        drawn[box.top : box.bottom, box.left : box.right] += 1
        width, height = box.right - box.left, box.bottom - box.top
        assert max(width, height) <= longest[1]
        assert abs(width - height * ratio) <= max(1.0, ratio)  # one pixel of rounding on either side
    assert drawn.max() == 1  # nothing lies on anything else
    assert in_a_row(boxes, 0) or in_a_row(boxes, 1)
    assert boxes == placed(ratios, 256, longest, np.random.default_rng(seed))


@given(BOXES)
def test_furthest_is_what_every_other_one_is_beaten_by(boxes: list[Box]) -> None:
    found = furthest(boxes)
    for edge, value, middle in (
        ("left", lambda b: b.left, lambda b: b.left + b.right),
        ("right", lambda b: -b.right, lambda b: -b.left - b.right),
        ("top", lambda b: b.top, lambda b: b.top + b.bottom),
        ("bottom", lambda b: -b.bottom, lambda b: -b.top - b.bottom),
    ):
        winners = [
            place
            for place, box in enumerate(boxes)
            if all(
                value(box) < value(other) and middle(box) + 2 * CLEARLY <= middle(other)
                for other in boxes
                if other is not box
            )
        ]
        assert [found[edge]] == winners if edge in found else not winners


@given(BOXES, st.sampled_from([0, 1]))
def test_a_row_is_in_order_or_not_told(boxes: list[Box], axis: int) -> None:
    middles = [(b.left + b.right) / 2 if axis == 0 else (b.top + b.bottom) / 2 for b in boxes]
    close = any(abs(a - b) < CLEARLY for i, a in enumerate(middles) for b in middles[:i])
    order = in_a_row(boxes, axis)
    if close:
        assert order == ()
    else:
        assert sorted(order) == list(range(len(boxes)))
        assert [middles[i] for i in order] == sorted(middles)


def test_sides_are_asked_of_whole_boxes() -> None:
    box = Box(10, 10, 20, 20)
    assert box.is_left_of(Box(20, 0, 30, 5))
    assert not box.is_left_of(Box(19, 0, 30, 5))
    assert box.is_above(Box(0, 20, 5, 30))
    assert not box.is_above(Box(0, 19, 5, 30))
    assert box.middle == (15, 15)
