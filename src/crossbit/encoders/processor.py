"""Prepare pictures as a published model's `preprocessor_config.json` says.

The library's own image processors need torchvision, which the packages of several platforms cannot import; what they do is
resize, crop, scale, shift, and this does the same in Pillow and NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from crossbit.errors import EncoderError
from crossbit.media.resize import centre_crop, check_picture, resize, short_edge

_MEAN = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Processor:
    """The steps, in their order; None or False leaves one out.

    Args:
        resize_to: height and width.
        short_to: edge of the shorter side, the aspect kept.
        crop_to: height and width of the centre that is kept.
    """

    resize_to: tuple[int, int] | None
    short_to: int | None
    crop_to: tuple[int, int] | None
    resample: int
    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def edge(self) -> int:
        """Give the side in pixels that a picture should at least be decoded at."""
        return max(self.short_to or 0, *(self.resize_to or (0,)), *(self.crop_to or (0,)))

    def pixels(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[np.ndarray, "N 3 h w"]:
        """Prepare RGB pictures.

        Raises:
            UsageError: something is not a uint8 array of shape (H, W, 3).
        """
        rows = [self._one(picture) for picture in pictures]
        height, width = self.crop_to or self.resize_to or (self.edge, self.edge)
        return np.stack(rows) if rows else np.zeros((0, 3, height, width), np.float32)

    def _one(self, picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "3 h w"]:
        check_picture(picture)
        if self.resize_to:
            picture = resize(picture, *self.resize_to, self.resample)
        if self.short_to:
            picture = short_edge(picture, self.short_to, self.resample)
        if self.crop_to:
            picture = centre_crop(picture, *self.crop_to)
        values = picture.transpose(2, 0, 1) * np.float32(self.scale)
        values -= np.array(self.mean, np.float32)[:, None, None]
        values /= np.array(self.deviation, np.float32)[:, None, None]
        return np.ascontiguousarray(values)


def read_processor(folder: Path) -> Processor:
    """Read `preprocessor_config.json` (or the part of `processor_config.json` that stands for it).

    Raises:
        EncoderError: there is none, or it asks for a step that is not known here.
    """
    settings = _settings(folder)
    size = settings.get("size", 224) if settings.get("do_resize", True) else None
    crop = settings.get("crop_size", settings.get("size", 224)) if settings.get("do_center_crop") else None
    resize_to, short_to = None, None
    if isinstance(size, int):
        # from the time before sizes had names: CLIP meant the shorter side, ViT and SigLIP both
        resize_to, short_to = (None, size) if settings.get("do_center_crop") else ((size, size), None)
    elif isinstance(size, Mapping) and "shortest_edge" in size and "longest_edge" not in size:
        short_to = int(size["shortest_edge"])
    elif isinstance(size, Mapping) and {"height", "width"} <= set(size):
        resize_to = (int(size["height"]), int(size["width"]))
    elif size is not None:
        raise EncoderError(f"{folder}: preprocessor resizes to {size}, expected shortest_edge, or height and width")
    if short_to and (share := settings.get("crop_pct")) is not None:
        # ConvNeXt and ResNet: below 384 pixels a centre of this share of the picture, from there on the whole, stretched
        if short_to < 384:
            crop, short_to = short_to, int(short_to / share)
        else:
            resize_to, short_to = (short_to, short_to), None
    elif short_to and crop is None:
        raise EncoderError(
            f"{folder}: preprocessor keeps the aspect and crops nothing, expected pictures of one size",
            "add `do_center_crop` and `crop_size` to its preprocessor_config.json",
        )
    if isinstance(crop, Mapping):
        crop = (int(crop["height"]), int(crop["width"]))
    elif crop is not None:
        crop = (int(crop), int(crop))
    shifts = settings.get("do_normalize", True)
    return Processor(
        resize_to,
        short_to,
        crop,
        int(settings.get("resample", 2)),
        float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0,
        tuple(settings.get("image_mean") or _MEAN) if shifts else (0.0,) * 3,
        tuple(settings.get("image_std") or _MEAN) if shifts else (1.0,) * 3,
    )


def _settings(folder: Path) -> Mapping[str, Any]:
    for name, part in (("preprocessor_config.json", ""), ("processor_config.json", "image_processor")):
        if (folder / name).is_file():
            try:
                found = json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise EncoderError(f"{folder / name}: not JSON ({error})") from error
            found = found.get(part, {}) if part else found
            if found:
                return dict(found)
    raise EncoderError(
        f"{folder}: no preprocessor_config.json, expected how pictures are to be prepared",
        "it comes with a published model; copy it beside the weights",
    )
