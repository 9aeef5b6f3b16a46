"""SCAN: scores by hand, both directions, blocks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods import scan
from crossbit.methods.scan import SCAN, SCANConfig
from crossbit.nn.canonical import canonical_maps

DIMS = {"image": (2, 2), "text": (2, 2)}


def straight(**changes: object) -> SCAN:
    method = SCAN(SCANConfig(width=2, inverse_temperature=math.log(4.0), **changes), DIMS)  # type: ignore[arg-type]
    with torch.no_grad():
        for layer in method.project.values():
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    return method.eval()


def view(modality: str, rows: list[list[list[float]]]) -> Encoded:
    tokens = torch.tensor(rows)
    return Encoded(modality, tokens, torch.ones(tokens.shape[:2], dtype=torch.bool), tokens.mean(1))  # type: ignore[arg-type]


def test_one_word_and_two_regions_by_hand() -> None:
    # the word is (1, 0); the regions (1, 0) and (-1, 0) have affinities 1 and -.1, each over its own length: 1 and -1;
    # softmax at log 4 gives 4 and 1/4 over 4.25, so it sees (3.75/4.25, 0), whose cosine with the word is 1
    image, text = view("image", [[[1.0, 0.0], [-1.0, 0.0]]]), view("text", [[[1.0, 0.0]]])
    method = straight(pool="mean")
    assert method.score((image,), (text,)).item() == pytest.approx(1.0)
    assert method.align(text, image)[0, 0].tolist() == pytest.approx([4 / 4.25, 0.25 / 4.25])
    # regions (1, 0) and (0, 1): affinities 1 and 0, weights 4/5 and 1/5, seen (.8, .2), cosine .8 / sqrt(.68)
    image = view("image", [[[1.0, 0.0], [0.0, 1.0]]])
    assert method.score((image,), (text,)).item() == pytest.approx(0.8 / math.sqrt(0.68))
    # log-sum-exp of one word is its cosine
    assert straight(pool="lse").score((image,), (text,)).item() == pytest.approx(0.8 / math.sqrt(0.68), abs=1e-5)


def test_regions_ask_in_the_other_direction() -> None:
    # each region sees the one word whole: cosines 1 and 0, mean one half
    image, text = view("image", [[[1.0, 0.0], [0.0, 1.0]]]), view("text", [[[1.0, 0.0]]])
    assert straight(direction="i2t", pool="mean").score((image,), (text,)).item() == pytest.approx(0.5)


@torch.no_grad()
@pytest.mark.parametrize("direction", ["t2i", "i2t"])
def test_either_side_may_ask_and_blocks_change_nothing(direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    method = straight(direction=direction)
    image, text = view("image", torch.randn(5, 3, 2).tolist()), view("text", torch.randn(4, 2, 2).tolist())
    whole = method.score((image,), (text,))
    torch.testing.assert_close(method.score((text,), (image,)), whole.T)
    monkeypatch.setattr(scan, "_NUMBERS", 1)
    torch.testing.assert_close(method.score((image,), (text,)), whole)


@pytest.mark.parametrize("pool", ["mean", "lse"])
@pytest.mark.parametrize("direction", ["t2i", "i2t"])
def test_training_scores_what_evaluation_scores_also_with_tokens_left_out(direction: str, pool: str) -> None:
    torch.manual_seed(0)
    method = straight(direction=direction, pool=pool)
    image, text = view("image", torch.randn(7, 3, 2).tolist()), view("text", torch.randn(9, 4, 2).tolist())
    mask = torch.rand(9, 4) > 0.5
    mask[:, 2] = True
    text = replace(text, mask=mask)
    image = replace(image, mask=torch.rand(7, 3) > 0.3)
    learned = method.score((image,), (text,))
    assert learned.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(learned.detach(), method.score((image,), (text,)))


@torch.no_grad()
def test_a_coarser_grid_is_the_same_as_coarser_features_and_shares_its_looks() -> None:
    torch.manual_seed(0)
    method = SCAN(SCANConfig(width=4, grid=2), DIMS).eval()
    tokens = torch.randn(1, 16, 2)
    fine = Encoded("image", tokens, torch.ones(1, 16, dtype=torch.bool), tokens.mean(1))
    square = tokens.reshape(1, 2, 2, 2, 2, 2).mean((2, 4)).reshape(1, 4, 2)
    coarse, text = view("image", square.tolist()), view("text", torch.randn(1, 3, 2).tolist())
    torch.testing.assert_close(method.score((text,), (fine,)), method.score((text,), (coarse,)))
    few = method.align(text, coarse).reshape(1, 3, 2, 1, 2, 1)
    torch.testing.assert_close(method.align(text, fine), few.expand(1, 3, 2, 2, 2, 2).reshape(1, 3, 16) / 4)
    back = method.align(coarse, text).reshape(1, 2, 1, 2, 1, 3)
    torch.testing.assert_close(method.align(fine, text), back.expand(1, 2, 2, 2, 2, 3).reshape(1, 16, 3))


def test_infonce_from_a_canonical_start() -> None:
    torch.manual_seed(0)
    views = {name: view(name, torch.randn(20, 1, 2).tolist()) for name in DIMS}
    method = SCAN(SCANConfig(width=2, loss="infonce", canonical=True), DIMS).eval()
    method.prepare(views, {name: some.pooled for name, some in views.items()}, [])
    x, y = (views[name].pooled - views[name].pooled.mean(0) for name in DIMS)
    expected = [torch.nn.functional.normalize(a @ b) for a, b in zip((x, y), canonical_maps(x, y, 2), strict=False)]
    # one token a side: it sees the other whole, so scores are cosines
    scores = method.score((views["image"],), (views["text"],))
    torch.testing.assert_close(scores, expected[0] @ expected[1].T, atol=1e-4, rtol=1e-3)
    batch = Batch(views, torch.arange(20), torch.arange(20))
    logits = (scores / 0.07).detach()
    by_hand = -0.5 * (logits.log_softmax(1) + logits.log_softmax(0)).diagonal()
    torch.testing.assert_close(method.losses(batch, Moment())["infonce"], by_hand, atol=1e-4, rtol=1e-4)
