"""ViT2CMH: terms worked out by hand, the three ways to read a text, what a word of the vocabulary does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from crossbit.batch import Batch, Encoded, Moment
from crossbit.errors import BatchError
from crossbit.methods.vit2cmh import ViT2CMH, ViT2CMHConfig
from crossbit.nn.export import export_head
from crossbit.nn.losses import pairwise_likelihood, shares_label
from crossbit.testing import check_method
from crossbit.words import split_words, word_bytes

DIMS = {"image": (1, 6), "text": (3, 5)}
SMALL = ViT2CMHConfig(bits=16, hidden=8, gru_hidden=6, word_width=5, words=10, dropout=0.0)
CAPTIONS = ["red apple", "green apple", "old car", "red car"]


def read(captions: list[str], length: int = 4) -> Encoded:
    tokens, mask = torch.zeros(len(captions), length, 3), torch.zeros(len(captions), length, dtype=torch.bool)
    for row, caption in enumerate(captions):
        numbers = [word_bytes(word) for word in split_words(caption)]
        tokens[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.float32).reshape(-1, 3)
        mask[row, : len(numbers)] = True
    return Encoded("text", tokens, mask, torch.randn(len(captions), 5))


def batch() -> Batch:
    torch.manual_seed(0)
    rows = len(CAPTIONS)
    image = Encoded("image", torch.zeros(rows, 0, 1), torch.zeros(rows, 0, dtype=torch.bool), torch.randn(rows, 6))
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    return Batch({"image": image, "text": read(CAPTIONS)}, torch.arange(rows), torch.arange(rows), labels)


def says(method: ViT2CMH, image: Tensor, text: Tensor) -> None:
    """Let a method say these relaxed codes, whatever it reads."""
    method.relax = lambda view: image if view.modality == "image" else text  # type: ignore[method-assign, assignment]


def test_the_terms_by_hand() -> None:
    method = ViT2CMH(replace(SMALL, bits=2, quantisation_weight=0.5, balance_weight=2.0), DIMS)
    given = batch()
    pair = Batch({name: view[:2] for name, view in given.views.items()}, given.item[:2], given.pair[:2])
    says(method, torch.tensor([[0.5, 1.0], [-1.0, 0.5]]), torch.tensor([[1.0, 1.0], [-0.5, 1.0]]))
    found = method.losses(pair, Moment("train", 0.5))
    # S = F G^T / 2 = [[.75, .375], [-.25, .5]]; rows and columns: only the second column's .2 + .375 - .5 is above 0
    assert found["rank"].tolist() == pytest.approx([0.0, 0.075])
    # image .25/2 and .25/2, text 0 and .25/2; half of their sum, times .5
    assert found["quantisation"].tolist() == pytest.approx([0.25 * 0.125, 0.25 * 0.25])
    # bit means image -.25 and .75, text .25 and 1: (.0625 + .5625) / 2 and (.0625 + 1) / 2, half of their sum, times 2
    assert found["balance"].item() == pytest.approx(0.3125 + 0.53125)


def test_the_mean_of_the_negatives_comes_first() -> None:
    method = ViT2CMH(replace(SMALL, mean_negatives=0.2), DIMS).eval()
    early, late = (method.losses(batch(), Moment("train", progress))["rank"] for progress in (0.1, 0.3))
    assert (late > early).any()
    assert (late >= early).all()


def test_labels_by_the_likelihood() -> None:
    method, given = ViT2CMH(replace(SMALL, loss="dcmh"), DIMS).eval(), batch()
    assert given.labels is not None
    image, text = method.relax(given["image"]), method.relax(given["text"])
    expected = pairwise_likelihood(image, text, shares_label(given.labels))
    torch.testing.assert_close(method.losses(given, Moment())["rank"], expected)
    with pytest.raises(BatchError, match="vit2cmh: the data has no labels"):
        method.losses(replace(given, labels=None), Moment())


def test_the_own_vocabulary_is_learned_from_the_captions_and_order_matters() -> None:
    method = ViT2CMH(replace(SMALL, text_net="vocabulary"), DIMS).eval()
    given = batch()
    method.prepare(given.views, {name: view.pooled for name, view in given.views.items()}, CAPTIONS)
    told, turned, strange = method.relax(read(["red apple", "apple red", "red blue"])).unbind()
    assert not torch.allclose(told, turned, atol=1e-6)
    alike = method.relax(read(["red purple"]))[0]  # neither is known
    torch.testing.assert_close(strange, alike)


@pytest.mark.parametrize("text_net", ["gru", "vocabulary"])
def test_a_gru_reads_tokens_and_no_summary(text_net: str) -> None:
    method = ViT2CMH(replace(SMALL, text_net=text_net), DIMS).eval()  # type: ignore[arg-type]
    given = batch()
    method.prepare(given.views, {name: view.pooled for name, view in given.views.items()}, CAPTIONS)
    assert method.reads_tokens
    before = method.relax(given["text"])
    torch.testing.assert_close(method.relax(replace(given["text"], pooled=torch.zeros(4, 5))), before)


@pytest.mark.parametrize("text_net", ["gru", "vocabulary"])
def test_exported_it_gives_the_same_codes_of_texts_of_any_length(text_net: str, tmp_path: Path) -> None:
    import onnxruntime

    method = ViT2CMH(replace(SMALL, text_net=text_net), DIMS).eval()  # type: ignore[arg-type]
    given = batch()
    method.prepare(given.views, {name: view.pooled for name, view in given.views.items()}, CAPTIONS)
    export_head(method, "text", DIMS["text"], 4, False, True, tmp_path / "text.onnx")
    told = read(["a red apple", "car", "", "old green car", "red"], length=6)
    session = onnxruntime.InferenceSession(str(tmp_path / "text.onnx"), providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}
    inputs = {name: getattr(told, name).numpy() for name in wanted}
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, inputs)[0], method.relax(told).numpy(), atol=1e-5)


def test_plain_summaries_are_all_that_is_read_otherwise() -> None:
    assert not ViT2CMH(SMALL, DIMS).reads_tokens


@pytest.mark.parametrize(
    "config",
    [
        replace(ViT2CMHConfig.small(), text_net="gru", gru_hidden=16, word_width=12, hidden=32),
        replace(ViT2CMHConfig.small(), loss="infonce", hidden=32),
        replace(ViT2CMHConfig.small(), nested=True, hidden=32),
    ],
    ids=["gru", "infonce", "nested"],
)
def test_other_settings_keep_the_promises_too(config: ViT2CMHConfig) -> None:
    assert len(check_method(ViT2CMH, config=config)) >= 7
