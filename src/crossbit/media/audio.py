"""Sounds in, samples out: whatever libsndfile reads (WAV, FLAC, Ogg Vorbis, MP3, AIFF ...), as one channel at one rate.

The content decides, not the suffix. What is wrong with a file ends as a MediaError with its name and one reason.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from jaxtyping import Float32

from crossbit.errors import MediaError, UsageError
from crossbit.media.deadline import in_time
from crossbit.media.files import open_regular, shown

MAX_BYTES = 512 * 2**20
MAX_SECONDS = 3600.0
MAX_SAMPLES = 256 * 2**20
"""Of one channel: an hour at 64,000 a second."""
MAX_CHANNELS = 64
RATES = (1000, 768_000)
TIMEOUT_S = 60.0
_BLOCK = 1 << 18

_T = TypeVar("_T")


@dataclass(frozen=True)
class AudioFacts:
    """What a sound file says of itself: its length in seconds, samples a second, and channels."""

    seconds: float
    rate: int
    channels: int


def probe_audio(source: str | Path | bytes, *, timeout_s: float = TIMEOUT_S) -> AudioFacts:
    """Read the header of a sound file; nothing is decoded.

    Raises:
        MediaError: it is no sound, or larger than the caps of this module allow.
    """
    return _open(source, lambda sound, _name: _facts(sound), timeout_s)


def load_audio(
    source: str | Path | bytes, rate: int = 16000, *, max_seconds: float = MAX_SECONDS, timeout_s: float = TIMEOUT_S
) -> Float32[np.ndarray, " S"]:
    """Decode a sound to one channel (the mean of all) at `rate` samples a second; full scale is -1 to 1.

    Resampled by a polyphase filter that keeps what the new rate cannot hold from folding back.

    Args:
        source: a path, or the bytes of a file.
        rate: samples a second of what is given back.
        max_seconds: refuse what is longer.
        timeout_s: give up after this many seconds.

    Raises:
        MediaError: it is no sound, holds no samples or values that are no numbers, or is longer than allowed.
        UsageError: `rate` is not one that sounds have.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise UsageError(f"sound: rate {rate}, expected {RATES[0]} to {RATES[1]} samples a second")
    deadline = time.monotonic() + timeout_s

    def work(sound: soundfile.SoundFile, name: str) -> Float32[np.ndarray, " S"]:
        facts = _facts(sound)
        if facts.seconds > max_seconds:
            raise MediaError(
                f"{name}: {facts.seconds:,.0f} seconds, expected at most {max_seconds:,.0f}",
                "raise the limit (`max_seconds`) if there is memory for it",
            )
        samples = _mono(sound, name, max_seconds, deadline)
        return _resampled(samples, facts.rate, rate)

    return _open(source, work, timeout_s)


def _open(source: str | Path | bytes, work: Callable[[soundfile.SoundFile, str], _T], timeout_s: float) -> _T:
    if isinstance(source, bytes):
        if not source:
            raise MediaError("sound: 0 bytes, expected a sound")
        return in_time(lambda: _with(io.BytesIO(source), "sound", work), "sound", timeout_s)
    if not isinstance(source, str | Path):
        raise UsageError(f"sound: found a {type(source).__name__}, expected a path or bytes")
    path, name = Path(source), shown(source)

    def run() -> _T:
        with open_regular(path, "sound") as file:
            return _with(file, name, work)

    return in_time(run, name, timeout_s)


def _with(file: io.BufferedIOBase, name: str, work: Callable[[soundfile.SoundFile, str], _T]) -> _T:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > MAX_BYTES:
        raise MediaError(f"{name}: {size:,} bytes, expected at most {MAX_BYTES:,}")
    try:
        with soundfile.SoundFile(file) as sound:
            _check(sound, name)
            return work(sound, name)
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise MediaError(f"{name}: cannot be read as a sound ({reason})") from error


def _check(sound: soundfile.SoundFile, name: str) -> None:
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise MediaError(f"{name}: {sound.samplerate} samples a second, expected {RATES[0]} to {RATES[1]}")
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise MediaError(f"{name}: {sound.channels} channels, expected 1 to {MAX_CHANNELS}")
    if sound.frames == 0:
        raise MediaError(f"{name}: it holds no samples")
    if sound.frames > MAX_SAMPLES:
        raise MediaError(f"{name}: {sound.frames:,} samples, expected at most {MAX_SAMPLES:,}")


def _facts(sound: soundfile.SoundFile) -> AudioFacts:
    return AudioFacts(sound.frames / sound.samplerate, sound.samplerate, sound.channels)


def _mono(sound: soundfile.SoundFile, name: str, max_seconds: float, deadline: float) -> Float32[np.ndarray, " S"]:
    """Decode block by block: the header's number of samples is a claim, and many channels need not all be in memory."""
    parts: list[Float32[np.ndarray, " s"]] = []
    decoded, most = 0, min(MAX_SAMPLES, max_seconds * sound.samplerate)
    while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
        decoded += len(block)
        if decoded > most:
            raise MediaError(f"{name}: more than {most / sound.samplerate:,.0f} seconds, expected at most so many")
        if time.monotonic() > deadline:
            raise MediaError(f"{name}: only {decoded / sound.samplerate:,.0f} seconds decoded in time, given up")
        parts.append(block.mean(axis=1, dtype=np.float32))
    if decoded < sound.frames:
        raise MediaError(f"{name}: ends after {decoded:,} of {sound.frames:,} samples, it was cut off")
    samples = np.concatenate(parts)
    if not np.isfinite(samples).all():
        raise MediaError(f"{name}: holds values that are no numbers")
    return samples


def _resampled(samples: Float32[np.ndarray, " S"], rate: int, wanted: int) -> Float32[np.ndarray, " s"]:
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    step = Fraction(wanted, rate)
    return np.asarray(resample_poly(samples, step.numerator, step.denominator), np.float32)
