"""crossbit data prepare picto, info and stats, on data that was made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from crossbit.cli.main import app
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.picto import assemble, licences
from crossbit.data.picto.assemble import Prepared
from crossbit.media.image import load_image
from crossbit.media.write import write_animation, write_png


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["data", *words])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prepared data of two drawings and a clip."""
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path))
    made = assemble.folder()
    for number, name in enumerate(("noto/a", "stamps/b")):
        (made / name).parent.mkdir(parents=True)
        write_png(np.full((40, 40, 3), 90 * number, np.uint8), made / f"{name}.png")
    (made / "clips").mkdir()
    frames = np.stack([np.full((40, 40, 3), value, np.uint8) for value in (0, 100, 250)])
    write_animation(frames, np.array([50, 50, 50]), made / "clips" / "c.webp")
    captions = (Caption("red apple", "en", "name"), Caption("roter Apfel", "de", "name"))
    items = (
        Item("a", "noto/a.png", captions=captions, labels=("group:food",), split="train", source="noto", licence="MIT"),
        Item("b", "stamps/b.png", captions=captions[:1], split="test", source="stamps", licence="GPL-2.0-or-later"),
        Item("c", "clips/c.webp", "video", captions=captions[1:], split="test", source="clips", licence="MIT"),
    )
    Manifest("picto", made, items).write(made / assemble.LISTING)
    licences.write_table(made, ["noto", "stamps", "clips"])
    return made


def test_stats_count_and_draw(folder: Path, tmp_path: Path) -> None:
    found = run("stats", "picto:all", "--contact-sheet", str(tmp_path / "sheet.png"))
    assert found.exit_code == 0, found.stderr
    assert "noto\timage\t1\t0\t1" in found.stdout
    assert "clips\tvideo\t0\t1\t1" in found.stdout
    assert "captions\t\t2\t2\t4" in found.stdout
    assert "group:food\t1" in found.stdout
    assert "2 languages: de 2, en 2" in found.stdout
    sheet = load_image(tmp_path / "sheet.png")
    assert all((sheet == value).all(axis=2).any() for value in (0, 90)), "both pictures are on it"
    assert ((sheet > 90) & (sheet < 110)).all(axis=2).sum() > 5000, "the clip's middle frame is on it"


def test_stats_as_json_hold_every_part(folder: Path) -> None:
    found = json.loads(run("stats", "picto:all", "--json").stdout)
    assert {"source": "stamps", "modality": "image", "test": 1} in found["parts"]
    assert found["licences"] == {"MIT": 2, "GPL-2.0-or-later": 1}
    assert found["fingerprint"] == Manifest.read(folder / assemble.LISTING).fingerprint


def test_info_shows_the_licences_with_their_attributions(folder: Path) -> None:
    found = run("info", "picto")
    assert found.exit_code == 0, found.stderr
    assert "noto\tApache-2.0\tpermissive\tDrawings: Noto Emoji, Google LLC, Apache-2.0." in found.stdout
    assert "names\tUnicode-3.0\tpermissive\tNames and keywords: Unicode CLDR" in found.stdout


def test_a_list_can_be_drawn_by_licence_class(folder: Path, tmp_path: Path) -> None:
    done = run("convert", "picto:all", str(tmp_path / "free.jsonl"), "--licences", "permissive", "--to", "manifest")
    assert done.exit_code == 0, done.stderr
    assert [item.id for item in Manifest.read(tmp_path / "free.jsonl")] == ["a", "c"]
    wrong = run("convert", "picto:all", str(tmp_path / "x.jsonl"), "--licences", "free", "--to", "manifest")
    assert wrong.exit_code == 2
    assert "expected of permissive, share-alike, copyleft" in wrong.stderr


def test_prepare_hands_over_and_names_what_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def prepare(only: list[str] | None, *, languages: tuple[str, ...]) -> Prepared:
        asked.append((only, languages))
        return Prepared(
            folder / assemble.LISTING, ("names",), {"stamps": "the client `apt-get` is missing"}, {"names": 1.5}
        )

    monkeypatch.setattr(assemble, "prepare", prepare)
    monkeypatch.setattr(assemble, "record", lambda: {"items": {"noto": 1, "clips": 1}})
    found = run("prepare", "picto", "--only", "drawings,espeak", "--languages", "el,sw")
    assert found.exit_code == 0, found.stderr
    assert asked == [(["drawings", "espeak"], ("el", "sw"))]
    assert found.stdout.startswith("picto: 2 items in ")
    assert "names\t1.5" in found.stdout
    assert found.stderr == "stamps: left out, the client `apt-get` is missing\n"
    assert json.loads(run("prepare", "picto", "--json").stdout)["items"] == {"noto": 1, "clips": 1}


def test_wrong_use_is_told() -> None:
    for words, message in (
        (("openmoji", "--only", "drawings"), "openmoji: has no parts to choose from"),
        (("picto", "--only", "photos"), "no part 'photos'"),
    ):
        found = run("prepare", *words)
        assert found.exit_code == 2
        assert message in found.stderr


def test_picto_is_not_prepared_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSBIT_CACHE", str(tmp_path))
    found = run("info", "picto")
    assert found.exit_code == 3
    assert "crossbit data prepare picto" in found.stderr
