"""What a run says of itself: one JSON line an epoch, TensorBoard where it is installed and asked for."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from crossbit.errors import ConfigError

log = logging.getLogger(__name__)

COLLAPSED = 0.99
"""Mean cosine between different items from which on all embeddings agree."""


class Track:
    """Append records to `log.jsonl`; a resumed run drops what it will write again."""

    def __init__(self, folder: Path, first_epoch: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / "log.jsonl"
        kept = []
        if self.path.is_file() and first_epoch:
            kept = [line for line in self.path.read_text().splitlines() if json.loads(line)["epoch"] < first_epoch]
        self.path.write_text("".join(line + "\n" for line in kept))
        self.writer: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ConfigError("tensorboard: the package is not installed", "pip install tensorboard") from error
            self.writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, record: dict[str, Any]) -> None:
        """Write one epoch."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self.writer is not None:
            for name, value in record.items():
                if isinstance(value, int | float) and name != "epoch":
                    self.writer.add_scalar(name, value, record["epoch"])
            self.writer.flush()


def diagnose(similarity: Float[Tensor, "B B"]) -> dict[str, float]:
    """Give the mean similarity of pairs and of strangers, and the share of strangers that come within 0.2 of the pair."""
    strangers = ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    diagonal = similarity.diagonal()
    return {
        "pairs": float(diagonal.mean()),
        "strangers": float(similarity[strangers].mean()),
        "violated": float((similarity + 0.2 > diagonal[:, None])[strangers].float().mean()),
    }


def effective_rank(rows: Float[Tensor, "N E"]) -> float:
    """Give exp of the entropy of the singular values: 1 when all rows point one way, at most min(N, E).

    Source: Roy and Vetterli, EUSIPCO 2007.
    """
    values = torch.linalg.svdvals(rows.float())
    share = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * (share + 1e-12).log()).sum()))


def bits_report(codes: Float[Tensor, "N K"]) -> dict[str, Any]:
    """Name dead bits (|mean| of the sign over 0.95) and give mean |value| and mean |correlation| between bits."""
    signs = torch.where(codes >= 0, 1.0, -1.0)
    means = signs.mean(0)
    centred = signs - means
    spread = centred.square().mean(0).sqrt().clamp(min=1e-6)
    correlation = (centred / spread).T @ (centred / spread) / len(codes)
    off = ~torch.eye(codes.shape[1], dtype=torch.bool)
    return {
        "dead_bits": torch.nonzero(means.abs() > 0.95).flatten().tolist(),
        "mean_bit": float(means.abs().mean()),
        "mean_value": float(codes.abs().mean()),
        "bit_correlation": float(correlation[off].abs().mean()) if codes.shape[1] > 1 else 0.0,
    }
