"""crossbit train encoder: a small image encoder from nothing, taught by the packaged one on picto's training pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.show import printable, say
from crossbit.errors import ConfigError

if TYPE_CHECKING:
    from crossbit.data.manifest import Manifest

KINDS = ("vit", "resnet")
TEACHER = "efficientnet-lite0"
SOURCES = ("openmoji", "noto", "twemoji", "fluent-flat", "fluent-3d", "clipart", "stamps")
RECORD, ENCODER, FILE = "record.json", "encoder", "config.yaml"


@dataclass(frozen=True)
class EncoderRun:
    """What is to be trained.

    Args:
        kind: "vit" or "resnet".
        sizes: of the network, that differ from its own.
        training: settings of the recipe that differ from its own.
    """

    kind: str
    sizes: Mapping[str, Any]
    training: Mapping[str, Any]

    @property
    def family(self) -> str:
        """Give what the encoder is called with: `small-vit:FOLDER`."""
        return f"small-{self.kind}"

    @property
    def command(self) -> str:
        """Give the line that makes the encoder again."""
        words = [f"{key}={json.dumps(value)}" for key, value in {**self.sizes, **self.training}.items()]
        return " ".join(["crossbit train encoder", f"kind={self.kind}", *words]).replace('"', "")


def read_words(words: Sequence[str], seed: int | None = None) -> EncoderRun:
    """Sort KEY=VALUE words into kind, sizes and recipe.

    Raises:
        ConfigError: no kind is named, or a key does not exist.
    """
    from crossbit.config import override, suggest
    from crossbit.encoders.small import KINDS as NETWORKS
    from crossbit.training.distil import DistilConfig

    values = override({}, words)
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise ConfigError(f"train encoder: kind is {kind!r}, expected one of {', '.join(KINDS)}", "write `kind=vit`")
    sizes = {part.name for part in fields(NETWORKS[f"small-{kind}"][0])}
    recipe = {part.name for part in fields(DistilConfig)}
    if unknown := sorted(set(values) - sizes - recipe):
        raise ConfigError(f"`{unknown[0]}` does not exist", suggest(unknown[0], sorted(sizes | recipe)))
    if seed is not None:
        values["seed"] = seed
    return EncoderRun(
        kind,
        {key: value for key, value in values.items() if key in sizes},
        {key: value for key, value in values.items() if key in recipe},
    )


def pictures(split: str) -> Manifest:
    """Give all drawings, clip art and stamps of picto, of a split; the split keeps concepts whole.

    The record names the licences of what was learnt from.
    """
    from crossbit.data.manifest import Manifest
    from crossbit.data.manifest_arrow import read_items
    from crossbit.data.picto.assemble import prepared

    path = prepared()
    items = read_items(path, split=split, sources=SOURCES, languages=("en",))
    return Manifest("picto-pictures", path.parent, tuple(items))


def train_encoder(
    asked: EncoderRun,
    folder: Path,
    manifests: tuple[Manifest, Manifest] | None = None,
    *,
    resume: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Train, write the encoder to FOLDER/encoder and the record beside it, and give the record.

    Args:
        asked: what to train.
        folder: of the run.
        manifests: to learn and to validate on; picto's by default.
        resume: go on from the newest checkpoint.
        progress: show bars.

    Raises:
        ConfigError: the folder holds another run, or the sizes do not fit the teacher's grid.
    """
    from crossbit import __version__
    from crossbit.cli.run import check_folder
    from crossbit.config import check, to_mapping, write_resolved
    from crossbit.data.cache import FeatureCache
    from crossbit.data.squares import squares
    from crossbit.encoders import load
    from crossbit.encoders.small import KINDS as NETWORKS
    from crossbit.encoders.small import save_network, scaled
    from crossbit.evaluation.machine import machine
    from crossbit.evaluation.result import now
    from crossbit.training import distil as d

    sizes = check(NETWORKS[asked.family][0], asked.sizes)
    config = check(d.DistilConfig, asked.training)
    train, val = manifests or (pictures("train"), pictures("val"))
    settings = {
        "kind": asked.kind,
        "sizes": to_mapping(sizes),
        "training": to_mapping(config),
        "data": train.fingerprint,
    }
    check_folder(folder, settings, resume=resume)
    write_resolved(folder / FILE, settings)
    cache = FeatureCache(load(TEACHER))
    features = [cache.get_or_encode([m.file(item) for item in m], progress=progress) for m in (train, val)]
    bases = d.bases_of(features[0], config.directions, config.seed)
    lessons = [
        d.lesson_of(squares([m.file(item) for item in m], sizes.edge, progress=progress), one, bases)
        for m, one in zip((train, val), features, strict=True)
    ]
    student = d.make_student(asked.family, sizes, lessons[0], config.seed)
    report = d.distil(student, lessons[0], lessons[1], scaled, config, folder, resume=resume, progress=progress)
    mark = save_network(folder / ENCODER, asked.family, student.network)
    record = {
        "encoder": asked.family,
        "fingerprint": mark,
        "teacher": {"name": TEACHER, "fingerprint": cache.card.fingerprint},
        "data": {
            "name": train.name,
            "fingerprint": train.fingerprint,
            "items": dict(sorted(Counter(item.source for item in train).items())),
            "licences": sorted({item.licence for item in train}),
            "validation_items": len(val),
        },
        "sizes": asdict(sizes),
        "parameters": sum(weight.numel() for weight in student.network.parameters()),
        "recipe": asdict(config),
        "steps": report.steps,
        "cpu_seconds": report.cpu_seconds,
        "explained_percent": report.explained,
        "log": [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()],
        "command": asked.command,
        "machine": machine(),
        "date": now(),
        "version": __version__,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def run(words: Sequence[str], output: Path | None, seed: int | None, *, resume: bool) -> dict[str, Any]:
    """Train as the command line asks, and say where the encoder lies."""
    asked = read_words(words, seed)
    folder = output or Path("runs") / f"{asked.family}-{asked.training.get('seed', 0)}"
    say(f"run: {printable(folder)}")
    record = train_encoder(asked, folder, resume=resume)
    said = record["explained_percent"]
    say(
        f"{asked.family}: explains {said['pooled']:.1f} % of the teacher's summaries of held-out pictures and "
        f"{said['cells']:.1f} % of its cells; {record['cpu_seconds']:.0f} s of computing, fingerprint {record['fingerprint']}"
    )
    return {"name": f"{asked.family}:{folder / ENCODER}", **record}
