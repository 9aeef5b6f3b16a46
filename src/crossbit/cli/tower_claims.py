"""Claims on towers: do codes over ViT and BERT beat those over CNN and RNN, and a residual network a shallow one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossbit.cli.hashing_claims import Measured
from crossbit.cli.tower_bench import TowerBench
from crossbit.evaluation.claims import claim

VIT2CMH = (
    "ViT2CMH: Vision Transformer Cross-Modal Hashing for Fine-Grained Vision-Text Retrieval, Computer Systems Science and "
    "Engineering 46(2), 2023, doi 10.32604/csse.2023.034757"
)

GRID = (
    ("equal start: codes over ViT and BERT beat those over CNN and RNN", "vit-bert", "resnet-gru"),
    ("equal start, same text tower: codes over the ViT beat those over the CNN", "vit-bert", "resnet-bert"),
    ("equal start, same picture tower: codes over BERT beat those over the RNN", "vit-bert", "vit-gru"),
    ("equal start, RNN on both sides: codes over the ViT beat those over the CNN", "vit-gru", "resnet-gru"),
    ("equal start, CNN on both sides: codes over BERT beat those over the RNN", "resnet-bert", "resnet-gru"),
    ("equal start, words of its own: codes over ViT and BERT beat those over CNN and RNN", "vit-bert", "resnet-own-words"),
    ("as packaged, a CNN that knows ImageNet: codes over ViT and BERT beat those over CNN and RNN", "vit-bert", "packaged-gru"),
    ("as packaged, same text tower: codes over the ViT beat those over the CNN", "vit-bert", "packaged-bert"),
)  # fmt: skip
"""Sentence, ours, theirs; the first one is the paper's."""

RIVALS = {"dcmh": "DCMH, which learns from labels", "djsrh": "DJSRH", "ucch": "UCCH"}


def vit2cmh_over_towers(
    towers: TowerBench, seeds: Sequence[int], lengths: Sequence[int] = (64, 128)
) -> list[dict[str, Any]]:
    """Test the grid of towers on caption retrieval."""
    return [
        claim(
            f"{sentence}, {bits} bits",
            towers.measured(ours, bits, seeds),
            towers.measured(theirs, bits, seeds),
            metric="rsum",
            main=number == 0,
            command=towers.command,
        )
        for number, (sentence, ours, theirs) in enumerate(GRID)
        for bits in lengths
    ]


def vit2cmh_on_captions(measured: Measured, lengths: Sequence[int] = (64, 128)) -> list[dict[str, Any]]:
    """Test the method against others on caption retrieval, all over the packaged towers."""
    return [
        measured.check(
            f"over the packaged towers, both sides: {bits}-bit codes of vit2cmh beat {name}",
            "captions",
            "vit2cmh",
            rival,
            bits,
        )
        for bits in lengths
        for rival, name in RIVALS.items()
    ]


def residual_on_labels(
    towers: TowerBench, seeds: Sequence[int], lengths: Sequence[int] = (32, 128)
) -> list[dict[str, Any]]:
    """Test what a residual network is worth to CMHR-DRN against a shallow one that was trained by the same recipe."""
    return [
        claim(
            f"codes of {bits} bits over the residual network beat those over a shallow one, both trained here alike",
            towers.measured("cmhr_drn-resnet", bits, seeds),
            towers.measured("cmhr_drn-shallow", bits, seeds),
            metric="map_all",
            command=towers.command,
        )
        for bits in lengths
    ]
