"""Strategies over the methods that they are meant for, through the real loop: planted wrong pairs are believed less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from crossbit.batch import Batch, Moment
from crossbit.data.loader import Pairs, RowsInMemory
from crossbit.features import Features
from crossbit.methods.base import Method
from crossbit.methods.fgcmh import FGCMH, FGCMHConfig
from crossbit.methods.mvsen import MVSEN, MVSENConfig
from crossbit.methods.vse_infinity import VSEInfinity, VSEInfinityConfig
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.strategies.base import Strategy
from crossbit.strategies.ncr import NCR, NCRConfig
from crossbit.strategies.rcar import RCAR, RCARConfig
from crossbit.strategies.small_loss import SmallLoss, SmallLossConfig
from crossbit.training.loop import TrainingConfig, train

DIMS = {"image": (12, 12), "text": (10, 10)}
ITEMS, WRONG = 96, 24
CONFIG = TrainingConfig(epochs=8, batch_size=32, learning_rate=1e-2, precision="fp32")

METHODS: dict[str, tuple[type[Method], Any]] = {
    "vsepp": (VSEPP, VSEPPConfig(width=12)),
    "vse_infinity": (VSEInfinity, replace(VSEInfinityConfig.small(), width=12)),
    "fgcmh": (
        FGCMH,
        replace(FGCMHConfig.small(), width=16, refine_width=16, hidden=16, heads=2, bits=16, grid=0),
    ),
    "mvsen": (
        MVSEN,
        replace(
            MVSENConfig.small(),
            direction="t2i",
            width=16,
            heads=2,
            hidden=16,
            memory=4,
            node=8,
            graph_layers=1,
            grid=0,
            text_weight=0.0,
            label_weight=0.0,
            drop=0.0,
            dropout=0.0,
        ),
    ),
}
STRATEGIES: dict[str, Strategy] = {
    "rcar": RCAR(RCARConfig(warm_up=2)),
    "ncr": NCR(NCRConfig(warm_up=2)),
    "small_loss": SmallLoss(SmallLossConfig(rate=WRONG / ITEMS, ramp=2)),
}


def planted() -> Pairs:
    """Pictures and captions that are two linear views of one hidden vector; the first captions have gone round."""
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(ITEMS, 8)).astype(np.float32)
    told = hidden.copy()
    told[:WRONG] = np.roll(told[:WRONG], 1, 0)

    def rows(modality: Any, pooled: np.ndarray, tokens: int) -> RowsInMemory:
        noise = 0.05 * draw.normal(size=(ITEMS, tokens, pooled.shape[1])).astype(np.float32)
        return RowsInMemory(Features(modality, pooled[:, None] + noise, np.ones((ITEMS, tokens), bool), pooled))

    number = np.arange(ITEMS)
    return Pairs(
        rows("image", hidden @ draw.normal(size=(8, 12)).astype(np.float32), 4),
        rows("text", told @ draw.normal(size=(8, 10)).astype(np.float32), 3),
        number,
        number,
        [""] * ITEMS,
        ["en"] * ITEMS,
    )


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("method", sorted(METHODS))
def test_wrong_pairs_are_believed_less(method: str, strategy: str, tmp_path: Path) -> None:
    cls, config = METHODS[method]
    plan = STRATEGIES[strategy]
    torch.manual_seed(0)
    made = [cls(config, DIMS) for _ in range(plan.peers)]
    believed = np.full(ITEMS, np.nan)

    def noting(batch: Batch, moment: Moment, losses: Any = made[0].losses) -> Any:
        if batch.correspondence is not None:
            believed[batch.pair.numpy()] = batch.correspondence.numpy()
        return losses(batch, moment)

    made[0].losses = noting  # type: ignore[method-assign]
    report = train(made, planted(), CONFIG, tmp_path, lambda _: 0.0, plan, progress=False)
    assert report.epochs == CONFIG.epochs
    assert all(torch.isfinite(value).all() for m in made for value in m.parameters())
    assert np.isfinite(believed).all()
    assert believed[WRONG:].mean() > believed[:WRONG].mean() + 0.1
    wrong = np.arange(ITEMS) < WRONG
    assert roc_auc_score(wrong, -believed) > (0.65 if strategy == "small_loss" else 0.75)  # it says yes or no alone
