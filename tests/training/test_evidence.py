"""Evidence against a slow twin, for methods that embed and that score; and only where a strategy looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossbit.data.loader import Pairs, RowsInMemory
from crossbit.features import Features
from crossbit.methods.base import Method, similarity
from crossbit.methods.scan import SCAN, SCANConfig
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.strategies.base import PairEvidence, Strategy
from crossbit.training.evidence import evidence
from crossbit.training.loop import TrainingConfig, train

DIMS = {"image": (6, 6), "text": (5, 5)}


def toy(items: int = 20, captions: int = 2) -> Pairs:
    """Items of which two are of one concept, with two captions each."""
    draw = np.random.default_rng(0)

    def rows(modality: Any, count: int, width: int) -> RowsInMemory:
        tokens = draw.normal(size=(count, 3, width)).astype(np.float32)
        return RowsInMemory(Features(modality, tokens, np.ones((count, 3), bool), tokens.mean(1)))

    return Pairs(
        rows("image", items, 6),
        rows("text", items * captions, 5),
        np.repeat(np.arange(items), captions),
        np.arange(items) // 2,
        [""] * items * captions,
        ["en"] * items * captions,
    )


@pytest.mark.parametrize("made", ["vsepp", "scan"])
def test_evidence_is_that_of_a_slow_twin(made: str) -> None:
    torch.manual_seed(0)
    method: Method = VSEPP(VSEPPConfig(width=8), DIMS) if made == "vsepp" else SCAN(SCANConfig.small(), DIMS)
    pairs = toy()
    found = evidence(method, pairs, 16)
    order = np.random.default_rng(0).permutation(40)
    for start in range(0, 40, 16):
        rows = order[start : start + 16]
        batch = pairs.batch(rows)
        with torch.no_grad():
            scores = similarity(method, (batch["image"],), (batch["text"],)).double().numpy()
        concept = pairs.concept_of[pairs.item_of[rows]]
        for place, row in enumerate(rows):
            others = [k for k in range(len(rows)) if concept[k] != concept[place]]
            own = scores[place, place]
            for given, line in ((found.forward, scores[place]), (found.backward, scores[:, place])):
                rivals = np.exp(20 * (line[others] - own))
                assert given[row] == pytest.approx(1 / (1 + rivals.sum()), rel=1e-3)
            there = [max(0.0, 0.2 + scores[place, k] - own) + max(0.0, 0.2 + scores[k, place] - own) for k in others]
            assert found.loss[row] == pytest.approx(np.mean(there), rel=1e-3)


def test_a_strategy_is_shown_evidence_where_it_looks(tmp_path: Path) -> None:
    shown: list[tuple[int, PairEvidence]] = []

    class Seldom(Strategy):
        needs_evidence = True

        def looks(self, epoch: int) -> bool:
            return epoch in (1, 3)

        def start_epoch(self, epoch: int, evidence: Any) -> None:
            shown.append((epoch, *evidence))

    config = TrainingConfig(epochs=4, batch_size=8, precision="fp32")
    train([VSEPP(VSEPPConfig(width=8), DIMS)], toy(), config, tmp_path, lambda _: 0.0, Seldom(), progress=False)
    assert [epoch for epoch, _ in shown] == [1, 3]
