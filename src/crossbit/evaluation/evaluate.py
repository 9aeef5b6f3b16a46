"""evaluate: a model and a data set in, a Result out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from crossbit.data.arrays import features_of, media_of
from crossbit.data.manifest import Manifest
from crossbit.data.sets import open_set
from crossbit.errors import AbilityError
from crossbit.evaluation.measure import Measured, Scores, measure
from crossbit.evaluation.protocols import Plan, protocol_of
from crossbit.evaluation.protocols import Protocol as Rules
from crossbit.evaluation.result import Result, this_command

By = Literal["embedding", "code", "asymmetric", "score"]

_ROWS_AT_ONCE = 256

Encode = Callable[[str, Sequence[Any]], Any]
"""Called with "image" and paths or "text" and strings, gives rows with `.embedding` and `.code`."""


Score = Callable[[Sequence[Any], Sequence[str]], Scores]
"""Called with paths (or arrays of regions) and texts, gives the joint score of every picture with every text."""


class Encodes(Protocol):
    """What is asked of a model: who it is, and rows for media. `crossbit.Model` is one."""

    @property
    def name(self) -> str:
        """Say what the model is called."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash weights, settings and encoders."""
        ...

    @property
    def dim(self) -> int:
        """Give the width of its embeddings, 0 where it has none."""
        ...

    @property
    def bits(self) -> int:
        """Give the length of its codes, 0 where it has none."""
        ...

    def encode(self, view: str, media: Sequence[Any], *, batch_size: int = 32, show_progress: bool = False) -> Any:
        """Give embeddings and codes of pictures or texts."""
        ...


def evaluate(
    model: Encodes,
    dataset: Manifest | Path | str,
    *,
    split: str = "test",
    languages: Sequence[str] | None = None,
    by: By = "embedding",
    protocol: str | Rules = "concept-retrieval",
    system: str | None = None,
    seeds: Sequence[int] | None = None,
    encode: Encode | None = None,
    score: Score | None = None,
    cache: bool = False,
    batch_size: int = 32,
    progress: bool = True,
    command: str | None = None,
) -> Result:
    """Measure a model on a split, each language apart, in both directions.

    Every picture and every different text is encoded once, whatever the number of languages; so two items of one name get
    the very same row and tie exactly.

    Args:
        model: a `Model`, or anything that encodes.
        dataset: a manifest, a packaged set ("openmoji", "picto"), or a path in any format that `data.sets.open_set` reads.
        split: the items that ask.
        languages: of the captions; all by default.
        by: compare embeddings; packed codes; or, "asymmetric", an asking side that is not cut to bits with codes that are.
            The items take the same few bytes, only the query keeps its numbers (Gordo and others, "Asymmetric distances
            for binary embeddings", 2014). Or, "score", pairs that the model scores jointly: every picture with every text,
            from cached features.
        protocol: a name of `PROTOCOLS` or a protocol.
        system: what to call what is measured; by default the model's name and what is compared.
        seeds: of the run; by default what the model card says.
        encode: another way to get rows.
        score: another way to get joint scores.
        cache: take frozen features from the cache and keep new ones there, so that a second model on the same encoders
            costs seconds. They are kept in float16, as training reads them; a measure can move in its second decimal.
        batch_size: media encoded at a time.
        progress: show bars on stderr.
        command: what to write down as the command; by default this process's.

    Raises:
        AbilityError: the model has no embedding or no code.
        ManifestError: no such data, split or language.
        MediaError: a picture cannot be read; a measure on the rest would be another measure.
    """
    _check_able(model, by)
    manifest = open_set(dataset, languages)
    plan = protocol_of(protocol).plan(manifest, split, languages)
    if by == "score":
        scores = (score or joint(model, batch_size, progress))(media_of(manifest, plan.items), plan.texts)
        none = np.empty(0, np.float32)
        measured = measure(plan.cases, none, none, plan.protocol, scores=scores)
        return _result(model, manifest, plan, measured, split, by, system, seeds, True, command)
    if cache and encode is None:
        encode = through_cache(model, batch_size, progress)
    images, texts = encode_plan(model, plan, manifest, by, encode, batch_size, progress)
    asking = None
    if by == "asymmetric":
        asking, (images, texts) = (images, texts), (signs(images), signs(texts))
    measured = measure(plan.cases, images, texts, plan.protocol, model.bits if by == "code" else None, asking)
    return _result(model, manifest, plan, measured, split, by, system, seeds, cache, command)


def _result(
    model: Encodes,
    manifest: Manifest,
    plan: Plan,
    measured: Measured,
    split: str,
    by: By,
    system: str | None,
    seeds: Sequence[int] | None,
    cache: bool,
    command: str | None,
) -> Result:
    training = _training(model)
    peers = int(training.get("peers", 1))
    if seeds is None:
        seed = training.get("settings", {}).get("seed")
        seeds = () if seed is None else (int(seed),)
    width = {
        "embedding": "embedding",
        "code": f"{model.bits}-bit code",
        "asymmetric": f"{model.bits}-bit code, asked by relaxed queries",
        "score": "joint score",
    }[by]
    return Result(
        system=system or f"{model.name} {width}",
        metrics=measured.metrics,
        answers=measured.answers,
        data={
            "name": manifest.name,
            "split": split,
            "fingerprint": manifest.fingerprint,
            "languages": list(plan.languages),
            "pictures": len(plan.items),
            "texts": sum(len(case.texts) for case in plan.cases),
            "different_texts": len(plan.texts),
        },
        protocol={
            "name": plan.protocol.name,
            "fingerprint": plan.protocol.fingerprint,
            "family": plan.protocol.family,
            "about": plan.protocol.about,
        },
        model={
            "name": model.name,
            "fingerprint": model.fingerprint,
            "by": by,
            "width": {"embedding": model.dim, "score": 0}.get(by, model.bits),
            "features": "float16 cache" if cache else "fresh",
            **({} if peers == 1 else {"peers": "all" if by in ("embedding", "score") else f"the first of {peers}"}),
        },
        seeds=tuple(seeds),
        config=training,
        command=this_command() if command is None else command,
        curves=measured.curves,
    )


def encode_plan(
    model: Encodes,
    plan: Plan,
    manifest: Manifest,
    by: By = "embedding",
    encode: Encode | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows of the plan's items and of its texts: embeddings, packed codes or, for "asymmetric", relaxed codes."""
    kind = {"embedding": "embedding", "code": "code", "asymmetric": "relaxed"}[by]

    def rows(view: str, media: Sequence[Any]) -> np.ndarray:
        if encode is not None:
            encoded = encode(view, media)
        else:
            encoded = model.encode(view, media, batch_size=batch_size, show_progress=progress)
        found: np.ndarray | None = getattr(encoded, kind, None)
        if found is None:
            raise AbilityError(f"model `{model.name}` gave no {kind} row for {view}s")
        return found

    return rows("image", media_of(manifest, plan.items)), rows("text", list(plan.texts))


def signs(relaxed: np.ndarray) -> np.ndarray:
    """Give the codes of relaxed rows as unit rows of one size, so that a dot product with them is a cosine over K."""
    return np.where(relaxed >= 0, 1, -1).astype(np.float32) / np.float32(np.sqrt(relaxed.shape[1]))


def through_cache(model: Any, batch_size: int = 32, progress: bool = True) -> Encode:
    """Give a way to encode that takes a model's frozen features from the cache of features, and fills it.

    Args:
        model: a `crossbit.Model`.
        batch_size: media that an encoder gets at a time.
        progress: show bars while something is encoded.
    """

    def encode(view: str, media: Sequence[Any]) -> Any:
        from crossbit.model import Rows

        features = features_of(model.encoder(view), media, progress=progress, batch_size=batch_size)
        tokens, count = model.reads_tokens(view), len(features)
        blocks = [np.arange(at, min(at + _ROWS_AT_ONCE, count)) for at in range(0, count, _ROWS_AT_ONCE)]
        parts = [model.rows(features.take(block, tokens=tokens)) for block in blocks]

        def join(rows: list[np.ndarray | None]) -> np.ndarray | None:
            found = [row for row in rows if row is not None]
            return np.concatenate(found) if found else None

        return Rows(*(join([getattr(part, name) for part in parts]) for name in ("embedding", "code", "relaxed")))

    return encode


def joint(model: Any, batch_size: int = 32, progress: bool = True) -> Score:
    """Give a way to score all pairs jointly from a model's cached features; memory for scores alone grows with both sides.

    Args:
        model: a `crossbit.Model` whose method scores pairs.
        batch_size: media that an encoder gets at a time.
        progress: show bars while something is encoded.
    """

    def score(paths: Sequence[Any], texts: Sequence[str]) -> np.ndarray:
        found = [
            features_of(model.encoder(view), media, progress=progress, batch_size=batch_size)
            for view, media in (("image", paths), ("text", texts))
        ]
        scores: np.ndarray = model.joint_scores(*found)
        return scores

    return score


def _check_able(model: Encodes, by: By) -> None:
    if by == "score":
        if "scores" not in getattr(model, "abilities", ()):
            raise AbilityError(
                f"model `{model.name}` compares embeddings and has no joint score", "evaluate it by embedding"
            )
        return
    if by != "embedding" and not model.bits:
        raise AbilityError(
            f"model `{model.name}` has no codes", "evaluate it by embedding, or train a method that hashes"
        )
    if by == "embedding" and not model.dim:
        hint = "evaluate it by code" if model.bits else "a joint scorer is evaluated by score: `--by score`"
        raise AbilityError(f"model `{model.name}` has no embedding to compare", hint)


def _training(model: Encodes) -> dict[str, Any]:
    """Give what the model card says of the training; models from elsewhere have none."""
    card = getattr(model, "card", None)
    return dict(getattr(card, "training", None) or {})
