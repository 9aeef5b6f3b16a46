"""Lengths of the codes inside a nested code."""

from __future__ import annotations

SHORTEST = 16


def nested_lengths(bits: int) -> tuple[int, ...]:
    """Give 16, 32, 64 ... below `bits`, then `bits`: the prefixes that a nested code is trained to be used at."""
    lengths, length = [], SHORTEST
    while length < bits:
        lengths.append(length)
        length *= 2
    return (*lengths, bits)
