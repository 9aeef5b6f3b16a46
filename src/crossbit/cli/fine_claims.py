"""Claims of the fine-grained methods: `vse_fusion` (C3a to C3d) and `mvsen` (C7a to C7c), tested on what the bench measured.

P-values of the parts that are left out, one at a time, are corrected after Holm within the family.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.fine_bench import DISTRACTORS, SHORTLIST, FineBench, Trial
from crossbit.cli.show import counted, say
from crossbit.errors import UsageError
from crossbit.evaluation.claims import ALPHA, claim, claim_of_runs, write_claims
from crossbit.metrics.significance import Run, holm

if TYPE_CHECKING:
    from crossbit.evaluation.result import Result

PAPERS = {
    "vse_fusion": (
        "Adequate alignment and interaction for cross-modal retrieval, Virtual Reality & Intelligent Hardware 5(6), 2023"
    ),
    "mvsen": (
        "Multi-Task Visual Semantic Embedding Network for Image-Text Retrieval, Journal of Computer Science and Technology "
        "39(4), 2024, doi 10.1007/s11390-024-4125-1"
    ),
}
FAR_ABOVE = 1.25
"""How many times the rsum of VSE++ the best method is asked to reach."""

PARTS = {
    "vse_fusion": {"itc": "image-text contrast", "ims": "intra-modal separability", "lmi": "local mutual information"}
    | {"fusion": "the fusion encoder's task"},
    "mvsen": {"text-task": "the text-text task", "label-task": "the label task", "memory": "the encoder with memory"}
    | {"interaction": "attention across modalities", "graph": "graph reasoning"},
}


def trials(system: str, seeds: Sequence[int]) -> Iterator[Trial]:
    """Give all runs that the claims need, seed after seed, so that a part of them is already a comparison."""
    for seed in seeds:
        yield from (Trial(name, seed) for name in ("vsepp", "vsepp-hidden", "vse_infinity", "clip_style", system))
        if system == "mvsen":
            yield from (Trial(name, seed) for name in ("scan", "scan-i2t", "sgr-style", "mvsen-t2i", "mvsen-i2t"))
            yield Trial("scan", seed, behind="vse_infinity")
            yield Trial("mvsen", seed, behind="vse_infinity")
        else:
            yield Trial(system, seed, behind=system)
            for cells in DISTRACTORS:
                yield from (Trial(name, seed, cells) for name in ("vsepp", "vse_infinity", system))
        yield from (Trial(f"{system}-without-{part}", seed) for part in PARTS[system])


def bench_fine(bench: FineBench, system: str, seeds: Sequence[int], folder: Path) -> Path:
    """Measure what is missing and write the claim file.

    Raises:
        UsageError: no seeds.
    """
    asked = list(trials(system, seeds))
    if not asked:
        raise UsageError("seeds: none, expected at least one")
    found: dict[Trial, Result] = {}
    for number, trial in enumerate(asked, start=1):
        say(f"run {number} of {counted(len(asked), 'run')}: {trial.label}, seed {trial.seed}")
        found[trial] = bench.measured(trial)
    return write_claims(system, PAPERS[system], checks(system, Found(found, seeds), bench.command), folder)


class Found:
    """Results by trial; every seed."""

    def __init__(self, found: dict[Trial, Result], seeds: Sequence[int]) -> None:
        self.found, self.seeds = found, seeds

    def __call__(self, name: str, distractors: int = 0, behind: str = "") -> list[Result]:
        """Give the results of a system, one a seed."""
        return [self.found[Trial(name, seed, distractors, behind)] for seed in self.seeds]

    def dropped(self, name: str, distractors: int) -> list[Run]:
        """Give what each seed's run loses by distractors, as terms over the same queries."""
        runs: list[Run] = []
        for before, after in zip(self(name), self(name, distractors), strict=True):
            runs.append([*before.terms(), *(replace(term, weight=-term.weight) for term in after.terms())])
        return runs


def checks(system: str, of: Found, command: str | None) -> list[dict[str, Any]]:
    """Test the claims of a system."""
    made = _fusion(of, command) if system == "vse_fusion" else _mvsen(of, command)
    made += corrected(
        [
            claim(
                f"{'C3b' if system == 'vse_fusion' else 'C7a'}: {part} raises rsum (Holm over {len(PARTS[system])})",
                of(system),
                of(f"{system}-without-{name}"),
                command=command,
            )
            for name, part in PARTS[system].items()
        ]
    )
    name = "its joint score" if system == "mvsen" else "its embedding"
    made.append(
        claim(
            f"{name} reaches {FAR_ABOVE} times the rsum of VSE++",
            of(system),
            of("vsepp"),
            times=FAR_ABOVE,
            command=command,
        )
    )
    return made


def _fusion(of: Found, command: str | None) -> list[dict[str, Any]]:
    """C3a, C3c and C3d."""
    pairs = (
        ("C3a: embeddings alone beat VSE-infinity", "vse_fusion", "vse_infinity", True),
        ("C3a: VSE-infinity beats VSE++", "vse_infinity", "vsepp", False),
        ("embeddings alone beat VSE++", "vse_fusion", "vsepp", True),
        ("embeddings alone beat VSE++ with a hidden layer", "vse_fusion", "vsepp-hidden", False),
        ("embeddings alone beat symmetric InfoNCE (CLIP style)", "vse_fusion", "clip_style", False),
    )
    made = [claim(words, of(ours), of(theirs), main=main, command=command) for words, ours, theirs, main in pairs]
    for cells in DISTRACTORS:
        for rival, words in (("vse_infinity", "VSE-infinity"), ("vsepp", "VSE++")):
            first = of("vse_fusion", cells)[0]
            made.append(
                claim_of_runs(
                    f"C3c: with {cells} of 49 cells from another picture rsum drops less than that of {words}",
                    of.dropped("vse_fusion", cells),
                    of.dropped(rival, cells),
                    baseline_name=rival,
                    metric="drop of rsum by distractors, en",
                    data={key: first.data[key] for key in ("name", "split", "fingerprint")},
                    seeds=list(of.seeds),
                    higher_is_better=False,
                    command=command,
                )
            )
    ordered = of("vse_fusion", behind="vse_fusion")
    made += [
        claim(
            f"C3d: ordering the first {SHORTLIST} by the fusion score raises {words} over the embedding's own order",
            ordered,
            of("vse_fusion"),
            metric=metric,
            command=command,
        )
        for metric, words in (("recall_at_1", "R@1"), ("rsum", "rsum"))
    ]
    return made


def _mvsen(of: Found, command: str | None) -> list[dict[str, Any]]:
    """C7b, C7c and re-ranking."""
    pairs = (
        ("beats VSE++", "vsepp", True),
        ("beats VSE++ with a hidden layer", "vsepp-hidden", False),
        ("beats VSE-infinity", "vse_infinity", True),
        ("beats SCAN, words looking at regions", "scan", True),
        ("beats SCAN, regions looking at words", "scan-i2t", False),
        ("beats symmetric InfoNCE (CLIP style)", "clip_style", False),
        (
            "C7b: beats the same attention and graphs without the tasks and the encoder with memory (SGR style)",
            "sgr-style",
            True,
        ),
        ("C7c: both directions beat words looking at regions alone", "mvsen-t2i", False),
        ("C7c: both directions beat regions looking at words alone", "mvsen-i2t", False),
    )
    made = [claim(words, of("mvsen"), of(theirs), main=main, command=command) for words, theirs, main in pairs]
    made += [
        claim(
            f"ordering the first {SHORTLIST} of VSE-infinity by {name} raises {words}",
            of(name, behind="vse_infinity"),
            of("vse_infinity"),
            metric=metric,
            command=command,
        )
        for name in ("mvsen", "scan")
        for metric, words in (("recall_at_1", "R@1"), ("rsum", "rsum"))
    ]
    return made


def corrected(family: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the p-values of a family of claims after Holm, and with them the verdicts."""
    p_values = holm([check["p_value"] for check in family])
    made = []
    for check, p_value in zip(family, p_values.tolist(), strict=True):
        holds = check["verdict"] == "holds" and p_value < ALPHA
        made.append({**check, "p_value": round(p_value, 6), "verdict": "holds" if holds else "does not hold"})
    return made
