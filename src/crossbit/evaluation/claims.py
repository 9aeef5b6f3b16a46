"""Claim files: what a paper says, measured, with the difference, its interval, a p-value and a plain verdict.

`results/claims/SYSTEM.json` is written by `crossbit bench claims --system SYSTEM` and by nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crossbit import __version__
from crossbit.errors import FingerprintError, MetricError, UsageError
from crossbit.evaluation.machine import machine
from crossbit.evaluation.result import Result, now, this_command
from crossbit.metrics.significance import (
    Difference,
    Run,
    Term,
    bootstrap_p_value,
    paired_difference,
    statistic,
)

FIELDS = (
    "claim",
    "main",
    "metric",
    "higher_is_better",
    "data",
    "seeds",
    "ours",
    "baseline_name",
    "baseline",
    "difference",
    "ci95",
    "p_value",
    "verdict",
    "command",
    "machine",
    "date",
    "version",
)
ALPHA = 0.05


def claim(
    sentence: str,
    ours: Sequence[Result],
    baseline: Sequence[Result] | float,
    *,
    baseline_name: str = "",
    metric: str = "rsum",
    languages: Sequence[str] | None = None,
    baseline_languages: Sequence[str] | None = None,
    times: float = 1.0,
    main: bool = False,
    higher_is_better: bool = True,
    command: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Test one claim on results, one a seed.

    Args:
        sentence: the claim in words.
        ours: the results of the method that the claim is about.
        baseline: the results that it has to beat, on the same queries; or a number to stand above.
        baseline_name: how to name it; by default its system.
        metric: see `Result.terms`.
        languages: averaged over; all by default.
        baseline_languages: of the baseline, where they differ, such as English against the mean of the others.
        times: the baseline counts that many times, such as 0.9 for "at least 90 % of".
        main: whether the paper's main point is this.
        higher_is_better: turned round for claims on drops.
        command: what to write down; by default this process's.
        seed: of bootstrap and test.

    Raises:
        MetricError: the two answered different queries.
        UsageError: no results.
        FingerprintError: they were measured on different data or by different protocols.
    """
    if not ours or (not isinstance(baseline, (int, float)) and not baseline):
        raise UsageError(f"claim {sentence!r}: no results, expected one a seed")
    _check_same(sentence, ours, [] if isinstance(baseline, (int, float)) else baseline)
    mine = [result.terms(metric, languages) for result in ours]
    if isinstance(baseline, (int, float)):
        theirs: Sequence[Run] | float = float(baseline)
        name = baseline_name or "the number stated"
    else:
        theirs = [result.terms(metric, baseline_languages or languages) for result in baseline]
        name = baseline_name or baseline[0].system
    data = {key: ours[0].data[key] for key in ("name", "split", "fingerprint")}
    return claim_of_runs(
        sentence,
        mine,
        theirs,
        baseline_name=name,
        metric=_metric_name(metric, languages),
        data=data,
        seeds=[seed for result in ours for seed in result.seeds],
        times=times,
        main=main,
        higher_is_better=higher_is_better,
        command=command,
        seed=seed,
    )


def claim_of_runs(
    sentence: str,
    ours: Sequence[Run],
    baseline: Sequence[Run] | float,
    *,
    baseline_name: str,
    metric: str,
    data: Mapping[str, Any],
    seeds: Sequence[int],
    times: float = 1.0,
    main: bool = False,
    higher_is_better: bool = True,
    command: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Test one claim on per-query values, one run a seed; see `claim`.

    The difference is ours minus the baseline (times `times`). The verdict is "holds" where the difference has the claimed
    direction, its 95 % interval leaves zero out and p is below 0.05; anything less "does not hold".
    """
    if isinstance(baseline, (int, float)):
        bar = times * float(baseline)
        found = bootstrap_p_value(ours, bar, seed=seed)
        stated = [bar] * len(ours)
    else:
        runs = [[Term(term.values, term.cluster, times * term.weight) for term in run] for run in baseline]
        found = paired_difference(ours, runs, seed=seed)
        stated = [statistic(run) for run in runs]
    factor = "" if times == 1 else f"{times:g} x "
    return {
        "claim": sentence,
        "main": main,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "data": dict(data),
        "seeds": list(seeds),
        "ours": [round(statistic(run), 4) for run in ours],
        "baseline_name": f"{factor}{baseline_name}",
        "baseline": [round(value, 4) for value in stated],
        "difference": round(found.value, 4),
        "ci95": [round(found.interval.low, 4), round(found.interval.high, 4)],
        "p_value": round(found.p_value, 6),
        "verdict": verdict(found, higher_is_better),
        "command": this_command() if command is None else command,
        "machine": machine(),
        "date": now(),
        "version": __version__,
    }


def verdict(found: Difference, higher_is_better: bool = True) -> str:
    """Say whether a difference supports a claim: right direction, interval without zero, p below 0.05."""
    end = found.interval.low if higher_is_better else -found.interval.high
    return "holds" if end > 0 and found.p_value < ALPHA else "does not hold"


def write_claims(system: str, paper: str, checks: Sequence[Mapping[str, Any]], folder: Path | str) -> Path:
    """Write the claim file of a system, whole or not at all.

    Args:
        system: the method's key.
        paper: its citation.
        checks: from `claim`.
        folder: usually `results/claims`.

    Raises:
        MetricError: a check lacks a field, or there is none.
    """
    if not checks:
        raise MetricError(f"claims of {system!r}: no checks, expected at least one")
    for check in checks:
        if set(check) != set(FIELDS):
            odd = sorted(set(check) ^ set(FIELDS))
            raise MetricError(f"claims of {system!r}: check {check.get('claim')!r} has or lacks {odd}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{system}.json"
    partial = folder / f".{system}.json.partial-{os.getpid()}"
    record = {"system": system, "paper": paper, "checks": [{name: check[name] for name in FIELDS} for check in checks]}
    partial.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def _check_same(sentence: str, ours: Sequence[Result], baseline: Sequence[Result]) -> None:
    first = ours[0]
    for result in (*ours, *baseline):
        for what, mine, theirs in (
            ("data", first.data["fingerprint"], result.data["fingerprint"]),
            ("split", first.data["split"], result.data["split"]),
            ("protocol", first.protocol["fingerprint"], result.protocol["fingerprint"]),
        ):
            if mine != theirs:
                raise FingerprintError(
                    f"claim {sentence!r}: {what} {mine!r} and {theirs!r}, expected the same for all results"
                )


def _metric_name(metric: str, languages: Sequence[str] | None) -> str:
    if languages is None:
        return f"{metric}, mean over languages"
    return f"{metric}, {', '.join(languages)}"
