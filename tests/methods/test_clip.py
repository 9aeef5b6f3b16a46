from __future__ import annotations

import pytest
import torch

from crossbit.batch import Encoded
from crossbit.errors import ConfigError
from crossbit.methods.base import abilities, similarity
from crossbit.methods.clip import Clip, ClipConfig


def view(modality: str, *pooled: list[float]) -> Encoded:
    rows = torch.tensor(pooled)
    tokens = torch.zeros(len(rows), 1, 3)
    return Encoded(modality, tokens, torch.ones(len(rows), 1, dtype=torch.bool), rows)  # type: ignore[arg-type]


def test_similarity_is_the_cosine_of_the_pooled_vectors() -> None:
    method = Clip(ClipConfig(), {"image": (3, 2), "text": (3, 2)})
    images, texts = view("image", [3.0, 4.0], [5.0, 0.0]), view("text", [0.0, 2.0])
    # (0, 1) · (3, 4)/5 = 0.8 and (0, 1) · (1, 0) = 0
    assert similarity(method, (texts,), (images,)).tolist()[0] == pytest.approx([0.8, 0.0])


def test_towers_of_two_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="pooled widths .*512.*768.* expected one width"):
        Clip(ClipConfig(), {"image": (3, 512), "text": (3, 768)})


def test_nothing_is_learnt() -> None:
    assert abilities(Clip) == {"embeds"}
    assert list(Clip(ClipConfig(), {"image": (3, 2), "text": (3, 2)}).parameters()) == []
