"""Claims of the hashing papers, tested on the results of `crossbit bench hashing`: what is missing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossbit.cli.hashing_bench import HashingBench
from crossbit.cli.hashing_systems import BITS, Wanted
from crossbit.evaluation.claims import claim
from crossbit.evaluation.result import Result

CMHR_DRN = (
    "Cross-Modal Hashing Retrieval Based on Deep Residual Network, Computer Systems Science & Engineering 36(2), 2021, "
    "doi 10.32604/csse.2021.014563"
)

RIVALS = {
    "dcmh": "DCMH, which learns from labels",
    "cmhr_drn": "CMHR-DRN, which learns from labels",
    "djsrh": "DJSRH",
    "ucch": "UCCH",
    "vsepp-sign": "the signs of VSE++",
    "vsepp-itq": "ITQ of VSE++",
}
"""Whom the codes of `fgcmh` have to beat on caption retrieval."""

NAMED = {"cmfh": "CMFH", "cmssh": "CMSSH", "cmdn": "CMDN"}
PEERS = {
    "cmdn-float": "CMDN, its numbers compared and not their signs",
    "dcmh": "DCMH, the honest peer: it learns from the same labels",
    "itq": "ITQ of canonical correlations",
}
"""Whom CMHR-DRN has to beat on MAP: those that its abstract names, and those that tell more."""


class Measured:
    """Results of the bench by system, length and track; every seed."""

    def __init__(self, runs: Path, results: Path, command: str, seeds: Sequence[int], data: str = "picto") -> None:
        self.bench = HashingBench(data, max(BITS), runs, results / f"{data}-hashing", command)
        self.command = command
        self.seeds = seeds

    def results(self, track: str, system: str, bits: int) -> list[Result]:
        """Give the results, one a seed."""
        return [self.bench.measured(Wanted(track, system, bits, seed)) for seed in self.seeds]

    def check(
        self, sentence: str, track: str, ours: str, theirs: str, bits: int, *, main: bool = False
    ) -> dict[str, Any]:
        """Test that one system beats another at a length."""
        return claim(
            sentence,
            self.results(track, ours, bits),
            self.results(track, theirs, bits),
            metric="rsum" if track == "captions" else "map_all",
            main=main,
            command=self.command,
        )


def fgcmh_on_captions(measured: Measured, lengths: Sequence[int] = (64, 128, 256)) -> list[dict[str, Any]]:
    """Test whether the codes of `fgcmh` beat all others of the same length on caption retrieval."""
    return [
        measured.check(
            f"picto, caption retrieval: {bits}-bit codes beat {name}",
            "captions",
            "fgcmh",
            rival,
            bits,
            main=bits == 128,
        )
        for bits in lengths
        for rival, name in RIVALS.items()
    ]


def cmhr_drn_on_labels(measured: Measured, lengths: Sequence[int] = (16, 32, 64, 128)) -> list[dict[str, Any]]:
    """Test whether CMHR-DRN beats the methods that it names on MAP, and what keeping distances is worth."""
    checks = [
        measured.check(
            f"MAP of all, a common label is relevant: {bits}-bit codes beat {name}",
            "labels",
            "cmhr_drn",
            rival,
            bits,
            main=rival in NAMED,
        )
        for bits in lengths
        for rival, name in (NAMED | PEERS).items()
    ]
    checks += [
        measured.check(
            f"keeping distances raises the MAP of {bits}-bit codes", "labels", "cmhr_drn", f"cmhr_drn-{what}", bits
        )
        for bits in lengths
        for what in ("no-distance",)
    ]
    return checks
