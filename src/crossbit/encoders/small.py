"""The project's own small image encoders, `small-vit:FOLDER` and `small-resnet:FOLDER`, run by torch.

    picture (H,W,3) uint8 -> letterboxed to a square, (x - 127) / 128 -> network -> tokens (L,W), pooled (W)

A folder holds `config.json` (kind and sizes) and `model.safetensors`; `crossbit train encoder` writes it. They exist so that a
transformer and a convolutional network can be compared from an equal start: no package carries the weights of a vision
transformer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from crossbit.config import check
from crossbit.encoders.base import EncoderCard, Inputs, Media
from crossbit.encoders.built import fingerprint
from crossbit.encoders.hub import folder_fingerprint
from crossbit.errors import ConfigError, EncoderError
from crossbit.features import Features
from crossbit.media.resize import letterbox
from crossbit.nn.resnet import ResNet, ResNetConfig
from crossbit.nn.vit import ViT, ViTConfig

KINDS: Mapping[str, tuple[Any, Any]] = {"small-vit": (ViTConfig, ViT), "small-resnet": (ResNetConfig, ResNet)}
_CENTRE, _SCALE = 127.0, 128.0
_RECIPE = "letterbox-white-bicubic 127/128 small v1"
_LARGEST_EDGE = 1024


class SmallImage:
    """A small network of this project, from a folder."""

    def __init__(self, family: str, source: str) -> None:
        """Take the family ("small-vit", "small-resnet") and a folder.

        Raises:
            EncoderError: there is no such folder, or it holds something else.
        """
        self.family, self.name, self.folder = family, f"{family}:{source}", Path(source).expanduser()
        self.config = read_config(self.name, family, self.folder)

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        return self._card

    def prepare(self, media: Sequence[Media]) -> Inputs:
        """Letterbox RGB pictures and scale them: `pixels` (N, 3, edge, edge) float32.

        Raises:
            UsageError: something is not a uint8 array of shape (H, W, 3).
        """
        edge = self.config.edge
        squares = np.empty((len(media), edge, edge, 3), np.uint8)
        for row, picture in enumerate(media):
            squares[row] = letterbox(picture, edge)
        return {"pixels": scaled(torch.from_numpy(squares)).contiguous().numpy()}

    def encode(self, inputs: Inputs) -> Features:
        """Run the network without gradient."""
        pixels = inputs["pixels"]
        if not len(pixels):
            width = self.config.width
            empty = np.zeros((0, 1, width), np.float32)
            return Features("image", empty, np.zeros((0, 1), bool), np.zeros((0, width), np.float32))
        with torch.no_grad():
            tokens, mask, pooled = self._frozen(torch.from_numpy(pixels))
        return Features("image", tokens.numpy(), mask.numpy(), pooled.numpy())

    def module(self) -> nn.Module:
        """Load the network anew, for training: pixels -> (tokens, mask, pooled)."""
        return SmallTwin(read_network(self.name, self.family, self.folder, self.config))

    @cached_property
    def _frozen(self) -> nn.Module:
        return self.module().requires_grad_(False)

    @cached_property
    def _card(self) -> EncoderCard:
        mark = fingerprint(self.family, folder_fingerprint(self.folder), _RECIPE)
        return EncoderCard(self.name, "image", self.config.width, self.config.width, mark, edge=self.config.edge)


class SmallTwin(nn.Module):
    """A small network that says like other encoders: pixels -> tokens, mask, pooled."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run on prepared pictures (B, 3, h, w)."""
        tokens, pooled = self.network(pixels)
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device), pooled


def scaled(squares: UInt8[Tensor, "B h w 3"]) -> Float[Tensor, "B 3 h w"]:
    """Give bytes as what a network reads: about -1 to 1, channels first."""
    return (squares.permute(0, 3, 1, 2).float() - _CENTRE) / _SCALE


def make_network(family: str, config: Any) -> nn.Module:
    """Make a network with fresh weights."""
    network: nn.Module = KINDS[family][1](config)
    return network


def save_network(folder: Path, family: str, network: nn.Module) -> str:
    """Write a folder that `small-vit:FOLDER` or `small-resnet:FOLDER` reads, weights in float16; give its fingerprint.

    Half the bytes: the features' spread is hundreds of times what rounding moves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"model_type": family, **asdict(network.config)}  # type: ignore[call-overload]
    (folder / "config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    weights = {name: _half(value).contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone
    return SmallImage(family, str(folder)).describe().fingerprint


def read_config(name: str, family: str, folder: Path) -> Any:
    """Read the sizes of a network.

    Raises:
        EncoderError: there is no such folder, or its settings are damaged.
        ConfigError: it holds another kind of network.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise EncoderError(
            f"{name}: {folder} has no config.json, expected a network of `crossbit train encoder`",
            f"make it: `crossbit train encoder kind={family.removeprefix('small-')} --output {folder}`",
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        kind = settings.pop("model_type")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise EncoderError(f"{name}: {path} cannot be read ({error})") from error
    if kind != family:
        hint = (
            f"name it as {kind}:{folder}" if kind in KINDS else "models of transformers are named as vit:X or resnet:X"
        )
        raise ConfigError(f"{name}: {folder} holds a {kind} model, expected {family}", hint)
    config = check(KINDS[family][0], settings, source=str(path))
    if not 8 <= config.edge <= _LARGEST_EDGE:
        raise EncoderError(f"{name}: {path} says edge {config.edge}, expected 8 to {_LARGEST_EDGE}")
    return config


def read_network(name: str, family: str, folder: Path, config: Any) -> nn.Module:
    """Make a network and put the folder's weights in.

    Raises:
        EncoderError: they cannot be read, or do not fit the sizes.
    """
    network = make_network(family, config)
    try:
        weights = load_file(folder / "model.safetensors")
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise EncoderError(f"{name}: weights in {folder} cannot be loaded ({reason})", "train it again") from error
    return network.eval()


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value
