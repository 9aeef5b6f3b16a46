"""TrainReport: how a training went, whichever way it was done."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossbit.data.loader import Pairs
from crossbit.methods.base import Hashes, Method
from crossbit.training.track import bits_report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainReport:
    """Say how a run went; `methods` hold the weights of the best validated epoch, one a peer.

    `last` holds those after the last epoch, one mapping a peer: what a run without clean pairs to choose by would have kept.
    """

    methods: tuple[Method, ...]
    best_epoch: int
    best_rsum: float
    epochs: int
    stopped_early: bool
    collapsed: bool
    bits: dict[str, Any]
    last: tuple[Mapping[str, Tensor], ...] = ()


@torch.no_grad()
def bits_of(method: Method, pairs: Pairs) -> dict[str, Any]:
    """Report balance and correlation of the bits over a sample, and warn of dead ones; empty for a method without codes."""
    if not (isinstance(method, Hashes) and issubclass(type(method), Hashes)):
        return {}
    codes = [method.relax(encoded) for encoded in pairs.sample(1024, tokens=method.reads_tokens).values()]
    report = bits_report(torch.cat(codes))
    if report["dead_bits"]:
        log.warning("%d bits are the same for nearly all items: %s", len(report["dead_bits"]), report["dead_bits"])
    return report
