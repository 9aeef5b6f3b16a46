"""One method under test: how to make it, what to feed it, how to complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from crossbit.batch import Batch, Encoded, Views
from crossbit.methods.base import Embeds, Fits, Hashes, Learns, Method, Prepares, Scores, abilities
from crossbit.testing.failure import fail
from crossbit.testing.toys import Dims, toy_batch

TOLERANCE = 1e-4
"""Matrix products of another shape round differently; what the properties look for is larger by orders."""

SAMPLE = 24
"""Rows that `prepare` and `fit` see."""


@dataclass
class Case:
    """A method class, its settings and widths; `now` is the property being tried."""

    cls: type[Method]
    config: Any
    dims: Dims
    seed: int
    now: str = ""

    def __post_init__(self) -> None:
        if self.config is None:
            small = getattr(getattr(self.cls, "Config", None), "small", None)
            if small is None:
                fail(self.cls, "config", "has no `Config.small()`, expected settings for two cores")
            self.config = small()
        self.can = abilities(self.cls)

    def fail(self, message: str) -> NoReturn:
        """Raise `PropertyFailed` for the property being tried."""
        fail(self.cls, self.now, message)

    def same(self, found: Tensor, expected: Tensor, what: str) -> None:
        """Fail unless two tensors agree but for rounding."""
        found, expected = found.detach(), expected.detach()
        if found.shape != expected.shape:
            self.fail(f"{what}: shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
        if found.numel() == 0:
            return
        scale = max(1.0, float(expected.abs().max()))
        gap = float((found - expected).abs().max())
        if not gap <= TOLERANCE * scale:
            self.fail(f"{what}: differs by {gap:.2g}, expected no change")

    def finite(self, values: Tensor, what: str) -> None:
        """Fail if there is a NaN or infinity."""
        if not bool(torch.isfinite(values).all()):
            self.fail(f"{what}: has NaN or infinite values, expected finite ones")

    def make(self, dims: Dims | None = None, seed: int | None = None) -> Method:
        """Make a fresh method; it prepares or fits itself on a few rows if that is what it does."""
        torch.manual_seed(self.seed if seed is None else seed)
        dims = dims or self.dims
        method = self.cls(self.config, dims)
        batch = self.batch(SAMPLE, dims=dims)
        if "prepares" in self.can:
            cast(Prepares, method).prepare(
                batch.views,
                {name: view.pooled for name, view in batch.views.items()},
                [f"caption {row}" for row in range(SAMPLE)],
            )
        if "fits" in self.can:
            views = {name: view.pooled.numpy() for name, view in batch.views.items()}
            labels = None if batch.labels is None else batch.labels.numpy()
            cast(Fits, method).fit(views, labels)
        return method

    def batch(self, rows: int = 8, *, dims: Dims | None = None, seed: int = 1, regions: bool = False) -> Batch:
        """Make random pairs; `seed` tells one batch from another.

        Args:
            regions: images have regions instead of a square grid. Only those can be padded: a grid's length is its shape.
        """
        return toy_batch(dims or self.dims, rows, 1000 * self.seed + seed, regions)

    def each_view(self, method: Method, batch: Batch) -> Iterator[tuple[str, Callable[[Encoded], Tensor], Encoded]]:
        """Give what works item by item, as ("embed(image)", function, view)."""
        for name in self.cls.reads:
            if "embeds" in self.can:
                yield f"embed({name})", cast(Embeds, method).embed, batch[name]
            if "hashes" in self.can:
                yield f"relax({name})", cast(Hashes, method).relax, batch[name]

    def ends(self, batch: Batch) -> tuple[Views, Views]:
        """Give queries and items: the second view that the method reads asks for the first."""
        first, second = self.cls.reads[0], self.cls.reads[min(1, len(self.cls.reads) - 1)]
        return (batch[second],), (batch[first],)

    def score(self, method: Method, batch: Batch) -> Tensor:
        """Score all queries of the batch with all its items."""
        queries, items = self.ends(batch)
        return cast(Scores, method).score(queries, items)

    def losses(self, method: Method, batch: Batch, moment: Any) -> dict[str, Tensor]:
        """Give the loss terms."""
        return cast(Learns, method).losses(batch, moment)


Property = Callable[[Case], bool]
"""Fails through the case, or says whether there was anything to try."""
