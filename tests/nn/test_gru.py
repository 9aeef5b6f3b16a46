"""The bidirectional GRU: against torch's own on packed rows, blind to padding, the same once exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crossbit.nn.export import export
from crossbit.nn.gru import BiGRU, GRUPool, turned

LENGTHS = [4, 1, 3, 0]


def rows(length: int = 4, width: int = 5) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(len(LENGTHS), length, width), torch.arange(length) < torch.tensor(LENGTHS)[:, None]


def test_words_are_turned_and_padding_stays() -> None:
    _, mask = rows()
    assert turned(mask).tolist() == [[3, 2, 1, 0], [0, 1, 2, 3], [2, 1, 0, 3], [0, 1, 2, 3]]


def test_it_says_what_the_bidirectional_gru_of_torch_says_of_packed_rows() -> None:
    gru, (tokens, mask) = BiGRU(5, 3), rows()
    twin = nn.GRU(5, 3, batch_first=True, bidirectional=True)
    state = gru.forwards.state_dict() | {f"{k}_reverse": v for k, v in gru.backwards.state_dict().items()}
    twin.load_state_dict(state)
    real = [row for row, length in enumerate(LENGTHS) if length]
    packed = nn.utils.rnn.pack_padded_sequence(tokens[real], mask[real].sum(1), True, enforce_sorted=False)
    both, _ = nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True)
    states, pooled = gru(tokens, mask)
    torch.testing.assert_close(states[real], (both[..., :3] + both[..., 3:]) / 2)
    torch.testing.assert_close(pooled[real], states[real].sum(1) / mask[real].sum(1, keepdim=True))
    assert not states[3].any()
    assert not pooled[3].any()


@pytest.mark.parametrize("pool", ["mean", "max", "last"])
def test_padding_and_what_lies_in_it_change_nothing(pool: GRUPool) -> None:
    gru, (tokens, mask) = BiGRU(5, 3, narrowed=4, pool=pool), rows()
    longer = torch.cat([tokens.masked_fill(~mask[..., None], 7.0), torch.full((4, 3, 5), 9.0)], 1)
    more = torch.cat([mask, torch.zeros(4, 3, dtype=torch.bool)], 1)
    for before, after in zip(gru(tokens, mask), gru(longer, more), strict=True):
        torch.testing.assert_close(after[:, :4] if after.ndim == 3 else after, before)


def test_the_last_states_are_those_at_both_ends() -> None:
    gru, (tokens, mask) = BiGRU(5, 3, pool="last"), rows()
    _, pooled = gru(tokens, mask)
    first = gru.forwards(tokens[2:3, :3])[1][0, 0]
    second = gru.backwards(tokens[2:3, :3].flip(1))[1][0, 0]
    torch.testing.assert_close(pooled[2], (first + second) / 2)
    assert not pooled[3].any()


def test_a_vocabulary_of_its_own_knows_nothing_of_place_zero() -> None:
    gru = BiGRU(5, 3, words=6)
    mask = torch.ones(2, 2, dtype=torch.bool)
    _, pooled = gru(torch.tensor([[1, 6], [0, 0]]), mask)
    loss = pooled.square().sum()
    loss.backward()
    assert gru.words is not None
    assert gru.words.weight.grad is not None
    assert gru.words.weight.grad.abs().sum(1).gt(0).tolist() == [False, True, False, False, False, False, True]


def test_gradient_in_half_precision_is_finite() -> None:
    gru, (tokens, mask) = BiGRU(5, 3), rows()
    with torch.autocast("cpu", torch.bfloat16):
        _, pooled = gru(tokens, mask)
    pooled.float().square().sum().backward()
    found = [parameter.grad for parameter in gru.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in found)


def test_exported_it_reads_any_number_of_rows_and_words(tmp_path: Path) -> None:
    import onnxruntime

    gru, (tokens, mask) = BiGRU(5, 3).eval(), rows()
    free = {"tokens": {0: "B", 1: "L"}, "mask": {0: "B", 1: "L"}, "pooled": {0: "B"}}
    inputs = {"tokens": tokens[:3], "mask": mask[:3]}
    export(gru, lambda t, m: (gru(t, m)[1],), inputs, ["pooled"], tmp_path / "g.onnx", free)
    more, real = torch.randn(5, 7, 5), torch.arange(7) < torch.tensor([7, 2, 5, 1, 3])[:, None]
    session = onnxruntime.InferenceSession(str(tmp_path / "g.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"tokens": more.numpy(), "mask": real.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, gru(more, real)[1].numpy(), atol=1e-5)
