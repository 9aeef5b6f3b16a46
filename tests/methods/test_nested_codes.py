"""Codes inside codes: the losses of every prefix, and what they are for."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods import METHODS
from crossbit.methods.dcmh import DCMH, DCMHConfig
from crossbit.methods.fgcmh import FGCMH, FGCMHConfig
from crossbit.nn.hashing import itq, nested_itq, over_lengths
from crossbit.nn.losses import info_nce, pairwise_likelihood, shares_label
from crossbit.testing import check_method

DIMS = {"image": (1, 6), "text": (1, 5)}


def batch(rows: int = 6, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    views = {
        name: Encoded(
            name,  # type: ignore[arg-type]
            torch.zeros(rows, 0, 1),
            torch.zeros(rows, 0, dtype=torch.bool),
            torch.randn(rows, width, generator=draw),
        )
        for name, (_, width) in DIMS.items()
    }
    labels = torch.eye(3)[torch.arange(rows) % 3]
    return Batch(views, torch.arange(rows), torch.arange(rows), labels)


def test_a_nested_loss_is_the_mean_over_the_prefixes() -> None:
    rows = torch.arange(40.0).reshape(1, 40)
    # prefixes of 16, 32 and all 40: sums 0..15 = 120, 0..31 = 496, 0..39 = 780
    assert over_lengths(40, True, lambda k: rows[:, :k].sum(1)).tolist() == [pytest.approx((120 + 496 + 780) / 3)]
    assert over_lengths(40, False, lambda k: rows[:, :k].sum(1)).tolist() == [780]


def test_dcmh_learns_the_similarity_at_every_length() -> None:
    torch.manual_seed(0)
    method, given = DCMH(DCMHConfig(32, 8, nested=True), DIMS).eval(), batch()
    image, text = method.relax(given["image"]), method.relax(given["text"])
    assert given.labels is not None
    similar = shares_label(given.labels)
    each = [pairwise_likelihood(image[:, :k], text[:, :k], similar) for k in (16, 32)]
    torch.testing.assert_close(method.losses(given, Moment())["similarity"], (each[0] + each[1]) / 2)


@pytest.mark.parametrize("name", ["dcmh", "djsrh", "ucch", "cmhr_drn"])
def test_a_nested_method_keeps_its_promises(name: str) -> None:
    module, cls = METHODS[name].split(":")
    method = getattr(import_module(module), cls)
    extra = {"text_net": "pooled"} if name == "cmhr_drn" else {}
    config = replace(method.Config.small(), bits=48, hidden=32, nested=True, **extra)
    assert len(check_method(method, config=config)) >= 7


def test_fgcmh_ranks_by_every_prefix() -> None:
    torch.manual_seed(0)
    small = {"width": 8, "refine_width": 8, "hidden": 8, "heads": 2, "code_noise": 0.0, "canonical": False}
    config = replace(FGCMHConfig.small(), bits=32, nested=True, **small)  # type: ignore[arg-type]
    method, given = FGCMH(config, DIMS).eval(), batch()
    tokens = {
        view: replace(x, tokens=torch.ones(6, 1, 1), mask=torch.ones(6, 1, dtype=torch.bool))
        for view, x in given.views.items()
    }
    given = replace(given, views=tokens)
    image, text = (method.relax(given[view]) for view in ("image", "text"))
    alone = torch.eye(6, dtype=torch.bool)
    each = [info_nce(image[:, :k] @ text[:, :k].T / k, alone, 1 / 0.07) for k in (16, 32)]
    torch.testing.assert_close(method.losses(given, Moment())["code"], (each[0] + each[1]) / 2)


def test_the_first_bits_are_better_when_they_were_trained_for_it() -> None:
    def first_bits_are_right(nested: bool) -> float:
        torch.manual_seed(0)
        method, given = DCMH(DCMHConfig(128, 16, nested=nested), DIMS), batch(12, seed=1)
        optimiser = torch.optim.Adam(method.parameters(), 1e-2)
        for _ in range(40):
            optimiser.zero_grad()
            method.losses(given, Moment())["similarity"].mean().backward()
            optimiser.step()
        method.eval()
        assert given.labels is not None
        code = [method.relax(given[view])[:, :16] for view in ("image", "text")]
        return float(pairwise_likelihood(*code, shares_label(given.labels)).mean().detach())

    assert first_bits_are_right(True) < first_bits_are_right(False)


def test_every_prefix_of_a_nested_rotation_has_the_strong_directions() -> None:
    draw = np.random.default_rng(0)
    rows = torch.from_numpy((draw.standard_normal((500, 24)) * np.linspace(3, 0.1, 24)).astype(np.float32))
    made = nested_itq(rows, 64)
    assert made.shape == (24, 64)
    variance = rows.square().sum(0)

    def strong(columns: torch.Tensor) -> float:
        """Give the share of the directions' energy in the eight strongest dimensions."""
        return float(columns[:8].square().sum() / columns.square().sum())

    assert variance[:8].sum() > variance[8:].sum()
    assert strong(made[:, :16]) > strong(made) > 0.3
    assert torch.equal(made[:, :16], itq(rows, 16, 8))  # the shortest is what would be made at that length
