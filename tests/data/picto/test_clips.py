"""Which of the animated emoji become clips: told on films made here, and counted on the real packages when they lie here."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.data.picto import clips
from crossbit.data.picto.names import Names
from crossbit.data.picto.packages import PACKAGES, _unpacked_folder
from crossbit.errors import ManifestError
from crossbit.media.video import read_animation
from data.picto.fakes import names, written


def film(*places: int, duration: int = 50) -> bytes:
    """Make a film of a black square that stands at these columns, one a frame."""
    frames = []
    for place in places:
        frame = np.full((64, 64, 3), 255, np.uint8)
        frame[20:40, place : place + 20] = 0
        frames.append(Image.fromarray(frame))
    # frames that are equal would be joined by the encoder; a dot that wanders keeps them apart
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), (0, 0, 0))
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=duration, lossless=True)
    return buffer.getvalue()


@pytest.fixture
def packages(tmp_path: Path) -> list[Path]:
    moving = film(0, 10, 20, 30)
    one = written(
        tmp_path / "one",
        {
            "1f986.webp": moving,
            "1f34e.webp": film(0),  # a still picture
            "1f986-1f3fb.webp": moving,  # by skin tone
            "1f9d1-200d-1f373.webp": film(5, 5, 5),  # three frames, and nothing moves but a dot
            "1f1e6-1f1f2.webp": moving[:300],  # cut off
            "1f4a9.webp": moving,  # no such emoji here
            "readme.webp": moving,
        },
    )
    return [one, written(tmp_path / "two", {"unrelated.txt": "words"})]


def test_what_moves_is_copied_and_what_does_not_is_named(tmp_path: Path, packages: list[Path]) -> None:
    part = clips.build_from(packages, tmp_path / "out", names(), progress=False)
    (clip,) = part.items
    assert (clip.id, clip.path, clip.modality) == ("clips-1f986", "clips/1f986.webp", "video")
    assert (clip.start, clip.end) == (0.0, 0.2)
    assert clip.metadata == {"emoji": "\U0001f986", "frames": 4, "seconds": 0.2, "fps": 20.0}
    assert (clip.concept, clip.source, clip.licence, clip.split) == ("emoji:1f986", "clips", "MIT", "")
    assert [(c.text, c.lang, c.kind) for c in clip.captions] == [
        ("duck", "en", "name"),
        ("bird, pond", "en", "keywords"),
        ("Ente", "de", "name"),
        ("anatra", "it", "name"),
        ("uccello", "it", "keywords"),
    ]
    assert "subgroup:animal-bird" in clip.labels
    copied = tmp_path / "out" / clip.path
    assert copied.read_bytes() == (packages[0] / "1f986.webp").read_bytes()
    reasons = {record.record: record.reason for record in part.quarantine}
    assert reasons.pop("1f1e6-1f1f2").startswith("cannot be read: a damaged WebP")
    assert reasons == {
        "1f34e": "it has a single frame",
        "1f986-1f3fb": "a variant by skin tone",
        "1f9d1-200d-1f373": "it does not move",
        "1f4a9": "no base emoji has these code points",
        "readme": "the file is not named by code points",
    }


def test_a_second_run_gives_the_same_and_writes_nothing(tmp_path: Path, packages: list[Path]) -> None:
    first = clips.build_from(packages, tmp_path / "out", names(), progress=False)
    target = tmp_path / "out" / first.items[0].path
    stamp = target.stat().st_mtime_ns
    assert clips.build_from(packages, tmp_path / "out", names(), progress=False, workers=1) == first
    assert target.stat().st_mtime_ns == stamp
    assert [path.name for path in (tmp_path / "out" / "clips").iterdir()] == ["1f986.webp"]


def test_movement_by_hand(tmp_path: Path) -> None:
    # the square has moved by its own width: 2 x 20 x 20 of 64 x 64 pixels went from white to black or back
    (tmp_path / "x.webp").write_bytes(film(0, 20))
    # and two pixels for the dot
    assert clips.movement(tmp_path / "x.webp") == pytest.approx(255 * (2 * 400 + 2) / 64**2, rel=1e-6)


def test_packages_without_clips(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no \*.webp, expected the clips"):
        clips.build_from([tmp_path], tmp_path / "out", names(), progress=False)


def test_the_real_packages() -> None:
    folders = [_unpacked_folder(PACKAGES[name]) for name in (*clips.PACKAGES, "cldr", "emojibase")]
    if missing := [folder.name for folder in folders if not folder.is_dir()]:
        pytest.skip(f"not in the cache: {', '.join(missing)}; `crossbit data prepare picto --only clips` fetches them")
    roots = [folder / "package" / "assets" for folder in folders[:4]]
    files = clips._files(roots)
    assert len(files) == 3391
    known = Names.read(*folders[4:])
    moving = [
        file
        for file in files
        if len(clips.probe_animation(file)) > 1 and not any(f"1f3f{tone}" in file.stem for tone in "bcdef")
    ]
    assert len(moving) == 734
    assert all(clips.sequence_of(file.stem) in known for file in moving)
    assert all(clips.movement(file) >= clips.MOVES for file in moving[::50])
    durations = [read_animation(file, frames=1).seconds for file in moving[::50]]
    assert 0.5 < min(durations) <= max(durations) < 5
