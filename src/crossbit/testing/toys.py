"""Small random views and batches that the checks are run on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import torch

from crossbit.batch import Batch, Encoded
from crossbit.features import MODALITIES, Modality

Dims = Mapping[str, tuple[int, int]]

WIDTHS: tuple[tuple[int, int], ...] = ((12, 10), (8, 6), (9, 7), (11, 5))
"""Widths (tokens, pooled) of the first view, the second, ...: all different, so that mixing two up cannot go unnoticed."""


@contextmanager
def apart() -> Iterator[None]:
    """Leave the caller's random state as it was, and use one thread: more only wait for each other on rows this few."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def toy_dims(views: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Give every view widths of its own."""
    return dict(zip(views, WIDTHS, strict=False))


def toy_view(
    name: str, widths: tuple[int, int], rows: int, generator: torch.Generator, regions: bool = False
) -> Encoded:
    """Make a view with random tokens: texts of up to 6, images of 9 in a square grid or of 5 regions, else 6."""
    modality = cast(Modality, name if name in MODALITIES else "text")
    length = (5 if regions else 9) if modality == "image" else 6
    mask = torch.ones(rows, length, dtype=torch.bool)
    if modality == "text":
        mask = torch.arange(length) < torch.randint(2, length + 1, (rows, 1), generator=generator)
    tokens = torch.randn(rows, length, widths[0], generator=generator) * mask[..., None]
    return Encoded(modality, tokens, mask, torch.randn(rows, widths[1], generator=generator))


def toy_batch(dims: Dims, rows: int, seed: int, regions: bool = False) -> Batch:
    """Make a batch in which every row is an item of its own, and has a label of its own."""
    generator = torch.Generator().manual_seed(seed)
    views = {name: toy_view(name, widths, rows, generator, regions) for name, widths in dims.items()}
    labels = torch.eye(rows)  # so that a method that knows items by their labels can tell them apart
    return Batch(views, torch.arange(rows), torch.arange(rows), labels)


def with_padding(view: Encoded, extra: int = 3) -> Encoded:
    """Append masked tokens that hold rubbish: what is masked must not count, whatever it holds."""
    rows, _, width = view.tokens.shape
    rubbish = 3.0 * torch.ones(rows, extra, width)
    mask = torch.cat([view.mask, torch.zeros(rows, extra, dtype=torch.bool)], dim=1)
    return replace(view, tokens=torch.cat([view.tokens, rubbish], dim=1), mask=mask)


def with_missing(view: Encoded, rows: Iterable[int]) -> Encoded:
    """Blank some rows: no real token, and zeros everywhere."""
    keep = torch.ones(len(view))
    keep[list(rows)] = 0.0
    return replace(
        view,
        tokens=view.tokens * keep[:, None, None],
        mask=view.mask & keep.bool()[:, None],
        pooled=view.pooled * keep[:, None],
    )


def with_views(batch: Batch, views: Mapping[str, Encoded]) -> Batch:
    """Exchange the views of a batch."""
    return replace(batch, views=views)


def take(batch: Batch, rows: torch.Tensor) -> Batch:
    """Pick rows of a batch in the order given."""
    return Batch(
        {name: view[rows] for name, view in batch.views.items()},
        batch.item[rows],
        batch.pair[rows],
        None if batch.labels is None else batch.labels[rows],
    )
