"""Every kind of picture, and every way in which a file can fail to be one."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from crossbit.errors import MediaError, UsageError
from crossbit.media.image import IMAGE_SUFFIXES, load_image, thumbnail

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Blocks of colour with some noise: compresses like a picture."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 256, (20, 30, 3)), np.ones((10, 10, 1)))
    return Image.fromarray(np.clip(blocks + rng.normal(0, 6, blocks.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("suffix", "kind", "options", "near"),
    [
        ("jpg", "JPEG", {"quality": 95, "subsampling": 0}, 12),
        ("jpeg", "JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 12),
        ("png", "PNG", {}, 0),
        ("webp", "WEBP", {"lossless": True}, 0),
        ("bmp", "BMP", {}, 0),
        ("tif", "TIFF", {}, 0),
        ("tiff", "TIFF", {"compression": "tiff_lzw"}, 0),
    ],
)
def test_formats(tmp_path: Path, photo: Image.Image, suffix: str, kind: str, options: dict, near: int) -> None:
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(encoded(photo, kind, **options))
    assert path.suffix in IMAGE_SUFFIXES
    for source in (path, str(path), path.read_bytes()):
        made = load_image(source)
        assert made.dtype == np.uint8
        assert np.abs(made.astype(int) - np.asarray(photo)).mean() <= near


def test_suffixes_are_the_promised_ones() -> None:
    assert set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"]) == IMAGE_SUFFIXES


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("GIF", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_content_decides_not_the_suffix(tmp_path: Path, kind: str, options: dict) -> None:
    (tmp_path / "lies.jpg").write_bytes(encoded(Image.new("RGB", (3, 2), GREEN), kind, **options))
    assert load_image(tmp_path / "lies.jpg").tolist() == [[list(GREEN)] * 3] * 2


def test_drawing_under_another_suffix(tmp_path: Path) -> None:
    (tmp_path / "lies.png").write_bytes(b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>')
    assert load_image(tmp_path / "lies.png", size=8).shape == (8, 8, 3)


# modes ------------------------------------------------------------------------------------------------------------------


def test_transparent_parts_become_white() -> None:
    picture = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (*RED, 255))
    picture.putpixel((2, 0), (0, 0, 0, 128))
    made = load_image(encoded(picture, "PNG"))
    # by hand: 0 x 128/255 + 255 x 127/255 = 127
    assert made.tolist() == [[list(WHITE), list(RED), [127, 127, 127]]]
    np.testing.assert_array_equal(load_image(picture), made)
    np.testing.assert_array_equal(load_image(np.asarray(picture)), made)


def test_grey_with_alpha() -> None:
    picture = Image.new("LA", (2, 1), (0, 0))
    picture.putpixel((1, 0), (50, 255))
    assert load_image(encoded(picture, "PNG")).tolist() == [[[255] * 3, [50] * 3]]


def test_palette_and_its_transparent_entry() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putpixel((1, 0), 1)
    assert load_image(encoded(picture, "PNG")).tolist() == [[list(RED), list(BLUE)]]
    assert load_image(encoded(picture, "PNG", transparency=0)).tolist() == [[list(WHITE), list(BLUE)]]
    assert load_image(encoded(picture, "GIF", transparency=0)).tolist() == [[list(WHITE), list(BLUE)]]


def test_transparent_colour_of_rgb_and_grey() -> None:
    rgb = Image.new("RGB", (2, 1), RED)
    rgb.putpixel((1, 0), BLUE)
    assert load_image(encoded(rgb, "PNG", transparency=RED)).tolist() == [[list(WHITE), list(BLUE)]]
    grey = Image.new("L", (2, 1), 10)
    grey.putpixel((1, 0), 20)
    assert load_image(encoded(grey, "PNG", transparency=10)).tolist() == [[[255] * 3, [20] * 3]]


def test_one_bit_and_grey() -> None:
    picture = Image.new("1", (2, 1))
    picture.putpixel((1, 0), 1)
    assert load_image(encoded(picture, "PNG")).tolist() == [[[0] * 3, [255] * 3]]
    assert load_image(encoded(Image.new("L", (1, 1), 77), "PNG")).tolist() == [[[77] * 3]]


def test_cmyk() -> None:
    # no cyan, full magenta and yellow: red
    made = load_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(made.astype(int) - RED).max() <= 3
    made = load_image(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "TIFF"))
    assert not made.any()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_scale(kind: str) -> None:
    values = np.array([[0, 128, 257, 32768, 65535]], np.uint16)
    # by hand: value x 255 / 65535, rounded
    expected = [0, 0, 1, 128, 255]
    assert load_image(encoded(Image.fromarray(values), kind))[0, :, 0].tolist() == expected


def test_sixteen_bits_of_the_other_byte_order() -> None:
    values = np.array([[0, 65535, 32768]], ">u2")
    picture = Image.frombytes("I;16B", (3, 1), values.tobytes())
    assert load_image(encoded(picture, "TIFF"))[0, :, 0].tolist() == [0, 255, 128]


def test_sixteen_bit_colour_png() -> None:
    rows = b"\0" + struct.pack(">6H", 65535, 0, 0, 0, 32768, 65535)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert load_image(file).tolist() == [[[255, 0, 0], [0, 128, 255]]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 51, 255]], np.float32), [0, 51, 255]),
        (np.array([[-10, 0, 10]], np.float32), [0, 128, 255]),
        (np.array([[0, np.nan, 1]], np.float32), [0, 0, 255]),
        (np.array([[0, 100, 200]], np.int32), [0, 100, 200]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[7, 7, 7]], np.float32) * 1e9, [0, 0, 0]),
    ],
)
def test_floats_and_wide_integers(values: np.ndarray, expected: list[int]) -> None:
    assert load_image(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_animations(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert load_image(data).tolist() == [[list(RED)] * 4] * 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_as_exif_says(kind: str, orientation: int) -> None:
    # what the camera saw: red above, blue below on the left; 16 x 32 pixels
    upright = np.zeros((32, 16, 3), np.uint8)
    upright[:16], upright[16:, :8], upright[16:, 8:] = RED, BLUE, GREEN
    # how the sensor stored it, by the meaning of the eight values
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    picture = Image.fromarray(np.ascontiguousarray(stored))
    if kind == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[274] = orientation
        data = encoded(picture, kind, tiffinfo=tags)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
        data = encoded(picture, kind, exif=exif, **options)
    made = load_image(data)
    assert made.shape == upright.shape
    assert np.abs(made.astype(int) - upright).max() <= 3


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_is_no_reason_to_refuse(photo: Image.Image) -> None:
    assert load_image(encoded(photo, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x12" * 30)).shape == (
        200,
        300,
        3,
    )


def test_one_pixel() -> None:
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        assert load_image(encoded(Image.new("RGB", (1, 1), WHITE), kind)).shape == (1, 1, 3)


# size hint --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_hint_shrinks_but_leaves_twice_the_edge(kind: str) -> None:
    gradient = np.linspace(0, 255, 1200).astype(np.uint8)
    picture = Image.fromarray(np.repeat(np.tile(gradient, (800, 1))[:, :, None], 3, 2))
    made = load_image(encoded(picture, kind, **({"quality": 95} if kind == "JPEG" else {})), size=100)
    assert 200 <= max(made.shape) <= 400
    assert abs(made.shape[1] / made.shape[0] - 1.5) < 0.02
    assert np.abs(np.diff(made[10, :, 0].astype(int))).max() <= 4
    assert load_image(encoded(picture, kind), size=800).shape == (800, 1200, 3)


# faults -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_truncated_file(tmp_path: Path, photo: Image.Image, kind: str, options: dict, share: float) -> None:
    data = encoded(photo, kind, **options)
    path = tmp_path / "half.jpg"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError, match="half.jpg: ") as caught:
        load_image(path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_file_whose_end_was_never_written(photo: Image.Image, kind: str) -> None:
    data = encoded(photo, kind)
    half = data[: len(data) // 2]
    with pytest.raises(MediaError, match="never written"):
        load_image(half + bytes(len(data) - len(half)))


def test_padding_after_the_end_of_a_jpeg_is_fine(photo: Image.Image) -> None:
    assert load_image(encoded(photo, "JPEG") + bytes(4096)).shape == (200, 300, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_flipped_bits_never_escape_as_another_error(photo: Image.Image, kind: str) -> None:
    rng = np.random.default_rng(1)
    whole = np.frombuffer(encoded(photo, kind), np.uint8)
    for share in (0.01, 0.01, 0.1, 0.3, 0.3, 0.6, 0.9):
        data = whole.copy()
        places = rng.integers(0, int(len(data) * share), 8)
        data[places] = rng.integers(0, 256, 8)
        try:
            made = load_image(data.tobytes(), max_pixels=1_000_000)
        except MediaError:
            continue
        assert made.dtype == np.uint8


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello, I am a text", "no known format"),
        (b"%PDF-1.7", "it is PDF"),
        (b"\0\0\0\x20ftypheic", "it is HEIC"),
        (b"\0\0\0\x20ftypavif", "it is AVIF"),
        (b"<!DOCTYPE html><html>", "it is HTML"),
        (b"RIFF\0\0\0\0WAVE", "no known format"),
        (b"\xff\xd8\xff", "a damaged JPEG"),
        (b"\x89PNG\r\n\x1a\n", "a damaged PNG"),
        (b"BM", "a damaged BMP"),
        (b"II*\0", "a damaged TIFF"),
        (b"GIF89a", "a damaged GIF"),
        (b"RIFF\0\0\0\0WEBP", "a damaged WebP"),
        (b"", "0 bytes"),
    ],
)
def test_no_picture(data: bytes, says: str) -> None:
    with pytest.raises(MediaError, match=says):
        load_image(data)


def test_pixel_cap_is_asked_before_decoding() -> None:
    # 20,000 x 20,000 white pixels in 50 kB
    bomb = encoded(Image.new("1", (20_000, 20_000), 1), "PNG", compress_level=9)
    began = time.perf_counter()
    with pytest.raises(MediaError, match=r"20000 x 20000 = 400,000,000 pixels, expected at most 200,000,000"):
        load_image(bomb)
    assert time.perf_counter() - began < 2
    with pytest.raises(MediaError, match="expected at most 99"):
        load_image(Image.new("RGB", (10, 10)), max_pixels=99)
    assert load_image(Image.new("RGB", (10, 10)), max_pixels=100).shape == (10, 10, 3)


def test_pillows_own_limit_is_neither_met_nor_moved() -> None:
    before = Image.MAX_IMAGE_PIXELS
    # above Pillow's warning (89 million), below ours
    assert load_image(encoded(Image.new("1", (10_000, 9_000), 1), "PNG"), size=50).shape[0] <= 200
    assert before == Image.MAX_IMAGE_PIXELS


def directory(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.jpg")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def empty(path: Path) -> None:
    path.touch()


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (directory, "found a directory"),
        (dangling, "a symbolic link to nowhere.jpg, which does not exist"),
        (loop, "form a loop"),
        (empty, r"empty \(0 bytes\)"),
        (os.mkfifo, "found a named pipe"),
        (bound_socket, "found a socket"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_no_regular_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], says: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(tmp_path / "x.jpg")
    began = time.perf_counter()
    with pytest.raises(MediaError, match=f"x.jpg: .*{says}"):
        load_image(tmp_path / "x.jpg")
    assert time.perf_counter() - began < 2


def test_device() -> None:
    with pytest.raises(MediaError, match="found a device"):
        load_image("/dev/zero")


def test_zero_byte_in_the_name() -> None:
    with pytest.raises(MediaError, match="null"):
        load_image("a\0b.jpg")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")  # as the system does, to all but root

    monkeypatch.setattr("crossbit.media.files.os.open", refuse)
    with pytest.raises(MediaError, match="x.png: permission denied, expected a picture"):
        load_image(tmp_path / "x.png")


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(encoded(Image.new("RGB", (1, 1), RED), "PNG"))
    assert load_image(path).tolist() == [[list(RED)]]
    path.write_bytes(b"x")
    with pytest.raises(MediaError, match=r"caf\\xe9.png") as caught:
        load_image(path)
    str(caught.value).encode()  # can be printed


@pytest.mark.parametrize(
    "source",
    [
        3,
        None,
        ["x.jpg"],
        np.zeros((2, 2)),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_refuses_what_is_no_source(source: object) -> None:
    with pytest.raises(UsageError, match="expected"):
        load_image(source)


def test_arrays_pass_through() -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    np.testing.assert_array_equal(load_image(array), array)
    np.testing.assert_array_equal(load_image(array[:, :, 0]), np.repeat(array[:, :, :1], 3, 2))
    np.testing.assert_array_equal(load_image(array[:, :, :1]), np.repeat(array[:, :, :1], 3, 2))


def test_slow_decoding_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.media.raster.decode", lambda *_: time.sleep(3))
    monkeypatch.setattr("crossbit.media.deadline._GRACE_S", 0.0)
    began = time.perf_counter()
    with pytest.raises(MediaError, match=r"not decoded after 0.2 s"):
        load_image(b"\xff\xd8\xff", timeout_s=0.2)
    assert time.perf_counter() - began < 2


def test_thumbnail_fits_and_keeps_the_aspect() -> None:
    with Image.open(io.BytesIO(thumbnail(Image.new("RGB", (600, 300), RED), 64))) as made:
        assert (made.format, made.size) == ("WEBP", (64, 32))
    with Image.open(io.BytesIO(thumbnail(Image.new("RGB", (6, 3), RED), 64))) as made:
        assert made.size == (6, 3)  # never enlarged


def test_importing_does_not_import_pillow() -> None:
    program = "import sys, crossbit.media.image; sys.exit('PIL' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
