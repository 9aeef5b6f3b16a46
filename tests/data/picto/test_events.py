"""Two-event clips: what a caption says is what the film shows, and the twin shows it the other way round."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.data.manifest import Item
from crossbit.data.picto import events
from crossbit.data.picto.grammar import event_languages
from crossbit.data.picto.part import Part
from crossbit.media.video import read_animation
from data.picto.made_items import COLOURS, NO_NAMES, WORDS, clip

SPLITS = dict(zip(WORDS, ["train"] * 6 + ["val"] * 6, strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Item], Part]:
    folder = tmp_path_factory.mktemp("picto")
    clips = [clip(folder, word, SPLITS[word], frames=6 + i % 3) for i, word in enumerate(WORDS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "PAIRS", {"train": 3, "val": 2})
        part = events.build(folder, NO_NAMES, clips, seed=0, progress=False)
    return folder, clips, part


def english(item: Item) -> list[str]:
    return [caption.text for caption in item.captions if caption.lang == "en"]


def film(folder: Path, item: Item) -> np.ndarray:
    """Decode a film and give what is shown in the middle of every step."""
    found = read_animation(folder / item.path)
    steps = round((item.end or 0) * 1000 / events.STEP_MS)
    assert found.durations_ms.sum() == steps * events.STEP_MS
    times = (np.arange(steps) + 0.5) * events.STEP_MS
    return found.frames[np.searchsorted(found.durations_ms.cumsum(), times, side="right")]


def middle_of(frame: np.ndarray, word: str) -> tuple[float, float] | None:
    """Give the middle, across and down, of the pixels that have a thing's colour; None when there are few."""
    near = np.abs(frame.astype(int) - COLOURS[word][1]).max(axis=2) < 40
    rows, columns = near.nonzero()
    return (float(columns.mean()), float(rows.mean())) if len(rows) > 60 else None


def twin_pairs(part: Part) -> list[tuple[Item, Item]]:
    by_id = {item.id: item for item in part.items}
    return [(by_id[str(item.metadata["reversed_of"])], item) for item in part.items if "reversed_of" in item.metadata]


def test_every_kind_and_split_is_there_with_its_twin(made: tuple[Path, list[Item], Part]) -> None:
    _, _, part = made
    counts = Counter((item.split, item.metadata["kind"]) for item in part.items)
    assert counts == {(s, k): 2 * n for s, n in (("train", 3), ("val", 2)) for k in ("order", "side", "entry")}
    assert len(twin_pairs(part)) == len(part.items) // 2
    for one, other in twin_pairs(part):
        assert one.metadata["hard_negative"] == other.id
        assert other.metadata["hard_negative"] == one.id
        assert one.path != other.path
        assert "reversed_of" not in one.metadata


def test_no_sentence_of_a_film_is_one_of_its_twin(made: tuple[Path, list[Item], Part]) -> None:
    for one, other in twin_pairs(made[2]):
        for lang in event_languages():
            ours = [c.text for c in one.captions if c.lang == lang]
            theirs = [c.text for c in other.captions if c.lang == lang]
            assert len(set(ours)) == len(set(theirs)) == 2
            assert not set(ours) & set(theirs)
            # the same words, in another order or with another side
            if one.metadata["kind"] != "entry":
                assert [sorted(text) for text in ours] == [sorted(text) for text in theirs]


def test_the_order_that_is_told_is_the_order_that_is_seen(made: tuple[Path, list[Item], Part]) -> None:
    folder, _, part = made
    for item in (item for item in part.items if item.metadata["kind"] == "order"):
        straight, inverted = english(item)
        found = re.fullmatch(r"first: (\w+), then: (\w+)", straight)
        assert found
        first, second = found.groups()
        assert inverted == f"second: {second}, first: {first}"
        frames = film(folder, item)
        assert middle_of(frames[0], first)
        assert not middle_of(frames[0], second)
        assert middle_of(frames[-1], second)
        assert not middle_of(frames[-1], first)


def test_the_sides_that_are_told_are_the_sides_that_are_seen(made: tuple[Path, list[Item], Part]) -> None:
    folder, _, part = made
    for item in (item for item in part.items if item.metadata["kind"] == "side"):
        found = re.fullmatch(r"on the left: (\w+), on the right: (\w+)", english(item)[0])
        assert found
        for frame in film(folder, item):
            left, right = (middle_of(frame, word) for word in found.groups())
            assert left
            assert right
            assert left[0] < events.EDGE / 2 < right[0]


def test_the_direction_that_is_told_is_the_direction_that_is_seen(made: tuple[Path, list[Item], Part]) -> None:
    folder, _, part = made
    for item in (item for item in part.items if item.metadata["kind"] == "entry"):
        found = re.fullmatch(r"entering from the (left|right): (\w+), at the top: (\w+)", english(item)[0])
        assert found
        side, enters, stands = found.groups()
        places = [middle for frame in film(folder, item) if (middle := middle_of(frame, enters))]
        across = [x for x, _ in places]
        assert across == sorted(across, reverse=side == "right")
        assert across[0] != across[-1]
        for frame in film(folder, item):
            top = middle_of(frame, stands)
            assert top
            assert abs(top[0] - events.EDGE / 2) < 12
            assert all(top[1] < y for _, y in places)


def test_twins_are_made_of_the_same_frames_or_places() -> None:
    generator = np.random.default_rng(5)
    pair = {kind: events.Pair(kind, Item("a", "a.webp"), Item("b", "b.webp")) for kind in events.KINDS}
    large = [generator.integers(0, 256, (n, events.EDGE, events.EDGE, 3), dtype=np.uint8) for n in (3, 4)]
    one, other = events.twins(pair["order"], *large)
    assert np.array_equal(one, np.concatenate((other[4:], other[:4])))
    small = [np.full((n, 88, 88, 3), grey, np.uint8) for n, grey in ((3, 40), (5, 90))]
    one, other = events.twins(pair["side"], *small)
    assert len(one) == 5
    assert np.array_equal(one, other[:, :, ::-1])  # plain things: exchanged sides are the mirrored picture
    one, other = events.twins(pair["entry"], *small)
    assert np.array_equal(one, other[::-1])  # and the way backwards is the film backwards
    assert not np.array_equal(one, other)
    assert np.array_equal(one, other[:, :, ::-1])


def test_the_animation_still_runs_forwards_in_the_twin() -> None:
    pair = events.Pair("entry", Item("a", "a.webp"), Item("b", "b.webp"))
    moving = np.stack([np.full((88, 88, 3), 10 * t, np.uint8) for t in range(8)])
    still = np.full((8, 88, 88, 3), 200, np.uint8)
    for frames in events.twins(pair, moving, still):
        assert [int(frame[180].min()) for frame in frames] == [10 * t for t in range(8)]


def test_a_film_joins_clips_of_its_own_split_and_of_two_concepts(made: tuple[Path, list[Item], Part]) -> None:
    for item in made[2].items:
        roles = [role for role in ("first", "second", "left", "right", "enters", "stands") if role in item.metadata]
        words = [str(item.metadata[role]).removeprefix("clips-") for role in roles]
        assert len(set(words)) == 2
        assert {SPLITS[word] for word in words} == {item.split}
        assert item.concept == "+".join(sorted(f"emoji:{word}" for word in words))
        assert set(item.labels) == {"group:objects", *(f"tag:{word}" for word in words)}
        assert (item.modality, item.source, item.licence) == ("video", "events", "MIT")


def test_the_same_seed_gives_the_same_bytes_whatever_the_order(
    made: tuple[Path, list[Item], Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, clips, part = made
    monkeypatch.setattr(events, "PAIRS", {"train": 3, "val": 2})
    (tmp_path / "clips").symlink_to(folder / "clips")
    again = events.build(tmp_path, NO_NAMES, clips[::-1], seed=0, progress=False, workers=1)
    assert again.items == part.items
    for item in part.items:
        assert (tmp_path / item.path).read_bytes() == (folder / item.path).read_bytes()
    other = events.build(tmp_path, NO_NAMES, clips, seed=1, progress=False)
    assert {item.id for item in other.items} != {item.id for item in part.items}


def test_films_that_lie_there_are_kept(made: tuple[Path, list[Item], Part], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, clips, part = made
    monkeypatch.setattr(events, "PAIRS", {"train": 3, "val": 2})
    before = {path: path.stat().st_mtime_ns for path in (folder / "events").iterdir()}
    next(iter(before)).unlink()
    again = events.build(folder, NO_NAMES, clips, seed=0, progress=False)
    after = {path: path.stat().st_mtime_ns for path in (folder / "events").iterdir()}
    assert again == part
    assert set(after) == set(before)
    assert sum(after[path] != before[path] for path in before) in (1, 2)  # the one that was gone, and its twin


def test_what_cannot_be_told_or_seen_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PAIRS", {"train": 3})
    clips = [clip(tmp_path, word, "train") for word in WORDS[:6]]
    mute = replace(clips[0], captions=tuple(c for c in clips[0].captions if c.lang != "ko"))
    flag = replace(clips[1], captions=(replace(clips[1].captions[0], text="flag: France"), *clips[1].captions[1:]))
    (tmp_path / clips[2].path).write_bytes(b"RIFF\0\0\0\0WEBPVP8X")
    namesake = replace(clips[3], id="clips-again", concept="emoji:again")
    part = events.build(tmp_path, NO_NAMES, [mute, flag, *clips[2:], namesake], progress=False)
    reasons = part.reasons()
    assert reasons["no plain name in every language of the grammar"] == 2
    assert reasons["another clip has the same name in some language"] == 2
    assert reasons["one of its clips cannot be read"] > 0
    assert part.items  # two clips are left
    assert not any(word in item.concept for item in part.items for word in WORDS[:4])


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 40), clips=st.integers(0, 12), seed=st.integers(0, 3))
def test_pairs_never_repeat_and_clips_take_turns(count: int, clips: int, seed: int) -> None:
    items = [Item(f"clips-{i}", f"{i}.webp", concept=f"emoji:{i // 2}") for i in range(clips)]
    pairs = list(events.paired(items, "side", count, seed))
    concepts = [frozenset((pair.first.concept, pair.second.concept)) for pair in pairs]
    assert all(len(both) == 2 for both in concepts)
    assert len(set(concepts)) == len(concepts) <= count
    possible = len({frozenset((a.concept, b.concept)) for a in items for b in items if a.concept != b.concept})
    assert len(pairs) == min(count, possible)
