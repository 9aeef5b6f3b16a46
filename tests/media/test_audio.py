"""Sounds whose truth is known: tones that are found again at their pitch, and files that are none."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jaxtyping import Float

from crossbit.errors import MediaError, UsageError
from crossbit.media import audio
from crossbit.media.audio import AudioFacts, load_audio, probe_audio


def tone(pitch: float, seconds: float = 0.5, rate: int = 44100) -> Float[np.ndarray, " S"]:
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def written(samples: np.ndarray, rate: int = 44100, kind: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def pitch_of(samples: Float[np.ndarray, " S"], rate: int) -> float:
    """Find the strongest frequency: the peak of the windowed spectrum, refined by a parabola through its neighbours."""
    power = np.log(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) + 1e-9)
    place = int(power.argmax())
    left, mid, right = power[place - 1 : place + 2]
    return float((place + (left - right) / (2 * (left - 2 * mid + right))) * rate / len(samples))


@pytest.mark.parametrize(
    ("kind", "subtype", "near"),
    [
        ("WAV", "PCM_16", 1e-3),
        ("WAV", "FLOAT", 1e-3),
        ("FLAC", None, 1e-3),
        ("AIFF", None, 1e-3),
        ("OGG", "VORBIS", 0.05),
        ("MP3", None, 0.05),
    ],
)
def test_a_tone_keeps_its_pitch_and_loudness(tmp_path: Path, kind: str, subtype: str | None, near: float) -> None:
    (tmp_path / "x.bin").write_bytes(written(tone(440), kind=kind, subtype=subtype))  # the content decides
    made = load_audio(tmp_path / "x.bin")
    assert made.dtype == np.float32
    # MP3 pads at both ends; every other format keeps the length
    assert len(made) >= 8000 if kind == "MP3" else len(made) == 8000
    assert abs(pitch_of(made[1000:7000], 16000) - 440) < 0.5
    assert abs(np.sqrt(np.mean(made[1000:7000] ** 2)) - 0.5 / np.sqrt(2)) < near


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 48000])
def test_any_rate_to_any_rate(rate: int) -> None:
    for wanted in (16000, 22050):
        made = load_audio(written(tone(300, 0.4, rate), rate), wanted)
        assert abs(len(made) - 0.4 * wanted) <= 1
        assert abs(pitch_of(made, wanted) - 300) < 1


def test_what_the_new_rate_cannot_hold_does_not_fold_back() -> None:
    # 12 kHz sampled at 16 kHz without a filter would be heard at 4 kHz
    made = load_audio(written(tone(12000)), 16000)[500:-500]
    assert np.abs(made).max() < 0.005
    assert np.abs(load_audio(written(tone(4000)), 16000)[500:-500]).max() > 0.45


def test_channels_are_averaged() -> None:
    both = np.stack([np.full(1600, 0.5), np.full(1600, -0.25)], axis=1)  # mean 0.125
    np.testing.assert_allclose(load_audio(written(both, 16000)), 0.125, atol=1e-4)


def test_facts_need_no_decoding(tmp_path: Path) -> None:
    (tmp_path / "x.ogg").write_bytes(written(np.zeros((22050, 2)), 44100, "OGG", "VORBIS"))
    assert probe_audio(tmp_path / "x.ogg") == AudioFacts(0.5, 44100, 2)
    assert probe_audio(written(np.zeros(300), 8000)) == AudioFacts(0.0375, 8000, 1)


def test_longer_than_a_block() -> None:
    samples = np.linspace(-1, 1, audio._BLOCK + 1000)
    np.testing.assert_allclose(load_audio(written(samples, 16000, subtype="FLOAT")), samples, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes"),
        (b"no sound at all, only words", "cannot be read as a sound"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "cannot be read as a sound"),
        (b"OggS" + b"\0" * 100, "cannot be read as a sound"),
        (written(np.zeros(0), 16000), "no samples"),
        (written(np.zeros(10), 100), "100 samples a second"),
        (written(np.array([0, np.nan, 0]), 16000, subtype="FLOAT"), "no numbers"),
        (written(np.array([0, np.inf, 0]), 16000, subtype="FLOAT"), "no numbers"),
    ],
    ids=["empty", "words", "picture", "cut", "no samples", "slow", "nan", "infinite"],  # the bytes hold the time of day
)
def test_what_is_no_sound(data: bytes, says: str) -> None:
    with pytest.raises(MediaError, match=says):
        load_audio(data)


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("FLAC", None)])
def test_cut_off_is_never_taken_for_the_whole(kind: str, subtype: str | None) -> None:
    data = written(np.random.default_rng(0).normal(0, 0.1, 160_000), 16000, kind, subtype)
    whole = len(load_audio(data))
    for part in (0.1, 0.5, 0.9):
        cut = data[: int(part * len(data))]
        if kind == "OGG" and part > 0.1:  # Ogg states no length: what is there is a sound that ends earlier
            assert len(load_audio(cut)) < whole
        else:
            with pytest.raises(MediaError, match="sound: "):
                load_audio(cut)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.ogg").touch()
    os.mkfifo(tmp_path / "pipe.ogg")
    for name, says in (("none.ogg", "expected a sound"), ("empty.ogg", "is empty"), ("pipe.ogg", "named pipe")):
        for read in (load_audio, probe_audio):
            with pytest.raises(MediaError, match=f"{name}: .*{says}"):
                read(tmp_path / name)
    with pytest.raises(UsageError, match="found a int"):
        load_audio(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="rate 10"):
        load_audio(tmp_path / "none.ogg", 10)


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(np.zeros(16000), 16000)
    with pytest.raises(MediaError, match="1 seconds, expected at most 0"):
        load_audio(data, max_seconds=0.4)
    with pytest.raises(MediaError, match="decoded in time"):
        load_audio(data, timeout_s=0)
    monkeypatch.setattr(audio, "MAX_SAMPLES", 15_999)
    with pytest.raises(MediaError, match="16,000 samples, expected at most 15,999"):
        load_audio(data)
    monkeypatch.undo()
    monkeypatch.setattr(audio, "MAX_CHANNELS", 1)
    with pytest.raises(MediaError, match="2 channels"):
        load_audio(written(np.zeros((10, 2)), 16000))
    monkeypatch.setattr(audio, "MAX_BYTES", len(data) - 1)
    with pytest.raises(MediaError, match="bytes, expected at most"):
        probe_audio(data)
