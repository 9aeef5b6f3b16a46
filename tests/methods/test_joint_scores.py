"""Joint scores of many: blocks, groups by length, what is kept and what is made again give what one call gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from crossbit.batch import Encoded
from crossbit.data.loader import RowsInMemory
from crossbit.features import Features
from crossbit.methods import base
from crossbit.methods.base import Method, bytes_of, joint_scores
from crossbit.methods.joined import joined
from crossbit.methods.scan import SCAN
from crossbit.model import method_class

IMAGES, TEXTS = 7, 11


def features(modality: str, count: int, longest: int, seed: int) -> Features:
    draw = np.random.default_rng(seed)
    mask = np.arange(longest) < draw.integers(1, longest + 1, (count, 1))
    tokens = draw.standard_normal((count, longest, 6), dtype=np.float32) * mask[..., None]
    return Features(modality, tokens, mask, tokens.mean(1))  # type: ignore[arg-type]


def made(name: str, **changes: object) -> Method:
    torch.manual_seed(0)
    cls = method_class(name)
    config = replace(cls.Config.small(), **changes)  # type: ignore[attr-defined]
    return cls(config, {"image": (6, 6), "text": (6, 6)}).eval()


@pytest.mark.parametrize("room", [0, 2000, 1 << 20])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("scan", {}),
        ("scan", {"direction": "i2t", "pool": "lse"}),
        ("mvsen", {}),
        ("vse_fusion", {"fusion_input": "tokens"}),
        ("vse_fusion", {"fusion_input": "global"}),
    ],
)
def test_all_ways_give_the_scores_of_one_call(
    name: str, changes: dict[str, object], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, images, texts = made(name, **changes), features("image", IMAGES, 4, 1), features("text", TEXTS, 5, 2)
    with torch.no_grad():
        asked, seen = Encoded.from_features(texts), Encoded.from_features(images)
        expected = method.score((asked,), (seen,)).T.numpy()  # type: ignore[operator]
    made_of: list[str] = []
    plain: Any = method.side

    def noted(view: Encoded) -> Any:
        made_of.append(view.modality)
        return plain(view)

    monkeypatch.setattr(method, "side", noted)
    monkeypatch.setattr(base, "_KEPT", room)
    monkeypatch.setattr(base, "_IMAGES", 3)
    monkeypatch.setattr(base, "_TEXTS", 3)
    found = joint_scores(method, RowsInMemory(images), RowsInMemory(texts))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert made_of.count("text") == 4
    if room == 1 << 20:  # all fits: every picture is read once
        assert made_of.count("image") == 3
    if room == 0:
        assert made_of.count("image") == 12


def test_a_method_that_cannot_be_taken_apart_is_asked_whole() -> None:
    class Plain:
        def eval(self) -> None:
            """Nothing changes."""

        def score(self, queries: tuple[Encoded], items: tuple[Encoded]) -> torch.Tensor:
            return queries[0].pooled @ items[0].pooled.T

    images, texts = features("image", IMAGES, 4, 1), features("text", TEXTS, 5, 2)
    found = joint_scores(Plain(), RowsInMemory(images), RowsInMemory(texts))
    np.testing.assert_allclose(found, images.pooled @ texts.pooled.T, atol=1e-6)


def test_a_score_of_its_own_is_not_passed_over() -> None:
    class Turned(SCAN):
        def score(self, queries: Any, items: Any) -> torch.Tensor:
            return -super().score(queries, items)

    plain, turned = made("scan"), Turned(SCAN.Config.small(), {"image": (6, 6), "text": (6, 6)})
    turned.load_state_dict(plain.state_dict())
    images, texts = RowsInMemory(features("image", IMAGES, 4, 1)), RowsInMemory(features("text", TEXTS, 5, 2))
    np.testing.assert_allclose(joint_scores(turned, images, texts), -joint_scores(plain, images, texts), atol=1e-6)


def test_peers_score_by_the_mean_of_theirs() -> None:
    first = made("scan")
    second = type(first)(first.config, first.dims).eval()
    images, texts = RowsInMemory(features("image", IMAGES, 4, 1)), RowsInMemory(features("text", TEXTS, 5, 2))
    expected = (joint_scores(first, images, texts) + joint_scores(second, images, texts)) / 2
    both = joined([first, second])
    assert hasattr(both, "meet")
    np.testing.assert_allclose(joint_scores(both, images, texts), expected, atol=1e-6)


def test_bytes_are_those_of_the_tensors() -> None:
    assert bytes_of((torch.zeros(3), torch.zeros(2, 2, dtype=torch.bool))) == 16
    view = Encoded("text", torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 4))
    assert bytes_of(view) == 24 + 2 + 16
