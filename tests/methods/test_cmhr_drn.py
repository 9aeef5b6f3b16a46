"""CMHR-DRN: distances by hand, the vocabulary, what labels are needed for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossbit.batch import Batch, Encoded, Moment
from crossbit.encoders.words import Words
from crossbit.errors import BatchError
from crossbit.methods.cmhr_drn import CMHRDRN, CMHRDRNConfig, _spread

DIMS = {"image": (1, 6), "text": (3, 3)}
CAPTIONS = ["a red apple", "a green pear", "the red car", "a blue car"]


def batch() -> Batch:
    torch.manual_seed(0)
    words = Words().encode(Words().prepare(CAPTIONS))
    image = Encoded("image", torch.zeros(4, 0, 1), torch.zeros(4, 0, dtype=torch.bool), torch.randn(4, 6))
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    return Batch({"image": image, "text": Encoded.from_features(words)}, torch.arange(4), torch.arange(4), labels)


def method(**changes: object) -> CMHRDRN:
    torch.manual_seed(1)
    made = CMHRDRN(CMHRDRNConfig(bits=16, hidden=8, words=20, **changes), DIMS)  # type: ignore[arg-type]
    given = batch()
    made.prepare(given.views, {name: view.pooled for name, view in given.views.items()}, CAPTIONS)
    return made


def test_cosines_are_stretched_over_the_whole_range() -> None:
    found = _spread(torch.tensor([[1.0, 0.5], [0.5, 0.75]]))
    assert found.flatten().tolist() == [1.0, -1.0, -1.0, 0.0]


def test_distances_that_are_kept_cost_nothing() -> None:
    # features whose cosines span -1 to 1 already, and codes equal to them
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    found = method()._distances({"image": rows, "text": rows}, rows, rows)
    assert found.tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    turned = method()._distances({"image": rows, "text": rows}, rows, -rows)  # across modalities all is wrong
    assert turned.tolist() == pytest.approx([8 / 3, 8 / 3, 4 / 3], abs=1e-5)


def test_every_term_can_be_left_out() -> None:
    given = batch()
    assert set(method().losses(given, Moment())) == {"quantisation", "balance", "similarity", "distance"}
    assert set(method(distance=0.0, similarity=0.0).losses(given, Moment())) == {"quantisation", "balance"}


def test_labels_are_needed_for_similarity_alone() -> None:
    bare = replace(batch(), labels=None)
    with pytest.raises(BatchError, match="cmhr_drn: the data has no labels"):
        method().losses(bare, Moment())
    assert "distance" in method(similarity=0.0).losses(bare, Moment())


def test_the_vocabulary_is_saved_with_the_weights() -> None:
    trained = method().eval()
    fresh = CMHRDRN(CMHRDRNConfig(bits=16, hidden=8, words=20), DIMS).eval()
    fresh.load_state_dict(trained.state_dict())
    text = batch()["text"]
    assert torch.equal(trained.relax(text), fresh.relax(text))
    assert not torch.equal(trained.relax(text)[0], trained.relax(text)[1])


def test_codes_of_words_are_exported(tmp_path: object) -> None:
    from pathlib import Path

    from crossbit.heads import OnnxHead
    from crossbit.nn.export import export_head

    trained, path = method().eval(), Path(str(tmp_path)) / "text.onnx"
    export_head(trained, "text", DIMS["text"], 4, False, True, path)
    features = Words().encode(Words().prepare([*CAPTIONS, "a pear on a car"]))
    embedding, relaxed = OnnxHead(path)(features)
    assert embedding is None
    expected = trained.relax(Encoded.from_features(features)).detach().numpy()
    np.testing.assert_allclose(relaxed, expected, atol=1e-5)
