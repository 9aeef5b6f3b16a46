"""VSE++: the loss worked out by hand, and its switches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.vsepp import VSEPP, VSEPPConfig

DIMS = {"image": (2, 2), "text": (2, 2)}


def straight(config: VSEPPConfig | None = None) -> VSEPP:
    """A method whose heads change nothing, so that the loss can be worked out from the inputs."""
    method = VSEPP(config or VSEPPConfig(width=2), DIMS)
    with torch.no_grad():
        for head in method.heads.values():
            head[1].weight.copy_(torch.eye(2))
            head[1].bias.zero_()
    return method


def batch(correspondence: list[float] | None = None, item: tuple[int, int] = (0, 1)) -> Batch:
    def rows(modality: str, pooled: torch.Tensor) -> Encoded:
        return Encoded(modality, pooled[:, None], torch.ones(2, 1, dtype=torch.bool), pooled)  # type: ignore[arg-type]

    pictures = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    words = torch.tensor([[0.8, 0.6], [0.6, 0.8]])
    return Batch(
        {"image": rows("image", pictures), "text": rows("text", words)},
        torch.tensor(item),
        torch.arange(2),
        correspondence=None if correspondence is None else torch.tensor(correspondence),
    )


def test_the_hinge_by_hand() -> None:
    # similarities [[.8, .6], [.6, .8]]: every negative costs .2 + .6 - .8 = 0, so nothing is lost
    assert straight().losses(batch(), Moment("train", 1.0))["hinge"].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    # a margin of .3 costs .1 in each direction
    wide = straight(VSEPPConfig(width=2, margin=0.3))
    assert wide.losses(batch(), Moment("train", 1.0))["hinge"].tolist() == pytest.approx([0.2, 0.2], abs=1e-6)


def test_a_pair_that_is_not_believed_has_no_margin() -> None:
    wide = straight(VSEPPConfig(width=2, margin=0.3))
    found = wide.losses(batch([0.0, 1.0]), Moment("train", 1.0))["hinge"]
    assert found.tolist() == pytest.approx([0.0, 0.2], abs=1e-6)


def test_rows_of_one_item_are_no_negatives() -> None:
    wide = straight(VSEPPConfig(width=2, margin=0.3))
    assert wide.losses(batch(item=(4, 4)), Moment("train", 1.0))["hinge"].tolist() == [0.0, 0.0]


def test_the_input_is_standardised_by_the_training_rows() -> None:
    method = straight()
    rows = {view: torch.tensor([[3.0, 1.0], [1.0, 3.0]]) for view in ("image", "text")}
    method.prepare({}, rows, [])
    assert method.standardise["image"].mean.tolist() == [2.0, 2.0]
    assert float(method.standardise["image"].spread) == pytest.approx(1.0)


def test_infonce_learns_its_temperature() -> None:
    method = straight(replace(VSEPPConfig(width=2), loss="infonce"))
    method.losses(batch(), Moment())["infonce"].mean().backward()
    assert method.log_scale.grad is not None
    assert method.log_scale.grad.abs() > 0
