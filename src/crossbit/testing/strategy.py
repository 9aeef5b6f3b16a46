"""check_strategy: a strategy trains a small dual encoder on pairs of which 40 % are wrong, and must know which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from crossbit.batch import Batch, Encoded, Moment
from crossbit.methods.base import Method
from crossbit.strategies.base import PairEvidence, Strategy
from crossbit.testing.failure import fail
from crossbit.testing.toys import apart

PAIRS, WRONG, EPOCHS, ROWS = 256, 0.4, 12, 64
ENOUGH = 0.85
"""Area under the curve that counts as finding the wrong pairs; by chance it is 0.5."""


def check_strategy(make: Callable[[], Strategy], *, seed: int = 0) -> tuple[str, ...]:
    """Train with a strategy on 256 pairs, 40 % of them wrong, and look at what it does and believes.

    * peers: at least one, and each can be trained.
    * terms: losses are (B,) or (), finite, and the method's own are called for.
    * beliefs: `correspondence` lies in [0, 1], `weight` is not negative; a strategy without evidence leaves the batch alone.
    * deterministic: the same start gives the same losses and beliefs.
    * finds wrong pairs: one that `needs_evidence` believes in right pairs more than in wrong ones (area under the curve
      above 0.85) by the end.

    Args:
        make: gives a fresh strategy each time it is called; the class itself, if it takes no arguments.
        seed: of pairs and weights.

    Returns:
        The names of the properties that were tried.

    Raises:
        PropertyFailed: a property does not hold; the message names it, what was found and what was expected.
    """
    strategy = make()
    if not (isinstance(strategy.peers, int) and strategy.peers >= 1):
        fail(make, "peers", f"`peers` is {strategy.peers!r}, expected 1 or more")
    with apart():
        run = _train(make, seed)
        again = _train(make, seed)
    if run.losses != again.losses or not np.array_equal(run.belief, again.belief):
        fail(make, "deterministic", "a second run from the same start gives other losses or beliefs, expected the same")
    tried = ("peers", "terms", "beliefs", "deterministic")
    if not strategy.needs_evidence:
        return tried
    area = _area_under_curve(run.belief, run.right)
    if not area >= ENOUGH:
        fail(
            make,
            "finds wrong pairs",
            f"area under the curve of its beliefs is {area:.3f} with 40 % wrong pairs, expected {ENOUGH} or more",
        )
    return (*tried, "finds wrong pairs")


@dataclass(frozen=True)
class _Run:
    losses: list[float]
    belief: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class _TwoHeadsConfig:
    width: int = 16

    @classmethod
    def small(cls) -> _TwoHeadsConfig:
        return cls()


class _TwoHeads(Method):
    """Two linear heads and a hinge against all negatives, whose margin shrinks with the belief in the pair."""

    Config = _TwoHeadsConfig

    def __init__(self, config: _TwoHeadsConfig, dims: dict[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        self.heads = nn.ModuleDict({name: nn.Linear(pooled, config.width) for name, (_, pooled) in dims.items()})
        self.calls = 0

    def embed(self, *views: Encoded) -> Tensor:
        return F.normalize(self.heads[views[0].modality](views[0].pooled), dim=-1)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        self.calls += 1
        similarity = self.embed(batch["image"]) @ self.embed(batch["text"]).T
        belief = torch.ones(len(batch)) if batch.correspondence is None else batch.correspondence
        return {"hinge": _hinge(similarity, 0.2 * belief)}


def _hinge(similarity: Tensor, margin: Tensor | float) -> Tensor:
    """Give per pair the mean hinge against its negatives, both ways."""
    own = similarity.diagonal()
    others = ~torch.eye(len(own), dtype=torch.bool)
    rows = (margin - own + similarity.T).clamp(min=0) * others
    columns = (margin - own + similarity).clamp(min=0) * others
    return (rows.sum(dim=0) + columns.sum(dim=0)) / (len(own) - 1)


def _train(make: Callable[[], Strategy], seed: int) -> _Run:
    batches, right = _pairs(seed)
    strategy = make()
    torch.manual_seed(seed)
    dims = {"image": (16, 16), "text": (16, 16)}
    methods = [_TwoHeads(_TwoHeadsConfig(), dims) for _ in range(strategy.peers)]
    optimisers = [torch.optim.Adam(method.parameters(), lr=0.01) for method in methods]
    losses: list[float] = []
    belief = np.ones(PAIRS)
    for epoch in range(EPOCHS):
        strategy.start_epoch(epoch, [_evidence(m, batches) for m in methods] if strategy.needs_evidence else [])
        moment = Moment("train", epoch / EPOCHS, epoch)
        for batch in batches:
            for peer, (method, optimiser) in enumerate(zip(methods, optimisers, strict=True)):
                witness = _Witness(make, method, strategy.needs_evidence)
                terms = strategy.losses(witness, batch, moment, peer)
                _look_at_terms(make, terms, batch, witness)
                if peer == 0:
                    belief[batch.pair.numpy()] = witness.belief
                loss = torch.stack([_weighted(term, witness.weight) for term in terms.values()]).sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(float(loss.detach()))
    return _Run(losses, belief, right)


class _Witness(Method):
    """Stands before the method and notes the batch that the strategy hands on; everything else it passes through."""

    def __init__(self, make: object, method: _TwoHeads, may_believe: bool) -> None:
        super().__init__(method.config, method.dims)
        self.method, self.make, self.may_believe = method, make, may_believe
        self.asked = False
        self.belief: np.ndarray = np.ones(0)
        self.weight: Tensor | None = None

    def embed(self, *views: Encoded) -> Tensor:
        return self.method.embed(*views)

    def losses(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        self.asked = True
        self.weight = batch.weight
        belief = torch.ones(len(batch))
        for name, values, top in (("correspondence", batch.correspondence, 1.0), ("weight", batch.weight, np.inf)):
            if values is None:
                continue
            if not self.may_believe:
                fail(
                    self.make,
                    "beliefs",
                    f"writes `{name}` without `needs_evidence`, expected the batch to be left alone",
                )
            low, high = float(values.min()), float(values.max())
            if not (low >= 0 and high <= top):
                fail(self.make, "beliefs", f"`{name}` lies in [{low:.3g}, {high:.3g}], expected [0, {top:g}]")
            belief = belief * values.detach()
        self.belief = belief.numpy()
        return self.method.losses(batch, moment)


def _look_at_terms(make: object, terms: dict[str, Tensor], batch: Batch, witness: _Witness) -> None:
    if not witness.asked:
        fail(make, "terms", "does not ask the method for its losses, expected it to train the method")
    for name, term in terms.items():
        if term.shape not in ((len(batch),), ()):
            fail(make, "terms", f"term {name!r} has shape {tuple(term.shape)}, expected ({len(batch)},) or ()")
        if not bool(torch.isfinite(term).all()):
            fail(make, "terms", f"term {name!r} has NaN or infinite values, expected finite ones")


def _weighted(term: Tensor, weight: Tensor | None) -> Tensor:
    """Reduce a term as the training loop does."""
    if term.ndim == 0 or weight is None:
        return term.mean()
    return (term * weight).sum() / weight.sum().clamp(min=1e-6)


def _pairs(seed: int) -> tuple[list[Batch], np.ndarray]:
    """Make pairs that share a hidden vector, exchange 40 % of the texts among each other, and cut them into fixed batches."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(PAIRS, 16, generator=generator)
    image, text = (
        hidden @ torch.randn(16, 16, generator=generator) / 4 + 0.1 * torch.randn(PAIRS, 16, generator=generator)
        for _ in range(2)
    )
    order = torch.randperm(PAIRS, generator=generator)
    wrong = order[: int(WRONG * PAIRS)]
    text[wrong] = text[wrong.roll(1)]  # a cycle has no fixed point: every one of them is wrong
    right = np.ones(PAIRS, dtype=bool)
    right[wrong.numpy()] = False
    order = torch.randperm(PAIRS, generator=generator)
    batches = []
    for rows in order.split(ROWS):
        views = {name: _view(name, values[rows]) for name, values in (("image", image), ("text", text))}
        batches.append(Batch(views, rows.clone(), rows.clone()))
    return batches, right


def _view(name: str, pooled: Tensor) -> Encoded:
    mask = torch.ones(len(pooled), 1, dtype=torch.bool)
    return Encoded("image" if name == "image" else "text", pooled[:, None], mask, pooled)


@torch.no_grad()
def _evidence(method: _TwoHeads, batches: list[Batch]) -> PairEvidence:
    columns = np.zeros((3, PAIRS), dtype=np.float32)
    for batch in batches:
        similarity = method.embed(batch["image"]) @ method.embed(batch["text"]).T
        said = (
            _hinge(similarity, 0.2),
            (similarity / 0.05).softmax(dim=1).diagonal(),
            (similarity / 0.05).softmax(dim=0).diagonal(),
        )
        columns[:, batch.pair.numpy()] = np.stack([values.numpy() for values in said])
    return PairEvidence(*columns)


def _area_under_curve(belief: np.ndarray, right: np.ndarray) -> float:
    """Give the share of (right, wrong) couples in which the right pair is believed more; a tie counts half."""
    gap = belief[right][:, None] - belief[~right][None, :]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())
