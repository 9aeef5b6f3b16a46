"""What the bench of `base` measures: galleries, codes cut short, and what may be learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.cli import base, claims_base
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError, UsageError
from crossbit.model import Rows

LICENCES = {"noto": "Apache-2.0", "twemoji": "CC-BY-4.0", "clipart": "CC-PDDC"}


def item(identifier: str, source: str, split: str = "train", **metadata: Any) -> Item:
    captions = (Caption("A frog.", "en", "sentence"), Caption("frog", "en", "name"), Caption("Frosch", "de", "name"))
    licence = LICENCES.get(source, "MIT")
    return Item(
        identifier,
        f"{identifier}.png",
        captions=captions,
        source=source,
        split=split,
        licence=licence,
        metadata=metadata,
    )


@pytest.fixture
def picto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a small prepared picto, and let it be found."""
    items = [item(f"{source}-{split}", source, split) for source in base.SOURCES for split in ("train", "val", "test")]
    items += [
        item("photo", "stamps", photographic=True, format="png"),
        item("cutout", "stamps", "val", photographic=False, format="png"),
        item("vector", "stamps", "test", photographic=False, format="svg"),
    ]
    path = tmp_path / "picto.arrow"
    Manifest("picto", tmp_path, tuple(items)).write(path)
    monkeypatch.setattr("crossbit.data.picto.assemble.prepared", lambda: path)
    claims_base.gallery.cache_clear()
    yield path
    claims_base.gallery.cache_clear()


def test_it_learns_from_the_training_split_of_its_sources_alone(picto: Path) -> None:
    found = base.training_items()
    assert {i.split for i in found} == {"train"}
    assert {i.source for i in found} == set(base.SOURCES)
    assert "stamps" not in base.SOURCES
    assert "openmoji" not in base.SOURCES
    assert not any(
        part.sources != base.SOURCES[:-1] and set(part.sources) - set(base.SOURCES) for part in base.PARTS.values()
    )


def test_a_source_that_is_missing_or_not_permissive_is_named(picto: Path) -> None:
    with pytest.raises(UsageError, match="prepared without openmoji"):
        base.training_items(base.Part(sources=("noto", "openmoji")))
    items = [item("a", "noto"), Item("b", "b.png", source="fluent-3d", split="train", licence="GPL-2.0-or-later")]
    Manifest("picto", picto.parent, tuple(items)).write(picto)
    with pytest.raises(UsageError, match="fluent-3d is not permissively licensed"):
        base.training_items(base.Part(sources=("noto", "fluent-3d")))


@pytest.mark.parametrize(
    ("name", "ids", "kind"),
    [
        ("photographs", {"photo", "cutout"}, "sentence"),
        ("strictly-photographs", {"photo"}, "sentence"),
        ("drawn-stamps", {"vector"}, "sentence"),
        ("drawings-test", {"noto-test", "twemoji-test", "fluent-flat-test", "fluent-3d-test"}, "name"),
    ],
)
def test_galleries_hold_what_they_say(picto: Path, name: str, ids: set[str], kind: str) -> None:
    found = claims_base.gallery(name)
    assert {i.id for i in found} == ids
    assert {i.split for i in found} == {"test"}
    assert {caption.kind for i in found for caption in i.captions} == {kind}


def test_nothing_is_measured_where_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise ManifestError("picto: not prepared yet")

    monkeypatch.setattr("crossbit.data.picto.assemble.prepared", absent)
    with pytest.raises(ManifestError, match="not prepared"):
        base.training_items()


def test_a_prefix_cuts_codes_and_relaxed_rows_alike() -> None:
    class Whole:
        name, fingerprint, card, dim, bits = "whole", "f", None, 4, 32

        def encode(self, view: str, media: list[str], **options: Any) -> Rows:
            relaxed = np.linspace(-1, 1, 32, dtype=np.float32)[None].repeat(len(media), 0)
            return Rows(np.ones((len(media), 4), np.float32), np.packbits(relaxed >= 0, axis=1), relaxed)

    cut = claims_base.Prefix(Whole(), 8)
    found = cut.encode("text", ["a", "b"])
    assert (cut.bits, cut.dim) == (8, 0)
    assert found.embedding is None
    assert found.code is not None
    assert found.relaxed is not None
    assert found.code.shape == (2, 1)
    assert found.relaxed.shape == (2, 8)
    assert (np.packbits(found.relaxed >= 0, axis=1) == found.code).all()
