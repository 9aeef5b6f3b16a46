"""Pooling must not see padding."""

from __future__ import annotations

import pytest
import torch

from crossbit.nn.attention import Encoder, prepend
from crossbit.nn.hashing import HashHead
from crossbit.nn.pooling import GPO, masked_max, masked_mean
from crossbit.nn.standardise import Standardise

TOKENS = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [50.0, 50.0]], [[7.0, 8.0], [9.0, 9.0], [9.0, 9.0]]])
MASK = torch.tensor([[True, True, False], [False, False, False]])


def test_mean_and_max_by_hand() -> None:
    assert masked_mean(TOKENS, MASK).tolist() == [[2.0, -3.0], [0.0, 0.0]]
    assert masked_max(TOKENS, MASK).tolist() == [[3.0, -2.0], [0.0, 0.0]]


def test_gpo_does_not_see_padding_and_survives_an_empty_row() -> None:
    torch.manual_seed(0)
    pool = GPO().eval()
    padded = pool(TOKENS, MASK)
    alone = pool(TOKENS[:1, :2], MASK[:1, :2])
    assert torch.allclose(padded[0], alone[0], atol=1e-6)
    assert padded[1].tolist() == [0.0, 0.0]


def test_gpo_is_a_convex_combination_of_sorted_channels() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(4, 6, 5)
    mask = torch.ones(4, 6, dtype=torch.bool)
    pool = GPO().eval()
    out = pool(tokens, mask)
    assert torch.all(out <= tokens.amax(1) + 1e-6)
    assert torch.all(out >= tokens.amin(1) - 1e-6)
    assert torch.allclose(out, pool(tokens.flip(1), mask), atol=1e-6)  # order of tokens means nothing


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_transformer_does_not_see_padding(norm_first: bool) -> None:
    torch.manual_seed(0)
    encoder = Encoder(8, 2, 2, 16, 0.1, norm_first).eval()
    tokens, mask = torch.randn(3, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])
    out = encoder(tokens, mask)
    changed = tokens.clone()
    changed[1, 3:] = 100.0
    assert torch.allclose(out[1, :3], encoder(changed, mask)[1, :3], atol=1e-5)
    assert torch.allclose(out[1, :3], encoder(tokens[1:2, :3], mask[1:2, :3])[0], atol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_asking_for_the_first_token_alone_gives_the_same_token(norm_first: bool) -> None:
    torch.manual_seed(0)
    encoder = Encoder(8, 2, 2, 16, 0.1, norm_first).eval()
    tokens, mask = torch.randn(3, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])
    assert torch.allclose(encoder(tokens, mask, 1), encoder(tokens, mask)[:, :1], atol=1e-6)


def test_the_transformer_is_torchs_own() -> None:
    """The same weights in torch's layer give the same result (post-norm, ReLU)."""
    torch.manual_seed(0)
    ours = Encoder(8, 1, 2, 16, 0.0).eval()
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).eval()
    layer = ours.layers[0]
    names = {
        "self_attn.in_proj_weight": layer.attention.qkv.weight,
        "self_attn.in_proj_bias": layer.attention.qkv.bias,
        "self_attn.out_proj.weight": layer.attention.out.weight,
        "self_attn.out_proj.bias": layer.attention.out.bias,
        "linear1.weight": layer.hidden.weight,
        "linear1.bias": layer.hidden.bias,
        "linear2.weight": layer.shown.weight,
        "linear2.bias": layer.shown.bias,
        "norm1.weight": layer.norms[0].weight,
        "norm1.bias": layer.norms[0].bias,
        "norm2.weight": layer.norms[1].weight,
        "norm2.bias": layer.norms[1].bias,
    }
    theirs.load_state_dict(names)
    x, mask = torch.randn(2, 4, 8), torch.tensor([[True] * 4, [True, True, False, False]])
    expected = theirs(x, src_key_padding_mask=~mask)
    assert torch.allclose(ours(x, mask)[0], expected[0], atol=1e-5)
    assert torch.allclose(ours(x, mask)[1, :2], expected[1, :2], atol=1e-5)


def test_prepend_puts_a_real_token_first() -> None:
    x, mask = prepend(torch.ones(2), TOKENS, MASK)
    assert x.shape == (2, 4, 2)
    assert x[:, 0].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert mask[:, 0].all()


@pytest.mark.parametrize("kind", ["tanh", "ste", "select"])
def test_hash_heads_have_gradients_and_stay_in_range(kind: str) -> None:
    torch.manual_seed(0)
    head = HashHead(6, 8, kind)  # type: ignore[arg-type]
    relaxed = head(torch.randn(16, 6))
    assert relaxed.shape == (16, 8)
    assert relaxed.abs().max() <= 1
    if kind == "ste":
        assert set(relaxed.detach().round(decimals=5).unique().tolist()) == {-1.0, 1.0}
    relaxed.square().sum().backward() if kind != "ste" else relaxed.sum().backward()
    assert head.project.weight.grad is not None
    assert head.project.weight.grad.abs().sum() > 0


def test_standardise_takes_out_mean_and_spread() -> None:
    torch.manual_seed(0)
    rows = torch.randn(500, 4) * 3 + 7
    layer = Standardise(4)
    layer.learn(rows)
    out = layer(rows)
    assert out.mean(0).abs().max() < 1e-5
    assert out.square().mean().item() == pytest.approx(1.0, rel=1e-4)


def test_pooling_may_begin_as_the_mean() -> None:
    torch.manual_seed(0)
    tokens, mask = torch.randn(3, 5, 4), torch.arange(5) < torch.tensor([[5], [2], [1]])
    torch.testing.assert_close(GPO(even=True)(tokens, mask), masked_mean(tokens, mask))
    assert not torch.allclose(GPO()(tokens, mask), masked_mean(tokens, mask))
