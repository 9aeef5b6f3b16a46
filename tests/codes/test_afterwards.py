"""Codes made after the training: by hand, and what a file may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from crossbit.codes.afterwards import CodedHead, Projection
from crossbit.codes.lengths import nested_lengths
from crossbit.errors import ModelError


def projection() -> Projection:
    directions = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
    return Projection({"image": np.array([0.5, 0], np.float32), "text": np.zeros(2, np.float32)}, directions)


def test_a_code_is_the_tanh_of_the_centred_embedding_along_the_directions() -> None:
    embedding = np.array([[1.0, 0.0]], np.float32)
    # a picture: (0.5, 0) -> 0.5, 0, 0.5; a text: (1, 0) -> 1, 0, 1
    np.testing.assert_allclose(projection().relax("image", embedding), [[0.4621, 0, 0.4621]], atol=1e-4)
    np.testing.assert_allclose(projection().relax("text", embedding), [[0.7616, 0, 0.7616]], atol=1e-4)


def test_a_coded_head_keeps_the_embedding() -> None:
    embedding = np.array([[0.6, 0.8]], np.float32)
    head = CodedHead(lambda features: (features, None), projection(), "text")
    kept, relaxed = head(embedding)
    assert kept is embedding
    assert relaxed.shape == (1, 3)


def test_a_file_gives_the_same_projection(tmp_path: Path) -> None:
    projection().save(tmp_path / "codes.safetensors")
    found = Projection.load(tmp_path / "codes.safetensors")
    assert found.bits == 3
    np.testing.assert_array_equal(found.directions, projection().directions)
    assert {view: mean.tolist() for view, mean in found.means.items()} == {"image": [0.5, 0], "text": [0, 0]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"mean_text": np.zeros(2, np.float32)}, "no codes of a model"),
        ({"directions": np.zeros(2, np.float32)}, r"directions have shape \(2,\)"),
        ({"directions": np.eye(2, dtype=np.float32), "mean_text": np.zeros(3, np.float32)}, "mean of 'text'"),
        ({"directions": np.full((2, 2), np.nan, np.float32)}, "not finite"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, rows: dict[str, np.ndarray], said: str) -> None:
    save_file(rows, tmp_path / "codes.safetensors")
    with pytest.raises(ModelError, match=said):
        Projection.load(tmp_path / "codes.safetensors")


def test_a_damaged_file_and_another_width_are_named(tmp_path: Path) -> None:
    (tmp_path / "codes.safetensors").write_bytes(b"half of a file")
    with pytest.raises(ModelError, match="crossbit codes"):
        Projection.load(tmp_path / "codes.safetensors")
    with pytest.raises(ModelError, match=r"asked for 'text' of 5"):
        projection().relax("text", np.zeros((1, 5), np.float32))
    with pytest.raises(ModelError, match="asked for 'audio'"):
        projection().relax("audio", np.zeros((1, 2), np.float32))


def test_lengths_of_a_nested_code() -> None:
    assert nested_lengths(256) == (16, 32, 64, 128, 256)
    assert nested_lengths(100) == (16, 32, 64, 100)
    assert nested_lengths(16) == (16,)
    assert nested_lengths(8) == (8,)
