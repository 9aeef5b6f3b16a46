"""A frozen model of transformers under a trained hash head: train, save, load, index, search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossbit.cli.fit import fit, settings_for
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import FingerprintError
from crossbit.media.write import write_png
from crossbit.methods.fgcmh import FGCMHConfig
from crossbit.model import Model
from crossbit.search.collection import Collection
from encoders.tiny import clip

COLOURS = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255), "grey": (120, 120, 120)}


@pytest.fixture
def colours(tmp_path: Path) -> Manifest:
    """Give forty pictures of one colour each, named after it."""
    draw = np.random.default_rng(0)
    items = []
    for number in range(40):
        name = list(COLOURS)[number % 4]
        path = tmp_path / "pictures" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        noise = draw.integers(0, 30, (32, 32, 3))
        write_png(np.clip(np.array(COLOURS[name]) - noise, 0, 255).astype(np.uint8), path)
        split = "val" if number >= 32 else "train"
        items.append(Item(f"{number}", f"pictures/{number}.png", captions=(Caption(name),), concept=name, split=split))
    return Manifest("colours", tmp_path, tuple(items))


def test_a_hash_head_stands_on_a_frozen_clip(colours: Manifest, tmp_path: Path) -> None:
    trunk = clip(tmp_path / "clip")
    config = replace(FGCMHConfig.small(), width=16, refine_width=16, hidden=16, heads=2, bits=16)
    fitted = fit(
        "fgcmh",
        colours,
        tmp_path / "run",
        method_config=config,
        encoders={"image": f"clip-image:{trunk}", "text": f"clip-text:{trunk}"},
        training=settings_for("fgcmh", epochs=2, batch_size=8),
        progress=False,
    )
    model = Model.from_pretrained(fitted.folder / "model")
    assert (model.dim, model.bits) == (16, 16)
    collection = Collection.create(tmp_path / "collection", fitted.folder / "model")
    collection.sync(tmp_path / "pictures", progress=False)
    assert len(collection) == 40
    assert len(collection.search("red", k=3)) == 3
    same = collection.search(image=tmp_path / "pictures" / "5.png", k=1)[0]
    assert same.score == pytest.approx(1.0, abs=1e-2)
    bare = Model.from_pretrained(f"clip:{trunk}")
    with pytest.raises(FingerprintError):
        Collection.open(tmp_path / "collection", bare).search("red")


def test_a_bare_clip_is_a_model(colours: Manifest, tmp_path: Path) -> None:
    model = Model.from_pretrained(f"clip:{clip(tmp_path / 'clip')}")
    collection = Collection.create(tmp_path / "collection", model)
    collection.sync(tmp_path / "pictures", progress=False)
    hit = collection.search(image=tmp_path / "pictures" / "7.png", k=1)[0]
    assert hit.path.name == "7.png"
    rows = model.encode_text(["red", "green"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
