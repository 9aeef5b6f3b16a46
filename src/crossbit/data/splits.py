"""Splits by concept: everything that shows one concept lies in one split, and every stratum is cut in the same shares."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from crossbit.data.manifest import Item
from crossbit.errors import ManifestError

SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.1, "test": 0.2}


def split_by_concept(
    items: Sequence[Item], strata: Mapping[str, str], shares: Mapping[str, float] = SHARES, seed: int = 0
) -> tuple[Item, ...]:
    """Assign a split to every item, so that no concept lies in two.

    Concepts are ordered by a hash of the seed and their name and dealt out by quota, so the result does not depend on the
    order of the items, and a concept that is added later moves few others.

    Args:
        items: with `concept` set; an item without one is its own concept.
        strata: concept to stratum, such as its group; concepts that are missing form a stratum of their own.
        shares: split to share of the concepts; they sum to 1.
        seed: another seed gives another split.

    Raises:
        ManifestError: the shares do not sum to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ManifestError(f"split_by_concept: shares sum to {sum(shares.values())}, expected 1")
    members: dict[str, set[str]] = defaultdict(set)
    for item in items:
        concept = item.concept or item.id
        members[strata.get(concept, "")].add(concept)

    def order(name: str) -> bytes:
        return hashlib.sha256(f"{seed}/{name}".encode()).digest()

    # one list of concepts, stratum after stratum, each shuffled: then place i of n gets the split that its fraction falls in
    split_of: dict[str, str] = {}
    debt = dict.fromkeys(shares, 0.0)
    for stratum in sorted(members):
        for concept in sorted(members[stratum], key=order):
            for name, share in shares.items():
                debt[name] += share
            chosen = max(debt, key=lambda name: debt[name])
            debt[chosen] -= 1
            split_of[concept] = chosen
    return tuple(replace(item, split=split_of[item.concept or item.id]) for item in items)
