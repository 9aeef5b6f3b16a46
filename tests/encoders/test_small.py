"""The small networks: shapes and places of their cells, folders that are read again, what damaged ones say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from crossbit import encoders
from crossbit.encoders.base import Encoder
from crossbit.encoders.small import SmallImage, make_network, save_network
from crossbit.encoders.wordtable import MiniLMWords
from crossbit.errors import ConfigError, EncoderError
from crossbit.nn.resnet import ResNet, ResNetConfig
from crossbit.nn.vit import ViT, ViTConfig

TINY = {
    "small-vit": ViTConfig(edge=32, patch=8, width=12, layers=2, heads=2),
    "small-resnet": ResNetConfig(edge=32, widths=(4, 8), strides=(1, 2), blocks=(1, 1)),
}


def saved(folder: Path, family: str) -> Path:
    torch.manual_seed(0)
    save_network(folder, family, make_network(family, TINY[family]))
    return folder


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((40, 60, 3), (33, 32, 3))]


@pytest.mark.parametrize(("family", "width"), [("small-vit", 12), ("small-resnet", 8)])
def test_a_folder_is_an_encoder(family: str, width: int, tmp_path: Path, pictures: list[np.ndarray]) -> None:
    encoder = encoders.load(f"{family}:{saved(tmp_path, family)}")
    assert isinstance(encoder, Encoder)
    card = encoder.describe()
    assert (card.modality, card.dim, card.pooled_dim, card.edge) == ("image", width, width, 32)
    inputs = encoder.prepare(pictures)
    assert inputs["pixels"].shape == (2, 3, 32, 32)
    assert inputs["pixels"][1].max() <= 1.0
    assert inputs["pixels"][0, :, 0].min() == 1.0  # a wide picture has white above
    features = encoder.encode(inputs)
    assert features.tokens.shape == (2, 16, width)
    assert features.mask.all()
    alone = encoder.encode(encoder.prepare(pictures[1:]))
    np.testing.assert_allclose(alone.pooled[0], features.pooled[1], atol=1e-5)
    twin = encoder.module()
    tokens, _, pooled = twin(torch.from_numpy(inputs["pixels"]))
    np.testing.assert_allclose(tokens.detach().numpy(), features.tokens, atol=1e-6)
    pooled.square().sum().backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())
    assert len(encoder.encode(encoder.prepare([])).pooled) == 0


def test_half_precision_moves_next_to_nothing(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    torch.manual_seed(0)
    network = make_network("small-vit", TINY["small-vit"]).eval()
    save_network(tmp_path, "small-vit", network)
    encoder = SmallImage("small-vit", str(tmp_path))
    inputs = encoder.prepare(pictures)
    with torch.no_grad():
        whole = network(torch.from_numpy(inputs["pixels"]))[1].numpy()
    np.testing.assert_allclose(encoder.encode(inputs).pooled, whole, atol=5e-3)


def test_a_cell_of_the_vision_transformer_is_a_square_of_pixels() -> None:
    network = ViT(ViTConfig(edge=16, patch=8, width=6, layers=0, heads=1))
    pixels = torch.zeros(1, 3, 16, 16)
    before = network(pixels)[0]
    pixels[0, :, 3, 12] = 1.0  # the first row of squares, its second one
    moved = (network(pixels)[0] - before).abs().sum(2)[0]
    assert (moved > 0).tolist() == [False, True, False, False]


def test_places_are_interpolated_for_other_sizes_and_exact_for_their_own() -> None:
    network = ViT(ViTConfig(edge=16, patch=8, width=6, layers=1, heads=1)).eval()
    assert network(torch.zeros(1, 3, 24, 32))[0].shape == (1, 12, 6)
    assert torch.equal(network._places(2, 2), network.places)
    with torch.no_grad():
        network.places[1:] = 3.0
    torch.testing.assert_close(network._places(3, 4)[1:], torch.full((12, 6), 3.0))


def test_a_residual_block_without_weights_gives_its_input_and_a_plain_one_nothing() -> None:
    found = {}
    for residual in (True, False):
        network = ResNet(ResNetConfig(edge=16, widths=(4,), strides=(1,), blocks=(3,), residual=residual)).eval()
        for module in network.blocks.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.zeros_(module.weight)
        found[residual] = network(torch.randn(1, 3, 16, 16))[0]
    assert found[True].abs().sum() > 0
    assert not found[False].any()


def test_both_towers_have_the_same_grid_and_width() -> None:
    pixels = torch.randn(1, 3, 112, 112)
    shapes = [network(pixels)[0].shape for network in (ViT(ViTConfig()).eval(), ResNet(ResNetConfig()).eval())]
    assert shapes[0] == shapes[1] == (1, 49, 192)


def test_what_is_no_such_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no config.json") as missing:
        SmallImage("small-vit", str(tmp_path / "none"))
    assert "crossbit train encoder kind=vit" in str(missing.value)
    folder = saved(tmp_path / "r", "small-resnet")
    with pytest.raises(ConfigError, match="holds a small-resnet model, expected small-vit"):
        SmallImage("small-vit", str(folder))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "edge": 100_000}))
    with pytest.raises(EncoderError, match="says edge 100000, expected 8 to 1024"):
        SmallImage("small-resnet", str(folder))
    (folder / "config.json").write_text(json.dumps({**settings, "widths": [4, 16]}))
    with pytest.raises(EncoderError, match="cannot be loaded"):
        SmallImage("small-resnet", str(folder)).encode({"pixels": np.zeros((1, 3, 32, 32), np.float32)})
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderError, match="cannot be read"):
        SmallImage("small-resnet", str(folder))


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first = SmallImage("small-vit", str(saved(tmp_path, "small-vit"))).describe().fingerprint
    network = make_network("small-vit", TINY["small-vit"])
    assert save_network(tmp_path, "small-vit", network) != first
    assert save_network(tmp_path, "small-vit", network) == SmallImage("small-vit", str(tmp_path)).describe().fingerprint


def test_words_of_minilm_do_not_hear_of_each_other() -> None:
    encoder = MiniLMWords()
    found = encoder.encode(encoder.prepare(["red apple", "apple", "green apple tree"]))
    np.testing.assert_array_equal(found.tokens[0, 2], found.tokens[1, 1])
    assert not found.tokens[~found.mask].any()
    twin = encoder.module()
    inputs = {name: torch.from_numpy(value) for name, value in encoder.prepare(["red apple"]).items()}
    _, _, pooled = twin(**inputs)
    np.testing.assert_allclose(pooled[0].detach().numpy(), found.pooled[0], atol=1e-6)
    assert encoder.describe().fingerprint != encoders.load("minilm").describe().fingerprint
