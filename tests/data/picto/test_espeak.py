"""Speech on demand: with the real program where it is, and with a false one for every way in which it can fail."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossbit.data.manifest import Caption, Item
from crossbit.data.picto import espeak
from crossbit.data.picto.names import Entry, Names
from crossbit.errors import ManifestError, MediaError
from crossbit.media.audio import load_audio, probe_audio

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not on this machine")

NAMES = Names(
    {"x": Entry("x", 1, "objects", "tool", ())}, {"en": {"x": "axe"}, "el": {"x": "τσεκούρι"}, "sw": {"x": "shoka"}}, {}
)


def drawing(code: str, split: str = "train", source: str = "noto", **texts: str) -> Item:
    """Give a drawing with names."""
    captions = tuple(Caption(text, lang, "name") for lang, text in texts.items())
    keywords = (Caption("some, words", "el", "keywords"),)
    return Item(f"{source}-{code}", f"{source}/{code}.png", captions=keywords + captions, split=split,
                concept=f"emoji:{code}", labels=("group:objects",), source=source)  # fmt: skip


AXE, BELL = drawing("1fa93", en="axe", el="τσεκούρι"), drawing("1f514", "test", en="bell", el="καμπάνα")


@pytest.fixture
def false_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Give what puts a program of a few lines of Python in the place of espeak-ng."""

    def put(lines: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "espeak-ng"
        program.write_text(f"#!{sys.executable} -S\nimport sys, wave, time, os\n{lines}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return program

    return put


SPEAKS = """
options = {word[:2]: word[2:] for word in sys.argv[1:]}
said = sys.stdin.buffer.read()
with open(os.path.join(os.path.dirname(sys.argv[0]), "log"), "ab") as log:
    log.write(repr((sys.argv[1:], said)).encode() + b"\\n")
if "-w" in options:
    with wave.open(options["-w"], "wb") as file:
        file.setnchannels(1); file.setsampwidth(2); file.setframerate(22050)
        file.writeframes(bytes(22050))
"""


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ManifestError, match="`espeak-ng` is not on this machine") as caught:
        espeak.speak("axe", "en", tmp_path / "a.wav")
    assert "apt-get install espeak-ng" in caught.value.hint
    with pytest.raises(ManifestError, match="not on this machine"):
        espeak.build(tmp_path, NAMES, [AXE], languages=("el",), progress=False)


def test_text_goes_through_standard_input_and_no_shell(tmp_path: Path, false_program: Callable[[str], Path]) -> None:
    program = false_program(SPEAKS)
    espeak.speak("$(touch it) `x`;\n -q [[_^_en]]", "en", tmp_path / "a b.wav", voice=espeak.Voice("+f2", 40, 150))
    log = (program.parent / "log").read_text(encoding="utf-8")
    assert "b'$(touch it) `x`; -q [_^_en]]'" in log
    assert "'-ven+f2', '-p40', '-s150', '-b1'" in log
    assert probe_audio(tmp_path / "a b.wav").seconds == 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.wav", "bin"]


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        ("sys.exit('Error: The specified espeak-ng voice does not exist.')", ManifestError, "has no voice for 'xx'"),
        ("print('no room', file=sys.stderr); sys.exit(3)", MediaError, "ended with 3 on 'axe' in xx: no room"),
        ("os._exit(4)", MediaError, "ended with 4 on 'axe' in xx: it said nothing"),
        ("pass", MediaError, "said nothing to 'axe'"),
        (SPEAKS.replace("bytes(22050)", "bytes(200)"), MediaError, "said nothing to 'axe'"),
        ("open(sys.argv[5][2:], 'w').write('no sound')", MediaError, "cannot be read as a sound"),
        ("time.sleep(30)", MediaError, "not spoken after 0.5 s"),
    ],
)
def test_a_program_that_fails_leaves_nothing(
    tmp_path: Path, false_program: Callable[[str], Path], lines: str, error: type[Exception], words: str
) -> None:
    false_program(lines)
    timeout = 0.5 if "sleep" in lines else 20
    with pytest.raises(error, match="^.*" + words.replace("(", r"\(")):
        espeak.speak("axe", "xx", tmp_path / "a.wav", timeout_s=timeout)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path, false_program: Callable[[str], Path]) -> None:
    program = false_program("")
    program.write_bytes(b"\x7fELF")
    with pytest.raises(ManifestError, match="espeak-ng cannot be run"):
        espeak.speak("axe", "en", tmp_path / "a.wav")


@pytest.mark.parametrize("text", ["", " \n", "a" * 501])
def test_a_text_that_cannot_be_spoken_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(MediaError, match=r"a\.wav: a text of \d+ letters, expected 1 to 500"):
        espeak.speak(text, "en", tmp_path / "a.wav")


def test_languages_are_asked_for_before_anything_is_spoken(
    tmp_path: Path, false_program: Callable[[str], Path]
) -> None:
    program = false_program(SPEAKS)
    with pytest.raises(ManifestError, match="no language is named"):
        espeak.build(tmp_path, NAMES, [AXE], progress=False)
    with pytest.raises(ManifestError, match=r"no names in 'xx', expected one of el, en, sw"):
        espeak.build(tmp_path, NAMES, [AXE], languages=("xx",), progress=False)
    assert not (program.parent / "log").exists()
    false_program("os._exit(4)")
    with pytest.raises(ManifestError, match="ended with 4 on 'a' in el"):
        espeak.build(tmp_path, NAMES, [AXE], languages=("el",), progress=False)


def test_an_item_for_every_emoji_and_language(tmp_path: Path, false_program: Callable[[str], Path]) -> None:
    false_program(SPEAKS)
    mute = drawing("1f41e", "val", en="lady beetle")
    twice = replace(AXE, id="twemoji-1fa93", path="twemoji/1fa93.png", source="twemoji")
    stamp = replace(AXE, id="stamps-axe", path="stamps/axe.png", source="stamps")
    items = [twice, mute, BELL, AXE, stamp]
    part = espeak.build(tmp_path, NAMES, items, languages=("el", "en"), progress=False)
    assert [item.id for item in part.items] == [
        "espeak-el-1f514", "espeak-el-1fa93", "espeak-en-1f41e", "espeak-en-1f514", "espeak-en-1fa93",
    ]  # fmt: skip
    assert part.reasons() == {"it has no name in this language": 1}
    bell, axe = part.items[0], part.items[1]
    assert [(c.text, c.lang, c.kind) for c in axe.captions] == [("τσεκούρι", "el", "name"), ("axe", "en", "name")]
    assert (axe.split, bell.split, axe.concept, axe.modality, axe.source) == (
        "train", "test", "emoji:1fa93", "audio", "espeak",
    )  # fmt: skip
    assert (axe.start, axe.end) == (0.0, 0.5)
    assert (tmp_path / axe.path).is_file()
    again = espeak.build(tmp_path, NAMES, items[::-1], languages=("el", "en"), progress=False)
    assert again == part


def test_recordings_are_kept_and_never_taken_for_another(tmp_path: Path, false_program: Callable[[str], Path]) -> None:
    program = false_program(SPEAKS)
    build = {"languages": ("el",), "progress": False}
    first = espeak.build(tmp_path, NAMES, [AXE], **build)
    (program.parent / "log").unlink()
    assert espeak.build(tmp_path, NAMES, [AXE], **build) == first
    assert (program.parent / "log").read_text(encoding="utf-8").count("\n") == 1  # only the question for the language
    renamed = espeak.build(tmp_path, NAMES, [drawing("1fa93", en="axe", el="πέλεκυς")], **build)
    assert renamed.items[0].path != first.items[0].path
    other = espeak.build(tmp_path, NAMES, [AXE], seed=1, **build)
    assert other.items[0].path != first.items[0].path


def test_voices_differ_and_follow_from_the_seed() -> None:
    voices = [espeak.voice_of("el", f"{code:x}", 0) for code in range(200)]
    assert {voice.speaker for voice in voices} == set(espeak._SPEAKERS)
    assert all(35 <= voice.pitch <= 65 and 140 <= voice.speed <= 180 for voice in voices)
    assert voices == [espeak.voice_of("el", f"{code:x}", 0) for code in range(200)]
    assert voices != [espeak.voice_of("el", f"{code:x}", 1) for code in range(200)]


@needs_espeak
def test_the_real_program_speaks_greek_and_swahili(tmp_path: Path) -> None:
    for lang, text in (("el", "κόκκινο μήλο"), ("sw", "tufaha jekundu")):
        for name in ("a", "b"):
            espeak.speak(text, lang, tmp_path / f"{lang}-{name}.wav", voice=espeak.voice_of(lang, "1f34e", 0))
        assert (tmp_path / f"{lang}-a.wav").read_bytes() == (tmp_path / f"{lang}-b.wav").read_bytes()
        samples = load_audio(tmp_path / f"{lang}-a.wav")
        assert 0.5 * 16000 < len(samples) < 4 * 16000
        assert float(np.sqrt((samples**2).mean())) > 0.01
    assert (tmp_path / "el-a.wav").read_bytes() != (tmp_path / "sw-a.wav").read_bytes()
    with pytest.raises(ManifestError, match="no voice for 'xx'"):
        espeak.speak("axe", "xx", tmp_path / "x.wav")


@needs_espeak
def test_every_speaker_is_one_of_the_program(tmp_path: Path) -> None:
    made = set()
    for speaker in espeak._SPEAKERS:
        espeak.speak("καμπάνα", "el", tmp_path / "a.wav", voice=espeak.Voice(speaker))
        made.add((tmp_path / "a.wav").read_bytes())
    assert len(made) == len(espeak._SPEAKERS)
