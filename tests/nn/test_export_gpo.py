"""Learned pooling in an exported graph: any number of rows and tokens, the same vectors as in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from crossbit.batch import Encoded
from crossbit.features import Features
from crossbit.heads import OnnxHead
from crossbit.methods.vse_infinity import VSEInfinity, VSEInfinityConfig
from crossbit.nn.export import export_head


@pytest.mark.parametrize(("view", "lengths"), [("image", (9,)), ("text", (1, 4, 11))])
def test_the_graph_gives_what_torch_gives(tmp_path: Path, view: str, lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    dims = {"image": (6, 6), "text": (5, 5)}
    method = VSEInfinity(VSEInfinityConfig(width=8, hidden=4), dims).eval()
    export_head(method, view, dims[view], 9, True, False, tmp_path / "head.onnx")
    head, draw = OnnxHead(tmp_path / "head.onnx"), np.random.default_rng(0)
    for rows in (1, 3, 8):
        for length in lengths:
            tokens = draw.standard_normal((rows, length, dims[view][0])).astype(np.float32)
            mask = np.arange(length) < draw.integers(1, length + 1, (rows, 1))
            features = Features(view, tokens, mask, tokens.mean(1))  # type: ignore[arg-type]
            with torch.no_grad():
                expected = method.embed(Encoded.from_features(features)).numpy()
            np.testing.assert_allclose(head(features)[0], expected, rtol=1e-4, atol=1e-5)
