"""crossbit bench hashing: every way to codes at every length, on caption retrieval and on labels.

One result file a run. A run whose result is there is not trained again, so an interrupted bench goes on where it stopped, and
several processes may share the work by systems or seeds. Frozen features come from the cache; a run whose model serves no other
length is dropped once it is measured.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit.cli.hashing_systems import NEEDS_LABELS, SYSTEMS, TRACKS, Wanted, loop_settings, method_settings
from crossbit.cli.kept import kept, plain, trained
from crossbit.cli.show import counted, say
from crossbit.errors import UsageError

if TYPE_CHECKING:
    from crossbit.data.manifest import Manifest
    from crossbit.evaluation.result import Result
    from crossbit.model import Model

LANGUAGES = ("en",)
PROTOCOLS = {"labels": "hashing", "captions": "same-concept"}
SHARED = ("nested", "prefix", "itq", "random")
"""Kinds whose model serves several lengths."""
TIMED = 256
"""Items whose way through the method's own layers is timed."""


class HashingBench:
    """Train and measure on one data set.

    Args:
        data: "picto", "openmoji", or any other set with labels.
        longest: length of nested codes.
        runs: where models are trained.
        results: where result files go, below the name of the track.
        command: what to write down; by default this process's.
        changes: settings of the loop that differ from the bench's.
        keep: keep all trained models.
    """

    def __init__(
        self,
        data: str,
        longest: int,
        runs: Path,
        results: Path,
        command: str | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self.data = data
        self.longest = longest
        self.runs = runs
        self.results = results
        self.command = command
        self.changes = changes or {}
        self.keep = keep

    @cached_property
    def labelled(self) -> Manifest:
        """Give the data in English, with labels: those of picto's drawings where the set has none of its own."""
        from crossbit.cli.data import open_data
        from crossbit.data.labelled import labels_of_drawings, with_labels

        found = open_data(self.data, LANGUAGES).select(languages=LANGUAGES)
        if any(item.labels for item in found):
            return found
        say(f"{found.name}: has no labels, those of picto's drawings are taken")
        return with_labels(found, labels_of_drawings(open_data("picto:openmoji", LANGUAGES)))

    @cached_property
    def struck(self) -> Manifest:
        """Give the same without the words of the tags in the texts; say who is left out, and write the three sets down."""
        from crossbit.data.labelled import without_label_words
        from crossbit.evaluation.hashing_split import HashingSplit

        found, gone = without_label_words(self.labelled)
        if gone:
            say(f"{self.labelled.name}: {counted(len(gone), 'item')} left out, whose texts are words of labels alone")
        HashingSplit.of(found).write(self.results / "split.json")
        return found

    def manifest(self, track: str) -> Manifest:
        """Give the data of a track."""
        return self.struck if track == "labels" else self.labelled

    def measured(self, run: Wanted) -> Result:
        """Give the result of a run; train when it is missing, or was made on other data or with other settings."""
        place = self._place(run)
        method, loop = self._settings(run)

        def stands(found: Result) -> bool:
            known = (found.config.get("method_config"), found.config.get("settings"), found.data["fingerprint"])
            return known == (plain(asdict(method)), asdict(loop), self.manifest(run.track).fingerprint)

        if (found := kept(place, stands)) is not None:
            return found
        model, cost = self._model(run, method, loop)
        result = self._measure(run, model, cost, plain(asdict(method)))
        result.write(place)
        if not self.keep and not _serves_others(run.system):
            shutil.rmtree(self._folder(run, method, loop), ignore_errors=True)
        both = result.metrics["en"]["both"]
        say(
            f"{run.label} by {run.track}, seed {run.seed}: "
            + ", ".join(f"{name} {value:.1f}" for name, value in both.items())
            + f"; trained in {cost['cpu_seconds']:.0f} s"
        )
        return result

    def _measure(self, run: Wanted, model: Model, cost: Mapping[str, float], method: Mapping[str, Any]) -> Result:
        from crossbit.evaluation.evaluate import evaluate

        system = SYSTEMS[run.system]
        result = evaluate(
            model,
            self.manifest(run.track),
            languages=LANGUAGES,
            by="embedding" if system.kind == "float" else "code",
            protocol=PROTOCOLS[run.track],
            system=run.label,
            seeds=[run.seed],
            cache=True,
            progress=False,
            command=self.command,
        )
        bench = {"track": run.track, "system": run.system, "bits": run.bits, **cost, **head_times(model, self.labelled)}
        return replace(result, config={**result.config, "method_config": method, "bench": bench})

    def _model(self, run: Wanted, method: Any, loop: Any) -> tuple[Model, dict[str, float]]:
        """Give the trained model, cut or with codes made for it, and what training cost."""
        from crossbit.cli.codes import codes_afterwards

        system = SYSTEMS[run.system]
        model, cost = self._trained(run, method, loop)
        if system.kind in ("nested", "prefix"):
            if system.kind == "prefix":  # bit by bit, so a shorter code would have taken its share
                cost["cpu_seconds"] *= run.bits / self.longest
            return model.with_bits(run.bits), cost
        if system.kind in ("sign", "itq", "random"):
            began = time.process_time()
            train = self.manifest(run.track).select("train")
            by: Any = system.kind
            model = codes_afterwards(model, None if by == "sign" else train, run.bits, by, run.seed)
            cost["cpu_seconds"] += time.process_time() - began
        return model, cost

    def _trained(self, run: Wanted, method: Any, loop: Any) -> tuple[Model, dict[str, float]]:
        return trained(
            SYSTEMS[run.system].method,
            self.manifest(run.track),
            self._folder(run, method, loop),
            config=method,
            loop=loop,
            languages=LANGUAGES,
            chosen_by=TRACKS[run.track].metric,
        )

    def _settings(self, run: Wanted) -> tuple[Any, Any]:
        system = SYSTEMS[run.system]
        method = method_settings(system, run.bits, self.longest, run.seed)
        return method, loop_settings(system.method, self.data, **self.changes, seed=run.seed)

    def _place(self, run: Wanted) -> Path:
        return self.results / run.track / f"{run.system}-{run.bits}bit-seed{run.seed}.json.gz"

    def _folder(self, run: Wanted, method: Any, loop: Any) -> Path:
        """Name the folder of a training after all that it depends on, so that systems that train the same share it."""
        system = SYSTEMS[run.system]
        known = [asdict(method), asdict(loop), self.manifest(run.track).fingerprint, run.track]
        digest = sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]
        return self.runs / f"{self.labelled.name}-hashing" / f"{system.method}-{run.track}-seed{run.seed}-{digest}"


def bench_hashing(bench: HashingBench, runs: Sequence[Wanted]) -> list[Result]:
    """Measure all runs.

    Raises:
        UsageError: a system that needs labels is asked for on data that have none.
    """
    if not any(item.labels for item in bench.labelled) and any(SYSTEMS[r.system].method in NEEDS_LABELS for r in runs):
        raise UsageError(f"{bench.data}: has no labels, expected some for {sorted(NEEDS_LABELS)}")
    made = []
    for number, run in enumerate(runs, start=1):
        say(f"run {number} of {counted(len(runs), 'run')}: {run.label}, {run.track}, seed {run.seed}")
        made.append(bench.measured(run))
    return made


def head_times(model: Model, manifest: Manifest) -> dict[str, float]:
    """Time the method's own layers, in microseconds an item, after the frozen encoder, which is the same for all."""
    from crossbit.data.cache import FeatureCache

    items = manifest.items[:TIMED]
    media: dict[str, list[Any]] = {
        "image": [manifest.file(item) for item in items],
        "text": [item.captions[0].text for item in items],
    }
    found = {}
    for view, some in media.items():
        features = FeatureCache(model.encoder(view)).get_or_encode(some, progress=False).take(np.arange(len(some)))
        model.rows(features[:8])  # opens the graph
        began = time.process_time()
        model.rows(features)
        found[f"{view}_us"] = round(1e6 * (time.process_time() - began) / len(some), 2)
    return found


def _serves_others(name: str) -> bool:
    """Say whether a system's model is used again: at other lengths, or by a system further down that trains the same."""
    system, names = SYSTEMS[name], list(SYSTEMS)
    alike = [SYSTEMS[other] for other in names[names.index(name) + 1 :]]
    twins = [other for other in alike if (other.method, other.changes) == (system.method, system.changes)]
    return system.kind in SHARED or (system.kind == "code" and any(other.kind == "float" for other in twins))
