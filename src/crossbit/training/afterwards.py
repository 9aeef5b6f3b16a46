"""Fit codes to the embeddings of a model that was trained without them: ITQ, the plain signs, or random directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float32

from crossbit.codes.afterwards import CodesBy, Projection
from crossbit.errors import ConfigError
from crossbit.nn.hashing import itq


def fit_codes(
    rows: Mapping[str, Float32[np.ndarray, "N E"]],
    bits: int,
    by: CodesBy = "itq",
    *,
    directions: int = 0,
    sweeps: int = 30,
    seed: int = 0,
) -> Projection:
    """Give what turns the embeddings of a model into codes.

    Args:
        rows: training embeddings of each view, any number of each.
        bits: K.
        by: "itq" rotates the strongest directions towards the corners of the cube; "sign" takes the embedding's own signs and
            needs no training rows; "random" takes directions drawn evenly, so that the angle of two embeddings decides how
            many bits differ.
        directions: of "itq": how many of the strongest directions the bits share; 0 takes half as many as bits.
        sweeps: of "itq".
        seed: of the rotations that "itq" starts from, and of the random directions.

    Raises:
        ConfigError: there is no such way, or it cannot give so many bits.
    """
    if by not in get_args(CodesBy):
        raise ConfigError(f"codes by {by!r}, expected one of {list(get_args(CodesBy))}")
    width = next(iter(rows.values())).shape[1]
    if bits < 1:
        raise ConfigError(f"codes of {bits} bits, expected 1 or more")
    if by == "sign":
        if bits != width:
            raise ConfigError(
                f"signs of an embedding of {width} numbers are {width} bits, asked for {bits}",
                "choose other lengths by `itq` or `random`",
            )
        return Projection({view: np.zeros(width, np.float32) for view in rows}, np.eye(width, dtype=np.float32))
    means = {view: some.mean(0, dtype=np.float64).astype(np.float32) for view, some in rows.items()}
    joined = torch.from_numpy(np.concatenate([some - means[view] for view, some in rows.items()]))
    if by == "itq":
        made = itq(joined, bits, min(directions or max(1, bits // 2), width), sweeps, seed)
    else:
        made = torch.randn(width, bits, generator=torch.Generator().manual_seed(seed))
    spread = (joined @ made).square().mean().sqrt().clamp(min=1e-6)  # so that the tanh neither clips nor stays flat
    return Projection(means, (made / spread).numpy())
