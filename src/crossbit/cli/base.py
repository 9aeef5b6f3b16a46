"""`crossbit train base`: the default model's heads, from the permissively licensed parts of picto and the classifier's rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.show import printable, say
from crossbit.errors import UsageError

if TYPE_CHECKING:
    from crossbit.data.manifest import Manifest
    from crossbit.model import Model

SOURCES = ("noto", "twemoji", "fluent-flat", "fluent-3d", "clipart")
"""What `base` may learn from: Apache-2.0, CC BY 4.0, MIT, MIT, public domain. Not OpenMoji, not stamps: they are its tests."""

LANGUAGES = (
    "ar",
    "bg",
    "ca",
    "cs",
    "da",
    "de",
    "el",
    "en",
    "es",
    "fa",
    "fi",
    "fr",
    "he",
    "hi",
    "hu",
    "id",
    "it",
    "ja",
    "ko",
    "nl",
    "pl",
    "pt",
    "ro",
    "ru",
    "sv",
    "th",
    "tr",
    "uk",
    "vi",
    "zh",
)
"""Languages of the names that it learns; the text encoder reads seventy more, which profit."""

ENCODERS = {"image": "efficientnet-lite0", "text": "e5-small"}

SEES = (
    "Finds photographs of a thousand kinds of things and what resembles them (animals, vehicles, tools, food, furniture, "
    "clothes), and drawings of what has an emoji, by words in about a hundred languages; not who or where, not counts, not "
    "written words."
)


@dataclass(frozen=True)
class Part:
    """What a model learns from, when a part of the training is left out.

    Args:
        sources: of drawings.
        languages: of their names.
        recipe: what differs from the recipe.
        config: what differs from the method's settings.
    """

    sources: tuple[str, ...] = SOURCES
    languages: tuple[str, ...] = LANGUAGES
    recipe: Mapping[str, Any] | None = None
    config: Mapping[str, Any] | None = None


_NO_BITS = {"code_steps": 0}
PARTS: Mapping[str, Part] = {
    "whole": Part(),
    "drawings-alone": Part(
        recipe={"photographs": 0.0, **_NO_BITS}, config={"opinion": 0.0, "top": 1000, "temperature": 1e6}
    ),
    "without-classifier-rows": Part(recipe={"photographs": 0.0, **_NO_BITS}),
    "without-nouns": Part(recipe={"nouns": False, **_NO_BITS}),
    "without-opinion-beside": Part(recipe=_NO_BITS, config={"opinion": 0.0}),
    "without-clipart": Part(sources=SOURCES[:-1], recipe=_NO_BITS),
    "without-drawings": Part(recipe={"drawings": False, **_NO_BITS}),
}
"""The model, and what it is without each part of its training. At a temperature so high, all opinions are the same.

Of the parts only embeddings are measured, so their bits are not trained."""


def training_items(part: Part | None = None) -> Manifest:
    """Give the items to learn from: of the allowed sources, of the split "train".

    Raises:
        ManifestError: picto is not prepared.
        UsageError: a source is missing in it, or has a licence that forbids shipping what was learnt.
    """
    from crossbit.data.manifest import Manifest
    from crossbit.data.manifest_arrow import read_items
    from crossbit.data.picto.assemble import prepared
    from crossbit.data.picto.licences import CLASS_OF

    part = part or Part()
    path = prepared()
    items = tuple(read_items(path, split="train", languages=part.languages, sources=part.sources))
    if missing := sorted(set(part.sources) - {item.source for item in items}):
        raise UsageError(
            f"train base: picto was prepared without {', '.join(missing)}",
            "run `crossbit data prepare picto --only drawings,clipart`",
        )
    if foreign := sorted({item.source for item in items if CLASS_OF.get(item.licence) != "permissive"}):
        raise UsageError(f"train base: {', '.join(foreign)} is not permissively licensed, expected sources that are")
    return Manifest("picto-permissive", path.parent, items)


def train_base(output: Path, *, seed: int = 0, part: str = "whole", progress: bool = True) -> Model:
    """Train the heads, write them as they ship, and save a model folder from what was written.

    Args:
        output: gets `heads/` (what the wheel carries) and `model/`.
        seed: of everything.
        part: of `PARTS`: the whole, or what it is without something.
        progress: show bars.
    """
    from crossbit.methods.nested import NestedConfig
    from crossbit.training.nested import Recipe, train_nested

    began, chosen = time.monotonic(), PARTS[part]
    manifest, material = _material(chosen.sources, chosen.languages, progress)
    recipe = replace(Recipe(seed=seed), **(chosen.recipe or {}))
    config = NestedConfig(**(chosen.config or {}))
    method = train_nested(material, recipe, config, progress=progress)
    training = {
        "data": manifest.name,
        "data_fingerprint": manifest.fingerprint,
        "items": dict(sorted(Counter(item.source for item in manifest).items())),
        "licences": sorted({item.licence for item in manifest}),
        "languages": sorted(chosen.languages),
        "part": part,
        "recipe": asdict(recipe),
        "seconds": round(time.monotonic() - began),
        "command": "crossbit train base" + (f" --seed {seed}" if seed else ""),
    }
    return ship(method, training, output)


@lru_cache(maxsize=1)  # a bench trains a dozen models on the same material
def _material(sources: tuple[str, ...], languages: tuple[str, ...], progress: bool) -> tuple[Manifest, Any]:
    from crossbit.encoders import load
    from crossbit.encoders.image import classifier
    from crossbit.training.nested_data import gather

    manifest = training_items(Part(sources, languages))
    image, text = (load(ENCODERS[view]) for view in ("image", "text"))
    return manifest, gather(manifest, image, text, classifier(), progress=progress)


def ship(method: Any, training: Mapping[str, Any], output: Path) -> Model:
    """Write the heads rounded, and a model of what was written, so that both say the same of every picture."""
    from crossbit.data import base
    from crossbit.model import base_model

    kept = {key: value for key, value in training.items() if key != "seconds"}  # or no two runs would write the same
    card = {
        "method": "nested",
        "config": asdict(method.config),
        "encoders": ENCODERS,
        "dims": {view: list(method.dims[view]) for view in ENCODERS},
        "sees": SEES,
        "training": kept,
    }
    state = {name: value.cpu().numpy() for name, value in method.state_dict().items()}
    base.write_heads(state, card, output / "heads")
    model = base_model(output / "heads")
    model.save_pretrained(output / "model")
    (output / "heads" / "README.md").write_text((output / "model" / "README.md").read_text("utf-8"), encoding="utf-8")
    return model


def run(output: Path | None, seed: int | None) -> Path:
    """Train, say how long it took, and give the folder."""
    output = output or Path("runs") / f"base-{seed or 0}"
    began = time.monotonic()
    model = train_base(output, seed=seed or 0)
    say(f"trained in {time.monotonic() - began:.0f} s, fingerprint {model.fingerprint}")
    say(f"heads as they ship: {printable(output / 'heads')}")
    return output / "model"
