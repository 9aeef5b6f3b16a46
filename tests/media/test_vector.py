from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.errors import MediaError
from crossbit.media.image import load_image
from crossbit.media.vector import render

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def svg(body: str = '<rect width="5" height="20" fill="#f00"/>', size: str = 'width="10" height="20"') -> bytes:
    return f"{HEAD} {size}>{body}</svg>".encode()


def test_drawn_on_white_at_the_asked_edge() -> None:
    made = load_image(svg(), size=100)
    assert made.shape == (100, 50, 3)  # the longer side has the edge, the aspect stays
    assert made[50, 10].tolist() == [255, 0, 0]
    assert made[50, 40].tolist() == [255, 255, 255]
    assert max(load_image(svg()).shape) == 1024


@pytest.mark.parametrize(
    "size",
    ['width="10mm" height="20mm"', 'width="10pt" height="20pt"', 'viewBox="0 0 10 20"', 'width="1in" height="2in"'],
)
def test_sizes_in_any_unit(size: str) -> None:
    height, width, _ = load_image(svg(size=size), size=64).shape
    assert height == 64
    assert abs(width - 32) <= 1


@pytest.mark.parametrize("lead", [b"\xef\xbb\xbf", b"<?xml version='1.0'?>\n", b"<!-- drawn by hand -->\n", b"  \n"])
def test_what_may_stand_before_it(lead: bytes) -> None:
    assert load_image(lead + svg(), size=16).shape == (16, 8, 3)


def test_utf16() -> None:
    assert load_image(svg().decode().encode("utf-16"), size=16).shape == (16, 8, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<svg", "cannot be drawn"),
        (svg(size='width="0" height="0"'), "invalid size"),
        (svg()[:60], "cannot be drawn"),
        (svg() + b"\xff\xff", "not UTF-8"),
        (svg('<rect id="' + "&a9;" * 3), "cannot be drawn"),
    ],
)
def test_what_is_no_drawing(data: bytes, says: str) -> None:
    with pytest.raises(MediaError, match=says):
        load_image(data, size=16)


def test_declared_size_does_not_matter() -> None:
    # drawn as declared, resvg would ask for 40 GB and abort its process
    assert load_image(svg(size='width="100000" height="100000"'), size=32).shape == (32, 32, 3)


def test_other_files_are_not_read(tmp_path: Path) -> None:
    Image.new("RGB", (10, 10), (0, 255, 0)).save(tmp_path / "secret.png")
    for link in (tmp_path / "secret.png", (tmp_path / "secret.png").as_uri(), os.path.relpath(tmp_path / "secret.png")):
        made = load_image(svg(f'<image xlink:href="{link}" width="10" height="20"/>'), size=20)
        assert (made == 255).all(), link


def test_embedded_pictures_are_drawn() -> None:
    import base64
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (10, 20), (0, 0, 255)).save(buffer, "PNG")
    link = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    made = load_image(svg(f'<image xlink:href="{link}" width="10" height="20"/>'), size=20)
    assert made[10, 5].tolist() == [0, 0, 255]


SLOW = svg(
    '<filter id="f"><feTurbulence baseFrequency="0.01" numOctaves="2000"/></filter>'
    '<rect filter="url(#f)" width="900" height="900"/>',
    'width="900" height="900"',
)


def test_endless_drawing_is_given_up_and_the_next_one_works() -> None:
    began = time.perf_counter()
    with pytest.raises(MediaError, match=r"not drawn after 0.5 s"):
        load_image(SLOW, timeout_s=0.5)
    assert time.perf_counter() - began < 5
    assert load_image(svg(), size=16).shape == (16, 8, 3)


def test_bombs_of_references_are_refused() -> None:
    groups = "".join(f'<g id="u{i}">' + f'<use xlink:href="#u{i - 1}"/>' * 10 + "</g>" for i in range(1, 9))
    with pytest.raises(MediaError, match="limit"):
        load_image(svg('<g id="u0"><rect width="1" height="1"/></g>' + groups), timeout_s=10)
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE svg [<!ENTITY a0 "ha">{entities}]>'.encode() + svg("<text>&a9;</text>")
    with pytest.raises(MediaError, match="entity"):
        load_image(bomb, timeout_s=10)


def test_renderer_that_dies_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    # the child falls over instead of answering, as it does when memory runs out
    monkeypatch.setattr("crossbit.media.vector._idle", [])
    monkeypatch.setattr("crossbit.media.vector._WORKER", "import os; os._exit(1)")
    with pytest.raises(MediaError, match="x.svg: .*ended the renderer"):
        render(svg(), "x.svg", 16, 5.0)


def test_many_threads_draw_at_once() -> None:
    colours = [(i * 25, 255 - i * 25, 7) for i in range(10)]
    bodies = ['<rect width="10" height="20" fill="rgb({},{},{})"/>'.format(*colour) for colour in colours]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda body: load_image(svg(body), size=16), bodies))
    for picture, colour in zip(made, colours, strict=True):
        np.testing.assert_array_equal(picture, np.broadcast_to(np.array(colour, np.uint8), picture.shape))


def test_too_many_bytes() -> None:
    with pytest.raises(MediaError, match="expected at most 33,554,432"):
        load_image(svg("<!--" + " " * (33 * 2**20) + "-->"))
