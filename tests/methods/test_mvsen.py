"""MVSEN: its score by loops over single tokens in float64, both tasks by hand, switches, blocks, what it may read."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossbit.batch import Batch, Encoded, Moment
from crossbit.encoders.words import Words
from crossbit.methods import mvsen
from crossbit.methods.mvsen import MVSEN, MVSENConfig
from crossbit.nn.canonical import canonical_maps
from crossbit.nn.groups import alike

DIMS = {"image": (5, 5), "text": (4, 4)}
CONFIG = MVSENConfig(
    width=8, text="linear", heads=2, memory=3, hidden=6, node=8, graph_layers=2, classes=3, label_hidden=4, dropout=0.0
)


def made(dims: dict[str, tuple[int, int]] | None = None, **changes: object) -> MVSEN:
    torch.manual_seed(1)
    return MVSEN(replace(CONFIG, **changes), dims or DIMS).double().eval()  # type: ignore[arg-type]


def batch(rows: int = 3, positive: bool = False) -> Batch:
    torch.manual_seed(3)
    views = {}
    for name, width in {"image": 5, "text": 4, **({"positive": 4} if positive else {})}.items():
        mask = torch.arange(3)[None] < torch.tensor([3, 2, 1, 3, 2])[:rows, None]
        kind = "image" if name == "image" else "text"
        views[name] = Encoded(kind, torch.randn(rows, 3, width).double(), mask, torch.zeros(rows, 1))  # type: ignore[arg-type]
    return Batch(views, torch.arange(rows), torch.arange(rows), torch.eye(rows, 3).double())


def weights_by_loops(own: Tensor, seen: Tensor, temperature: float) -> Tensor:
    """Give the attention of SCAN for one pair without padding, number by number."""
    s = [[float(x @ y) for y in seen] for x in own]
    s = [[max(value, 0.1 * value) for value in row] for row in s]
    for j in range(len(seen)):
        norm = math.sqrt(sum(row[j] ** 2 for row in s))
        for row in s:
            row[j] /= norm
    rows = [[math.exp(temperature * value) for value in row] for row in s]
    return torch.tensor([[value / sum(row) for value in row] for row in rows], dtype=torch.float64)


def score_by_loops(reasoner: torch.nn.Module, own: Tensor, seen: Tensor, temperature: float) -> float:
    weights = weights_by_loops(own, seen, temperature)
    nodes = []
    for i in range(len(own)):
        attended = sum(weights[i, j] * seen[j] for j in range(len(seen)))
        node = reasoner.node((attended - own[i]) ** 2)
        nodes.append(node / math.sqrt(sum(float(x) ** 2 for x in node)))
    for layer in reasoner.layers:
        moved = []
        for node in nodes:
            edges = [math.exp(float(layer.query(node) @ layer.key(other))) for other in nodes]
            moved.append(node + sum(edge / sum(edges) * other for edge, other in zip(edges, nodes, strict=True)))
        nodes = moved
    return sum(float(reasoner.score(node)) for node in nodes) / len(nodes)


@torch.no_grad()
@pytest.mark.parametrize("direction", ["t2i", "i2t", "both"])
def test_the_score_is_the_formula_for_every_pair(direction: str) -> None:
    method, given = made(direction=direction), batch()
    scores = method.score((given["text"],), (given["image"],))
    for row in range(3):
        for column in range(3):
            length, regions = int(given["text"].mask[row].sum()), int(given["image"].mask[column].sum())
            words = method.side(given["text"][torch.tensor([row])]).late[0, :length]
            cells = method.side(given["image"][torch.tensor([column])]).late[0, :regions]
            expected = [
                score_by_loops(method.reason[name], *((words, cells) if name == "t2i" else (cells, words)), 10.0)
                for name in method.directions
            ]
            assert float(scores[row, column]) == pytest.approx(sum(expected) / len(expected), abs=1e-6)


@torch.no_grad()
def test_a_share_of_the_cosine_is_added() -> None:
    given, changes = batch(), {"direction": "t2i"}
    with_it, without = made(cosine_share=0.5, **changes), made(**changes)
    words = without.side(given["text"][torch.tensor([1])]).late[0, :2]
    regions = without.side(given["image"][torch.tensor([0])]).late[0, :3]
    seen = weights_by_loops(words, regions, 10.0) @ regions
    cosines = (words * seen).sum(1) / (words.norm(dim=1) * seen.norm(dim=1))
    gap = with_it.score((given["text"],), (given["image"],)) - without.score((given["text"],), (given["image"],))
    assert float(gap[1, 0]) == pytest.approx(0.5 * float(cosines.mean()), abs=1e-6)


@torch.no_grad()
def test_the_shared_encoder_is_one_for_both_sides() -> None:
    method = made(dims={"image": (4, 4), "text": (4, 4)})
    method.enter["image"].load_state_dict(method.enter["text"].state_dict())  # type: ignore[union-attr]
    text = batch()["text"]
    image = replace(text, modality="image")
    torch.testing.assert_close(method.side(text).late, method.side(image).late)


@torch.no_grad()
def test_either_side_may_ask_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    method, given = made(), batch(5)
    whole = method.score((given["text"],), (given["image"],))
    torch.testing.assert_close(method.score((given["image"],), (given["text"],)), whole.T)
    monkeypatch.setattr(mvsen, "_NUMBERS", 1)
    torch.testing.assert_close(method.score((given["text"],), (given["image"],)), whole)


@torch.no_grad()
def test_it_looks_where_the_attention_says_also_through_a_coarser_grid() -> None:
    method, given = made(), batch()
    looked = method.align(given["text"], given["image"])
    words, regions = (method.side(given[name]).late for name in ("text", "image"))
    expected = weights_by_loops(words[1, :2], regions[1, :2], 10.0)
    torch.testing.assert_close(looked[1, :2, :2], expected, rtol=0, atol=1e-6)
    assert float(looked[1, 2:].abs().sum() + looked[1, :, 2:].abs().sum()) == 0
    grid = Encoded("image", torch.randn(3, 16, 5).double(), torch.ones(3, 16, dtype=torch.bool), torch.zeros(3, 1))
    coarse = made(grid=2)
    looked = coarse.align(given["text"], grid)
    torch.testing.assert_close(looked.sum(2), given["text"].mask.double())
    # four cells make one, so all four get the same
    square = looked[0, 0].reshape(4, 4)
    torch.testing.assert_close(square[:2, :2], square[:1, :1].expand(2, 2))
    back = coarse.align(grid, given["text"])
    torch.testing.assert_close(back.sum(2), torch.ones(3, 16, dtype=torch.float64))
    torch.testing.assert_close(back[0, 0], back[0, 5])


@torch.no_grad()
def test_what_the_label_head_reads_by_hand() -> None:
    given = batch()
    for mix in (0.5, 0.99):
        method = made(label_mix=mix)
        text, image = method.side(given["text"]), method.side(given["image"])
        words, regions = text.late[1, :2], image.late[1, :2]
        seen_words = weights_by_loops(regions, words, 10.0).mean(0) @ words
        seen_regions = weights_by_loops(words, regions, 10.0).mean(0) @ regions
        found = method._labelled(text, image)[1]
        torch.testing.assert_close(found, mix * seen_words + (1 - mix) * seen_regions, rtol=0, atol=1e-6)


@torch.no_grad()
def test_over_the_batch_it_reads_all_pictures_as_the_published_code_does() -> None:
    given, method = batch(), made(label_images="batch", label_mix=0.99)
    text, image = method.side(given["text"]), method.side(given["image"])
    expected = torch.zeros(8, dtype=torch.float64)
    for picture, regions in enumerate((3, 2, 1)):
        words, cells = text.late[1, :2], image.late[picture, :regions]
        expected += 0.99 / 3 * (weights_by_loops(cells, words, 10.0).mean(0) @ words)
        expected += 0.01 / 3 * (weights_by_loops(words, cells, 10.0).mean(0) @ cells)
    torch.testing.assert_close(method._labelled(text, image)[1], expected, rtol=0, atol=1e-6)


def test_every_part_can_be_left_out() -> None:
    given, dims = batch(positive=True), {**DIMS, "positive": (4, 4)}
    assert set(made(dims).losses(given, Moment())) == {"topk", "text", "labels"}
    assert set(made(dims, text_weight=0.0).losses(given, Moment())) == {"topk", "labels"}
    assert set(made(dims, label_weight=0.0).losses(given, Moment())) == {"topk", "text"}
    assert set(made(dims, classes=0).losses(given, Moment())) == {"topk", "text"}
    assert set(made().losses(batch(), Moment())) == {"topk", "labels"}
    whole = made().score((given["text"],), (given["image"],))
    for change in ({"encoder_layers": 0}, {"memory": 0}, {"interaction": False}, {"graph_layers": 0}):
        assert not torch.allclose(made(**change).score((given["text"],), (given["image"],)), whole)


@torch.no_grad()
def test_without_interaction_every_token_sees_the_mean() -> None:
    method, given = made(interaction=False, direction="t2i"), batch()
    text, image = method.side(given["text"]), method.side(given["image"])
    mean = image.late[1, :2].mean(0)
    node = method.reason["t2i"].node((mean - text.late[0]) ** 2)  # type: ignore[operator, union-attr]
    nodes = torch.nn.functional.normalize(node, dim=-1)
    for layer in method.reason["t2i"].layers:  # type: ignore[union-attr]
        nodes = torch.softmax(layer.query(nodes) @ layer.key(nodes).T, -1) @ nodes + nodes
    expected = method.reason["t2i"].score(nodes).mean()  # type: ignore[operator, union-attr]
    assert float(method.score((given["text"],), (given["image"],))[0, 1]) == pytest.approx(float(expected), abs=1e-6)


def test_the_published_mask_takes_padding_for_words() -> None:
    given = batch()
    text = given["text"]
    longer = replace(
        text, tokens=torch.cat([text.tokens, text.tokens], 1), mask=torch.cat([text.mask, torch.zeros(3, 3) > 0], 1)
    )
    right, theirs = made(), made(mask="zero_sum")
    torch.testing.assert_close(right.side(longer).late[:, :3][text.mask], right.side(text).late[text.mask])
    assert not torch.allclose(theirs.side(longer).late[:, :3], theirs.side(text).late)


@torch.no_grad()
def test_a_row_without_another_caption_neither_learns_nor_is_a_rival() -> None:
    dims = {**DIMS, "positive": (4, 4)}
    method, given = made(dims, text_weight=1.0, drop=0.0), batch(positive=True)
    other = given["positive"]
    gone = replace(other, mask=other.mask & torch.tensor([[True], [True], [False]]))
    found = method._text(given["text"], gone, given.positives())
    assert float(method._text(given["text"], other, given.positives())[2]) > 0.0
    assert float(found[2]) == 0.0
    assert float(found[:2].sum()) > 0.0
    elsewhere = replace(given["text"], tokens=given["text"].tokens + torch.tensor([0.0, 0.0, 9.0])[:, None, None])
    torch.testing.assert_close(method._text(elsewhere, gone, given.positives()), found)


@pytest.mark.parametrize("text", ["gru", "words"])
def test_words_through_a_gru_are_blind_to_padding(text: str) -> None:
    torch.manual_seed(0)
    dims = {"image": (5, 5), "text": (3, 3)}
    method = MVSEN(replace(CONFIG, text=text, vocabulary=5), dims).eval()  # type: ignore[arg-type]
    words = Words()
    captions = ["a red apple on a table", "a dog", "two dogs"]
    found = words.encode(words.prepare(captions))
    view = Encoded("text", torch.from_numpy(found.tokens), torch.from_numpy(found.mask), torch.from_numpy(found.pooled))
    image = Encoded("image", torch.randn(3, 4, 5), torch.ones(3, 4, dtype=torch.bool), torch.zeros(3, 5))
    method.prepare({"image": image, "text": view}, {}, captions)
    whole = method.score((view,), (image,))
    short = replace(view, tokens=view.tokens[:, :2], mask=view.mask[:, :2])
    torch.testing.assert_close(method.score((short[1:],), (image,)), whole[1:])


def test_gradients_of_the_whole_score() -> None:
    method, given = made(), batch(2)

    def run(words: Tensor, regions: Tensor) -> Tensor:
        return method.score((replace(given["text"], tokens=words),), (replace(given["image"], tokens=regions),))

    inputs = tuple(given[name].tokens.requires_grad_() for name in ("text", "image"))
    assert torch.autograd.gradcheck(run, inputs, atol=1e-5)


@torch.no_grad()
def test_a_share_of_the_cosine_of_the_pooled_vectors_is_added() -> None:
    torch.manual_seed(0)
    dims, rows = (
        {"image": (5, 6), "text": (4, 3)},
        {"image": torch.randn(40, 6).double(), "text": torch.randn(40, 3).double()},
    )
    method, given = made(dims, global_share=2.0, global_width=3, summary=4), batch()
    views = {name: replace(view, pooled=rows[name][:3]) for name, view in given.views.items()}
    method.prepare(views, rows, [])
    centred = [part - part.mean(0) for part in rows.values()]
    unit = [
        torch.nn.functional.normalize(part[:3] @ found.double())
        for part, found in zip(centred, canonical_maps(centred[0], centred[1], 3)[:2], strict=True)
    ]
    with_it = method.score((views["text"],), (views["image"],))
    alone = method._scores(
        *(replace(method.side(views[name]), whole=rows["image"][:3, :0]) for name in ("text", "image"))
    )
    torch.testing.assert_close(with_it - alone.mean(0), 2 * unit[1] @ unit[0].T, atol=1e-4, rtol=1e-3)


def test_infonce_reads_the_mean_of_both_directions() -> None:
    method, given = made(loss="infonce", text_weight=0.0, label_weight=0.0), batch()
    scores = method.score((given["text"],), (given["image"],)).T / 0.07
    by_hand = [-0.5 * (scores[i].log_softmax(0)[i] + scores[:, i].log_softmax(0)[i]) for i in range(3)]
    terms = method.losses(given, Moment())
    assert list(terms) == ["infonce"]
    torch.testing.assert_close(terms["infonce"], torch.stack(by_hand))


@pytest.mark.parametrize("changes", [{}, {"interaction": False}, {"encoder_layers": 0}, {"graph_layers": 0}])
def test_every_variant_trains_in_half_precision(changes: dict[str, object]) -> None:
    torch.manual_seed(1)
    config = replace(CONFIG, cosine_share=1.0, global_share=1.0, loss="infonce", dropout=0.2, **changes)  # type: ignore[arg-type]
    method = MVSEN(config, {"image": (5, 1), "text": (4, 1)}).train()
    given = batch(5)
    views = {name: replace(view, tokens=view.tokens.float()) for name, view in given.views.items()}
    with torch.autocast("cpu", torch.bfloat16):
        terms = method.losses(replace(given, views=views, labels=None), Moment())
    torch.stack([term.float().mean() for term in terms.values()]).sum().backward()
    assert all(torch.isfinite(w.grad).all() for w in method.parameters() if w.grad is not None)


@torch.no_grad()
def test_within_a_group_the_loss_is_what_it_is_alone() -> None:
    dims = {"image": (5, 5), "text": (4, 4)}
    whole, parted = (made(dims, global_share=1.0, group=group, loss="infonce", label_weight=0.0) for group in (0, 2))
    given = batch(4)
    views = {name: replace(view, pooled=torch.randn(4, dims[name][0]).double()) for name, view in given.views.items()}
    given = replace(given, views=views)
    found = parted.losses(given, Moment())["infonce"]
    text, image = (parted._whole(views[name], None) for name in ("text", "image"))
    for rows in alike(text @ image.T, 2):
        some = Batch({name: view[rows] for name, view in views.items()}, given.item[rows], given.pair[rows])
        torch.testing.assert_close(found[rows], whole.losses(some, Moment())["infonce"])
