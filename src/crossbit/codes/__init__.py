"""Packed codes and their distances."""

from crossbit.codes.hamming import hamming_distances, hamming_topk, hamming_within
from crossbit.codes.packing import pack, unpack

__all__ = ["hamming_distances", "hamming_topk", "hamming_within", "pack", "unpack"]
