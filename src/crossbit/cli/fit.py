"""fit: data, encoders, method, loop and validation joined into one function; what `train`, `demo` and `bench` stand on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crossbit.config import check, to_mapping
from crossbit.data.arrays import encoder_of, features_of, holds_arrays, media_of
from crossbit.data.loader import Chosen, Pairs
from crossbit.data.manifest import Manifest
from crossbit.data.noise import Noise, apply
from crossbit.encoders import load as load_encoder
from crossbit.errors import ConfigError, ManifestError
from crossbit.model import Model, method_class
from crossbit.training.loop import TrainingConfig, train
from crossbit.training.once import fit_once
from crossbit.training.report import TrainReport

SEES = (
    "Learned {items} pictures of `{data}` with names in {languages}; it knows what looks like them, "
    "and photographs only as far as they do."
)


SETTINGS = {
    "fgcmh": TrainingConfig(epochs=24, batch_size=384, learning_rate=2e-3, validate_every=2),
    "vsepp": TrainingConfig(epochs=60, learning_rate=1e-3, validate_every=2),
}
"""Chosen on the validation split of openmoji."""


@dataclass(frozen=True)
class Fitted:
    """A trained model and how its training went.

    Args:
        model: of the best validated epoch.
        report: of the training.
        folder: of the run.
        last: the model after the last epoch, not saved; it is `model` where nothing was trained by descent.
        strategy: that trained it, with what it believes of the pairs in the end.
        pairs: that it was trained on, wrong captions among them.
        cpu_seconds: of the training itself, validation included; reading features and writing the model is not counted.
    """

    model: Model
    report: TrainReport
    folder: Path
    last: Model
    strategy: Any
    pairs: Pairs
    cpu_seconds: float = 0.0


def fit(
    key: str,
    manifest: Manifest,
    folder: Path,
    *,
    method_config: Any = None,
    encoders: Mapping[str, str] | None = None,
    languages: Sequence[str] | None = None,
    training: TrainingConfig | None = None,
    strategy: str = "plain",
    strategy_config: Mapping[str, Any] | None = None,
    noise: Noise | None = None,
    resume: bool = False,
    progress: bool = True,
    chosen_by: Literal["rsum", "map"] = "rsum",
) -> Fitted:
    """Train a method on a manifest's split "train", choose the epoch on its split "val", and save the model.

    Args:
        key: a method of the table, or `module:Class`.
        manifest: with splits "train" and "val".
        folder: takes the log, the checkpoints and the model.
        method_config: the method's settings; its small ones by default.
        encoders: of "image" and "text"; the packaged ones by default.
        languages: of the captions to train on; all by default.
        training: settings of the loop.
        strategy: how pairs are believed.
        strategy_config: settings of the strategy that differ from its defaults.
        noise: made for this manifest; the captions trained on are its wrong ones, the epoch is chosen on clean ones.
        resume: go on from the newest checkpoint of the folder.
        progress: show bars.
        chosen_by: the measure of the validation split that the best epoch has most of: caption retrieval, or MAP by labels.
    """
    from crossbit.methods.base import abilities

    cls = method_class(key)
    config = cls.Config.small() if method_config is None else method_config  # type: ignore[attr-defined]
    training = training or settings_for(key)
    encoders = dict(encoders or default_encoders(key, manifest))
    if holds_arrays(manifest) and getattr(config, "grid", False):
        config = replace(config, grid=0)  # regions are no grid, whatever their number
    learned = manifest if noise is None else apply(noise, manifest)
    pairs = pairs_of(learned.select("train", languages), encoders, progress=progress)
    pairs = _with_tasks(pairs, cls, config)
    if getattr(config, "classes", None) == 0 and pairs.label_names:
        config = replace(config, classes=len(pairs.label_names))
    held_out = pairs_of(manifest.select("val", languages), encoders, progress=progress)
    cards = {view: load_encoder(name).describe() for view, name in encoders.items()}
    dims = {view: (card.dim, card.pooled_dim) for view, card in cards.items()}
    if pairs.positives:
        dims["positive"] = dims["text"]
    plan = make_strategy(strategy, strategy_config or {})
    methods = [_build(cls, config, dims, training.seed + peer) for peer in range(plan.peers)]

    def validate(trained: Sequence[Any]) -> float:
        return validation_rsum(trained, held_out) if chosen_by == "rsum" else validation_map(trained, held_out)

    began = time.process_time()
    if "fits" in abilities(cls):
        report = fit_once(methods[0], pairs, folder, validate, training.seed)
    else:
        report = train(methods, pairs, training, folder, validate, plan, resume, progress)
    took = time.process_time() - began
    spoken = sorted(set(pairs.languages))
    about: dict[str, Any] = {
        "name": f"{key}-{manifest.name}",
        "sees": SEES.format(items=len(pairs.items), data=manifest.name, languages=", ".join(spoken)),
        "training": {
            "data": manifest.name,
            "data_fingerprint": manifest.fingerprint,
            "languages": spoken,
            "settings": asdict(training),
            "strategy": strategy,
            "strategy_config": to_mapping(plan.config) if hasattr(plan, "config") else {},
            "best_epoch": report.best_epoch + 1,
            f"validation_{chosen_by}": round(report.best_rsum, 2),
            "bits": report.bits,
            **({} if noise is None else {"noise": noise.summary}),
        },
    }
    model = Model.from_method(report.methods, key, encoders, **about)
    model.save_pretrained(folder / "model")
    last = model
    if report.last:
        latest = [_build(cls, config, dims, training.seed) for _ in report.last]
        for method, weights in zip(latest, report.last, strict=True):
            method.load_state_dict(weights)
        last = Model.from_method(latest, key, encoders, **about)
    return Fitted(model, report, folder, last, plan, pairs, took)


def _with_tasks(pairs: Pairs, cls: Any, config: Any) -> Pairs:
    """Add what the method's auxiliary tasks need: another caption of each picture, labels from the words of its captions."""
    if "positive" in cls.may_read and getattr(config, "text_weight", True):
        pairs = replace(pairs, positives=True)
    if getattr(config, "label_words", 0) and getattr(config, "label_weight", True):
        pairs = pairs.with_word_labels(config.label_words)
    return pairs


def default_encoders(key: str, manifest: Manifest | None = None) -> dict[str, str]:
    """Name the packaged encoders that a method is trained on where no others are named; regions are read as they are."""
    from crossbit.encoders import default_image, default_text

    found = {"image": default_image(), "text": default_text(), **method_class(key).prefers}
    regions = None if manifest is None else encoder_of(manifest)
    return found if regions is None else {**found, "image": regions}


def pairs_of(manifest: Manifest, encoders: Mapping[str, str], *, progress: bool = True) -> Pairs:
    """Give a manifest's pairs with cached features, encoding what the cache does not hold."""
    items = features_of(load_encoder(encoders["image"]), media_of(manifest), progress=progress)
    texts = [caption.text for item in manifest for caption in item.captions]
    captions = features_of(load_encoder(encoders["text"]), texts, progress=progress)
    return Pairs.of(manifest, items, captions)


def validation_rsum(methods: Sequence[Any], pairs: Pairs) -> float:
    """Give the mean over languages of the rsum of a held-out split: what an epoch is chosen by.

    A method that gives both an embedding and a code is judged by the mean of the two, one that gives neither by its joint
    scores. Peers are joined as in use.
    """
    from crossbit.methods.base import Embeds, Hashes, Scores
    from crossbit.methods.joined import joined

    method = joined(methods)
    if issubclass(type(method), Scores) and not issubclass(type(method), (Embeds, Hashes)):
        return _rsum_of_scores(method, pairs)
    kinds = [kind for kind in (Embeds, Hashes) if issubclass(type(method), kind)]
    return float(np.mean([_rsum(method, kind is Hashes, pairs) for kind in kinds]))


def validation_map(methods: Sequence[Any], pairs: Pairs) -> float:
    """Give the MAP of a held-out split in which items with a common label are relevant, in percent.

    Both directions, of codes, or of embeddings where there are no codes; of each item the first caption asks and is found.

    Raises:
        ManifestError: the data has no labels.
    """
    from crossbit.methods.base import Hashes
    from crossbit.methods.joined import joined
    from crossbit.metrics.blocks import standings_both_ways
    from crossbit.metrics.hashing import mean_average_precision
    from crossbit.metrics.relevance import SharedLabels

    if pairs.labels is None:
        raise ManifestError("MAP needs items with labels, the data has none")
    method = joined(methods)
    codes = issubclass(type(method), Hashes)
    first = np.searchsorted(pairs.item_of, np.arange(len(pairs.items)))
    items, captions = _rows(method, codes, pairs.items), _rows(method, codes, pairs.captions)[first]
    taken = standings_both_ways(items, captions, SharedLabels(pairs.labels > 0, pairs.labels > 0))
    return 100 * float(np.mean([mean_average_precision(one, without_relevant="drop") for one in taken]))


def _rsum(method: Any, codes: bool, pairs: Pairs) -> float:
    from crossbit.metrics.blocks import standings_both_ways
    from crossbit.metrics.retrieval import rsum

    items = _rows(method, codes, pairs.items)
    captions = _rows(method, codes, pairs.captions)
    languages = np.array(pairs.languages)
    sums = []
    for language in sorted(set(pairs.languages)):
        rows = np.flatnonzero(languages == language)
        asked, found = standings_both_ways(captions[rows], items, pairs.item_of[rows])
        sums.append(rsum(found, asked))
    return float(np.mean(sums))


def _rsum_of_scores(method: Any, pairs: Pairs) -> float:
    """Score every picture with every different text once; equal texts get the very same scores."""
    from crossbit.methods.base import joint_scores
    from crossbit.metrics.relevance import Relevant
    from crossbit.metrics.retrieval import rsum
    from crossbit.metrics.standings import standings

    place: dict[str, int] = {}
    column = np.array([place.setdefault(text, len(place)) for text in pairs.texts])
    first = np.unique(column, return_index=True)[1]
    scores = joint_scores(method, pairs.items, Chosen(pairs.captions, first))
    languages = np.array(pairs.languages)
    sums = []
    for language in sorted(set(pairs.languages)):
        rows = np.flatnonzero(languages == language)
        of_captions = Relevant.from_owner(pairs.item_of[rows], len(pairs.items))
        table = scores[:, column[rows]]
        sums.append(rsum(standings(table, of_captions.turned()), standings(table.T, of_captions)))
    return float(np.mean(sums))


def _rows(method: Any, codes: bool, features: Any, size: int = 256) -> np.ndarray:
    """Embed or hash cached features."""
    import torch

    from crossbit.data.loader import encoded
    from crossbit.methods.base import sign

    parts = []
    with torch.no_grad():
        for start in range(0, len(features), size):
            rows = np.arange(start, min(start + size, len(features)))
            view = encoded(features, rows, tokens=method.reads_tokens)
            found = sign(method.relax(view)) if codes else method.embed(view)
            parts.append((found / found.norm(dim=1, keepdim=True).clamp(min=1e-6)).float().numpy())
    return np.concatenate(parts)


def _build(cls: Any, config: Any, dims: Mapping[str, tuple[int, int]], seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    return cls(config, dims)


def make_strategy(name: str, settings: Mapping[str, Any]) -> Any:
    """Make a strategy by its name in the table, or `my_module:MyStrategy`, with settings that differ from its defaults.

    Raises:
        ConfigError: there is no such strategy, or no such setting.
    """
    from importlib import import_module

    from crossbit.strategies import STRATEGIES

    module, _, cls = STRATEGIES.get(name, name).partition(":")
    if not cls:
        raise ConfigError(f"no strategy {name!r}, there are {sorted(STRATEGIES)}", "your own is `my_module:MyStrategy`")
    made = getattr(import_module(module), cls)
    config = check(made.Config, settings, prefix="strategy_config")
    return made(config) if to_mapping(config) else made()


def settings_for(key: str, **changes: Any) -> TrainingConfig:
    """Give the loop's settings that suit a method on two cores, with some of them changed."""
    return replace(SETTINGS.get(key, TrainingConfig()), **changes)
