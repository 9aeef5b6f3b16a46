"""Claims: train what a paper's claims compare, three seeds each, measure it, and write results and claim files.

A run that is there is not trained again, so an interrupted bench goes on where it stopped. A result whose model is gone
stands as long as the data and the settings of the loop are what they were; delete the file to measure it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.cli.show import say
from crossbit.errors import ConfigError, UsageError

SEEDS = (0, 1, 2)
STATED_ENGLISH = 236.0
STATED_OTHERS = 0.85
"""What plain heads reached on another random split of the same drawings by drawing, trained on four fifths of them."""


@dataclass(frozen=True)
class System:
    """One thing to train and measure.

    Args:
        method: its key.
        changes: what differs from the method's small settings.
        by: what is compared: "embedding", "code", "asymmetric", or codes made afterwards by "sign" or "itq".
    """

    method: str
    changes: Mapping[str, Any]
    by: str = "embedding"


SYSTEMS = {
    "fgcmh": System("fgcmh", {}),
    "fgcmh-128bit": System("fgcmh", {}, by="code"),
    "fgcmh-128bit-asymmetric": System("fgcmh", {}, by="asymmetric"),
    "fgcmh-256bit": System("fgcmh", {"bits": 256}, by="code"),
    "fgcmh-256bit-asymmetric": System("fgcmh", {"bits": 256}, by="asymmetric"),
    "fgcmh-256bit-dense": System("fgcmh", {"bits": 256}),
    "fgcmh-without-reasoning": System("fgcmh", {"refine_layers": 0, "reason_layers": 0}, by="code"),
    "vsepp": System("vsepp", {}),
    "vsepp-mean-negatives": System("vsepp", {"mean_negatives": 1.0}),
    "vsepp-sign-128bit": System("vsepp", {"width": 128}, by="sign"),
    "vsepp-itq-128bit": System("vsepp", {}, by="itq"),
    "plain-heads": System("vsepp", {"loss": "infonce"}),
}


class Bench:
    """Train and measure systems on one data set; everything is kept below two folders."""

    def __init__(self, data: str, runs: Path, results: Path, command: str) -> None:
        from crossbit.cli.data import open_data

        self.manifest = open_data(data)
        self.runs = runs
        self.results = results / self.manifest.name
        self.command = command

    def measured(self, name: str, seeds: Sequence[int]) -> list[Any]:
        """Give the results of a system, one a seed, training what is missing."""
        return [self._one(name, seed) for seed in seeds]

    def _one(self, name: str, seed: int) -> Any:
        from crossbit.evaluation.evaluate import evaluate
        from crossbit.evaluation.result import Result

        place = self.results / f"{name}-seed{seed}.json"
        system = SYSTEMS[name]
        found = Result.read(place) if place.is_file() else None
        if (
            found is not None
            and not (self._folder(system, seed) / "model").is_dir()
            and self._stands(found, system, seed)
        ):
            return found
        model = self._model(system, seed)
        if found is not None:
            if (
                found.data["fingerprint"] == self.manifest.fingerprint
                and found.model["fingerprint"] == model.fingerprint
            ):
                return found
            place.unlink()
        direct = system.by in ("embedding", "code", "asymmetric")
        made = model if direct else CodesAfterwards(model, system.by, 128, self.manifest)
        by: Any = system.by if direct else "code"
        encode = made.encode if isinstance(made, CodesAfterwards) else None
        result = evaluate(
            made,
            self.manifest,
            by=by,
            system=name,
            seeds=[seed],
            cache=encode is None,
            encode=encode,
            command=self.command,
        )
        result.write(place)
        say(f"{name} on {self.manifest.name}, seed {seed}: rsum {result.rsum:.1f}")
        return result

    def _model(self, system: System, seed: int) -> Any:
        from crossbit.cli.fit import fit, settings_for
        from crossbit.model import Model, method_class
        from crossbit.modelcard import readable

        folder = self._folder(system, seed)
        config = replace(method_class(system.method).Config.small(), **system.changes)  # type: ignore[attr-defined]
        training = settings_for(system.method, seed=seed)
        card = readable(folder / "model")
        if card is not None and self._same(card, config, training):
            return Model.load(folder / "model")
        say(f"train {folder.name}")
        return fit(system.method, self.manifest, folder, method_config=config, training=training, resume=True).model

    def _folder(self, system: System, seed: int) -> Path:
        label = "-".join([system.method, *(f"{key}={value}" for key, value in system.changes.items())])
        return self.runs / self.manifest.name / f"{label}-seed{seed}"

    def _stands(self, found: Any, system: System, seed: int) -> bool:
        """Say whether a result was made on these data with these settings of the loop."""
        from dataclasses import asdict

        from crossbit.cli.fit import settings_for

        settings = asdict(settings_for(system.method, seed=seed))
        same: bool = found.data["fingerprint"] == self.manifest.fingerprint and found.config.get("settings") == settings
        return same

    def _same(self, card: Any, config: Any, training: Any) -> bool:
        from dataclasses import asdict

        known = card.training
        return (
            dict(card.config) == asdict(config)
            and known.get("settings") == asdict(training)
            and known.get("data_fingerprint") == self.manifest.fingerprint
        )


class CodesAfterwards:
    """Codes of a dense model, made by the sign of its embedding or by ITQ on its training embeddings."""

    def __init__(self, model: Any, kind: str, bits: int, manifest: Any) -> None:
        self.model = model
        self.dim = 0
        self.bits = bits
        self.name = f"{model.name}-{kind}"
        self.card = model.card
        self.fingerprint = model.fingerprint
        self.project: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
        if kind == "itq":
            import torch

            from crossbit.nn.hashing import itq

            train = manifest.select("train")
            texts = [caption.text for item in train for caption in item.captions]
            dense = [self._dense("image", [train.file(i) for i in train]), self._dense("text", texts)]
            directions = itq(torch.from_numpy(np.concatenate(dense)), bits).numpy()
            self.project = lambda rows: rows @ directions

    def encode(self, view: str, media: Sequence[Any], **_: Any) -> Any:
        """Give packed codes."""
        from crossbit.codes.packing import pack
        from crossbit.model import Rows

        return Rows(None, pack(self.project(self._dense(view, media))))

    def _dense(self, view: str, media: Sequence[Any]) -> np.ndarray:
        from crossbit.evaluation.evaluate import through_cache

        rows: np.ndarray = through_cache(self.model, progress=False)(view, media).embedding
        return rows


def fgcmh(data: Bench, each: Bench, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Measure what TECMH claims, as far as its rivals exist here, and this project's own bars."""
    from crossbit.evaluation.claims import claim

    def check(sentence: str, ours: Any, theirs: Any, **options: Any) -> dict[str, Any]:
        return claim(sentence, ours, theirs, command=data.command, **options)

    dense, code = data.measured("fgcmh", seeds), data.measured("fgcmh-128bit", seeds)
    others = [language for language in dense[0].languages if language != "en"]
    by_drawing, each_code = each.measured("fgcmh", seeds), each.measured("fgcmh-128bit", seeds)
    return [
        check(
            "128-bit codes beat the sign of VSE++ at 128 bits",
            code,
            data.measured("vsepp-sign-128bit", seeds),
            main=True,
        ),
        check("128-bit codes beat ITQ of VSE++ at 128 bits", code, data.measured("vsepp-itq-128bit", seeds), main=True),
        check(
            "refining and reasoning over tokens raises the rsum of the codes",
            code,
            data.measured("fgcmh-without-reasoning", seeds),
        ),
        check("128-bit codes keep at least 90 % of the dense rsum", code, dense, times=0.9),
        check(
            "256-bit codes keep at least 90 % of the dense rsum",
            data.measured("fgcmh-256bit", seeds),
            data.measured("fgcmh-256bit-dense", seeds),
            times=0.9,
        ),
        check(
            "128-bit codes, asked by queries that are not cut to bits, keep at least 90 % of the dense rsum",
            data.measured("fgcmh-128bit-asymmetric", seeds),
            dense,
            times=0.9,
        ),
        check(
            "256-bit codes, asked by queries that are not cut to bits, keep at least 90 % of the dense rsum",
            data.measured("fgcmh-256bit-asymmetric", seeds),
            data.measured("fgcmh-256bit-dense", seeds),
            times=0.9,
        ),
        check(
            "128-bit codes, asked by queries that are not cut to bits, beat codes asked by codes",
            data.measured("fgcmh-128bit-asymmetric", seeds),
            code,
        ),
        check("split by drawing: 128-bit codes keep at least 90 % of the dense rsum", each_code, by_drawing, times=0.9),
        check("the dense embedding beats VSE++", dense, data.measured("vsepp", seeds)),
        check("the dense embedding beats plain heads with InfoNCE", dense, data.measured("plain-heads", seeds)),
        check(
            "split by drawing: the dense embedding beats plain heads with InfoNCE",
            by_drawing,
            each.measured("plain-heads", seeds),
        ),
        check(
            "split by drawing: English stands above the 236 of plain heads trained on four fifths of the drawings",
            by_drawing,
            STATED_ENGLISH,
            baseline_name="236, measured beforehand on another random split",
            languages=["en"],
        ),
        check(
            "split by drawing: the mean of the other thirteen languages stands above 85 % of those 236",
            by_drawing,
            STATED_ENGLISH,
            baseline_name="236, measured beforehand on another random split",
            languages=others,
            times=STATED_OTHERS,
        ),
    ]


def vsepp(data: Bench, each: Bench, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Measure what VSE++ claims: the hardest negative against the mean of the negatives."""
    from crossbit.evaluation.claims import claim

    ours = data.measured("vsepp", seeds)
    return [
        claim(
            "the hardest negative of the batch beats the mean of the negatives",
            ours,
            data.measured("vsepp-mean-negatives", seeds),
            main=True,
            command=data.command,
        ),
        claim(
            "split by drawing: English stands above the 236 of plain heads trained on four fifths of the drawings",
            each.measured("vsepp", seeds),
            STATED_ENGLISH,
            baseline_name="236, measured beforehand on another random split",
            languages=["en"],
            command=data.command,
        ),
    ]


CLAIMS: dict[str, tuple[str, Callable[[Bench, Bench, Sequence[int]], list[dict[str, Any]]]]] = {
    "fgcmh": (
        "TECMH: Transformer-Based Cross-Modal Hashing For Fine-Grained Image-Text Retrieval, Computers, Materials & Continua "
        "75(2), 2023, doi 10.32604/cmc.2023.037463",
        fgcmh,
    ),
    "vsepp": ("VSE++: Improving Visual-Semantic Embeddings with Hard Negatives, BMVC 2018", vsepp),
}


def bench_claims(
    system: str, seeds: Sequence[int] = SEEDS, runs: Path = Path("runs"), results: Path = Path("results")
) -> Path:
    """Measure the claims of one system and write `results/claims/SYSTEM.json`.

    Raises:
        ConfigError: no claims are known of this system.
        UsageError: no seeds.
    """
    from crossbit.evaluation.claims import write_claims

    others = ("base", "cmhr_drn", "mvsen", "rcar", "vit2cmh", "vse_fusion")
    if system not in CLAIMS and system not in others:
        raise ConfigError(f"no claims of {system!r}, there are {sorted([*CLAIMS, *others])}")
    if not seeds:
        raise UsageError("seeds: none, expected at least one")
    command = f"crossbit bench claims --system {system}" + (
        "" if tuple(seeds) == SEEDS else f" --seeds {','.join(map(str, seeds))}"
    )
    if system == "base":
        from crossbit.cli.claims_base import PAPER, base_claims

        return write_claims(system, PAPER, base_claims(runs, results, command, seeds), results / "claims")
    if system == "rcar":  # trained and measured on other data, under noise
        from crossbit.cli.rcar_bench import RcarBench
        from crossbit.cli.rcar_claims import bench_rcar

        return bench_rcar(RcarBench(runs, results, command), seeds, results / "claims")
    if system in ("mvsen", "vse_fusion"):
        from crossbit.cli.fine_bench import FineBench
        from crossbit.cli.fine_claims import bench_fine

        return bench_fine(FineBench(runs, results, command), system, seeds, results / "claims")
    if system == "cmhr_drn":
        from crossbit.cli.hashing_claims import CMHR_DRN, Measured, cmhr_drn_on_labels
        from crossbit.cli.tower_bench import TowerBench
        from crossbit.cli.tower_claims import residual_on_labels

        measured = Measured(runs, results, command, seeds)
        checks = cmhr_drn_on_labels(measured)
        write_claims(system, CMHR_DRN, checks, results / "claims")  # before towers are trained, which takes long
        checks += residual_on_labels(TowerBench(measured.bench, runs, results, command), seeds)
        return write_claims(system, CMHR_DRN, checks, results / "claims")
    if system == "vit2cmh":
        from crossbit.cli.hashing_claims import Measured
        from crossbit.cli.tower_bench import TowerBench
        from crossbit.cli.tower_claims import VIT2CMH, vit2cmh_on_captions, vit2cmh_over_towers

        measured = Measured(runs, results, command, seeds)
        checks = vit2cmh_on_captions(measured)
        write_claims(system, VIT2CMH, checks, results / "claims")  # before towers are trained, which takes long
        checks = [*vit2cmh_over_towers(TowerBench(measured.bench, runs, results, command), seeds), *checks]
        return write_claims(system, VIT2CMH, checks, results / "claims")
    paper, measure = CLAIMS[system]
    benches = [Bench(name, runs, results, command) for name in ("openmoji", "openmoji-each")]
    checks = measure(benches[0], benches[1], seeds)
    if system == "fgcmh":
        from crossbit.cli.hashing_claims import Measured, fgcmh_on_captions

        checks += fgcmh_on_captions(Measured(runs, results, command, seeds))
    return write_claims(system, paper, checks, results / "claims")
