"""VSE-infinity: pooling by length, size augmentation, the loss's switches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.vse_infinity import VSEInfinity, VSEInfinityConfig
from crossbit.nn.canonical import canonical_maps
from crossbit.nn.dropping import drop_tokens
from crossbit.nn.pooling import GPO

DIMS = {"image": (3, 3), "text": (4, 4)}


def batch(rows: int = 6) -> Batch:
    torch.manual_seed(3)
    views = {}
    for name, (width, _) in DIMS.items():
        mask = torch.arange(5)[None] < torch.tensor([5, 3, 5, 1, 2, 4])[:rows, None]
        views[name] = Encoded(name, torch.randn(rows, 5, width), mask, torch.randn(rows, width))  # type: ignore[arg-type]
    return Batch(views, torch.arange(rows), torch.arange(rows))


def test_weights_by_length_are_the_weights_row_by_row() -> None:
    torch.manual_seed(0)
    pool, view = GPO(), batch().views["image"]
    together = pool(view.tokens, view.mask)
    for row in range(6):
        length = int(view.mask[row].sum())
        alone = pool(view.tokens[row : row + 1, :length], view.mask[row : row + 1, :length])
        torch.testing.assert_close(alone[0], together[row])


def test_uniform_and_first_rank_weights_are_mean_and_max() -> None:
    pool, view = GPO(), batch().views["image"]
    with torch.no_grad():
        pool.weigh.weight.zero_()  # every rank weighs the same
    rows = torch.stack([view.tokens[row][view.mask[row]].mean(0) for row in range(6)])
    torch.testing.assert_close(pool(view.tokens, view.mask), rows)


def test_dropping_leaves_a_token_and_never_adds_one() -> None:
    mask = batch().views["image"].mask
    torch.manual_seed(0)
    for share in (0.0, 0.5, 0.999):
        kept = drop_tokens(mask, share)
        assert not (kept & ~mask).any()
        assert kept.any(1).all()
    assert torch.equal(drop_tokens(mask, 0.0), mask)
    many = torch.ones(200, 50, dtype=torch.bool)
    assert float(drop_tokens(many, 0.2).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert not drop_tokens(torch.zeros(1, 3, dtype=torch.bool), 0.5).any()


def test_sizes_are_augmented_in_training_alone() -> None:
    method, given = VSEInfinity(VSEInfinityConfig(width=8, hidden=4, drop=0.5), DIMS), batch()
    method.eval()
    first, second = (method.losses(given, Moment())["hinge"] for _ in range(2))
    assert torch.equal(first, second)
    method.train()
    first, second = (method.losses(given, Moment())["hinge"] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_doubted_pair_has_a_smaller_margin() -> None:
    method, given = VSEInfinity(VSEInfinityConfig(width=8, drop=0.0), DIMS).eval(), batch()
    sure = method.losses(given, Moment("train", 1.0))["hinge"]
    doubted = method.losses(replace(given, correspondence=torch.zeros(6)), Moment("train", 1.0))["hinge"]
    assert (doubted <= sure).all()
    assert (doubted < sure).any()


def test_infonce_learns_its_temperature() -> None:
    method = VSEInfinity(VSEInfinityConfig(width=8, loss="infonce"), DIMS)
    method.losses(batch(), Moment())["infonce"].mean().backward()
    assert method.log_scale.grad is not None
    assert float(method.log_scale.grad.abs()) > 0


def test_it_starts_as_the_canonical_maps_of_the_means() -> None:
    torch.manual_seed(0)
    whole = torch.ones(40, 4, dtype=torch.bool)
    tokens = {"image": torch.randn(40, 4, 3), "text": torch.randn(40, 4, 4)}
    views = {name: Encoded(name, rows, whole, rows.mean(1)) for name, rows in tokens.items()}  # type: ignore[arg-type]
    pooled = {name: view.pooled for name, view in views.items()}
    for pool in ("gpo", "mean"):
        config = VSEInfinityConfig(width=3, hidden=4, summary=5, canonical=True, pool=pool, loss="infonce")  # type: ignore[arg-type]
        method = VSEInfinity(config, DIMS).eval()
        method.prepare(views, pooled, [])
        x, y = (pooled[name] - pooled[name].mean(0) for name in ("image", "text"))
        maps = canonical_maps(x, y, 3)
        given = method.embed(views["image"]) @ method.embed(views["text"]).T
        first, second = (torch.nn.functional.normalize(rows @ part) for rows, part in zip((x, y), maps, strict=False))
        # the ridge is a share of the variance, so one common scale of the inputs changes nothing
        torch.testing.assert_close(given, first @ second.T, atol=1e-4, rtol=1e-3)


def test_the_summary_adds_what_the_pooled_vector_says() -> None:
    torch.manual_seed(0)
    method, view = VSEInfinity(VSEInfinityConfig(width=8, hidden=0, summary=6), DIMS).eval(), batch().views["image"]
    network, gpo = method.summarise["image"], method.gpo["image"]
    found = gpo(method.project["image"](view.tokens), view.mask) + network[2](network[0](view.pooled).clamp(min=0))
    torch.testing.assert_close(method.embed(view), torch.nn.functional.normalize(found))


def test_a_coarser_grid_is_the_same_as_coarser_features() -> None:
    torch.manual_seed(0)
    method = VSEInfinity(VSEInfinityConfig(width=8, hidden=4, grid=2), DIMS).eval()
    tokens = torch.randn(2, 16, 3)
    fine = Encoded("image", tokens, torch.ones(2, 16, dtype=torch.bool), tokens.mean(1))
    square = tokens.reshape(2, 2, 2, 2, 2, 3).mean((2, 4)).reshape(2, 4, 3)
    coarse = Encoded("image", square, torch.ones(2, 4, dtype=torch.bool), fine.pooled)
    torch.testing.assert_close(method.embed(fine), method.embed(coarse))
