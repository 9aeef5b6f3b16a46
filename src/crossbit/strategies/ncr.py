"""`ncr`: learning with noisy correspondence, the rival that most papers on wrong pairs compare with.

"Learning with Noisy Correspondence for Cross-modal Matching", Huang, Niu, Liu, Ding, Xiao, Wu, Peng; NeurIPS 2021.

    two copies, each judged by the other
    after each epoch   mixture of two Gaussians over the min-max-scaled loss of each pair  ->  p_i, posterior of clean
                       p_i > 0.5: clean, label y_i = p_i + (1 - p_i) q_i
                       else:      noisy, label y_i = q_i, trained in the second half only
    in each step       the method's losses with soft margin m (10^y - 1) / 9

From the paper: co-teaching, mixture, threshold, recast labels, soft margin; from its settings, the noisy part in the second
half and at least one pair in a hundred judged noisy. Our reconstruction: q is the softmax probability of the pair over its 95th
percentile (theirs comes from the hinge over the top decile of the batch), and the labels are those of the epoch, not the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from crossbit.batch import Batch, Moment
from crossbit.nn.mixtures import fit_gaussian
from crossbit.strategies.base import Learner, PairEvidence, Strategy, weighted


@dataclass(frozen=True)
class NCRConfig:
    """Settings of the strategy; the defaults are the paper's.

    Args:
        warm_up: epochs in which every pair is believed.
        threshold: of the posterior of clean.
        noisy_from: progress of the training from which the noisy part is trained as well.
    """

    warm_up: int = 5
    threshold: float = 0.5
    noisy_from: float = 0.5


class NCR(Strategy):
    """Let each of two copies divide the pairs for the other."""

    Config = NCRConfig
    peers = 2
    needs_evidence = True

    def __init__(self, config: NCRConfig | None = None) -> None:
        self.config = config or NCRConfig()
        self._label: list[Float32[np.ndarray, " N"]] = []
        self._clean: list[np.ndarray] = []

    def looks(self, epoch: int) -> bool:
        """Want evidence once the warm-up is over."""
        return epoch >= self.config.warm_up

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        """Divide the pairs by the evidence of each copy and hand the division to the other."""
        if epoch < self.config.warm_up:
            return
        divided = [self._divide(seen) for seen in evidence]
        divided.reverse()
        self._label = [label for label, _ in divided]
        self._clean = [clean for _, clean in divided]

    def _divide(self, seen: PairEvidence) -> tuple[np.ndarray, np.ndarray]:
        low, high = float(seen.loss.min()), float(seen.loss.max())
        scaled = (seen.loss.astype(np.float64) - low) / max(1e-9, high - low)
        certain = 1 - fit_gaussian(scaled, tolerance=1e-2, sweeps=10).posterior(scaled, monotone=False)
        belief = (seen.forward + seen.backward) / 2
        own = np.minimum(belief / max(1e-6, float(np.quantile(belief, 0.95))), 1)
        clean = certain > self.config.threshold
        few = max(1, len(clean) // 100)
        if (
            clean.sum() > len(clean) - few
        ):  # all clean: the hundredth that is least certain counts as noisy, as published
            clean[np.argsort(certain, kind="stable")[:few]] = False
        if clean.sum() < few:  # and the other way round, or nothing would be trained
            clean[np.argsort(-certain, kind="stable")[:few]] = True
        label = np.where(clean, certain + (1 - certain) * own, own)
        return label.astype(np.float32), clean

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        """Give the method's terms under the labels that the other copy stands for."""
        if not self._label:
            return method.losses(batch, moment)
        rows = batch.pair.cpu()
        label = torch.from_numpy(self._label[peer])[rows].to(batch.pair.device)
        clean = torch.from_numpy(self._clean[peer])[rows].to(batch.pair.device)
        trained = label if moment.progress >= self.config.noisy_from else label * clean
        return weighted(dict(method.losses(replace(batch, correspondence=label), moment)), trained)
