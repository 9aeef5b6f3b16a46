from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from crossbit.encoders.base import Encoder
from crossbit.encoders.image import EfficientNetLite0, classifier
from crossbit.errors import UsageError


@pytest.fixture(scope="module")
def encoder() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = np.tile(np.linspace(0, 255, 300)[None, :, None], (200, 1, 3)).astype(np.uint8)
    return [rng.integers(0, 256, (97, 131, 3), np.uint8), smooth, np.full((1, 1, 3), 7, np.uint8)]


def test_agrees_with_torch(encoder: EfficientNetLite0, pictures: list[np.ndarray]) -> None:
    inputs = encoder.prepare(pictures)
    features = encoder.encode(inputs)
    twin = encoder.module()
    with torch.no_grad():
        tokens, mask, pooled = twin(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    np.testing.assert_allclose(features.tokens, tokens.numpy(), atol=1e-3)
    np.testing.assert_allclose(features.pooled, pooled.numpy(), atol=1e-3)
    assert mask.all()
    assert features.mask.all()
    assert features.tokens.shape == (3, 49, 1280)


def test_twin_passes_gradient_to_every_convolution(encoder: EfficientNetLite0, pictures: list[np.ndarray]) -> None:
    twin = encoder.module()
    pixels = torch.from_numpy(encoder.prepare(pictures[:1])["pixels"])
    twin(pixels)[2].square().sum().backward()
    for name, parameter in twin.named_parameters():
        if "_fc" not in name:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_pooled_is_the_mean_of_the_grid(encoder: EfficientNetLite0, pictures: list[np.ndarray]) -> None:
    features = encoder.encode(encoder.prepare(pictures))
    np.testing.assert_allclose(features.pooled, features.tokens.mean(1), atol=1e-5)


def test_grid_runs_row_by_row(encoder: EfficientNetLite0) -> None:
    # a red square in the top right corner must change the tokens of that quarter most
    plain = np.full((224, 224, 3), 255, np.uint8)
    marked = plain.copy()
    marked[:32, -32:] = (255, 0, 0)
    tokens = encoder.encode(encoder.prepare([plain, marked])).tokens
    change = np.abs(tokens[1] - tokens[0]).sum(-1).reshape(7, 7)
    quarters = {"top left": change[:3, :3], "bottom left": change[4:, :3], "bottom right": change[4:, 4:]}
    for name, quarter in quarters.items():
        assert change[:3, 4:].sum() > 2 * quarter.sum(), name


def test_classifies_a_photograph(encoder: EfficientNetLite0) -> None:
    # matplotlib ships a portrait of Rear Admiral Hopper: ImageNet class 652 is "military uniform"
    from matplotlib import get_data_path

    from crossbit.media.image import load_image

    picture = load_image(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg")
    weight, bias = classifier()
    pooled = encoder.encode(encoder.prepare([picture])).pooled
    assert (pooled @ weight.T + bias).argmax() == 652


def test_items_do_not_see_each_other(encoder: EfficientNetLite0, pictures: list[np.ndarray]) -> None:
    together = encoder.encode(encoder.prepare(pictures)).pooled
    for row, picture in enumerate(pictures):
        np.testing.assert_allclose(encoder.encode(encoder.prepare([picture])).pooled[0], together[row], atol=1e-4)


def test_nothing_in_nothing_out(encoder: EfficientNetLite0) -> None:
    features = encoder.encode(encoder.prepare([]))
    assert features.tokens.shape == (0, 49, 1280)
    assert features.pooled.shape == (0, 1280)


@pytest.mark.parametrize(
    "wrong", ["cat.jpg", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_refuses_what_is_no_picture(encoder: EfficientNetLite0, wrong: object) -> None:
    with pytest.raises(UsageError, match="expected uint8 of shape"):
        encoder.prepare([wrong])


def test_is_an_encoder(encoder: EfficientNetLite0) -> None:
    assert isinstance(encoder, Encoder)
    card = encoder.describe()
    assert (card.modality, card.dim, card.pooled_dim, card.max_tokens) == ("image", 1280, 1280, 0)


def test_encodes_without_torch(encoder: EfficientNetLite0) -> None:
    encoder.encode(encoder.prepare([np.zeros((8, 8, 3), np.uint8)]))  # so that the cache is warm
    program = """
import sys, numpy as np
from crossbit.encoders.image import EfficientNetLite0, classifier
encoder = EfficientNetLite0()
encoder.encode(encoder.prepare([np.zeros((8, 8, 3), np.uint8)]))
classifier()
sys.exit(any(name in sys.modules for name in ("torch", "transformers", "onnx")))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
