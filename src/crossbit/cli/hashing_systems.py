"""What `crossbit bench hashing` compares: systems, the two tracks they run on, and the settings they are trained with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from crossbit.errors import UsageError

BITS = (16, 32, 64, 128, 256, 512, 1024)
Kind = Literal["code", "float", "nested", "prefix", "sign", "itq", "random"]


@dataclass(frozen=True)
class System:
    """One way to codes.

    Args:
        method: its key.
        kind: "code", the method's own codes; "float", its embedding of as many numbers as others have bits; "nested", the first
            bits of one long code; "prefix" likewise, where a bit never depends on later ones, so that nothing is lost; "sign"
            of an embedding as wide as the code; "itq" or "random" directions on one embedding.
        changes: what differs from the method's small settings.
        about: in words, for the page.
    """

    method: str
    kind: Kind = "code"
    changes: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""


SYSTEMS: dict[str, System] = {
    "fgcmh": System("fgcmh", about="transformer over tokens, codes trained end to end"),
    "fgcmh-nested": System("fgcmh", "nested", {"nested": True}, "one longest code, its first bits"),
    "vit2cmh": System("vit2cmh", about="two hash networks over pooled features, hardest negatives"),
    "ucch": System("ucch", about="unsupervised, contrast with a bank of codes"),
    "djsrh": System("djsrh", about="unsupervised, neighbourhoods of features"),
    "dcmh": System("dcmh", about="labels, pairwise likelihood"),
    "dcmh-nested": System("dcmh", "nested", {"nested": True}, "one longest code, its first bits"),
    "cmhr_drn": System("cmhr_drn", about="labels and distances, TF-IDF text"),
    "cmhr_drn-no-distance": System("cmhr_drn", changes={"distance": 0.0}, about="the same without keeping distances"),
    "cmdn": System("cmdn", about="deep networks with labels, signs about the means"),
    "cmdn-float": System("cmdn", "float", about="the same, its numbers compared"),
    "cmfh": System("cmfh", changes={"sweeps": 10}, about="collective matrix factorisation, closed form"),
    "cmssh": System("cmssh", "prefix", about="boosting of linear bits, one after the other"),
    "itq": System("itq", about="canonical correlations, rotated; closed form"),
    "vsepp-sign": System("vsepp", "sign", about="dense VSE++ as wide as the code, signs"),
    "vsepp-itq": System("vsepp", "itq", about="dense VSE++, rotated afterwards"),
    "vsepp-random": System("vsepp", "random", about="dense VSE++, random directions"),
}
NEEDS_LABELS = frozenset({"dcmh", "cmhr_drn"})


@dataclass(frozen=True)
class Track:
    """One half of the bench.

    Args:
        name: "captions": caption retrieval, R@K; "labels": a common label is relevant, MAP.
        metric: that is shown, and that the epoch is chosen by on the validation split.
    """

    name: str
    metric: Literal["rsum", "map"]


TRACKS = {track.name: track for track in (Track("captions", "rsum"), Track("labels", "map"))}


@dataclass(frozen=True)
class Wanted:
    """One result of the bench."""

    track: str
    system: str
    bits: int
    seed: int

    @property
    def label(self) -> str:
        """Say what it is called, without the seed."""
        return f"{self.system} {self.bits}bit"


def wanted(
    systems: Sequence[str], bits: Sequence[int], seeds: Sequence[int], tracks: Sequence[str]
) -> Iterator[Wanted]:
    """Give all results, seed after seed, so that a part of them is already a comparison.

    Raises:
        UsageError: nothing is asked for, or something that does not exist.
    """
    if not (systems and bits and seeds and tracks):
        raise UsageError("bench hashing: no systems, bits, seeds or tracks, expected at least one of each")
    for words, known, what in ((systems, SYSTEMS, "system"), (tracks, TRACKS, "track")):
        if unknown := [word for word in words if word not in known]:
            raise UsageError(f"bench hashing: no {what} {unknown[0]!r}, there are {', '.join(known)}")
    if min(bits) < 8 or max(bits) > 4096:
        raise UsageError(f"bench hashing: codes of {min(bits)} to {max(bits)} bits, expected 8 to 4096")
    for seed in seeds:
        for track in tracks:
            for length in bits:
                yield from (Wanted(track, system, length, seed) for system in systems)


POOLED = {"epochs": 20, "batch_size": 256, "learning_rate": 1e-3, "validate_every": 4}
CHANGES: Mapping[str, Mapping[str, Any]] = {"fgcmh": {"epochs": 8, "batch_size": 384, "validate_every": 2}}
"""Settings of the loop: one budget for all methods that read pooled features. `fgcmh` sees an item less than half as often."""

LONGER = {"openmoji": 4}
"""A set with a fifth of the items is passed over so many times as often, so that the number of steps is about the same."""


def loop_settings(method: str, data: str, **changes: Any) -> Any:
    """Give the settings of the loop for a method on a data set."""
    from crossbit.cli.fit import settings_for

    known = dict(CHANGES.get(method, POOLED))
    times = LONGER.get(data, 1)
    known["epochs"] *= times
    known["validate_every"] *= times
    return settings_for(method, **{**known, **changes})


def method_settings(system: System, bits: int, longest: int, seed: int) -> Any:
    """Give the method's settings of a system at a length."""
    from dataclasses import fields, replace

    from crossbit.model import method_class

    config: Any = method_class(system.method).Config
    names = {part.name for part in fields(config)}
    changes = dict(system.changes)
    if "bits" in names:
        changes["bits"] = longest if system.kind in ("nested", "prefix") else bits
    elif system.kind == "sign":
        changes["width"] = bits
    if "seed" in names:
        changes["seed"] = seed
    return replace(config.small(), **changes)
