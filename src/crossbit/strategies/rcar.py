"""`rcar`: robust cross-modal retrieval with alignment refurbishment; not the RCAR of 2023, which regulates attention.

"Robust cross-modal retrieval with alignment refurbishment", Guo and others; Frontiers of Information Technology & Electronic
Engineering 2023.

    after each epoch   x_i = 1 - mean softmax probability of pair i, both directions        (PairEvidence)
                       two beta components over x  ->  w_i, posterior of the noise           (nn/mixtures)
                       y_i = (1 - w_i) + w_i q_i,  q_i the model's own belief in the pair    refurbished label
    in each step       the method's losses, with correspondence y_i and weighted by y_i      T1, retrieval
                       + 1.0  InfoNCE over the batch, weighted by y_i                        T2, matching
                       + 0.05 InfoNCE between two views of one item by itself                T3, consistency
                                                     the item as it is, and thinned

From the abstract: multi-task learning slows the fit to noise so that losses stay apart, a beta mixture over the losses, labels
refurbished by the posterior of its noise component, partial and complete noise.
Our reconstruction (the paper's settings are not visible): which tasks, their weights, the statistic, the formula of y (the
shape of Arazo and others, ICML 2019), a posterior that is monotone on both sides, the guard against data without noise, the
memory over epochs. T3 does not look at the pairing, so wrong pairs cannot poison it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from crossbit.batch import Batch, Encoded, Moment
from crossbit.nn.dropping import drop_tokens
from crossbit.nn.losses import info_nce
from crossbit.nn.mixtures import Mixture, fit_beta, fit_gaussian
from crossbit.strategies.base import Learner, PairEvidence, Strategy, single, weighted

_INVERSE_TEMPERATURE = 20.0


@dataclass(frozen=True)
class RCARConfig:
    """Settings of the strategy.

    Args:
        warm_up: epochs in which every pair is believed.
        matching: weight of T2; 0 leaves it out.
        consistency: weight of T3; 0 leaves it out.
        drop: share of an item's tokens, and of the channels of its pooled vector, that the second view of T3 lacks.
        mixture: over which components the evidence is spread.
        refurbish: "belief" is the formula above; "zero" takes q = 0, plain down-weighting; "none" believes every pair, which
            leaves multi-task training alone.
        memory: share of the earlier epochs' posterior in the present one.
    """

    warm_up: int = 3
    matching: float = 1.0
    consistency: float = 0.05
    drop: float = 0.2
    mixture: Literal["beta", "gaussian"] = "beta"
    refurbish: Literal["belief", "zero", "none"] = "belief"
    memory: float = 0.5


class RCAR(Strategy):
    """Refurbish the labels of pairs that look wrong, and train two tasks beside that slow the fit to them."""

    Config = RCARConfig
    needs_evidence = True

    def __init__(self, config: RCARConfig | None = None) -> None:
        self.config = config or RCARConfig()
        self.mixture: Mixture | None = None
        self.posterior: Float32[np.ndarray, " N"] | None = None
        self.correspondence: Float32[np.ndarray, " N"] | None = None
        self.needs_evidence = self.config.refurbish != "none"

    def looks(self, epoch: int) -> bool:
        """Want evidence once the warm-up is over, and never where every pair is believed."""
        return self.needs_evidence and epoch >= self.config.warm_up

    def start_epoch(self, epoch: int, evidence: Sequence[PairEvidence]) -> None:
        """Fit the mixture and refurbish the labels; nothing is doubted in the warm-up, or while nothing can be told apart."""
        config = self.config
        if epoch < config.warm_up or config.refurbish == "none":
            return
        belief = (evidence[0].forward + evidence[0].backward) / 2
        fit = fit_beta if config.mixture == "beta" else fit_gaussian
        self.mixture = fit((1 - belief).astype(np.float64))
        noise = np.zeros_like(belief)
        if self.mixture.separated:
            noise = self.mixture.posterior((1 - belief).astype(np.float64)).astype(np.float32)
        if self.posterior is not None:
            noise = config.memory * self.posterior + (1 - config.memory) * noise
        self.posterior = noise
        own = np.zeros_like(belief)
        if config.refurbish == "belief":
            own = np.minimum(belief / max(1e-6, float(np.quantile(belief, 0.95))), 1)
        self.correspondence = ((1 - noise) + noise * own).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Give the posterior that the memory needs."""
        return {} if self.posterior is None else {"posterior": self.posterior}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take the posterior of the earlier epochs back."""
        self.posterior = state.get("posterior")

    def losses(self, method: Learner, batch: Batch, moment: Moment, peer: int) -> dict[str, Tensor]:
        """Give the method's terms under the refurbished labels, and the two tasks beside."""
        config, label = self.config, None
        if self.correspondence is not None:
            label = torch.from_numpy(self.correspondence)[batch.pair.cpu()].to(batch.pair.device)
        believed = batch if label is None else replace(batch, correspondence=label)
        terms = dict(method.losses(believed, moment))
        # the rows of T2 are the first view of T3, so that this costs one more look at an item and not two
        rows = {name: single(method, view) for name, view in batch.views.items()} if self._has_tasks else {}
        if config.matching:
            name = next(view for view in batch.views if view != "text")
            items, captions = rows[name], rows["text"]
            if items is None or captions is None:
                similarity: Tensor = method.score((batch[name],), (batch["text"],))  # type: ignore[attr-defined]
            else:
                similarity = items @ captions.T
            terms["matching"] = config.matching * info_nce(similarity, batch.positives(), _INVERSE_TEMPERATURE)
        terms = weighted(terms, label)
        if config.consistency:
            terms |= self._consistency(method, batch, rows)
        return terms

    @property
    def _has_tasks(self) -> bool:
        return bool(self.config.matching or self.config.consistency)

    def _consistency(self, method: Learner, batch: Batch, rows: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for name, first in rows.items():
            if first is None:  # a joint scorer has nothing to say of one item alone
                return {}
            second = single(method, self._thinned(batch[name]))
            assert second is not None
            loss = info_nce(first @ second.T, batch.positives(), _INVERSE_TEMPERATURE)
            terms[f"consistency_{name}"] = self.config.consistency / len(rows) * loss
        return terms

    def _thinned(self, view: Encoded) -> Encoded:
        """Leave out some tokens and some channels; a row keeps at least its first real token."""
        channels = torch.rand_like(view.pooled) >= self.config.drop
        pooled = view.pooled * channels * (1 / (1 - self.config.drop))
        return replace(view, mask=drop_tokens(view.mask, self.config.drop), pooled=pooled)
