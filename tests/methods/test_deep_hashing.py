"""DCMH, DJSRH, UCCH and CMDN: terms worked out by hand, the bank, what labels do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.errors import BatchError
from crossbit.methods.cmdn import CMDN, CMDNConfig
from crossbit.methods.dcmh import DCMH, DCMHConfig
from crossbit.methods.djsrh import DJSRH, DJSRHConfig
from crossbit.methods.ucch import UCCH, UCCHConfig, _soft_ranking
from crossbit.nn.losses import pairwise_likelihood, shares_label

DIMS = {"image": (1, 6), "text": (1, 5)}


def batch(rows: int = 6, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    views = {
        name: Encoded(name, torch.zeros(rows, 0, 1), torch.zeros(rows, 0, dtype=torch.bool), torch.randn(rows, width))  # type: ignore[arg-type]
        for name, (_, width) in DIMS.items()
    }
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 1]])[:rows]
    return Batch(views, torch.arange(rows), torch.arange(rows), labels)


def test_rows_are_similar_where_they_share_a_label() -> None:
    found = shares_label(torch.tensor([[1.0, 0], [1, 1], [0, 1]]))
    assert found.tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]


def test_the_likelihood_by_hand() -> None:
    # 16 / K = 8 at two bits: th is 16, 0 and -16
    first, second = torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    similar = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    near, half = math.log1p(math.exp(-16)), math.log(2)
    found = pairwise_likelihood(first, second, similar)
    assert found.tolist() == pytest.approx([near, half], abs=1e-5)
    # three of four similar: each of them counts .5/.75, the other .5/.25
    similar = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    balanced = pairwise_likelihood(first, second, similar, balanced=True)
    assert balanced.tolist() == pytest.approx([near * (2 / 3 + 2) / 2, half * 2 / 3], abs=1e-5)


def test_dcmh_needs_labels() -> None:
    with pytest.raises(BatchError, match="dcmh: the data has no labels"):
        DCMH(DCMHConfig(8, 4), DIMS).losses(replace(batch(), labels=None), Moment())


def test_dcmh_brings_items_with_a_common_label_together() -> None:
    torch.manual_seed(0)
    method, given = DCMH(DCMHConfig(16, 32), DIMS), batch()
    optimiser = torch.optim.Adam(method.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        torch.stack([term.mean() for term in method.losses(given, Moment()).values()]).sum().backward()
        optimiser.step()
    method.eval()
    codes = method.relax(given["image"]) @ method.relax(given["text"]).T
    assert given.labels is not None
    similar = shares_label(given.labels) > 0
    assert codes[similar].min() > codes[~similar].max()


def test_the_joint_affinity_of_djsrh_by_hand() -> None:
    method = DJSRH(DJSRHConfig(8, 4, beta=0.6, eta=0.4), {"image": (1, 2), "text": (1, 2)})
    rows = {"image": [[1.0, 0.0], [0.0, 1.0]], "text": [[1.0, 0.0], [1.0, 0.0]]}
    views = {
        name: Encoded(name, torch.zeros(2, 0, 1), torch.zeros(2, 0, dtype=torch.bool), torch.tensor(values))  # type: ignore[arg-type]
        for name, values in rows.items()
    }
    # cosines I and all-ones: S~ = [[1, .4], [.4, 1]], S~ S~^T / 2 = [[.58, .4], [.4, .58]]
    found = method._affinity(Batch(views, torch.arange(2), torch.arange(2)))
    assert found.flatten().tolist() == pytest.approx([0.6 + 0.4 * 0.58, 0.4, 0.4, 0.6 + 0.4 * 0.58])


def test_djsrh_sharpens_with_the_epochs_and_not_at_use() -> None:
    method, given = DJSRH(DJSRHConfig(8, 4), DIMS).eval(), batch()
    early, late = (method.losses(given, Moment("train", 0.5, epoch)) for epoch in (0, 8))
    assert not torch.equal(early["across"], late["across"])
    steep = method.networks["image"](given["image"].pooled, 3.0)
    plain = method.relax(given["image"])
    torch.testing.assert_close(torch.atanh(steep), 3 * torch.atanh(plain), rtol=1e-3, atol=1e-3)


def test_the_bank_of_ucch_moves_to_the_mean_of_both_codes() -> None:
    method, given = UCCH(UCCHConfig(8, 4, negatives=4), DIMS), batch()
    method.losses(given, Moment())
    assert method.item_of.tolist() == [-1] * 6
    image, text = method._seen[2], method._seen[3]  # type: ignore[index]
    method.after_step()
    assert torch.equal(method.bank, torch.where(0.6 * (image + text) / 2 >= 0, 1.0, -1.0))
    assert method.item_of.tolist() == list(range(6))
    before = method.bank.clone()
    method.after_step()  # nothing new was seen
    assert torch.equal(method.bank, before)


def test_places_of_the_own_item_are_no_negatives() -> None:
    method, given = UCCH(UCCHConfig(8, 4, negatives=500, alpha=1.0), DIMS).eval(), batch()
    method.losses(given, Moment())
    method.after_step()
    method.item_of.fill_(3)  # now every place shows item 3
    found = method.losses(given, Moment())["contrast"]
    assert found[3].item() == pytest.approx(0.0, abs=1e-5)
    assert (found[[0, 1, 2, 4, 5]] > 0.01).all()


def test_the_soft_ranking_nears_the_hardest_negative() -> None:
    similarity = torch.tensor([[0.5, 0.6, 0.1], [0.0, 0.9, 0.2], [0.3, 0.1, 0.4]])
    found = _soft_ranking(similarity, torch.eye(3, dtype=torch.bool), 0.2, 1e-4)
    # rows .2 + .6 - .5, none, .2 + .3 - .4; columns none, none, none
    assert found.tolist() == pytest.approx([0.3, 0.0, 0.1], abs=1e-3)


def test_cmdn_learns_labels_where_it_has_some() -> None:
    given = batch()
    assert set(CMDN(CMDNConfig(8, 8, 4), DIMS).losses(given, Moment())) == {"rebuilding", "correspondence"}
    method = CMDN(CMDNConfig(8, 8, 4, classes=3), DIMS)
    assert "labels" in method.losses(given, Moment())
    assert "labels" not in method.losses(replace(given, labels=None), Moment())


def test_codes_of_cmdn_are_about_even() -> None:
    method, given = CMDN(CMDNConfig(16, 8, 4), DIMS), batch()
    for _ in range(60):  # the running means settle
        method.losses(given, Moment())
    method.eval()
    assert abs(float(torch.sign(method.relax(given["image"]).detach()).mean())) < 0.4
