"""Noise curves: train methods on data of which a known share is wrong, and measure them on clean, unseen data.

One result file a run and split. A run whose results are there is not trained again, so an interrupted bench goes on where it
stopped, and several processes may share the work by methods or seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.kept import drop_checkpoints, kept
from crossbit.cli.show import counted, say
from crossbit.errors import UsageError

if TYPE_CHECKING:
    from crossbit.data.noise import Noise
    from crossbit.evaluation.result import Result
    from crossbit.training.loop import TrainingConfig

PROTOCOL = "same-concept"
"""All drawings of a concept have one name, so every one of them answers it."""


@dataclass(frozen=True)
class Wanted:
    """One run of the bench.

    Args:
        method: its key.
        kind: of the noise.
        generator: of the noise; the kind's default where None.
        ratio: of the noise; 0 trains on clean pairs.
        seed: of noise and training.
    """

    method: str
    kind: str
    generator: str | None
    ratio: float
    seed: int

    @property
    def label(self) -> str:
        """Say what it is called, without the seed."""
        if not self.ratio:
            return f"{self.method} clean"
        return f"{self.method} {self.generator} {100 * self.ratio:g}"


def wanted(
    methods: Sequence[str], kinds: Sequence[str], ratios: Sequence[float], seeds: Sequence[int]
) -> Iterator[Wanted]:
    """Give all runs, a clean one once for all kinds; seed after seed, so that a part of them is already a curve.

    Args:
        methods: their keys.
        kinds: "complete", "partial", or with a generator, as in "partial:subgroup".
        ratios: shares of wrong captions.
        seeds: of noise and training.

    Raises:
        UsageError: nothing is asked for, or a kind does not exist.
    """
    from crossbit.data.noise_generators import DEFAULTS

    if not (methods and kinds and ratios and seeds):
        raise UsageError("bench noise: no methods, kinds, ratios or seeds, expected at least one of each")
    named = []
    for word in kinds:
        kind, _, generator = word.partition(":")
        if kind not in DEFAULTS:
            raise UsageError(
                f"kind {word!r}, expected complete or partial, or one with a generator, as partial:subgroup"
            )
        named.append((kind, generator or DEFAULTS[kind]))
    for seed in seeds:
        for ratio in ratios:
            for kind, generator in named if ratio else named[:1]:
                yield from (Wanted(method, kind, generator, ratio, seed) for method in methods)


class NoiseBench:
    """Train and measure on one data set."""

    def __init__(
        self,
        data: str,
        languages: Sequence[str],
        runs: Path,
        results: Path,
        command: str | None = None,
        changes: dict[str, Any] | None = None,
    ) -> None:
        from crossbit.cli.data import open_data

        self.manifest = open_data(data, languages).select(languages=languages)
        self.languages = tuple(languages)
        self.splits = [split for split in ("test", "hand") if any(item.split == split for item in self.manifest)]
        self.runs = runs
        self.results = results
        self.command = command
        self.changes = changes or {}

    def measured(self, run: Wanted) -> list[Result]:
        """Give the results of a run, one a split; train when one is missing or was made on other data."""
        noise, training = self._noise(run), self._training(run)
        stem = f"{run.label.replace(' ', '-')}-seed{run.seed}"
        places = [self.results / f"{stem}-{split}.json" for split in self.splits]
        found = [self._kept(place, noise, training) for place in places]
        there = [result for result in found if result is not None]
        return there if len(there) == len(places) else self._measure(run, noise, training, places)

    def _kept(self, place: Path, noise: Noise | None, training: TrainingConfig) -> Result | None:
        return kept(
            place,
            lambda found: (
                found.data["fingerprint"] == self.manifest.fingerprint
                and found.config.get("settings") == asdict(training)
                and found.config.get("noise", {}).get("fingerprint") == (noise.fingerprint if noise else None)
            ),
        )

    def _measure(
        self, run: Wanted, noise: Noise | None, training: TrainingConfig, places: Sequence[Path]
    ) -> list[Result]:
        from crossbit.cli.fit import fit
        from crossbit.evaluation.evaluate import evaluate

        known = [asdict(training), self.manifest.fingerprint, noise.fingerprint if noise else ""]
        digest = sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]
        folder = self.runs / self.manifest.name / f"{run.label.replace(' ', '-')}-seed{run.seed}-{digest}"
        fitted = fit(
            run.method,
            self.manifest,
            folder,
            languages=self.languages,
            training=training,
            noise=noise,
            resume=True,
            progress=False,
        )
        last = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        made = []
        for split, place in zip(self.splits, places, strict=True):
            if place.is_file():
                place.unlink()
            result = evaluate(
                fitted.model,
                self.manifest,
                split=split,
                languages=self.languages,
                protocol=PROTOCOL,
                system=run.label,
                seeds=[run.seed],
                cache=True,
                progress=False,
                command=self.command,
            )
            config = {**result.config, "last_epoch_validation_rsum": round(last["val_rsum"], 2)}
            result = replace(result, config=config)
            result.write(place)
            made.append(result)
        drop_checkpoints(folder)  # a run that was measured is not gone on with
        sums = ", ".join(f"{split} {result.rsum:.1f}" for split, result in zip(self.splits, made, strict=True))
        say(
            f"{run.label}, seed {run.seed}: rsum on {sums}; best epoch {fitted.report.best_epoch + 1} of {training.epochs}"
        )
        return made

    def _noise(self, run: Wanted) -> Noise | None:
        from crossbit.data.noise import make_noise

        if not run.ratio:
            return None
        kind: Any = run.kind
        return make_noise(
            self.manifest, kind, run.ratio, seed=run.seed, generator=run.generator, languages=self.languages
        )

    def _training(self, run: Wanted) -> TrainingConfig:
        from crossbit.cli.fit import settings_for

        return settings_for(run.method, **{**CHANGES.get(run.method, {}), **self.changes, "seed": run.seed})


CHANGES: dict[str, dict[str, Any]] = {"fgcmh": {"epochs": 8}, "vsepp": {"epochs": 20}}
"""Settings of the loop that differ from the method's usual ones, so that all runs fit into an hour of two cores."""


def bench_noise(bench: NoiseBench, runs: Sequence[Wanted]) -> list[Result]:
    """Measure all runs."""
    made: list[Result] = []
    for number, run in enumerate(runs, start=1):
        say(f"run {number} of {counted(len(runs), 'run')}: {run.label}, seed {run.seed}")
        made += bench.measured(run)
    return made
