"""The bidirectional GRU: against one row at a time, padding, holes, and a vocabulary of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from crossbit.encoders.words import Words
from crossbit.nn.export import export
from crossbit.nn.gru import BiGRU, WordGRU


def made() -> BiGRU:
    torch.manual_seed(0)
    return BiGRU(4, 3).double()


def test_each_row_is_read_as_if_it_were_alone() -> None:
    gru, tokens = made(), torch.randn(3, 5, 4, dtype=torch.float64)
    mask = torch.arange(5) < torch.tensor([[5], [2], [1]])
    states, last = gru(tokens, mask)
    for row, length in enumerate((5, 2, 1)):
        alone, ends = gru.gru(tokens[row : row + 1, :length])
        torch.testing.assert_close(states[row, :length], (alone[0, :, :3] + alone[0, :, 3:]) / 2)
        torch.testing.assert_close(last[row], (ends[0, 0] + ends[1, 0]) / 2)
        assert not states[row, length:].any()


def test_masked_tokens_in_between_are_left_out() -> None:
    gru, tokens = made(), torch.randn(1, 4, 4, dtype=torch.float64)
    holes = torch.tensor([[False, True, False, True]])
    states, last = gru(tokens, holes)
    whole, end = gru(tokens[:, [1, 3]], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(states[:, [1, 3]], whole)
    torch.testing.assert_close(last, end)
    assert not states[:, [0, 2]].any()


def test_a_row_without_tokens_is_zero() -> None:
    states, last = made()(torch.randn(1, 2, 4, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.bool))
    assert not states.any()
    assert not last.any()


def test_unknown_words_share_one_embedding_and_known_ones_do_not() -> None:
    torch.manual_seed(0)
    words, gru = Words(), WordGRU(4, 6, 5)
    gru.vocabulary.learn(["a red apple", "a dog", "a dog"])
    found = words.encode(words.prepare(["dog", "zebra", "quagga", "apple"]))
    states, _ = gru(torch.from_numpy(found.tokens), torch.from_numpy(found.mask))
    rows = states[:, 0].detach().numpy()
    np.testing.assert_array_equal(rows[1], rows[2])
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    assert np.abs(rows[0] - rows[3]).max() > 1e-3


def test_gradient_in_half_precision_is_finite() -> None:
    gru, tokens = BiGRU(4, 3), torch.randn(3, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        states, last = gru(tokens, torch.arange(5) < torch.tensor([[5], [2], [0]]))
    (states.float().square().sum() + last.float().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in gru.parameters())


def test_exported_it_says_the_same_of_any_number_of_rows_and_words(tmp_path: Path) -> None:
    import onnxruntime

    gru = made().float().eval()
    free = {name: {0: "B", 1: "L"} for name in ("tokens", "mask", "states")} | {"last": {0: "B"}}
    inputs = {"tokens": torch.randn(3, 4, 4), "mask": torch.arange(4) < torch.tensor([[4], [1], [3]])}
    export(gru, lambda tokens, mask: gru(tokens, mask), inputs, ["states", "last"], tmp_path / "gru.onnx", free)
    tokens, mask = torch.randn(5, 7, 4), torch.arange(7) < torch.tensor([[7], [2], [0], [1], [5]])
    mask[4, 2] = False
    session = onnxruntime.InferenceSession(str(tmp_path / "gru.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(None, {"tokens": tokens.numpy(), "mask": mask.numpy()})
    with torch.no_grad():
        for exported, expected in zip(found, gru(tokens, mask), strict=True):
            np.testing.assert_allclose(exported, expected.numpy(), atol=1e-6)
