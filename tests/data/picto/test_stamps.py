"""Stamps, their speech and their sounds out of a tree made here; and the counts of the real package when it lies here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from crossbit.data.manifest import Caption
from crossbit.data.picto import sounds, speech, stamps
from crossbit.data.picto.packages import PACKAGES, _unpacked_folder
from crossbit.data.picto.stamplist import ROOT, languages_of, read_stamps
from crossbit.media.audio import load_audio
from crossbit.media.image import load_image
from data.picto.fakes import cut_out_photo, names, png, sound, written

LETTERS = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><text y="15">€</text></svg>'
RED = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40mm" height="40mm" viewBox="0 0 40 40">'
    '<rect x="10" y="5" width="20" height="10" fill="red"/></svg>'
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    coin = np.full((30, 30, 3), 255, np.uint8)
    coin[5:15, 5:25] = (0, 0, 200)
    return written(
        tmp_path / "stamps",
        {
            "animals/birds/duck.txt": "A duck.\nde.utf8=Eine Ente.\nfr.utf8=Un canard &lt;blanc&gt;.\n",
            "animals/birds/duck.png": cut_out_photo(),
            "animals/birds/duck.ogg": sound(0.2),
            "animals/birds/duck_desc_fr.ogg": sound(0.8),
            "animals/birds/duck_desc.ogg": sound(0.7),
            "animals/birds/duck_desc_ru.ogg": sound(0.7),  # nobody wrote the sentence down
            "animals/birds/duck_desc_de.ogg": sound(0.7, loudness=0.0),
            "food/fruit/cartoon/apple.txt": "A red apple.\nde.utf8=Ein roter \xc4pfel.\n".encode("latin-1"),
            "food/fruit/cartoon/apple.svg": RED,
            "food/fruit/cartoon/apple.ogg": sound(0.05),
            "food/fruit/cartoon/apple_desc.ogg": sound(0.31),
            "symbols/money/euro_desc.ogg": sound(0.31),
            "symbols/money/euro.txt": "Euro sign. It stands for the money of twenty countries.\n",
            "symbols/money/euro.svg": LETTERS,
            "symbols/money/euro.png": png(coin),
            "town/broken.txt": "A broken window.\nfr.utf8=Une vitre.\n",
            "town/broken.png": cut_out_photo()[:80],
            "town/broken_desc_fr.ogg": b"no sound",
            "town/white.txt": "A white flag.\n",
            "town/white.png": png(np.full((9, 9, 3), 255, np.uint8)),
        },
    )


def test_stamps(tmp_path: Path, tree: Path) -> None:
    part = stamps.build_from(tree, tmp_path / "out", names(), progress=False)
    duck, apple, euro = part.items
    assert (duck.id, duck.path) == ("stamps-animals/birds/duck", "stamps/animals/birds/duck.png")
    assert duck.captions == (
        Caption("duck", "en", "name"),
        Caption("A duck.", "en", "sentence"),
        Caption("Eine Ente.", "de", "sentence"),
        Caption("Un canard <blanc>.", "fr", "sentence"),
    )
    assert duck.metadata == {"photographic": True, "format": "png", "stem": "duck"}
    assert duck.labels == names().labels("\U0001f986")  # an emoji of the same name and group
    assert (duck.concept, duck.licence, duck.split) == ("stamp:animals/birds/duck", "GPL-2.0-or-later", "")
    picture = load_image(tmp_path / "out" / duck.path)
    assert picture.shape == (39, 39, 3)  # the disc of radius 20 and not the page of 60
    assert [caption.lang for caption in apple.captions] == ["en", "en"]
    assert apple.metadata == {"photographic": False, "format": "svg", "stem": "apple"}
    height, width, _ = load_image(tmp_path / "out" / apple.path).shape
    assert 0.9 * 512 <= width <= 512  # cut out, drawn anew, and its size in millimetres is no hindrance
    assert abs(width / height - 2) < 0.02
    # the drawing is no more than a letter, so its raster twin is taken
    np.testing.assert_array_equal(load_image(tmp_path / "out" / euro.path)[2, 2], (0, 0, 200))
    assert euro.labels == ("group:objects", "subgroup:money")
    reasons = {record.record: record.reason for record in part.quarantine}
    assert reasons.pop("town/broken").startswith("a damaged PNG")
    assert reasons == {
        "food/fruit/cartoon/apple": "the sentence in de is not UTF-8",
        "town/white": "nothing but white, expected something to see",
    }


def test_speech(tmp_path: Path, tree: Path) -> None:
    part = speech.build_from(tree, tmp_path / "out", names(), progress=False)
    english, french, apple = part.items
    assert apple.captions == (Caption("A red apple.", "en", "sentence"),)
    assert french.path == "speech/fr/animals/birds/duck.ogg"
    assert french.id == "speech-fr-animals/birds/duck"
    assert french.captions == (
        Caption("Un canard <blanc>.", "fr", "sentence"),
        Caption("A duck.", "en", "sentence"),
    )
    assert french.metadata == {"stamp": "stamps-animals/birds/duck", "lang": "fr", "seconds": 0.8}
    assert (french.modality, french.start, french.end) == ("audio", 0.0, 0.8)
    assert french.concept == "stamp:animals/birds/duck"
    assert english.captions == (Caption("A duck.", "en", "sentence"),)
    assert len(load_audio(tmp_path / "out" / french.path)) == 0.8 * 16000
    reasons = {record.record: record.reason for record in part.quarantine}
    assert reasons.pop("town/broken_desc_fr.ogg").startswith("cannot be read as a sound")
    assert reasons == {
        "animals/birds/duck_desc_ru.ogg": "nobody wrote down what is said in ru",
        "animals/birds/duck_desc_de.ogg": "silent",
        "symbols/money/euro_desc.ogg": "too short to say its sentence",
    }


def test_sounds(tmp_path: Path, tree: Path) -> None:
    part = sounds.build_from(tree, tmp_path / "out", names(), progress=False)
    (quack,) = part.items
    assert (quack.id, quack.path, quack.end) == ("sounds-animals/birds/duck", "sounds/animals/birds/duck.ogg", 0.2)
    assert [caption.text for caption in quack.captions][:2] == ["duck", "A duck."]
    assert {record.record: record.reason for record in part.quarantine} == {
        "food/fruit/cartoon/apple": "shorter than 0.15 s"
    }


@pytest.mark.parametrize("part", [stamps, speech, sounds])
def test_a_second_run_gives_the_same_and_writes_nothing(tmp_path: Path, tree: Path, part: object) -> None:
    first = part.build_from(tree, tmp_path / "out", names(), progress=False)
    written_at = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert part.build_from(tree, tmp_path / "out", names(), progress=False, workers=1) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == written_at
    assert len(written_at) == len(first.items)


def test_speed_of_reading_by_hand() -> None:
    # "A duck" is six signs with the space; the rest stands in brackets or is a mark; 0.4 s and 0.2 s for what was trimmed
    assert speech.letters_a_second("A “duck” (or a drake)!", 0.4) == pytest.approx(6 / 0.6)


def test_loudness_by_hand() -> None:
    samples = np.zeros(16000, np.float32)
    samples[3200:4800] = 0.5  # one of the ten windows
    assert speech.loudness(samples) == pytest.approx(0.5)
    assert speech.loudness(np.zeros(100, np.float32)) == 0.0


def test_the_real_package() -> None:
    root = _unpacked_folder(PACKAGES["stamps"]) / ROOT
    if not root.is_dir():
        pytest.skip("the stamps are not in the cache; `crossbit data prepare picto --only stamps` fetches them")
    found, quarantine = read_stamps(root, "stamps")
    assert len(found) == 792
    languages = languages_of(found)
    assert len(languages) == 78  # with English
    spoken = Counter(language for stamp in found for language in stamp.voices)
    assert {language: spoken[language] for language in ("fr", "ru", "ro", "ca", "bg", "es", "be", "el", "da")} == {
        "fr": 767,
        "ru": 760,
        "ro": 760,
        "ca": 757,
        "bg": 757,
        "es": 732,
        "be": 692,
        "el": 513,
        "da": 321,
    }
    assert sum(stamp.sound is not None for stamp in found) == 120
    assert Counter(record.reason for record in quarantine)["the mirrored picture of another stamp"] == 11
