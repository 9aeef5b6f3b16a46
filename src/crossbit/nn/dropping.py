"""Dropping tokens at random: what lets a pooling see many lengths, and makes two views of one item."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor


def drop_tokens(mask: Bool[Tensor, "B L"], share: float) -> Bool[Tensor, "B L"]:
    """Leave out a share of the real tokens; a row that has some keeps its first.

    Source: size augmentation of VSE-infinity (Chen and others, CVPR 2021), section 3.3.
    """
    keep = torch.rand(mask.shape, device=mask.device) >= share
    first = mask & (mask.cumsum(1) == 1)
    return mask & (keep | first)
