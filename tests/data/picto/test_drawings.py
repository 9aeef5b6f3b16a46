"""Icon sets: from JSON to pictures, with what is missing, blank or broken counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.data.picto import drawings
from crossbit.data.picto.names import Entry, Names
from crossbit.media.image import load_image

HALF = '<path fill="#f00" d="M0 0h5v10H0z"/>'
ICONS: dict[str, Any] = {
    "width": 10,
    "height": 10,
    "icons": {
        "half": {"body": HALF},
        "wide": {"body": '<path fill="#00f" d="M-10 0h20v10h-20z"/>', "left": -10, "width": 20},
        "blank": {"body": "<g/>"},
        "broken": {"body": "<path"},
    },
    "aliases": {
        "mirrored": {"parent": "half", "hFlip": True},
        "upside": {"parent": "half", "vFlip": True},
        "turned": {"parent": "half", "rotate": 1},
        "lost": {"parent": "nowhere"},
    },
}
SEQUENCES = ("🍎", "❤", "👨‍🍳", "🐶", "🐱")
NAMES = Names(
    {s: Entry(s, n, "g", "s", ()) for n, s in enumerate(SEQUENCES)}, {"en": dict.fromkeys(SEQUENCES, "thing")}, {}
)
CODES = {"1f34e": "half", "2764-fe0f": "mirrored", "1f468-200d-1f373": "blank", "1f436": "broken", "1f3fb": "half"}


def drawn(name: str) -> np.ndarray:
    svg = drawings.svg_of(ICONS, name)
    assert svg is not None
    return load_image(svg, size=20)


def test_drawings_and_aliases_are_drawn_as_they_say() -> None:
    half, mirrored = drawn("half"), drawn("mirrored")
    assert half.shape == (20, 20, 3)
    assert half[10, 2].tolist() == [255, 0, 0]
    assert half[10, 17].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(mirrored, half[:, ::-1])
    np.testing.assert_array_equal(drawn("upside"), half[::-1])
    assert drawn("wide").shape == (10, 20, 3)
    assert (drawn("wide") == [0, 0, 255]).all()
    assert drawings.svg_of(ICONS, "lost") is None
    assert drawings.svg_of(ICONS, "turned") is None
    assert drawings.svg_of(ICONS, "never heard of") is None


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    package = tmp_path / "set" / "package"
    package.mkdir(parents=True)
    (package / "icons.json").write_text(json.dumps(ICONS))
    (package / "chars.json").write_text(json.dumps(CODES))
    monkeypatch.setattr(drawings, "unpacked", lambda *_, **__: tmp_path / "set")
    monkeypatch.setattr(drawings, "SETS", {"noto": "noto", "fluent-3d": "noto"})
    return lambda: drawings.build(tmp_path / "out", NAMES, progress=False)


def test_what_is_drawn_and_what_is_left_out(part: Any, tmp_path: Path) -> None:
    made = part()
    assert [item.id for item in made.items] == ["noto-1f34e", "noto-2764", "fluent-3d-1f34e", "fluent-3d-2764"]
    first = made.items[0]
    assert (first.source, first.licence, first.concept, first.split) == ("noto", "Apache-2.0", "emoji:1f34e", "")
    assert first.metadata == {"emoji": "🍎"}
    picture = load_image(tmp_path / "out" / first.path)
    assert picture.shape == (224, 224, 3)
    assert picture[100, 200].tolist() == [255, 255, 255]
    reasons = {record.record: record.reason for record in made.quarantine if record.source == "noto"}
    assert reasons["1f431"] == "the set has no drawing of this emoji"
    assert reasons["noto-1f468-200d-1f373"] == "the drawing is blank"
    assert reasons["noto-1f436"].startswith("cannot be drawn: an SVG that cannot be drawn")
    assert len(made.items) + len(made.quarantine) == 2 * len(SEQUENCES)


def test_what_is_there_is_kept(part: Any, tmp_path: Path) -> None:
    part()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    (tmp_path / "out" / "noto" / "2764.png").unlink()
    part()
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    assert before.keys() == after.keys()
    assert [path.name for path in before if before[path] != after[path]] == ["2764.png"]
