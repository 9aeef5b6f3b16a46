"""Noise on purpose: training captions that are made wrong or half wrong, written down pair by pair.

    noise = make_noise(manifest, kind="complete", ratio=0.4, seed=7)
    noisy = apply(noise, manifest)          # captions of the split "train" replaced, all else as it was
    wrong = noise.truth(manifest)           # one truth value a training pair, what a detector is measured against

The validation and test splits are never touched. A noise knows the fingerprint of the pairs that it was made for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool

from crossbit.config import suggest
from crossbit.data.manifest import Caption, Manifest
from crossbit.data.noise_generators import DEFAULTS, GENERATORS, Draft, Kind, Unit
from crossbit.data.noise_pairs import TRAIN, TrainPairs, places, train_fingerprint
from crossbit.errors import ConfigError, FingerprintError, UsageError


@dataclass(frozen=True)
class NoisyPair:
    """One pair and what it became.

    Args:
        item: the item's id.
        lang: of the caption.
        place: which of the item's captions in that language, from 0.
        kind: complete or partial; `same` where a published generator gave a concept a caption that is right for it.
        text: the caption that stands there now.
        was: the caption that stood there.
        source: id of the item that text, or half of it, comes from.
        source_place: which of that item's captions in that language.
    """

    item: str
    lang: str
    place: int
    kind: Literal["complete", "partial", "same"]
    text: str
    was: str
    source: str
    source_place: int


@dataclass(frozen=True)
class Noise:
    """Hold which training pairs of a manifest are wrong, and how they came to be.

    Args:
        kind: what was asked for.
        generator: how it was made.
        unit: what was exchanged: single captions, or the captions of an image together.
        ratio: share of the units that was asked for.
        seed: of the generator.
        languages: of the captions that could be exchanged.
        data: name of the manifest.
        data_fingerprint: hash of the manifest's training pairs in these languages.
        captions: how many training pairs there are.
        images: how many training items have one.
        pairs: what was exchanged.
    """

    kind: Kind
    generator: str
    unit: Unit
    ratio: float
    seed: int
    languages: tuple[str, ...]
    data: str
    data_fingerprint: str
    captions: int
    images: int
    pairs: tuple[NoisyPair, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Hash everything above: two noises of one fingerprint are the same."""
        return hashlib.sha256(json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def realised(self) -> float:
        """Give the share of the training pairs that are wrong now, complete and partial."""
        return sum(pair.kind != "same" for pair in self.pairs) / self.captions

    @property
    def realised_images(self) -> float:
        """Give the share of the training images that have a wrong caption."""
        return len({pair.item for pair in self.pairs if pair.kind != "same"}) / self.images

    @property
    def summary(self) -> dict[str, Any]:
        """Say in a few plain values what this is: what a model card and a result keep of it."""
        return {
            "fingerprint": self.fingerprint,
            "kind": self.kind,
            "generator": self.generator,
            "unit": self.unit,
            "ratio": self.ratio,
            "seed": self.seed,
            "realised": round(self.realised, 4),
            "realised_images": round(self.realised_images, 4),
            "exchanged": len(self.pairs),
            "stayed_right": sum(pair.kind == "same" for pair in self.pairs),
            "captions": self.captions,
            "images": self.images,
            "languages": list(self.languages),
            "data": self.data,
            "data_fingerprint": self.data_fingerprint,
        }

    def check(self, manifest: Manifest) -> None:
        """Refuse a manifest that this noise was not made for.

        Raises:
            FingerprintError: its training pairs are others.
        """
        found = train_fingerprint(manifest, self.languages)
        if found != self.data_fingerprint:
            raise FingerprintError(
                f"noise {self.fingerprint}: was made for the training pairs {self.data_fingerprint} of {self.data!r} in "
                f"{', '.join(self.languages)}; those of {manifest.name!r} are {found}",
                f"make it for this data: `crossbit data noise {manifest.name} --kind {self.kind} --ratio {self.ratio}`",
            )

    def truth(self, manifest: Manifest, languages: Iterable[str] | None = None) -> Bool[np.ndarray, " M"]:
        """Say of every training pair whether its caption was made wrong, wholly or in part.

        Args:
            manifest: the one that the noise was made for, without noise.
            languages: of the pairs; all by default.

        Returns:
            One value a caption of `manifest.select("train", languages)`, item after item: the order of the loader's pairs.

        Raises:
            FingerprintError: the manifest is another.
        """
        self.check(manifest)
        wrong = {(pair.item, pair.lang, pair.place) for pair in self.pairs if pair.kind != "same"}
        train = manifest.select(TRAIN, languages)
        return np.array(
            [(item.id, caption.lang, place) in wrong for item in train for place, caption in places(item)], bool
        )


def make_noise(
    manifest: Manifest,
    kind: Kind = "complete",
    ratio: float = 0.4,
    unit: Unit | None = None,
    seed: int = 0,
    *,
    generator: str | None = None,
    languages: Sequence[str] | None = None,
) -> Noise:
    """Make a share of a manifest's training pairs wrong.

    The pairs of a smaller ratio are among those of a larger one with the same seed.

    Args:
        manifest: with a split "train"; only that is touched.
        kind: "complete", a caption that has nothing to do with the item, or "partial", one that is half right.
        ratio: share of the units that is exchanged.
        unit: "caption", each by itself, or "image", all captions of one together; by default what the generator can.
        seed: of everything drawn.
        generator: a name of `GENERATORS`; by default "unrelated" for complete and "half" for partial noise.
        languages: of the captions that may be exchanged; all by default. A caption is exchanged within its language.

    Raises:
        UsageError: the ratio is no share, or the generator does not make this kind or cannot exchange this unit.
        ConfigError: there is no such generator.
        ManifestError: there is nothing to exchange.
    """
    name = generator or DEFAULTS.get(kind)
    if name is None:
        raise UsageError(f"noise: kind {kind!r}, expected one of {list(get_args(Kind))}")
    if name not in GENERATORS:
        raise ConfigError(f"no noise generator {name!r}, there are {sorted(GENERATORS)}", suggest(name, [*GENERATORS]))
    made_by = GENERATORS[name]
    unit = unit or made_by.units[0]
    if made_by.kind != kind:
        raise UsageError(
            f"noise: `{name}` makes {made_by.kind} noise, {kind} was asked for", f"`--kind {made_by.kind}`"
        )
    if unit not in made_by.units:
        raise UsageError(f"noise: `{name}` exchanges by {' or '.join(made_by.units)}, found unit {unit!r}")
    if not 0 <= ratio <= 1:
        raise UsageError(f"noise: ratio {ratio}, expected a share between 0 and 1")
    spoken = tuple(sorted(languages if languages is not None else manifest.select(TRAIN).languages))
    pairs = TrainPairs.of(manifest, spoken)
    drafts = made_by.make(pairs, ratio, unit, np.random.default_rng(seed))
    return Noise(
        kind,
        name,
        unit,
        float(ratio),
        seed,
        spoken,
        manifest.name,
        train_fingerprint(manifest, spoken),
        len(pairs.pairs),
        len({pair.item for pair in pairs.pairs}),
        tuple(_written(pairs, draft, kind) for draft in drafts),
    )


def apply(noise: Noise, manifest: Manifest) -> Manifest:
    """Give the manifest with the captions of its training items replaced; all other splits stay as they are.

    Raises:
        FingerprintError: the noise was made for other training pairs.
    """
    noise.check(manifest)
    new = {(pair.item, pair.lang, pair.place): pair for pair in noise.pairs}
    touched = {pair.item for pair in noise.pairs}

    def caption(item: str, place: int, old: Caption) -> Caption:
        pair = new.get((item, old.lang, place))
        return old if pair is None else replace(old, text=pair.text)

    items = tuple(
        replace(item, captions=tuple(caption(item.id, place, old) for place, old in places(item)))
        if item.split == TRAIN and item.id in touched
        else item
        for item in manifest
    )
    return Manifest(manifest.name, manifest.root, items)


def _written(pairs: TrainPairs, draft: Draft, kind: Kind) -> NoisyPair:
    here, there = pairs.pairs[draft.pair], pairs.pairs[draft.source]
    return NoisyPair(
        item=pairs.items[here.item].id,
        lang=here.caption.lang,
        place=here.place,
        kind="same" if pairs.is_right(draft.pair, draft.text) else kind,
        text=draft.text,
        was=here.caption.text,
        source=pairs.items[there.item].id,
        source_place=there.place,
    )
