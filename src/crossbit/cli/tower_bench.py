"""What towers are worth to hash codes: the same method, losses, bits and data over one pair of encoders after another.

The small ones are trained here by one recipe when they are missing; frozen features come from the cache. One result file a
run, as in `crossbit bench hashing`, with which it shares data, protocol and settings of the loop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.hashing_bench import LANGUAGES, PROTOCOLS, HashingBench
from crossbit.cli.hashing_systems import TRACKS, loop_settings
from crossbit.cli.kept import kept, plain, trained
from crossbit.cli.show import say

if TYPE_CHECKING:
    from crossbit.evaluation.result import Result
    from crossbit.model import Model

TOWERS: Mapping[str, tuple[str, ...]] = {
    "vit": ("kind=vit",),
    "resnet": ("kind=resnet",),
    "shallow": ("kind=resnet", "blocks=[1,1,1,1]", "residual=false"),
}
"""Small image encoders, as `crossbit train encoder` is asked for them."""

LONGEST = 128


@dataclass(frozen=True)
class Arm:
    """A method over a pair of towers.

    Args:
        method: its key.
        image: one of `TOWERS`, or the name of an encoder.
        text: the name of an encoder.
        changes: what differs from the method's small settings.
        track: "captions" or "labels".
    """

    method: str
    image: str
    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    track: str = "captions"


_NCE = {"loss": "infonce"}
"""The loss of every arm. By the hinge with hardest negatives a GRU collapses to one code for all texts (a loss of twice the
margin), and codes over BERT reach three fifths of the validation rsum; to beat what has collapsed would say nothing."""
_GRU = {**_NCE, "text_net": "gru"}
_OWN = {**_NCE, "text_net": "vocabulary"}
ARMS: Mapping[str, Arm] = {
    "vit-bert": Arm("vit2cmh", "vit", "minilm", _NCE),
    "vit-gru": Arm("vit2cmh", "vit", "minilm-words", _GRU),
    "vit-own-words": Arm("vit2cmh", "vit", "words", _OWN),
    "resnet-bert": Arm("vit2cmh", "resnet", "minilm", _NCE),
    "resnet-gru": Arm("vit2cmh", "resnet", "minilm-words", _GRU),
    "resnet-own-words": Arm("vit2cmh", "resnet", "words", _OWN),
    "packaged-bert": Arm("vit2cmh", "efficientnet-lite0", "minilm", _NCE),
    "packaged-gru": Arm("vit2cmh", "efficientnet-lite0", "minilm-words", _GRU),
    "cmhr_drn-resnet": Arm("cmhr_drn", "resnet", "words", track="labels"),
    "cmhr_drn-shallow": Arm("cmhr_drn", "shallow", "words", track="labels"),
}
"""Every code is nested, of 128 bits, so that one training answers for its shorter lengths as well."""


class TowerBench:
    """Train and measure arms on one data set.

    Args:
        hashing: the bench whose data, protocols and settings of the loop are used.
        runs: where towers and models are trained.
        results: result files of arms go to DATA-towers below it, records of towers to encoders.
        command: what to write down.
        changes: settings of the loop that differ from the bench's.
    """

    def __init__(
        self,
        hashing: HashingBench,
        runs: Path,
        results: Path,
        command: str,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self.hashing, self.runs, self.results, self.command = hashing, runs, results, command
        self.changes = changes or {}
        self._towers: dict[str, str] = {}

    @cached_property
    def folder(self) -> Path:
        """Give the folder of the results."""
        return self.results / f"{Path(self.hashing.data).stem}-towers"

    def measured(self, arm: str, bits: int, seeds: Sequence[int]) -> list[Result]:
        """Give the results of an arm at a length, one a seed; train what is missing."""
        return [self._one(arm, bits, seed) for seed in seeds]

    def tower(self, name: str) -> str:
        """Give the encoder's name of a tower; train it when it is missing, and write its record down."""
        if name not in TOWERS:
            return name
        if name not in self._towers:
            from crossbit.cli.encoder import ENCODER, RECORD, read_words, train_encoder

            asked, folder = read_words(TOWERS[name]), self.runs / "encoders" / f"small-{name}-0"
            if not (folder / RECORD).is_file():
                say(f"train {name}: {asked.command}")
                train_encoder(asked, folder, resume=folder.is_dir(), progress=False)
            place = self.results / "encoders" / f"small-{name}-0.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text((folder / RECORD).read_text(encoding="utf-8"), encoding="utf-8")
            self._towers[name] = f"{asked.family}:{folder / ENCODER}"
        return self._towers[name]

    def _one(self, name: str, bits: int, seed: int) -> Result:
        from crossbit.encoders import load
        from crossbit.evaluation.evaluate import evaluate
        from crossbit.model import method_class

        arm = ARMS[name]
        encoders = {"image": self.tower(arm.image), "text": arm.text}
        config: Any = method_class(arm.method).Config
        method = replace(config.small(), **{**arm.changes, "bits": LONGEST, "nested": True})
        loop = loop_settings(arm.method, self.hashing.data, **self.changes, seed=seed)
        manifest = self.hashing.manifest(arm.track)
        known = {
            "method_config": plain(asdict(method)),
            "towers": {view: load(one).describe().fingerprint for view, one in encoders.items()},
        }
        place = self.folder / f"{name}-{bits}bit-seed{seed}.json.gz"
        told = {**known, "settings": asdict(loop)}

        def stands(found: Result) -> bool:
            same = all(found.config.get(key) == value for key, value in told.items())
            return same and found.data["fingerprint"] == manifest.fingerprint

        if (found := kept(place, stands)) is not None:
            return found
        model, cost = self._trained(arm, encoders, method, loop, known)
        result = evaluate(
            model.with_bits(bits),
            manifest,
            languages=LANGUAGES,
            by="code",
            protocol=PROTOCOLS[arm.track],
            system=f"{name} {bits}bit",
            seeds=[seed],
            cache=True,
            progress=False,
            command=self.command,
        )
        result = replace(result, config={**result.config, **known, "arm": {**asdict(arm), **cost}})
        result.write(place)
        metric = TRACKS[arm.track].metric
        value = result.rsum if metric == "rsum" else result.metrics["en"]["both"]["map_all"]
        say(f"{name} {bits}bit, seed {seed}: {metric} {value:.1f}; trained in {cost['cpu_seconds']:.0f} s")
        return result

    def _trained(
        self, arm: Arm, encoders: Mapping[str, str], method: Any, loop: Any, known: Mapping[str, Any]
    ) -> tuple[Model, dict[str, float]]:
        manifest = self.hashing.manifest(arm.track)
        told = json.dumps([known, asdict(loop), manifest.fingerprint, arm.track, arm.method], sort_keys=True)
        folder = self.runs / f"{manifest.name}-towers" / f"{arm.method}-{sha256(told.encode()).hexdigest()[:12]}"
        return trained(
            arm.method,
            manifest,
            folder,
            config=method,
            loop=loop,
            encoders=encoders,
            languages=LANGUAGES,
            chosen_by=TRACKS[arm.track].metric,
        )
