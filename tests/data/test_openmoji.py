"""The packaged drawings: what is there, and that no concept stands in two splits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from crossbit.data.manifest import Manifest
from crossbit.data.picto import openmoji
from crossbit.media.image import load_image


@pytest.fixture(scope="module")
def drawings() -> Manifest:
    return openmoji.prepare(progress=False)


def english(manifest: Manifest, name: str) -> str:
    return next(i.split for i in manifest if any(c.text == name and c.lang == "en" for c in i.captions))


def test_what_is_there(drawings: Manifest) -> None:
    assert len(drawings) == 1914
    assert set(drawings.languages) == set(openmoji.LANGUAGES)
    assert all(len(item.captions) == 14 for item in drawings)
    assert all(item.licence == "CC-BY-SA-4.0" for item in drawings)
    assert not any("_" in caption.text or ":" in caption.text for item in drawings for caption in item.captions)
    picture = load_image(drawings.file(next(iter(drawings))))
    assert picture.shape == (224, 224, 3)
    assert picture[0, 0].tolist() == [255, 255, 255]
    licence = json.loads((drawings.root / "LICENCE.json").read_text())
    assert "OpenMoji" in licence["attribution"]


def test_no_drawing_is_blank(drawings: Manifest) -> None:
    blank = [item.id for item in list(drawings)[::25] if np.ptp(load_image(drawings.file(item))) == 0]
    assert blank == []


def test_families_stay_together(drawings: Manifest) -> None:
    splits: dict[str, set[str]] = {}
    for item in drawings:
        splits.setdefault(item.concept, set()).add(item.split)
    assert all(len(found) == 1 for found in splits.values())
    assert english(drawings, "man cook") == english(drawings, "woman cook") == english(drawings, "cook")
    counts = {name: sum(found == {name} for found in splits.values()) for name in ("train", "val", "test")}
    assert [round(counts[name] / len(splits), 2) for name in ("train", "val", "test")] == [0.7, 0.1, 0.2]


def test_by_drawing_families_are_torn_apart() -> None:
    each = openmoji.prepare(families=False, progress=False)
    assert each.name == "openmoji-each"
    assert len({item.concept for item in each}) == len(each) == 1914
    assert sum(item.split == "test" for item in each) == 383
    assert each.fingerprint != openmoji.prepare(progress=False).fingerprint


def test_the_split_is_the_one_that_results_stand_on(drawings: Manifest) -> None:
    """A new version of the packages, or a change of the split, must not pass unseen."""
    assert english(drawings, "red apple") == "test"
    assert english(drawings, "black cat") == "train"
    assert sum(item.split == "test" for item in drawings) == 364
