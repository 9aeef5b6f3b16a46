"""Our preparation of pictures against the library's own processors, in the variants that come without torchvision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from transformers.utils import logging as transformers_logging

from crossbit.encoders.processor import read_processor
from crossbit.errors import EncoderError

CASES = [
    ("ViTImageProcessor", {}),
    ("ViTImageProcessor", {"size": {"height": 48, "width": 32}, "resample": 0}),
    ("CLIPImageProcessor", {}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": {"height": 40, "width": 36}}),
    ("SiglipImageProcessor", {"size": {"height": 64, "width": 64}}),
    ("SiglipImageProcessor", {"do_normalize": False}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 64}}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
]


@pytest.mark.reference
@pytest.mark.parametrize(("kind", "settings"), CASES)
def test_same_pixels_as_the_library(tmp_path: Path, kind: str, settings: dict) -> None:
    transformers_logging.set_verbosity_error()
    theirs = getattr(transformers, kind)(**settings)
    theirs.save_pretrained(tmp_path)
    ours = read_processor(tmp_path)
    # smooth, so that a difference of half a pixel shows small and a wrong size or mean large
    down, across = np.mgrid[0:90, 0:130]
    picture = np.stack([down * 2, across, (down + across)], -1).astype(np.uint8)
    picture[:, :, 2] = (down + across) % 220
    for taken in (picture, picture.transpose(1, 0, 2)[:70], picture[:50, :50]):
        taken = np.ascontiguousarray(taken)
        expected = np.asarray(theirs(taken, return_tensors="np")["pixel_values"])
        made = ours.pixels([taken])
        assert made.shape == expected.shape
        # bytes are rounded after resizing, here and there to the other side
        assert np.abs(made - expected).mean() < 0.01


def test_edge_is_what_decoding_should_keep(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 64}, "crop_pct": 0.5}))
    made = read_processor(tmp_path)
    assert (made.short_to, made.crop_to, made.edge) == (128, (64, 64), 128)


def test_sizes_as_plain_numbers(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": 32, "do_center_crop": True, "crop_size": 28})
    )
    made = read_processor(tmp_path)
    assert (made.short_to, made.resize_to, made.crop_to) == (32, None, (28, 28))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 32}))
    assert read_processor(tmp_path).resize_to == (32, 32)


def test_part_of_a_joint_file(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"image_processor": {"size": {"height": 8, "width": 9}}})
    )
    assert read_processor(tmp_path).pixels([np.zeros((3, 3, 3), np.uint8)]).shape == (1, 3, 8, 9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ('{"size": {"longest_edge": 3}}', "resizes to"),
        ('{"size": {"shortest_edge": 3}}', "one size"),
    ],
)
def test_refuses_what_it_does_not_know(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(EncoderError, match=says):
        read_processor(tmp_path)
