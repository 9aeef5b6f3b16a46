"""Closed-form methods: fitted once on all pooled pairs, then measured and reported as a trained one is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from crossbit.data.loader import Pairs
from crossbit.errors import ConfigError
from crossbit.methods.base import Fits, Method
from crossbit.training.report import TrainReport, bits_of

LIMIT = 50_000
"""Pairs that a fit looks at; what is drawn from more depends on the seed alone."""


def fit_once(
    method: Method, pairs: Pairs, folder: Path, validate: Callable[[Sequence[Method]], float], seed: int = 0
) -> TrainReport:
    """Fit a method and measure it.

    Args:
        method: its buffers are changed.
        pairs: training pairs.
        folder: takes `log.jsonl`.
        validate: gives the validation rsum.
        seed: of the pairs that are drawn where there are more than `LIMIT`.

    Raises:
        ConfigError: the method learns by descent.
    """
    if not (isinstance(method, Fits) and issubclass(type(method), Fits)):
        raise ConfigError(f"`{type(method).__name__}` is not fitted in closed form", "train it by descent")
    torch.manual_seed(seed)
    views = {view: rows.numpy() for view, rows in pairs.pooled(LIMIT, seed).items()}
    method.fit(views, pairs.pooled_labels(LIMIT, seed))
    method.eval()
    rsum = validate([method])
    folder.mkdir(parents=True, exist_ok=True)
    record = {"epoch": 0, "pairs": len(next(iter(views.values()))), "val_rsum": rsum}
    (folder / "log.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    return TrainReport((method,), 0, rsum, 1, False, False, bits_of(method, pairs))
