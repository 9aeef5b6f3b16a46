"""VSE with alignment and fusion: each objective by hand, the queues, the momentum copies, both uses."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.vse_fusion import VSEFusion, VSEFusionConfig, mined
from crossbit.nn.canonical import canonical_maps
from crossbit.nn.losses import global_to_local

DIMS = {"image": (5, 5), "text": (4, 4)}
CONFIG = VSEFusionConfig(
    width=16, hidden=8, projection=8, drop=0.0, dropout=0.0, queue=6, fusion_input="global", fusion_heads=2
)


def batch(rows: int = 4) -> Batch:
    torch.manual_seed(3)
    views = {}
    for name, (width, _) in DIMS.items():
        mask = torch.arange(3)[None] < torch.tensor([3, 2, 1, 3, 2])[:rows, None]
        views[name] = Encoded(name, torch.randn(rows, 3, width), mask, torch.randn(rows, width))  # type: ignore[arg-type]
    return Batch(views, torch.arange(rows), torch.arange(rows))


def method(**changes: object) -> VSEFusion:
    torch.manual_seed(1)
    made = VSEFusion(replace(CONFIG, **changes), DIMS)  # type: ignore[arg-type]
    given = batch()
    made.prepare(given.views, {}, [f"caption {n}" for n in range(40)])
    return made


def test_global_against_local_by_hand() -> None:
    whole = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    parts = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [9.0, 9.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    found = global_to_local(whole, parts, mask, torch.eye(2, dtype=torch.bool), 1.0)
    # the first vector scores 1 and 0 with its parts and 0 with the other's one real part
    first = (math.log(math.e + 1) - 1 + math.log(2)) / 2
    # the second scores 1 with its part, and 0 and 1 with the other's
    second = math.log(math.e + 1 + math.e) - 1
    assert found.tolist() == pytest.approx([first, second], abs=1e-6)
    together = global_to_local(whole, parts, mask, torch.ones(2, 2, dtype=torch.bool), 1.0)
    assert together.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)  # parts of the same item are no negatives


def test_mined_negatives_are_wrong_and_mostly_hard() -> None:
    similarity = torch.tensor([[0.9, 0.8, -0.9], [0.8, 0.9, 0.9], [0.0, 0.0, 0.9]]).repeat(1, 1)
    positives = torch.eye(3, dtype=torch.bool)
    torch.manual_seed(0)
    drawn = torch.stack([mined(similarity, positives) for _ in range(200)])
    assert (drawn != torch.arange(3)).all()
    assert (drawn[:, 0] == 1).float().mean() > 0.95
    assert mined(similarity, torch.ones(3, 3, dtype=torch.bool)).tolist() == [1, 2, 0]  # none is wrong: the next


def test_it_trains_in_half_precision() -> None:
    made = method()
    with torch.autocast("cpu", torch.bfloat16):
        terms = made.train().losses(batch(), Moment())
    sum(term.float().mean() for term in terms.values()).backward()  # type: ignore[union-attr]
    assert all(bool(torch.isfinite(term).all()) for term in terms.values())
    assert made.towers["image"].project.weight.grad is not None  # type: ignore[union-attr]
    made.after_step()
    assert made.queue_itc_text.dtype == torch.float32
    assert int(made.queue_filled) == 4


def test_the_queue_is_at_most_a_quarter_of_the_data_and_goes_round() -> None:
    made = method(queue=64)
    assert int(made.queue_room) == 10
    made = method()
    for _ in range(2):
        made.losses(batch(), Moment())
        made.after_step()
    assert made.queue_item.tolist() == [2, 3, 2, 3, 0, 1]
    assert int(made.queue_filled) == 8


def test_what_the_queue_holds_of_the_own_item_is_no_negative() -> None:
    made, given = method(), batch()
    key = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    made.queue_itc_text[:] = torch.nn.functional.normalize(torch.randn(6, 8), dim=-1)
    made.queue_item[:] = torch.tensor([0, 0, 1, 9, -1, 3])
    logits = made._against("itc_text", key, key, given)
    hidden = logits <= -1e4
    assert hidden[:, 4:].tolist() == [
        [True, True, False, False, True, False],
        [False, False, True, False, True, False],
        [False, False, False, False, True, False],
        [False, False, False, False, True, True],
    ]
    assert not hidden[:, :4].any()


def test_momentum_copies_follow_slowly() -> None:
    made = method(momentum=0.9)
    before = made.old["tower_image"].project.weight.clone()  # type: ignore[union-attr]
    with torch.no_grad():
        made.towers["image"].project.weight += 1.0  # type: ignore[operator, union-attr]
    made.after_step()
    torch.testing.assert_close(made.old["tower_image"].project.weight, before + 0.1)  # type: ignore[union-attr]
    assert not any(p.requires_grad for p in made.old.parameters())


@pytest.mark.parametrize("name", ["itc", "ims", "lmi", "itm"])
def test_each_objective_can_be_left_out(name: str) -> None:
    terms = method(**{f"{name}_weight": 0.0}).losses(batch(), Moment())
    assert set(terms) == {"hinge", "itc", "ims", "lmi", "itm"} - {name}


@pytest.mark.parametrize("reading", ["global", "tokens"])
def test_the_score_is_the_match_and_half_the_cosine_whoever_asks(reading: str) -> None:
    made, given = method(fusion_input=reading).eval(), batch()
    image, text = given["image"], given["text"]
    scores = made.score((text,), (image,))
    torch.testing.assert_close(made.score((image,), (text,)), scores.T)
    cosines = made.embed(text) @ made.embed(image).T
    matched = scores - 0.5 * cosines
    assert ((matched > 0) & (matched < 1)).all()
    torch.testing.assert_close(method(itm_weight=0.0).eval().score((text,), (image,)).shape, cosines.shape)


def test_alignment_sums_to_one_over_real_tokens() -> None:
    given = batch()
    found = method().align(given["text"], given["image"])
    torch.testing.assert_close(found.sum(2), given["text"].mask.float())
    assert (found * ~given["image"].mask[:, None]).abs().sum() == 0


def test_it_starts_where_pooled_pairs_agree_and_its_heads_keep_the_cosines() -> None:
    torch.manual_seed(0)
    config = replace(CONFIG, width=4, projection=4, summary=5, canonical=True)
    views = {}
    for name, (width, _) in DIMS.items():
        tokens = torch.randn(40, 4, width)
        views[name] = Encoded(name, tokens, torch.ones(40, 4, dtype=torch.bool), tokens.mean(1))  # type: ignore[arg-type]
    made, pooled = VSEFusion(config, DIMS).eval(), {name: view.pooled for name, view in views.items()}
    made.prepare(views, pooled, ["caption"] * 40)
    maps = canonical_maps(*(rows - rows.mean(0) for rows in pooled.values()), 4)
    first, second = (
        torch.nn.functional.normalize((rows - rows.mean(0)) @ part)
        for rows, part in zip(pooled.values(), maps[:2], strict=True)
    )
    image, text = made.embed(views["image"]), made.embed(views["text"])
    torch.testing.assert_close(image @ text.T, first @ second.T, atol=1e-4, rtol=1e-3)
    for use in ("itc", "ims", "lmi"):
        projected = made.heads[f"{use}_image"](image) @ made.heads[f"{use}_text"](text).T
        torch.testing.assert_close(projected, image @ text.T, atol=1e-4, rtol=1e-3)
    for name, head in made.old.items():
        for old, young in zip(head.parameters(), made._young(name).parameters(), strict=True):
            assert torch.equal(old, young)


def test_infonce_may_stand_in_the_place_of_the_hinge() -> None:
    given = batch()
    made = method(
        loss="infonce", hinge_weight=2.0, itc_weight=0.0, ims_weight=0.0, lmi_weight=0.0, itm_weight=0.0
    ).eval()
    scores = made.embed(given["image"]) @ made.embed(given["text"]).T / 0.07
    by_hand = 2 * torch.stack([-0.5 * (scores[i].log_softmax(0)[i] + scores[:, i].log_softmax(0)[i]) for i in range(4)])
    terms = made.losses(given, Moment())
    assert list(terms) == ["infonce"]
    torch.testing.assert_close(terms["infonce"], by_hand)


@torch.no_grad()
def test_it_looks_through_a_coarser_grid() -> None:
    torch.manual_seed(0)
    made, tokens = method(grid=2).eval(), torch.randn(1, 16, 5)
    image = Encoded("image", tokens, torch.ones(1, 16, dtype=torch.bool), tokens.mean(1))
    square = tokens.reshape(1, 2, 2, 2, 2, 5).mean((2, 4)).reshape(1, 4, 5)
    coarse = Encoded("image", square, torch.ones(1, 4, dtype=torch.bool), image.pooled)
    text = batch()["text"][torch.tensor([0])]
    torch.testing.assert_close(made.embed(image), made.embed(coarse))
    torch.testing.assert_close(made.score((text,), (image,)), made.score((text,), (coarse,)))
    fine, few = made.align(text, image), made.align(text, coarse)
    torch.testing.assert_close(fine, few.reshape(1, 3, 2, 1, 2, 1).expand(1, 3, 2, 2, 2, 2).reshape(1, 3, 16) / 4)
    torch.testing.assert_close(made.align(image, text)[0, 5], made.align(coarse, text)[0, 0])


@torch.no_grad()
def test_the_match_may_begin_as_the_cosine() -> None:
    made, given = method(match_cosine=True, cosine_share=0.0).eval(), batch()
    cosines = made.embed(given["text"]) @ made.embed(given["image"]).T
    torch.testing.assert_close(made.score((given["text"],), (given["image"],)), torch.sigmoid(cosines / 0.07))
