"""The bench of RCAR: strategies on pairs of which a known share is wrong, measured at the best and after the last epoch.

All train one method on the English captions of `picto-hand`. A result file is kept for each run and moment; a run whose files
are there is not trained again, so an interrupted bench goes on where it stopped, seed by seed. Data, noise and loop are those
of `crossbit bench noise`, whose unprotected run at its best epoch is therefore the same number.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossbit.cli.kept import by_mark
from crossbit.cli.noise_bench import CHANGES, PROTOCOL
from crossbit.cli.show import say
from crossbit.evaluation.robustness import BEST, GENERATORS, LAST, MAIN, RATIOS, VARIANTS

if TYPE_CHECKING:
    from crossbit.cli.fit import Fitted
    from crossbit.data.manifest import Manifest
    from crossbit.data.noise import Noise
    from crossbit.evaluation.result import Result

METHOD, DATA, LANGUAGES, SPLIT = "vsepp", "picto-hand", ("en",), "test"

STRATEGIES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "plain": ("plain", {}),
    "multi-task": ("rcar", {"refurbish": "none"}),
    "rcar": ("rcar", {}),
    "rcar-gaussian": ("rcar", {"mixture": "gaussian"}),
    "rcar-single-task": ("rcar", {"matching": 0.0, "consistency": 0.0}),
    "ncr": ("ncr", {"warm_up": 2, "threshold": 0.3}),
    "small-loss": ("small_loss", {}),
    "clean-part": ("plain", {}),
}
"""How each variant is trained; small-loss selection is told the rate, and the clean part holds the right captions alone.

The settings of `ncr` are chosen on validation as those of `rcar` are: at 60 % complete noise 127.8 against 121.7 with its own.
"""


@dataclass(frozen=True)
class Trial:
    """One run.

    Args:
        variant: a name of `STRATEGIES`.
        generator: of the noise; empty at ratio 0.
        ratio: of wrong captions.
        seed: of noise and training.
    """

    variant: str
    generator: str
    ratio: float
    seed: int

    @property
    def label(self) -> str:
        """Say what it is called, without the seed."""
        return f"{self.variant} {self.generator} {100 * self.ratio:g}" if self.ratio else f"{self.variant} clean"


def trials(seeds: Sequence[int], ratios: Sequence[float] = RATIOS) -> Iterator[Trial]:
    """Give all runs that the claims need, seed after seed, so that a part of them is already a comparison.

    Where nothing is wrong, small-loss selection and the clean part are the unprotected run; the clean part is a ceiling for
    complete noise alone, and what RCAR is without its two tasks is asked there as well.
    """
    for seed in seeds:
        yield from (Trial(v, "", 0.0, seed) for v in VARIANTS if v not in ("small-loss", "clean-part"))
        made = [Trial(v, g, ratio, seed) for g in GENERATORS for ratio in ratios for v in VARIANTS]
        made = [
            trial
            for trial in made
            if trial.generator == MAIN or trial.variant not in ("rcar-single-task", "clean-part")
        ]
        yield from sorted(made, key=_no_claim)  # a stable sort: what no claim asks comes last


def _no_claim(trial: Trial) -> bool:
    """Say whether a run stands in the tables alone: what rivals do under the milder partial noise."""
    return trial.generator == GENERATORS[-1] and trial.variant in ("rcar-gaussian", "ncr", "small-loss")


class RcarBench:
    """Train and measure on one data set."""

    def __init__(
        self,
        runs: Path,
        results: Path,
        command: str | None = None,
        *,
        data: str = DATA,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the data.

        Args:
            runs: where checkpoints lie while a run lasts.
            results: the folder of all results; ours go into `picto-rcar` there.
            command: what results name as the command.
            data: what to train and measure on.
            changes: settings of the loop that differ from those of `crossbit bench noise`.
        """
        from crossbit.cli.data import open_data
        from crossbit.cli.fit import settings_for

        self.manifest: Manifest = open_data(data, LANGUAGES).select(languages=LANGUAGES)
        self.runs = runs
        self.results = results / "picto-rcar"
        self.command = command
        self._seen: dict[str, Any] = {}
        self.training = settings_for(METHOD, **{**CHANGES.get(METHOD, {}), **(changes or {})})

    def measured(self, trial: Trial) -> dict[str, Result]:
        """Give the results of a run by moment, "best" and "last"; train when one is missing or was made on other data."""
        noise = self._noise(trial)
        mark = self._mark(trial, noise)
        stem = f"{trial.label.replace(' ', '-')}-seed{trial.seed}"
        places = {moment: self.results / f"{stem}-{moment}.json.gz" for moment in (BEST, LAST)}
        found = {moment: by_mark(place, mark) for moment, place in places.items()}
        kept = {moment: result for moment, result in found.items() if result is not None}
        return kept if len(kept) == len(places) else self._measure(trial, noise, mark, places)

    def _noise(self, trial: Trial) -> Noise | None:
        from crossbit.data.noise import make_noise
        from crossbit.data.noise_generators import GENERATORS as MADE_BY

        if not trial.ratio:
            return None
        kind = MADE_BY[trial.generator].kind
        return make_noise(
            self.manifest, kind, trial.ratio, seed=trial.seed, generator=trial.generator, languages=LANGUAGES
        )

    def _strategy(self, trial: Trial, noise: Noise | None) -> tuple[str, dict[str, Any]]:
        name, settings = STRATEGIES[trial.variant]
        known = {"rate": noise.realised} if trial.variant == "small-loss" and noise is not None else {}
        return name, {**settings, **known}

    def _mark(self, trial: Trial, noise: Noise | None) -> str:
        """Hash all that a run depends on: data, noise, strategy with its settings, settings of the loop."""
        from crossbit.cli.fit import make_strategy
        from crossbit.config import to_mapping

        name, settings = self._strategy(trial, noise)
        plan = make_strategy(name, settings)
        known = {
            "data": self.manifest.fingerprint,
            "noise": noise.fingerprint if noise else "",
            "strategy": [name, trial.variant, to_mapping(plan.config) if hasattr(plan, "config") else {}],
            "training": asdict(replace(self.training, seed=trial.seed)),
        }
        return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]

    def _measure(self, trial: Trial, noise: Noise | None, mark: str, places: Mapping[str, Path]) -> dict[str, Result]:
        from crossbit.cli.fit import fit

        name, settings = self._strategy(trial, noise)
        learned, told = self.manifest, noise
        if trial.variant == "clean-part" and noise is not None:
            learned, told = without_wrong(self.manifest, noise), None
        folder = self.runs / "picto-rcar" / f"{trial.label.replace(' ', '-')}-seed{trial.seed}-{mark[:8]}"
        fitted = fit(
            METHOD,
            learned,
            folder,
            languages=LANGUAGES,
            training=replace(self.training, seed=trial.seed),
            strategy=name,
            strategy_config=settings,
            noise=told,
            resume=True,
            progress=False,
        )
        extra: dict[str, Any] = {"run": mark, "variant": trial.variant, "moment": BEST}
        if noise is not None:
            extra["noise"] = noise.summary
        if trial.variant != "clean-part":
            extra["detection"] = detection(fitted, self.manifest, noise)
        made = {
            BEST: self._evaluated(trial, fitted.model, places[BEST], extra),
            LAST: self._evaluated(trial, fitted.last, places[LAST], {**extra, "moment": LAST, "detection": {}}),
        }
        shutil.rmtree(folder)  # a run that was measured is not gone on with
        best, last = (made[moment].rsum for moment in (BEST, LAST))
        say(
            f"{trial.label}, seed {trial.seed}: rsum {best:.1f} at epoch {fitted.report.best_epoch + 1}, {last:.1f} last"
        )
        return made

    def _evaluated(self, trial: Trial, model: Any, place: Path, extra: Mapping[str, Any]) -> Result:
        from crossbit.evaluation.evaluate import evaluate

        result = evaluate(
            model,
            self.manifest,
            split=SPLIT,
            languages=LANGUAGES,
            protocol=PROTOCOL,
            system=trial.label,
            seeds=[trial.seed],
            encode=lambda view, media: self._rows(model, view, media),
            cache=True,
            progress=False,
            command=self.command,
        )
        result = replace(result, config={**result.config, **extra})
        if place.is_file():
            place.unlink()
        result.write(place)
        return result

    def _rows(self, model: Any, view: str, media: Sequence[Any]) -> Any:
        """Give a model's rows of the split; its features are the same for all runs and looked up once."""
        from crossbit.data.cache import FeatureCache

        if view not in self._seen:
            found = FeatureCache(model.encoder(view)).get_or_encode(media, progress=False)
            self._seen[view] = found.take(np.arange(len(found)), tokens=False)
        return model.rows(self._seen[view])


def without_wrong(manifest: Manifest, noise: Noise) -> Manifest:
    """Give the manifest without the training captions that a noise makes wrong; items that have no caption left go too."""
    from crossbit.data.manifest import Manifest
    from crossbit.data.noise_pairs import TRAIN, places

    wrong = {(pair.item, pair.lang, pair.place) for pair in noise.pairs if pair.kind != "same"}
    items = []
    for item in manifest:
        if item.split == TRAIN:
            kept = tuple(c for place, c in places(item) if (item.id, c.lang, place) not in wrong)
            if not kept:
                continue
            item = replace(item, captions=kept)  # noqa: PLW2901 - the same item with fewer captions
        items.append(item)
    return Manifest(manifest.name, manifest.root, tuple(items))


def detection(fitted: Fitted, manifest: Manifest, noise: Noise | None) -> dict[str, Any]:
    """Measure who finds the planted pairs.

    "beta" and "gaussian" are the two mixtures on one statistic, what the trained model says of the pairs, with their raw
    posteriors; "beta monotone" is mended on both sides as RCAR uses it; "strategy" is what RCAR itself believed at the end.
    """
    from crossbit.evaluation.detection import detect
    from crossbit.nn.mixtures import fit_beta, fit_gaussian
    from crossbit.training.evidence import evidence

    wrong = np.zeros(len(fitted.pairs), bool) if noise is None else noise.truth(manifest, LANGUAGES)
    seen = evidence(fitted.model.method, fitted.pairs, 128)
    x = (1 - (seen.forward + seen.backward) / 2).astype(np.float64)
    beta, gaussian = fit_beta(x), fit_gaussian(x)
    said = {
        "beta": beta.posterior(x, monotone=False),
        "beta monotone": beta.posterior(x),
        "gaussian": gaussian.posterior(x, monotone=False),
        "gaussian monotone": gaussian.posterior(x),
    }
    own = getattr(fitted.strategy, "posterior", None)
    if own is not None:
        said["strategy"] = np.clip(own.astype(np.float64), 0, 1)
    return {name: detect(np.clip(probability, 0, 1), wrong).to_record() for name, probability in said.items()}
