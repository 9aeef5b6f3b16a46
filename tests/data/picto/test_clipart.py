"""Clip art out of a tree made here: what is kept, and the one reason why each other drawing is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from crossbit.data.manifest import Caption
from crossbit.data.picto import clipart
from crossbit.data.picto.packages import PACKAGES, _unpacked_folder
from crossbit.errors import ManifestError
from crossbit.media.image import load_image
from data.picto.fakes import BLOCK, DUCK, HEAD, names, written

BODY = '<rect x="10" y="10" width="40" height="20" fill="{}"/>'


def svg(title: str, body: str = BODY, colour: str = "#f00", keywords: str = "fruit", extra: str = "") -> str:
    block = BLOCK.replace("Red\n apple", title).replace("fruit", keywords).replace("</cc:Work>", f"{extra}</cc:Work>")
    return f'{HEAD[:-1]} width="40mm" height="40mm" viewBox="0 0 100 100">{block}{body.format(colour)}</svg>'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = written(
        tmp_path / "svg",
        {
            "animals/birds/duck_01.svg": svg("Duck_01", colour="#00f", keywords="pond, water"),
            "food/apple.svg": svg("red apple"),
            "unsorted/apple_again.svg": svg("red apple"),  # the same bytes
            "food/apple_twin.svg": svg("another apple"),  # the same picture under another name
            "signs_and_symbols/flags/asia/armenia.svg": svg("armenia", colour="#0f0"),
            "food/anatra.svg": svg("anatra"),
            "food/broken.svg": svg("broken")[:-30],
            "food/empty.svg": svg("nothing", body=""),
            "food/long.svg": svg("long line", body='<rect y="10" width="99" height="2"/>'),
            "food/dots.svg": svg(
                "two dots", body='<rect width="2" height="2"/><rect x="98" y="98" width="2" height="2"/>'
            ),
            "food/size.svg": svg("no size").replace('viewBox="0 0 100 100"', "").replace("40mm", "0"),
            "food/gpl.svg": svg("their pear", extra='<cc:license rdf:resource="http://c.org/licenses/GPL/2.0/"/>'),
            "people/x.svg": svg("somebody", keywords="nude"),
            "computer/icons/flat-theme/cut.svg": svg("cut"),
        },
    )
    (root / "animals" / "apple_link.svg").symlink_to(root / "food" / "apple.svg")
    return root


def test_what_is_kept(tmp_path: Path, tree: Path) -> None:
    part = clipart.build_from(tree, tmp_path / "out", names(), progress=False)
    duck, apple, flag = part.items
    assert (duck.id, duck.path) == ("clipart-animals/birds/duck_01", "clipart/animals/birds/duck_01.png")
    assert duck.captions == (
        Caption("Duck", "en", "name"),
        Caption("pond water, red", "en", "keywords"),
        Caption("Taken <from> a tree.", "en", "sentence"),
    )
    assert duck.labels == names().labels(DUCK)
    assert (duck.concept, duck.source, duck.licence, duck.split) == ("clipart:duck", "clipart", "CC-PDDC", "")
    assert duck.metadata == {"folder": "animals/birds", "author": "Ann Author"}
    picture = load_image(tmp_path / "out" / duck.path)
    assert 0.9 * 224 <= picture.shape[1] <= 224  # the rectangle alone, not its page in millimetres
    assert abs(picture.shape[1] / picture.shape[0] - 2) < 0.05
    np.testing.assert_array_equal(picture[50, 50], (0, 0, 255))
    assert apple.id == "clipart-food/apple"
    # of the folders of all its copies; the group of the one agrees with the emoji's
    assert {"group:food-drink", "subgroup:food-fruit", "group:animals-nature"} <= set(apple.labels)
    assert [caption.text for caption in flag.captions][0] == "flag: Armenia"
    assert flag.concept == "clipart:flag: armenia"


def test_what_is_left_out_and_why(tmp_path: Path, tree: Path) -> None:
    part = clipart.build_from(tree, tmp_path / "out", names(), progress=False)
    assert {record.record: record.reason for record in part.quarantine} == {
        "unsorted/apple_again": "a copy of another file",
        "animals/apple_link": "a copy of another file",
        "food/apple_twin": "the same picture as another",
        "food/anatra": "its title is no English",
        "food/broken": "cannot be read: no well-formed XML",
        "food/empty": "nothing but white, expected something to see",
        "food/long": "longer than 8 times its height, or higher",
        "food/dots": "hardly there",
        "food/size": "an SVG that cannot be drawn",
        "food/gpl": "not in the public domain",
        "people/x": "not for everybody's eyes",
        "computer/icons/flat-theme/cut": "one of an icon theme or of a set of gradients",
    }
    assert part.reasons()["a copy of another file"] == 2
    lying = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert {item.path for item in part.items} <= lying


def test_a_second_run_gives_the_same_and_writes_nothing(tmp_path: Path, tree: Path) -> None:
    first = clipart.build_from(tree, tmp_path / "out", names(), progress=False)
    written_at = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    assert clipart.build_from(tree, tmp_path / "out", names(), progress=False, workers=1) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")} == written_at


def test_no_drawings(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no \*.svg, expected clip art"):
        clipart.build_from(tmp_path, tmp_path / "out", names(), progress=False)


def test_the_real_package() -> None:
    root = _unpacked_folder(PACKAGES["clipart"]) / clipart.ROOT
    if not root.is_dir():
        pytest.skip("the clip art is not in the cache; `crossbit data prepare picto --only clipart` fetches it")
    drawings, quarantine = clipart._read(root)
    assert sum(len(drawing.paths) for drawing in drawings) == 8121
    assert Counter(record.reason for record in quarantine) == {"a copy of another file": 663}
    assert sum(bool(drawing.facts.title) for drawing in drawings for _ in drawing.paths) == 8059
