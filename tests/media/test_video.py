"""Films made by Pillow and read back: what is seen, for how long, and every way in which a file can fail to be one."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crossbit.errors import MediaError, UsageError
from crossbit.media import video
from crossbit.media.video import probe_animation, read_animation

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]


def film(kind: str, colours: list[tuple[int, ...]], durations: list[int], size: tuple[int, int] = (24, 16)) -> bytes:
    """Make a film of plain frames."""
    mode = "RGBA" if len(colours[0]) == 4 else "RGB"
    frames = [Image.new(mode, size, colour) for colour in colours]
    options = {"lossless": True, "allow_mixed": False} if kind == "WEBP" else {"disposal": 2, "optimize": False}
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_frames_and_durations(tmp_path: Path, kind: str) -> None:
    durations = [40, 100, 250, 40, 70, 60]
    (tmp_path / "x.bin").write_bytes(film(kind, COLOURS, durations))  # the content decides, not the suffix
    for source in (tmp_path / "x.bin", str(tmp_path / "x.bin"), (tmp_path / "x.bin").read_bytes()):
        made = read_animation(source)
        assert made.frames.shape == (6, 16, 24, 3)
        assert made.durations_ms.tolist() == durations
        assert made.seconds == 0.56
        np.testing.assert_array_equal(made.frames[:, 8, 12], COLOURS)
        assert probe_animation(source).tolist() == durations


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_transparent_parts_become_white_and_leave_no_trace_of_the_frame_before(kind: str) -> None:
    made = read_animation(film(kind, [(255, 0, 0, 255), (0, 0, 0, 0), (0, 0, 255, 255)], [50, 50, 50]))
    np.testing.assert_array_equal(made.frames[:, 3, 3], [(255, 0, 0), (255, 255, 255), (0, 0, 255)])


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_still_picture_is_a_film_of_one_frame(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (0, 255, 0)).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    made = read_animation(buffer.getvalue())
    assert made.frames.shape == (1, 4, 5, 3)
    assert made.durations_ms.tolist() == [100]
    np.testing.assert_array_equal(made.frames[0, 0, 0], (0, 255, 0))


def test_what_claims_to_last_no_time_is_shown_as_browsers_do() -> None:
    assert probe_animation(film("WEBP", COLOURS[:3], [0, 10, 11])).tolist() == [100, 100, 11]


def test_edge_shrinks_and_never_enlarges() -> None:
    data = film("WEBP", COLOURS, [40] * 6, size=(90, 60))
    assert read_animation(data, edge=30).frames.shape == (6, 20, 30, 3)
    assert read_animation(data, edge=500).frames.shape == (6, 60, 90, 3)
    np.testing.assert_array_equal(read_animation(data, edge=30).frames[:, 10, 15], COLOURS)


def test_fewer_frames_by_hand() -> None:
    # 600 ms in three spans of 200: their middles 100, 300, 500 fall into the frames that end at 120, 320 and 600
    data = film("WEBP", COLOURS, [40, 80, 100, 100, 200, 80])
    made = read_animation(data, frames=3)
    np.testing.assert_array_equal(made.frames[:, 0, 0], [COLOURS[1], COLOURS[3], COLOURS[4]])
    assert made.durations_ms.tolist() == [200, 200, 200]
    # one long frame holds two of the four spans: kept once, shown for both
    made = read_animation(film("WEBP", COLOURS[:5], [20, 20, 20, 20, 520]), frames=4)
    np.testing.assert_array_equal(made.frames[:, 0, 0], [COLOURS[3], COLOURS[4]])
    assert made.durations_ms.tolist() == [150, 450]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(20, 300), min_size=2, max_size=6), st.integers(1, 8))
def test_fewer_frames_last_as_long_and_keep_their_order(durations: list[int], frames: int) -> None:
    made = read_animation(film("WEBP", COLOURS[: len(durations)], durations, size=(2, 2)), frames=frames)
    assert made.durations_ms.sum() == sum(durations)
    assert (made.durations_ms > 0).all()
    assert len(made.frames) == len(made.durations_ms) <= min(frames, len(durations))
    places = [COLOURS.index(tuple(colour)) for colour in made.frames[:, 0, 0].tolist()]
    assert places == sorted(set(places))


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_cut_off_anywhere_is_refused(kind: str) -> None:
    data = film(kind, COLOURS, [40] * 6)
    for end in range(16, len(data) - 2, 7):
        with pytest.raises(MediaError, match="damaged"):
            read_animation(data[:end])
        with pytest.raises(MediaError, match="damaged"):
            probe_animation(data[:end])


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_noise_in_the_middle_never_escapes_the_family(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = film(kind, COLOURS, [40] * 6)
    for _ in range(60):
        broken = bytearray(data)
        place = int(rng.integers(12, len(data) - 4))
        broken[place : place + 4] = rng.bytes(4)
        refused, made = "", None
        try:
            made = read_animation(bytes(broken), edge=32)
        except MediaError as error:  # any other error ends the test
            refused = str(error)
        assert refused.startswith("film: ") if made is None else len(made.frames) == len(made.durations_ms) >= 1


def test_comments_and_padding_between_the_blocks_of_a_gif() -> None:
    data = film("GIF", COLOURS[:2], [50, 70])
    comment = b"!\xfe\x05hello\x03you\x00"
    header = 13 + 3 * (2 << (data[10] & 7)) if data[10] & 0x80 else 13
    made = read_animation(data[:header] + comment + data[header:])
    assert made.durations_ms.tolist() == [50, 70]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes"),
        (b"words and more words", "no known format"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "no known format"),
        (b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b";", "without a frame"),
        (b"RIFF" + struct.pack("<I", 4) + b"WEBP", "without a frame"),
    ],
)
def test_what_is_no_film(data: bytes, says: str) -> None:
    with pytest.raises(MediaError, match=says):
        read_animation(data)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty.webp").touch()
    os.mkfifo(tmp_path / "pipe.webp")
    for name, says in (("none.webp", "expected a film"), ("empty.webp", "is empty"), ("pipe.webp", "named pipe")):
        with pytest.raises(MediaError, match=f"{name}: .*{says}"):
            read_animation(tmp_path / name)
    with pytest.raises(MediaError, match="a directory, expected a film"):
        read_animation(tmp_path)
    with pytest.raises(UsageError, match="found a int"):
        read_animation(3)  # type: ignore[arg-type]
    for wrong in ({"edge": 0}, {"frames": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            read_animation(tmp_path / "x.webp", **wrong)


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    data = film("WEBP", COLOURS, [40] * 6)
    monkeypatch.setattr(video, "MAX_KEPT_PIXELS", 6 * 24 * 16 - 1)
    with pytest.raises(MediaError, match="6 frames of 24 x 16 pixels"):
        read_animation(data)
    assert len(read_animation(data, frames=5).frames) == 5
    assert len(read_animation(data, edge=12).frames) == 6
    monkeypatch.setattr(video, "MAX_PIXELS", 24 * 16 - 1)
    with pytest.raises(MediaError, match="frames of 24 x 16 pixels"):
        read_animation(data, edge=1)
    monkeypatch.setattr(video, "MAX_FRAMES", 5)
    with pytest.raises(MediaError, match="more than 5 frames"):
        read_animation(data)
    monkeypatch.setattr(video, "MAX_BYTES", len(data) - 1)
    with pytest.raises(MediaError, match="bytes, expected at most"):
        read_animation(data)


def test_a_canvas_that_asks_for_gigabytes_is_refused_unseen() -> None:
    data = bytearray(film("WEBP", COLOURS[:2], [40, 40]))
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xff\x3f\x00" * 2  # 16384 x 16384, of which the decoder would take two at 4 bytes a pixel
    with pytest.raises(MediaError, match="frames of 16384 x 16384 pixels"):
        read_animation(bytes(data))
    data = bytearray(film("GIF", COLOURS[:2], [40, 40]))
    last = data.rindex(b"," + bytes(4) + struct.pack("<HH", 24, 16))
    data[last + 1 : last + 5] = struct.pack("<HH", 65000, 65000)  # the second frame lies far out of the canvas
    with pytest.raises(MediaError, match="frames of 65024 x 65016 pixels"):
        read_animation(bytes(data))


def test_frames_that_reach_out_of_the_canvas_of_a_gif() -> None:
    data = bytearray(film("GIF", COLOURS[:2], [40, 40]))
    last = data.rindex(b"," + bytes(4) + struct.pack("<HH", 24, 16))
    data[last + 1 : last + 5] = struct.pack("<HH", 6, 4)
    made = read_animation(bytes(data))
    assert made.frames.shape == (2, 20, 30, 3)
    np.testing.assert_array_equal(made.frames[0, 0, 0], COLOURS[0])
    np.testing.assert_array_equal(made.frames[0, 19, 29], (255, 255, 255))
    np.testing.assert_array_equal(made.frames[1, 19, 29], COLOURS[1])


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (257, 3)])
def test_sizes(kind: str, size: tuple[int, int]) -> None:
    for colours in (COLOURS[:1], COLOURS[:3]):
        made = read_animation(film(kind, colours, [40] * len(colours), size=size))
        assert made.frames.shape == (len(colours), size[1], size[0], 3)


def test_lossy_still() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), "red").save(buffer, "WEBP", quality=80)
    assert read_animation(buffer.getvalue()).frames.shape == (1, 200, 300, 3)


def test_time_is_over() -> None:
    with pytest.raises(MediaError, match="only 0 of 6 frames decoded in time"):
        read_animation(film("WEBP", COLOURS, [40] * 6), timeout_s=0)
