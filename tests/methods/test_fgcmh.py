"""TECMH: its terms by hand, its switches, and what each part sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.fgcmh import FGCMH, FGCMHConfig, _coarser
from crossbit.testing import check_method

DIMS = {"image": (6, 6), "text": (5, 5)}
TINY = FGCMHConfig(bits=32, width=16, refine_width=16, refine_layers=1, reason_layers=1, heads=2, hidden=16)


def encoded(modality: str, rows: int = 4, tokens: int = 9, seed: int = 0) -> Encoded:
    draw = torch.Generator().manual_seed(seed)
    width = DIMS[modality][0]
    mask = torch.ones(rows, tokens, dtype=torch.bool)
    return Encoded(
        modality,  # type: ignore[arg-type]
        torch.randn(rows, tokens, width, generator=draw),
        mask,
        torch.randn(rows, width, generator=draw),
    )


def batch() -> Batch:
    return Batch({"image": encoded("image"), "text": encoded("text", seed=1)}, torch.arange(4), torch.arange(4))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"refine_layers": 0, "reason_layers": 0, "pool": "mean", "loss": "infonce"},
        {"share_reasoning": False},
        {"pool": "mean"},
        {"pool": "max"},
        {"pool": "gpo"},
        {"hash": "select"},
        {"hash": "ste"},
        {"summary": False},
        {"loss": "infonce", "canonical": True, "code_noise": 0.3, "norm_first": True, "grid": 2},
    ],
)
def test_every_switch_keeps_the_contract(changes: dict[str, object]) -> None:
    check_method(FGCMH, config=replace(TINY, **changes), dims=DIMS)  # type: ignore[arg-type]


def test_the_terms_are_the_formulas() -> None:
    torch.manual_seed(0)
    method = FGCMH(replace(TINY, dropout=0.0, mean_negatives=0.0), DIMS).eval()
    data, early, late = batch(), Moment("train", 0.0), Moment("train", 1.0)
    terms = method.losses(data, late)
    image, text = (method.relax(data[view]) for view in ("image", "text"))
    code = image @ text.T / 32
    positive, worst = code.diagonal(), code - 9 * torch.eye(4)
    hinge = (0.2 + worst.amax(1) - positive).clamp(min=0) + (0.2 + worst.amax(0) - positive).clamp(min=0)
    assert torch.allclose(terms["code"], hinge, atol=1e-6)
    away = sum(((h - torch.where(h >= 0, 1.0, -1.0)) ** 2).mean(1) for h in (image, text))
    assert torch.allclose(terms["quantisation"], 0.1 * away, atol=1e-6)
    assert method.losses(data, early)["quantisation"].abs().max() == 0  # too early it freezes the bits
    assert terms["balance"].shape == ()
    assert set(terms) == {"code", "dense", "quantisation", "balance"}


def test_mean_negatives_come_first() -> None:
    torch.manual_seed(0)
    method = FGCMH(replace(TINY, mean_negatives=0.5), DIMS).eval()
    early, late = (method.losses(batch(), Moment("train", progress))["dense"] for progress in (0.4, 0.6))
    assert torch.all(early <= late + 1e-6)
    assert not torch.allclose(early, late)


def test_places_on_the_grid_matter_and_order_of_regions_does_not() -> None:
    torch.manual_seed(0)
    method = FGCMH(TINY, DIMS).eval()
    grid, regions = encoded("image", tokens=9), encoded("image", tokens=7)
    turned = Encoded("image", grid.tokens.flip(1), grid.mask, grid.pooled)
    assert not torch.allclose(method.embed(grid), method.embed(turned), atol=1e-4)
    shuffled = Encoded("image", regions.tokens.flip(1), regions.mask, regions.pooled)
    assert torch.allclose(method.embed(regions), method.embed(shuffled), atol=1e-5)


def test_a_grid_is_averaged_down_by_hand() -> None:
    tokens = torch.arange(16.0).reshape(1, 16, 1)
    coarse, mask, side = _coarser(tokens, torch.ones(1, 16, dtype=torch.bool), 4, 2)
    # the upper left quarter holds 0, 1, 4, 5
    assert coarse.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert (mask.all().item(), side) == (True, 2)
    # of 7 cells, 3 bands take 3 each and overlap by one
    seven = _coarser(torch.ones(1, 49, 1), torch.ones(1, 49, dtype=torch.bool), 7, 3)[0]
    assert seven.flatten().tolist() == pytest.approx([1.0] * 9)


def test_a_canonical_start_brings_pairs_together_before_training() -> None:
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(200, 3)).astype(np.float32)
    pooled = {
        "image": torch.from_numpy(hidden @ draw.normal(size=(3, 6)).astype(np.float32)),
        "text": torch.from_numpy(hidden @ draw.normal(size=(3, 5)).astype(np.float32)),
    }
    views = {view: encoded(view) for view in pooled}

    def agreement(canonical: bool) -> tuple[float, float]:
        torch.manual_seed(0)
        method = FGCMH(replace(TINY, canonical=canonical), DIMS).eval()
        method.prepare(views, pooled, [])
        sides = [
            Encoded(view, rows[:, None], torch.ones(200, 1, dtype=torch.bool), rows)  # type: ignore[arg-type]
            for view, rows in pooled.items()
        ]
        with torch.no_grad():
            dense = method.embed(sides[0]) @ method.embed(sides[1]).T
            codes = method.relax(sides[0]).sign() @ method.relax(sides[1]).sign().T / 32
        return tuple(float(s.diagonal().mean() - s.mean()) for s in (dense, codes))  # type: ignore[return-value]

    with_start, without = agreement(True), agreement(False)
    assert with_start[0] > 0.5 > without[0]
    assert with_start[1] > 0.4 > without[1]
