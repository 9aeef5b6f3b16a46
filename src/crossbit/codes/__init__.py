"""Packed codes and their distances; loaded when first used, so that the level of the kernel can be asked without NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossbit.codes.hamming import hamming_distances, hamming_topk, hamming_within
    from crossbit.codes.packing import pack, unpack

__all__ = ["hamming_distances", "hamming_topk", "hamming_within", "pack", "unpack"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = "packing" if name in ("pack", "unpack") else "hamming"
    return getattr(import_module(f"crossbit.codes.{place}"), name)
