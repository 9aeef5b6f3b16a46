"""What `base` claims: photographs found by sentences, above ConSE and drawings alone, and what each part of training gives.

Test sets are what no part of the training saw: stamps, all of them, and the drawings of the concepts of split "test".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossbit.cli.show import say

if TYPE_CHECKING:
    from crossbit.data.manifest import Item, Manifest

PAPER = (
    "Zero-Shot Learning by Convex Combination of Semantic Embeddings (ConSE), ICLR 2014; Matryoshka Representation Learning, "
    "NeurIPS 2022; the model is this project's own"
)
COVERED = (
    "en", "af", "am", "ar", "be", "bg", "ca", "cs", "da", "de", "el", "eo", "es", "eu", "fi", "fr",
    "ga", "gd", "gl", "gu", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "ka", "ko", "lv", "ml",
    "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk", "vi",
)  # fmt: skip
"""Languages that the text encoder covers and in which more than 80 % of the stamps have a sentence."""
ENGLISH = ("en",)
R = {k: f"text_to_image recall_at_{k}" for k in (1, 5, 10)}


def _pixels(item: Item) -> bool:
    return item.source == "stamps" and item.metadata.get("format") == "png"


def _photographic(item: Item) -> bool:
    return item.source == "stamps" and bool(item.metadata.get("photographic"))


def _drawn(item: Item) -> bool:
    return item.source == "stamps" and item.metadata.get("format") != "png"


@dataclass(frozen=True)
class Gallery:
    """Items that are searched, all of them, and the kind of caption that asks."""

    holds: Callable[[Item], bool]
    kind: str
    sources: tuple[str, ...]
    split: str | None = None


DRAWINGS = ("noto", "twemoji", "fluent-flat", "fluent-3d")
GALLERIES = {
    "photographs": Gallery(_pixels, "sentence", ("stamps",)),  # pixels, no SVG: most are photographs
    "strictly-photographs": Gallery(_photographic, "sentence", ("stamps",)),
    "drawn-stamps": Gallery(_drawn, "sentence", ("stamps",)),
    "openmoji-test": Gallery(lambda item: True, "name", ("openmoji",), "test"),
    "drawings-test": Gallery(lambda item: True, "name", DRAWINGS, "test"),
}


@cache
def gallery(name: str) -> Manifest:
    """Give a gallery as a manifest of one split, "test"."""
    from crossbit.data.manifest import Manifest
    from crossbit.data.manifest_arrow import read_items
    from crossbit.data.picto.assemble import prepared

    chosen, path = GALLERIES[name], prepared()
    found = [
        replace(item, split="test", captions=kept)
        for item in read_items(path, split=chosen.split, sources=chosen.sources, languages=COVERED)
        if chosen.holds(item) and (kept := tuple(c for c in item.captions if c.kind == chosen.kind))
    ]
    return Manifest(f"picto-{name}", path.parent, tuple(found))


class BaseBench:
    """Trains what is missing, measures what is missing, and keeps both."""

    def __init__(self, runs: Path, results: Path, command: str) -> None:
        self.runs, self.results, self.command = runs / "base", results / "base", command

    def model(self, part: str, seed: int) -> Any:
        """Give a trained model, or ConSE."""
        from crossbit.cli.base import train_base
        from crossbit.model import Model
        from crossbit.modelcard import readable

        if part == "conse":
            return Model.from_pretrained("conse")
        folder = self.runs / f"{part}-seed{seed}"
        if readable(folder / "model") is None:
            say(f"train base, {part}, seed {seed}")
            train_base(folder, seed=seed, part=part)
        return Model.load(folder / "model")

    def measured(
        self,
        part: str,
        where: str,
        seeds: Sequence[int],
        *,
        by: Any = "embedding",
        bits: int | None = None,
        languages: Sequence[str] = ENGLISH,
    ) -> list[Any]:
        """Give the results of a part of the training on a gallery, one a seed."""
        return [self._one(part, where, seed, by, bits, tuple(languages)) for seed in seeds]

    def _one(self, part: str, where: str, seed: int, by: Any, bits: int | None, languages: tuple[str, ...]) -> Any:
        from crossbit.evaluation.evaluate import evaluate, through_cache
        from crossbit.evaluation.result import Result

        model, manifest = self.model(part, seed), gallery(where)
        kind = "" if by == "embedding" else f"-{bits}bit" + ("-asymmetric" if by == "asymmetric" else "")
        name = f"{part}{kind}" + ("" if languages == ENGLISH else f"-{len(languages)}languages")
        place = self.results / where / f"{name}-seed{seed}.json"
        if place.is_file():
            found = Result.read(place)
            same = (found.data["fingerprint"], found.model["fingerprint"]) == (
                manifest.select(languages=list(languages)).fingerprint,
                model.fingerprint,
            )
            if same:
                return found
        cut = model if bits is None else Prefix(model, bits)
        encode = through_cache(model) if bits is None else cut.through(through_cache(model))
        result = evaluate(
            cut,
            manifest.select(languages=list(languages)),
            by=by,
            system=f"{part}{kind}",
            seeds=[seed],
            languages=list(languages),
            encode=encode,
            command=self.command,
        )
        result.write(place)
        asked = result.metrics["mean" if len(languages) > 1 else "en"]["text_to_image"]
        found_at = " / ".join(f"{asked[f'recall_at_{k}']:.1f}" for k in (1, 5, 10))
        say(f"{name} on {where}, seed {seed}: text to image R@1/5/10 {found_at}")
        return result


class Prefix:
    """A model whose codes are cut to their first bits."""

    def __init__(self, model: Any, bits: int) -> None:
        self.model, self.bits, self.dim = model, bits, 0
        self.name, self.card, self.fingerprint = f"{model.name}-{bits}", model.card, model.fingerprint

    def through(self, encode: Any) -> Any:
        """Give a way to encode that cuts what another gives."""
        from crossbit.model import Rows

        def cut(view: str, media: Sequence[Any]) -> Any:
            rows = encode(view, media)
            return Rows(None, rows.code[:, : self.bits // 8], rows.relaxed[:, : self.bits])

        return cut

    def encode(self, view: str, media: Sequence[Any], **options: Any) -> Any:
        """Give rows of media."""
        return self.through(lambda v, m: self.model.encode(v, m, **options))(view, media)


def base_claims(runs: Path, results: Path, command: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Measure everything that is claimed of `base`, and what is only reported beside it."""
    from crossbit.cli.base import PARTS
    from crossbit.evaluation.claims import claim

    bench = BaseBench(runs, results, command)

    def check(sentence: str, ours: Any, theirs: Any, metric: str, **options: Any) -> dict[str, Any]:
        return claim(sentence, ours, theirs, metric=metric, command=command, **options)

    photographs = bench.measured("whole", "photographs", seeds)
    conse = bench.measured("conse", "photographs", seeds)
    drawings = bench.measured("drawings-alone", "photographs", seeds)
    checks = []
    for k, main in ((10, True), (5, False), (1, False)):
        checks.append(
            check(f"photographs by English sentences, R@{k}: above ConSE", photographs, conse, R[k], main=main)
        )
        checks.append(
            check(
                f"photographs by English sentences, R@{k}: above drawings alone", photographs, drawings, R[k], main=main
            )
        )
    for k, aim in ((1, 25.0), (5, 40.0), (10, 48.0)):
        sentence = f"photographs by English sentences, R@{k}: above the aim of {aim:g}"
        checks.append(check(sentence, photographs, aim, R[k], languages=ENGLISH, baseline_name=f"{aim:g}, the aim"))
    others = [language for language in COVERED if language != "en"]
    spoken = bench.measured("whole", "photographs", seeds[:1], languages=COVERED)
    english = float(spoken[0].metrics["en"]["text_to_image"]["recall_at_10"])
    checks.append(
        check(
            "photographs, R@10: the mean of the other covered languages stands above 70 % of English",
            spoken,
            english,
            R[10],
            languages=others,
            times=0.7,
            baseline_name="English of the same model",
        )
    )
    for bits, share in ((256, 0.95), (128, 0.9)):
        for by in ("code", "asymmetric"):
            coded = bench.measured("whole", "photographs", seeds, by=by, bits=bits)
            how = "" if by == "code" else ", asked by queries that are not cut to bits,"
            sentence = f"photographs: {bits}-bit codes{how} keep at least {share:.0%} of the dense R@10"
            checks.append(check(sentence, coded, photographs, R[10], times=share))
    for where, what in (("openmoji-test", "OpenMoji, an unseen hand"), ("drawings-test", "unseen concepts")):
        ours = bench.measured("whole", where, seeds)
        theirs = bench.measured("drawings-alone", where, seeds)
        sentence = f"{what}: keeps at least 95 % of the rsum of a model trained on drawings alone"
        checks.append(check(sentence, ours, theirs, "rsum", times=0.95))
    for where in ("strictly-photographs", "drawn-stamps"):
        checks.append(
            check(
                f"{where}, by English sentences, R@10: above ConSE",
                bench.measured("whole", where, seeds),
                bench.measured("conse", where, seeds),
                R[10],
            )
        )
    for part in [name for name in PARTS if name not in ("whole", "drawings-alone")]:
        sentence = f"photographs by English sentences, R@10: the whole training beats the one {part.replace('-', ' ')}"
        checks.append(check(sentence, photographs[:1], bench.measured(part, "photographs", seeds[:1]), R[10]))
        bench.measured(part, "openmoji-test", seeds[:1])
    bench.measured("conse", "photographs", seeds[:1], languages=COVERED)
    return checks
