"""The bench of the fine-grained methods: all trained on the English captions of `picto`, measured on concepts never seen.

Embeddings are compared where a method has them, joint scores of all pairs where it has none. Beside that: the same embeddings
with cells of other pictures mixed in (distractors), and the short list of one model ordered anew by another. A result file is
kept for each run; a run whose file is there is not trained again, so an interrupted bench goes on where it stopped, seed by
seed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit.cli.kept import by_mark, trained
from crossbit.cli.noise_bench import PROTOCOL
from crossbit.cli.show import say
from crossbit.features import Features

if TYPE_CHECKING:
    from crossbit.evaluation.result import Result
    from crossbit.training.loop import TrainingConfig

DATA, LANGUAGES, SPLIT = "picto", ("en",), "test"
ENCODERS = {"image": "efficientnet-lite0", "text": "minilm"}
SHORTLIST = 200
DISTRACTORS = (9, 18, 36)
"""Of the 49 cells of a picture, how many show another one."""


@dataclass(frozen=True)
class System:
    """One thing to train.

    Args:
        method: its key.
        changes: what differs from the method's small settings.
    """

    method: str
    changes: Mapping[str, Any] = field(default_factory=dict)


SYSTEMS: dict[str, System] = {
    "vsepp": System("vsepp", {"margin": 0.3}),
    "vsepp-hidden": System("vsepp", {"margin": 0.3, "hidden": 512}),
    "vse_infinity": System("vse_infinity"),
    "clip_style": System("vsepp", {"loss": "infonce", "hidden": 1024}),
    "scan": System("scan"),
    "scan-i2t": System("scan", {"direction": "i2t", "inverse_temperature": 4.0}),
    "vse_fusion": System("vse_fusion"),
    "vse_fusion-without-itc": System("vse_fusion", {"itc_weight": 0.0}),
    "vse_fusion-without-ims": System("vse_fusion", {"ims_weight": 0.0}),
    "vse_fusion-without-lmi": System("vse_fusion", {"lmi_weight": 0.0}),
    "vse_fusion-without-fusion": System("vse_fusion", {"itm_weight": 0.0}),
    "mvsen": System("mvsen"),
    "mvsen-without-text-task": System("mvsen", {"text_weight": 0.0}),
    "mvsen-without-label-task": System("mvsen", {"label_weight": 0.0}),
    "mvsen-without-memory": System("mvsen", {"encoder_layers": 0}),
    "mvsen-without-interaction": System("mvsen", {"interaction": False}),
    "mvsen-without-graph": System("mvsen", {"graph_layers": 0}),
    "mvsen-t2i": System("mvsen", {"direction": "t2i"}),
    "mvsen-i2t": System("mvsen", {"direction": "i2t"}),
    "sgr-style": System("mvsen", {"text_weight": 0.0, "label_weight": 0.0, "encoder_layers": 0}),
}

LOOPS: dict[str, dict[str, Any]] = {
    "vsepp": {"epochs": 20, "learning_rate": 2e-3, "validate_every": 4},
    "vsepp-hidden": {"epochs": 20, "learning_rate": 1e-3, "validate_every": 4},
    "clip_style": {"epochs": 20, "learning_rate": 1e-3, "validate_every": 4},
    "vse_infinity": {"epochs": 12, "batch_size": 256, "learning_rate": 2e-3, "validate_every": 3},
    "scan": {"epochs": 8, "learning_rate": 1e-3, "validate_every": 2},
    "vse_fusion": {"epochs": 12, "batch_size": 256, "learning_rate": 2e-3, "validate_every": 3},
    "mvsen": {"epochs": 8, "batch_size": 64, "learning_rate": 2e-3, "validate_every": 4},
}
"""Settings of the loop by system or else by method, chosen on the validation split; docs/log.md lists what was tried."""

SHARED: Mapping[str, Any] = {"batch_size": 128, "passes": 1, "weight_decay": 0.01, "warm_up": 0.1}


@dataclass(frozen=True)
class Trial:
    """One result.

    Args:
        system: a name of `SYSTEMS`.
        seed: of training and of the distractors.
        distractors: cells of each picture that show another one.
        behind: the system whose short list this one orders anew; empty for none.
    """

    system: str
    seed: int
    distractors: int = 0
    behind: str = ""

    @property
    def label(self) -> str:
        """Say what is measured, without the seed."""
        if self.behind:
            return f"{self.system} behind {self.behind}"
        return f"{self.system} with {self.distractors} distractors" if self.distractors else self.system


class FineBench:
    """Train and measure on one data set.

    Args:
        runs: where trained models are kept.
        results: the folder of all results; ours go into `picto-fine` there.
        command: what results name as the command.
        data: what to train and measure on.
        changes: settings of every loop that differ, for a trial of the bench itself.
        small: settings of every method that differ, likewise.
    """

    def __init__(
        self,
        runs: Path,
        results: Path,
        command: str | None = None,
        *,
        data: Any = DATA,
        changes: Mapping[str, Any] | None = None,
        small: Mapping[str, Any] | None = None,
    ) -> None:
        from crossbit.cli.data import open_data

        self.manifest = open_data(data, LANGUAGES).select(languages=LANGUAGES)
        self.runs, self.results, self.command = runs, results / "picto-fine", command
        self.changes, self.small = dict(changes or {}), dict(small or {})
        self._models: dict[tuple[str, int], tuple[Any, dict[str, float]]] = {}

    def measured(self, trial: Trial) -> Result:
        """Give a result; train what is missing or was made with other data or settings."""
        place = self.results / f"{trial.label.replace(' ', '-')}-seed{trial.seed}.json"
        mark = self._mark(trial)
        found = by_mark(place, mark)
        return found if found is not None else self._measure(trial, place, mark)

    def _mark(self, trial: Trial) -> str:
        """Hash all that a result depends on."""
        names = [trial.system, *([trial.behind] if trial.behind else [])]
        settings = [(name, asdict(self._config(name)), asdict(self._loop(name, trial.seed))) for name in names]
        known = [self.manifest.fingerprint, ENCODERS, PROTOCOL, trial.label, SHORTLIST if trial.behind else 0, settings]
        return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]

    def _config(self, name: str) -> Any:
        from crossbit.model import method_class

        system = SYSTEMS[name]
        cls: Any = method_class(system.method).Config
        known = {key: value for key, value in self.small.items() if key in cls.__dataclass_fields__}
        return replace(cls.small(), **{**known, **system.changes})

    def _loop(self, name: str, seed: int) -> TrainingConfig:
        from crossbit.training.loop import TrainingConfig

        return replace(
            TrainingConfig(), **{**SHARED, **LOOPS.get(name, LOOPS[SYSTEMS[name].method]), **self.changes, "seed": seed}
        )

    def model(self, name: str, seed: int) -> tuple[Any, dict[str, float]]:
        """Give a trained model and what its training cost, from this process, from the disk, or by training it."""
        if (name, seed) not in self._models:
            folder = self.runs / "picto-fine" / f"{name}-seed{seed}-{self._mark(Trial(name, seed))[:8]}"
            say(f"model of {name}, seed {seed}: {folder}")
            self._models[name, seed] = trained(
                SYSTEMS[name].method,
                self.manifest,
                folder,
                config=self._config(name),
                loop=self._loop(name, seed),
                encoders=ENCODERS,
                languages=LANGUAGES,
            )
        return self._models[name, seed]

    def _measure(self, trial: Trial, place: Path, mark: str) -> Result:
        from crossbit.evaluation.evaluate import evaluate

        model, cost = self.model(trial.system, trial.seed)
        extra: dict[str, Any] = {"run": mark, "system": trial.system, "distractors": trial.distractors, **cost}
        options: dict[str, Any] = {}
        if trial.behind:
            first, _ = self.model(trial.behind, trial.seed)
            options = {"by": "score", "score": reordered(first, model, extra)}
        elif not model.dim:
            options = {"by": "score"}
        elif trial.distractors:
            options = {"encode": disturbed(model, trial.distractors, trial.seed)}
        else:
            options = {"cache": True}
        began = time.process_time()
        result = evaluate(
            model,
            self.manifest,
            split=SPLIT,
            languages=LANGUAGES,
            protocol=PROTOCOL,
            system=trial.label,
            seeds=[trial.seed],
            progress=False,
            command=self.command,
            **options,
        )
        extra["measuring_cpu_seconds"] = round(time.process_time() - began, 1)
        result = replace(result, config={**result.config, **extra})
        result.write(place)
        say(f"{trial.label}, seed {trial.seed}: rsum {result.rsum:.1f}")
        return result


def disturbed(model: Any, cells: int, seed: int) -> Callable[[str, Sequence[Any]], Any]:
    """Give a way to encode in which `cells` of the cells of every picture show another picture, drawn by the seed."""
    from crossbit.data.arrays import features_of
    from crossbit.evaluation.evaluate import through_cache

    plain = through_cache(model, progress=False)

    def encode(view: str, media: Sequence[Any]) -> Any:
        if view != "image":
            return plain(view, media)
        from crossbit.model import Rows

        features = features_of(model.encoder(view), media, progress=False)
        draw = np.random.default_rng([seed, cells])
        other = (np.arange(len(media)) + draw.integers(1, len(media), len(media))) % len(media)
        parts = []
        for start in range(0, len(media), 256):
            rows = np.arange(start, min(start + 256, len(media)))
            parts.append(model.rows(mixed(features.take(rows), features.take(other[rows]), cells, draw)))
        return Rows(np.concatenate([part.embedding for part in parts]), None)

    return encode


def mixed(own: Features, other: Features, cells: int, draw: np.random.Generator) -> Features:
    """Put cells of other pictures in the place of some of each picture's own; pooled is the mean of what is there."""
    tokens = own.tokens.copy()
    length = tokens.shape[1]
    for row in range(len(tokens)):
        there, taken = draw.choice(length, cells, replace=False), draw.choice(length, cells, replace=False)
        tokens[row, there] = other.tokens[row, taken]
    return Features(own.modality, tokens, own.mask, tokens.mean(1))


def reordered(first: Any, second: Any, extra: dict[str, Any]) -> Callable[[Sequence[Any], Sequence[str]], Any]:
    """Give tables in which the best of each query by the first model's embeddings are ordered by the second's joint score.

    What is not on a query's short list stands behind it, in its own order. `extra` takes the milliseconds of a query.
    """
    from crossbit.data.arrays import features_of
    from crossbit.evaluation.evaluate import through_cache

    encode = through_cache(first, progress=False)

    def score(media: Sequence[Any], texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        images, asked = encode("image", media).embedding, encode("text", list(texts)).embedding
        cosines = images @ asked.T
        found = [
            features_of(second.encoder(view), some, progress=False)
            for view, some in (("image", media), ("text", list(texts)))
        ]
        began, joint = time.process_time(), _Joint(second, *found)
        forth = _behind(cosines, lambda row, columns: joint(np.array([row]), columns)[0])
        back = _behind(cosines.T, lambda row, columns: joint(columns, np.array([row]))[:, 0]).T
        spent = time.process_time() - began
        extra["milliseconds_a_query"] = round(1000 * spent / (len(images) + len(asked)), 2)
        extra["shortlist"] = SHORTLIST
        return forth, back

    return score


class _Joint:
    """Scores some pictures with some texts."""

    def __init__(self, model: Any, images: Any, texts: Any) -> None:
        self.model, self.images, self.texts = model, images, texts

    def __call__(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        from crossbit.data.loader import Chosen

        scores: np.ndarray = self.model.joint_scores(Chosen(self.images, rows), Chosen(self.texts, columns))
        return scores


def _behind(cosines: np.ndarray, score: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """Order the best of each row anew."""
    keep = min(SHORTLIST, cosines.shape[1])
    table = np.empty_like(cosines)
    for row, line in enumerate(cosines):
        best = np.argpartition(-line, keep - 1)[:keep]
        fresh = score(row, best)
        table[row] = line - 3.0 + float(fresh.min())  # cosines span two
        table[row, best] = fresh
    return table
