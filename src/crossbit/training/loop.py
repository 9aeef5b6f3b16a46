"""The one training loop: every method and every strategy runs through it."""

from __future__ import annotations

import copy
import logging
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from crossbit.batch import Batch, Moment
from crossbit.data.loader import Pairs, Tokens
from crossbit.errors import BatchError, ConfigError
from crossbit.methods.base import Embeds, Learns, Method, Prepares, similarity
from crossbit.strategies.base import Strategy
from crossbit.training import checkpoint
from crossbit.training.evidence import evidence
from crossbit.training.optim import make_optimiser, rate_factor, set_rate
from crossbit.training.report import TrainReport, bits_of
from crossbit.training.track import COLLAPSED, Track, diagnose, effective_rank

log = logging.getLogger(__name__)

# torch then asks for large pages (where the system gives them): a step of fgcmh takes a tenth less, and computes the same bits
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the loop.

    Args:
        epochs: of each stage.
        batch_size: pairs in a batch.
        passes: how often an epoch shows every item, each time with another of its captions.
        learning_rate: at the top of the schedule.
        weight_decay: on matrices only.
        warm_up: share of all steps in which the rate rises.
        clip: norm to which gradients are cut.
        patience: epochs without a better validation after which training stops; 0 never stops.
        validate_every: epochs between two validations.
        precision: "auto" takes bf16 where the processor computes in it.
        seed: of everything.
        tensorboard: also write TensorBoard files.
    """

    epochs: int = 30
    batch_size: int = 128
    passes: int = 1
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 2.0
    patience: int = 0
    validate_every: int = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0
    tensorboard: bool = False


class _Step(nn.Module):
    """A forward pass that gives losses: what accelerate wraps for several processes and for autocast."""

    def __init__(self, method: Method, strategy: Strategy, peer: int) -> None:
        super().__init__()
        self.method = method
        self.strategy = strategy
        self.peer = peer

    def forward(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        return self.strategy.losses(self.method, batch, moment, self.peer)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Run:
    """What stays the same from the first step to the last; the lists hold one entry a peer."""

    methods: Sequence[Method]
    steps: Sequence[nn.Module]
    optimisers: Sequence[torch.optim.Optimizer]
    wrapped: Sequence[Any]
    pairs: Pairs
    config: TrainingConfig
    strategy: Strategy
    accelerator: Accelerator
    half: bool

    @property
    def stages(self) -> Sequence[str]:
        return type(self.methods[0]).stages

    @property
    def tokens(self) -> Tokens:
        asked = {method.reads_tokens for method in self.methods} - {False}
        return True if len(asked) > 1 else asked.pop() if asked else False


def train(
    methods: Sequence[Method],
    pairs: Pairs,
    config: TrainingConfig,
    folder: Path,
    validate: Callable[[Sequence[Method]], float],
    strategy: Strategy | None = None,
    resume: bool = False,
    progress: bool = True,
    every: checkpoint.Every = checkpoint.Every(),  # noqa: B008 - frozen
) -> TrainReport:
    """Train one method, or as many copies as the strategy has peers.

    Args:
        methods: the copies; their weights are changed.
        pairs: training pairs.
        config: settings of the loop.
        folder: takes `log.jsonl` and the newest checkpoint.
        validate: gives the validation rsum of the methods in eval mode; higher is better.
        strategy: how pairs are believed; plain by default.
        resume: go on from the newest checkpoint of the folder. The final weights are the same bits as without interruption.
        progress: show a bar.
        every: how often a checkpoint is written within an epoch; after each epoch there is one anyway.

    Raises:
        ConfigError: the method does not learn by descent, or the number of copies is not the strategy's.
        ModelError: the checkpoint to resume from does not fit.
        BatchError: a loss is not finite.
    """
    strategy = strategy or Strategy()
    _check(methods, strategy)
    _seed_all(config.seed)
    # its own mixed precision is one setting for the whole process, so a second run could not choose another
    accelerator = Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())
    half = _precision(config.precision) == "bf16"
    for method in methods:
        if isinstance(method, Prepares) and issubclass(type(method), Prepares):
            views = pairs.sample(seed=config.seed, tokens=method.reads_tokens)
            method.prepare(views, pairs.pooled(seed=config.seed), pairs.texts)
    optimisers = [make_optimiser(m.groups(config.learning_rate), config.weight_decay) for m in methods]
    state: dict[str, Any] = {"best_rsum": float("-inf"), "best_epoch": -1, "collapsed": False, "stopped": False}
    folder.mkdir(parents=True, exist_ok=True)
    place, best = checkpoint.Place(), [copy.deepcopy(m.state_dict()) for m in methods]
    if resume and (found := checkpoint.latest(folder)) is not None:
        place, best, kept = checkpoint.load(found, methods, optimisers)
        state |= kept
        strategy.restore(place.believed)
        log.info("resume after %d epochs and %d steps from %s", place.epoch, place.steps, found)
    steps = [accelerator.prepare(_Step(m, strategy, peer)) for peer, m in enumerate(methods)]
    wrapped = [accelerator.prepare(optimiser) for optimiser in optimisers]
    run = _Run(methods, steps, optimisers, wrapped, pairs, config, strategy, accelerator, half)
    first, total = place.epoch, config.epochs * len(run.stages)
    track = Track(folder, first, config.tensorboard)
    bar = tqdm(total=total, initial=first, desc="train", unit="epoch", disable=None if progress else True)

    def keep() -> None:
        if accelerator.is_main_process:
            checkpoint.save(folder, place, methods, optimisers, best, state)

    done = first
    for epoch in range(first, total):
        if state["stopped"]:
            break
        done = epoch + 1
        _run_epoch(run, place, every, keep)
        record: dict[str, Any] = dict(place.sums)
        record |= {"epoch": epoch, **_look(methods[0], pairs, config)}
        if record["mean_cosine"] > COLLAPSED:
            state["collapsed"] = True
            log.warning(
                "epoch %d: all embeddings agree (mean cosine %.3f): the method has collapsed; lower learning_rate, "
                "or keep mean_negatives on for longer",
                epoch + 1,
                record["mean_cosine"],
            )
        if (epoch + 1) % config.validate_every == 0 or epoch + 1 == total:
            for method in methods:
                method.eval()
            record["val_rsum"] = rsum = validate(methods)
            if rsum > state["best_rsum"]:
                state |= {"best_rsum": rsum, "best_epoch": epoch}
                best = [copy.deepcopy(m.state_dict()) for m in methods]
            bar.set_postfix(loss=f"{record['loss']:.3f}", val_rsum=f"{rsum:.0f}")
        if config.patience and epoch - state["best_epoch"] >= config.patience:
            state["stopped"] = True
        if accelerator.is_main_process:
            track.write(record)
        place = checkpoint.Place(epoch + 1, believed=strategy.state())
        keep()
        bar.update()
    bar.close()
    last = tuple(copy.deepcopy(method.state_dict()) for method in methods)
    for method, weights in zip(methods, best, strict=True):
        method.load_state_dict(weights)
        method.eval()
    return TrainReport(
        tuple(methods),
        state["best_epoch"],
        state["best_rsum"],
        done,
        state["stopped"],
        state["collapsed"],
        bits_of(methods[0], pairs),
        last,
    )


def _run_epoch(run: _Run, place: checkpoint.Place, every: checkpoint.Every, keep: Callable[[], None]) -> None:
    """Do the steps of an epoch that are not done yet, move `place` along, and keep what is done as often as is asked."""
    _begin(run, place)
    config, pairs, accelerator = run.config, run.pairs, run.accelerator
    per_epoch = pairs.batches_per_epoch(config.batch_size, config.passes)
    total, sums, last = per_epoch * config.epochs, place.sums, time.monotonic()
    batches = list(pairs.epoch(place.epoch, config.seed, config.batch_size, config.passes, place.steps))
    for rows, following in zip_longest(batches, batches[1:]):
        done = (place.epoch % config.epochs) * per_epoch + place.steps
        moment = Moment(run.stages[place.epoch // config.epochs], done / total, place.epoch)
        share = rows[accelerator.process_index :: accelerator.num_processes]
        batch = pairs.batch(share, accelerator.device, tokens=run.tokens)
        if run.tokens and following is not None:
            pairs.expect(following, run.tokens)
        for method, step, optimiser, runner in zip(run.methods, run.steps, run.optimisers, run.wrapped, strict=True):
            set_rate(optimiser, rate_factor(done, total, config.warm_up))
            method.train()
            with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=run.half):
                terms = step(batch, moment)
            loss = _reduce(terms, batch)
            runner.zero_grad()
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(method.parameters(), config.clip)
            if not (torch.isfinite(loss) and torch.isfinite(torch.as_tensor(norm))):
                raise _diverged(terms, place)
            runner.step()
            method.after_step()
            for name, value in {**terms, "loss": loss, "gradient_norm": norm}.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach().float().mean()) / per_epoch / len(run.methods)
        place.steps += 1
        if every.due(place.steps, last):
            keep()
            last = time.monotonic()


def _diverged(terms: Mapping[str, Tensor], place: checkpoint.Place) -> BatchError:
    """Name the terms of a loss that are no numbers any more; a step along them would make all weights so."""
    odd = [name for name, value in terms.items() if not torch.isfinite(value).all()]
    what = f"loss {', '.join(odd)}" if odd else "the gradient"
    return BatchError(
        f"epoch {place.epoch + 1}, step {place.steps + 1}: {what} is not finite, expected numbers",
        "lower learning_rate, or try precision=fp32",
    )


def _begin(run: _Run, place: checkpoint.Place) -> None:
    """Show the evidence to a strategy that needs it; one that goes on within an epoch sees again what it had seen."""
    if not run.strategy.looks(place.epoch):
        return
    if not place.steps:
        place.random, place.believed = torch.get_rng_state(), run.strategy.state()
        place.shown = tuple(evidence(method, run.pairs, run.config.batch_size) for method in run.methods)
        run.strategy.start_epoch(place.epoch, place.shown)
        return
    with torch.random.fork_rng():
        if place.random is not None:
            torch.set_rng_state(place.random)
        run.strategy.start_epoch(place.epoch, place.shown)


def _reduce(terms: dict[str, Tensor], batch: Batch) -> Tensor:
    total = torch.zeros((), device=batch.item.device)
    for value in terms.values():
        value = value.float()
        if batch.weight is not None and value.ndim:
            total = total + (value * batch.weight).sum() / batch.weight.sum().clamp(min=1e-6)
        else:
            total = total + value.mean()
    return total


@torch.no_grad()
def _look(method: Method, pairs: Pairs, config: TrainingConfig) -> dict[str, float]:
    """Measure one fixed batch in eval mode: what shows a collapse before the validation does."""
    method.eval()
    rows = next(pairs.epoch(0, config.seed, config.batch_size))
    batch = pairs.batch(rows, tokens=method.reads_tokens)
    report = diagnose(similarity(method, (batch[pairs.view],), (batch["text"],)).float())
    if isinstance(method, Embeds) and issubclass(type(method), Embeds):
        embeddings = method.embed(batch[pairs.view])
        report["effective_rank"] = effective_rank(embeddings)
        report["mean_cosine"] = float(
            (embeddings.sum(0).square().sum() - len(rows)) / max(1, len(rows) * (len(rows) - 1))
        )
    else:
        report["mean_cosine"] = report["strangers"]
    return report


def _check(methods: Sequence[Method], strategy: Strategy) -> None:
    for method in methods:
        if not issubclass(type(method), Learns):
            raise ConfigError(
                f"`{type(method).__name__}` has nothing to train",
                "use it as it is, or see `crossbit methods` for those that learn",
            )
    if len(methods) != strategy.peers:
        raise ConfigError(f"{type(strategy).__name__} trains {strategy.peers} copies, got {len(methods)}")


def _seed_all(seed: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)


def _precision(name: str) -> Literal["fp32", "bf16"]:
    if name == "auto":
        name = "bf16" if _bf16_is_native() else "fp32"
    return "bf16" if name == "bf16" else "fp32"


def _bf16_is_native() -> bool:
    """Say whether this processor multiplies bf16 itself; emulated bf16 is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    checks = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)
    return any(bool(check()) for check in checks)
