"""Putting parts together: with made-up parts, so that what is fetched and drawn does not matter here."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.picto import assemble
from crossbit.data.picto.assemble import PARTS, STEPS, Step, prepare, prepared, record
from crossbit.data.picto.names import Entry, Names
from crossbit.data.picto.part import Part, Quarantined
from crossbit.errors import ConfigError, ManifestError
from crossbit.media.write import write_png
from data.picto.leaks import leaks, pictures_in_two_splits

SEQUENCES = [chr(0x1F400 + n) for n in range(20)]
NAMES = Names(
    {s: Entry(s, n, f"group{n % 2}", "x", ()) for n, s in enumerate(SEQUENCES)},
    {"en": {s: f"word{chr(97 + n)}" for n, s in enumerate(SEQUENCES)}},
    {},
)


def picture(folder: Path, item: Item, seed: int) -> Item:
    random = np.random.default_rng(seed)
    made = np.full((60, 60, 3), 255, np.uint8)
    made[10:50, 10:50] = np.kron(random.integers(0, 255, (4, 4, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    (folder / item.path).parent.mkdir(parents=True, exist_ok=True)
    write_png(made, folder / item.path)
    return item


def drawings(folder: Path, names: Names, **_: Any) -> Part:
    items = [
        Item(
            f"noto-{n}",
            f"noto/{n}.png",
            captions=names.captions(s),
            concept=names.concept(s),
            source="noto",
            licence="MIT",
        )
        for n, s in enumerate(names)
    ]
    return Part(tuple(picture(folder, item, n) for n, item in enumerate(items)), (Quarantined("noto", "x", "blank"),))


def stamps(folder: Path, names: Names, **_: Any) -> Part:
    def stamp(key: str, sentence: str) -> Item:
        captions = (Caption(sentence, "en", "sentence"),)
        return Item(
            key, f"stamps/{key}.png", captions=captions, concept=f"stamp:a/{key}", source="stamps", licence="MIT"
        )

    # the last shows the drawing of an emoji once more
    seeds = {"first": 100, "second": 101, "again": 3}
    return Part(tuple(picture(folder, stamp(key, f"A {key}."), seed) for key, seed in seeds.items()))


def scenes(folder: Path, names: Names, items: Sequence[Item], *, seed: int, **_: Any) -> Part:
    assert all(item.split in ("train", "val", "test") for item in items)
    made = [
        replace(
            picture(folder, Item(f"scene-{split}", f"scenes/{split}.png", split=split), 500), concept="+".join(shown)
        )
        for split in ("train", "test")
        for shown in [sorted({item.concept for item in items if item.split == split})[:2]]
    ]
    return Part(tuple(replace(item, source="scenes", licence="MIT") for item in made))


def failing(*_: Any, **__: Any) -> Part:
    raise ManifestError("clips: the archive was cut short", "delete it")


@pytest.fixture
def parts(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Part]]:
    """The made-up parts; a test may exchange them."""
    made: dict[str, Callable[..., Part]] = {"drawings": drawings, "stamps": stamps, "clips": failing, "scenes": scenes}
    steps = {"drawings": Step(), "stamps": Step(("stamps",)), "clips": Step(), "scenes": Step(after=("drawings",))}
    monkeypatch.setattr(assemble, "STEPS", {**steps, "espeak": Step(after=("drawings",), on_demand=True)})
    monkeypatch.setattr(assemble, "PARTS", ("names", *steps, "espeak"))
    monkeypatch.setattr(assemble, "import_module", lambda name: SimpleNamespace(build=made[name.rpartition(".")[2]]))
    monkeypatch.setattr(assemble, "missing_client", lambda package: None)
    monkeypatch.setattr(Names, "load", classmethod(lambda cls, **_: NAMES))
    return made


def prepare_quietly(*only: str, **more: Any) -> assemble.Prepared:
    return prepare(only or None, progress=False, workers=1, **more)


def test_parts_are_joined_split_and_written(parts: object) -> None:
    made = prepare_quietly()
    assert made.parts == ("names", "drawings", "stamps", "scenes")
    assert made.left_out == {"clips": "clips: the archive was cut short"}
    manifest = Manifest.read(prepared())
    assert made.path == prepared()
    splits = {item.id: item.split for item in manifest}
    assert splits["again"] == splits["noto-3"]
    assert {item.id: item.concept for item in manifest}["again"] == NAMES.concept(SEQUENCES[3])
    assert [sum(item.split == s for item in manifest if item.source == "noto") for s in ("train", "val", "test")] == [
        14,
        2,
        4,
    ]
    assert list(leaks(manifest.items)) == list(pictures_in_two_splits(manifest.items, manifest.root)) == []
    facts = record()
    assert facts["parts"] == list(made.parts)
    assert facts["items"] == {"noto": 20, "scenes": 2, "stamps": 3}
    assert facts["quarantined"] == {"noto: blank": 1}
    assert facts["packages"]["cldr"]["version"] == "48.2.0"
    assert set(json.loads((made.path.parent / "LICENCES.json").read_text())) >= {"noto", "stamps", "scenes", "names"}
    assert made.seconds.keys() >= {"names", "drawings", "stamps", "likeness", "concepts", "scenes", "write"}


def test_a_look_alike_in_two_splits_would_be_found(parts: object) -> None:
    prepare_quietly("drawings", "stamps")
    manifest = Manifest.read(prepared())
    other = {"train": "test", "val": "train", "test": "train"}
    moved = tuple(replace(item, split=other[item.split]) if item.id == "again" else item for item in manifest)
    assert list(pictures_in_two_splits(moved, manifest.root)) != []


def test_the_same_again_is_the_same_and_parts_add_up(parts: object) -> None:
    prepare_quietly("drawings")
    alone = Manifest.read(prepared())
    prepare_quietly("stamps")
    assert record()["parts"] == ["names", "drawings", "stamps"]
    both = Manifest.read(prepared())
    drawn = {item.id: item.split for item in alone}
    assert drawn == {item.id: item.split for item in both if item.source == "noto"}
    prepare_quietly("stamps")
    assert Manifest.read(prepared()).fingerprint == both.fingerprint


def test_a_missing_client_leaves_out_what_needs_it(parts: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "missing_client", lambda package: "apt-get" if package == "stamps" else None)
    made = prepare_quietly()
    assert made.left_out["stamps"] == "the client `apt-get` is not on this machine, expected it to fetch the packages"
    assert "drawings" in made.parts
    with pytest.raises(ManifestError, match="stamps: the client `apt-get`") as error:
        prepare_quietly("drawings", "stamps")
    assert "CROSSBIT_DOWNLOADS" in error.value.hint
    assert record()["parts"] == ["names", "drawings", "scenes"]  # what can be prepared is


def test_without_names_the_stamps_still_come(parts: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "missing_client", lambda package: "npm" if package == "cldr" else None)
    made = prepare_quietly("stamps")
    assert made.left_out["names"] == "the client `npm` is not on this machine"
    assert [item.source for item in Manifest.read(prepared())] == ["stamps"] * 3


def test_when_nothing_can_be_prepared(parts: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="^clips: the archive was cut short"):
        prepare_quietly("clips")
    assert not (assemble.folder() / assemble.LISTING).exists()


def test_a_derived_part_needs_what_it_is_made_of(parts: object) -> None:
    with pytest.raises(ManifestError, match="scenes: is made of drawings, which are not prepared") as error:
        prepare_quietly("stamps", "scenes")
    assert "--only drawings,scenes" in error.value.hint


def test_speech_on_demand_remembers_its_languages(parts: dict[str, Any]) -> None:
    asked = []

    def espeak(folder: Path, names: Names, items: Sequence[Item], *, languages: Sequence[str], **_: Any) -> Part:
        asked.append(tuple(languages))
        return Part()

    parts["espeak"] = espeak
    prepare_quietly()
    assert asked == []
    prepare_quietly("espeak", languages=["el"])
    prepare_quietly("stamps")
    prepare_quietly("espeak", languages=["sw", "el"])
    assert asked == [("el",), ("el",), ("el", "sw")]


def test_a_run_that_is_killed_loses_no_part_that_was_there(parts: dict[str, Any]) -> None:
    prepare_quietly()

    def killed(*_: object, **__: object) -> Part:
        raise KeyboardInterrupt

    parts["scenes"] = killed
    with pytest.raises(KeyboardInterrupt):
        prepare_quietly("stamps")
    assert record()["parts"] == ["names", "drawings", "stamps"]
    assert len(Manifest.read(prepared())) == 23  # what was made is there
    parts["scenes"] = scenes
    assert prepare_quietly("stamps").parts == ("names", "drawings", "stamps", "scenes")
    assert record()["pending"] == []


def test_what_was_derived_for_another_split_is_deleted(parts: object) -> None:
    prepare_quietly()
    old = assemble.folder() / "scenes" / "val.png"
    stamp = assemble.folder() / "stamps" / "of-somebody.png"
    old.write_bytes(b"old")
    stamp.write_bytes(b"kept")
    prepare_quietly()
    assert not old.exists()
    assert stamp.exists()
    assert all(Manifest.read(prepared()).file(item).is_file() for item in Manifest.read(prepared()))


def test_an_unknown_part_is_named(parts: object) -> None:
    with pytest.raises(ConfigError, match="no part 'photos', expected of names, drawings"):
        prepare_quietly("photos")


def test_nothing_is_fetched_unasked(parts: object) -> None:
    with pytest.raises(ManifestError, match="picto: not prepared yet") as error:
        prepared()
    assert "crossbit data prepare picto" in error.value.hint
    assert record() == {}


def test_a_full_disk_while_writing(parts: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Manifest, "write", full)
    with pytest.raises(ManifestError, match="picto: the disk of .* is full"):
        prepare_quietly("drawings")


def test_a_damaged_record_is_named(parts: object) -> None:
    assemble.folder().mkdir(parents=True)
    (assemble.folder() / assemble.RECORD).write_text("{")
    with pytest.raises(ManifestError, match=r"prepared\.json: .* expected JSON"):
        prepare_quietly("drawings")


def test_every_part_has_a_module() -> None:
    assert tuple(STEPS) == PARTS[1:]
    for part, step in STEPS.items():
        assert callable(import_module(f"crossbit.data.picto.{part}").build)
        assert set(step.after) <= set(PARTS)
        assert all(package in assemble.PACKAGES for package in step.packages)
