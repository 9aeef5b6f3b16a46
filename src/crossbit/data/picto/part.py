"""A part of `picto`: the items that one source gives, and what of it could not be used, each with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from crossbit.data.manifest import Item


@dataclass(frozen=True)
class Quarantined:
    """One record that is left out.

    Args:
        source: the part it belongs to, such as `stamps`.
        record: its name there, such as a path.
        reason: one sentence; records that are left out by one rule carry one reason, so that reasons can be counted.
    """

    source: str
    record: str
    reason: str


@dataclass(frozen=True)
class Part:
    """What a source gives.

    Args:
        items: with paths relative to the prepared folder, their own `concept`, and no split unless they are derived.
        quarantine: what is left out.
    """

    items: tuple[Item, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()

    def reasons(self) -> dict[str, int]:
        """Count why records were left out, most frequent first."""
        return dict(Counter(record.reason for record in self.quarantine).most_common())


def join(*parts: Part) -> Part:
    """Put parts behind one another."""
    return Part(
        tuple(item for part in parts for item in part.items),
        tuple(record for part in parts for record in part.quarantine),
    )
