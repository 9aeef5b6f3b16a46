"""Manifests: what is written is read again, what is wrong is named with file, line and field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.splits import SHARES, split_by_concept
from crossbit.errors import ManifestError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1).filter(
    lambda s: bool(s.strip())
)
ITEMS = st.builds(
    Item,
    id=st.text("abc123", min_size=1, max_size=8),
    path=st.just("a.png"),
    captions=st.lists(st.builds(Caption, TEXT, st.sampled_from(["en", "de", "zh"])), max_size=3).map(tuple),
    labels=st.lists(st.text("xyz", min_size=1), max_size=2).map(tuple),
    split=st.sampled_from(["", "train", "test"]),
    start=st.none() | st.floats(0.5, 100),
    metadata=st.dictionaries(st.text("mn", min_size=1), st.integers() | st.text("pq"), max_size=2),
)


@pytest.mark.parametrize("suffix", [".jsonl", ".arrow"])
@given(items=st.lists(ITEMS, max_size=5, unique_by=lambda item: item.id))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, items: list[Item]
) -> None:
    path = tmp_path_factory.mktemp("m") / f"toy{suffix}"
    manifest = Manifest("toy", path.parent, tuple(items))
    manifest.write(path)
    found = Manifest.read(path)
    assert found == manifest
    assert found.fingerprint == manifest.fingerprint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"toy.jsonl:2: not JSON"),
        ("[]", r"toy.jsonl:2: found a list, expected an object"),
        ('{"path": "a.png"}', r"toy.jsonl:2: field 'id' is None"),
        ('{"id": "x", "path": 3}', r"toy.jsonl:2: field 'path' is 3"),
        ('{"id": "x", "path": "a", "colour": 1}', r"toy.jsonl:2: unknown field 'colour'"),
        ('{"id": "x", "path": "a", "modality": "smell"}', r"toy.jsonl:2: modality 'smell'"),
        ('{"id": "x", "path": "a", "captions": [{"text": " "}]}', r"toy.jsonl:2: caption 0 has no text"),
        ('{"id": "x", "path": "a", "captions": ["hi"]}', r"toy.jsonl:2: caption 0 has no text"),
        ('{"id": "x", "path": "a", "captions": [{"text": "hi", "language": "en"}]}', r"caption 0 has unknown fields"),
        ('{"id": "first", "path": "a"}', r"id 'first' stands twice"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "toy.jsonl"
    path.write_text(json.dumps({"id": "first", "path": "a.png"}) + "\n" + line + "\n")
    with pytest.raises(ManifestError, match=said):
        Manifest.read(path)


def test_missing_file_split_and_language_are_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        Manifest.read(tmp_path / "none.jsonl")
    manifest = Manifest("toy", tmp_path, (Item("a", "a.png", captions=(Caption("hi"),), split="train"),))
    with pytest.raises(ManifestError, match=r"no items in split 'test', it has \['train'\]"):
        manifest.select("test")
    with pytest.raises(ManifestError, match=r"no captions in \['fr'\], it has \['en'\]"):
        manifest.select(languages=["fr"])


def test_a_path_out_of_the_root_is_refused(tmp_path: Path) -> None:
    item = Item("a", "../secret.png")
    with pytest.raises(ManifestError, match="expected one below"):
        Manifest("toy", tmp_path, (item,)).file(item)


def test_the_fingerprint_sees_captions_and_splits(tmp_path: Path) -> None:
    item = Item("a", "a.png", captions=(Caption("hi"),), split="train")
    prints = {
        Manifest("toy", tmp_path, (one,)).fingerprint
        for one in (item, replace(item, split="test"), replace(item, captions=(Caption("ho"),)))
    }
    assert len(prints) == 3


def items(concepts: int, each: int = 2) -> list[Item]:
    return [Item(f"{c}-{n}", "a.png", concept=f"c{c}") for c in range(concepts) for n in range(each)]


def test_splits_keep_concepts_whole_and_shares_exact() -> None:
    strata = {f"c{c}": str(c % 3) for c in range(200)}
    found = split_by_concept(items(200), strata)
    by_concept: dict[str, set[str]] = {}
    for item in found:
        by_concept.setdefault(item.concept, set()).add(item.split)
    assert all(len(splits) == 1 for splits in by_concept.values())
    counts = {name: sum(splits == {name} for splits in by_concept.values()) for name in SHARES}
    assert counts == {"train": 140, "val": 20, "test": 40}
    for stratum in "012":  # each stratum is cut in about the same shares
        test = sum(by_concept[c] == {"test"} for c in by_concept if strata[c] == stratum)
        assert abs(test - 0.2 * 67) <= 2


def test_splits_do_not_depend_on_the_order_but_on_the_seed() -> None:
    forth = {i.id: i.split for i in split_by_concept(items(50), {})}
    back = {i.id: i.split for i in split_by_concept(items(50)[::-1], {})}
    other = {i.id: i.split for i in split_by_concept(items(50), {}, seed=1)}
    assert forth == back
    assert forth != other


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(ManifestError, match="shares sum to 0.9"):
        split_by_concept(items(3), {}, {"train": 0.9})


def test_links_that_lead_out_of_the_root_are_refused_and_those_within_are_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "in", outside):
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
    (root / "folder").symlink_to(outside)
    (root / "file.png").symlink_to(outside / "a.png")
    (root / "within").symlink_to(root / "in")
    paths = ["in/a.png", "within/a.png", "in/../in/a.png", "folder/a.png", "file.png", "../outside/a.png", "in/.."]
    manifest = Manifest("links", root, tuple(Item(str(n), path, "image") for n, path in enumerate(paths)))
    for item in manifest.items[:3]:
        assert manifest.file(item) == root / item.path
    for item in manifest.items[3:6]:
        with pytest.raises(ManifestError, match="expected one below"):
            manifest.file(item)
    for item in manifest:  # as the standard library has it
        sound = (root / item.path).resolve().is_relative_to(root.resolve())
        assert manifest._resolved(root / item.path).is_relative_to(root.resolve()) == sound
