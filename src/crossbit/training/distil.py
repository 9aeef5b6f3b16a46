"""Train a small image encoder from nothing: it learns to say of every picture, cell by cell, what a frozen encoder says of it.

    squares (N,e,e,3) bytes -> changed by chance -> network -> tokens (B,L,W) -> linear -> the teacher's cells (B,L,R)
                                                            -> pooled (B,W)   -> linear -> the teacher's summary (B,R)
    loss = share of the variance of the teacher's cells that is not explained + the same of its summary

R are the teacher's strongest directions. A cell of the student covers the same pixels as one of the teacher's, so a picture
that is mirrored or moved by whole cells has targets that are mirrored or moved; what comes in from outside is known to nobody
and counts for nothing. Any network with tokens on that grid learns by this one recipe, which makes two of them comparable.

Our own recipe, after "Distilling the Knowledge in a Neural Network" (Hinton and others, 2015) and FitNets (Romero and others,
ICLR 2015), whose hints are features as well.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from crossbit.data.cache import CachedFeatures
from crossbit.encoders.small import make_network
from crossbit.errors import ConfigError
from crossbit.training import checkpoint
from crossbit.training.loop import _precision as precision_of
from crossbit.training.optim import make_optimiser, rate_factor, set_rate

log = logging.getLogger(__name__)

_SAMPLE = 1024
_AT_ONCE = 512


@dataclass(frozen=True)
class DistilConfig:
    """The recipe; one for every kind of network.

    Args:
        epochs: passes over all pictures.
        batch_size: pictures in a batch.
        learning_rate: at the top of the schedule.
        weight_decay: on matrices only.
        warm_up: share of all steps in which the rate rises.
        clip: norm to which gradients are cut.
        directions: R of the teacher that are learned.
        cells: weight of the cells.
        pooled: weight of the summary.
        mirror: half of the pictures are mirrored.
        moved: share of the pictures that are moved by a cell, in one of eight directions.
        jitter: pixels by which a picture is moved besides.
        light: each channel is multiplied by up to 1 ± this.
        validate_every: epochs between two validations.
        precision: "auto" takes bf16 where the processor computes in it.
        seed: of everything.
    """

    epochs: int = 24
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    clip: float = 1.0
    directions: int = 256
    cells: float = 1.0
    pooled: float = 1.0
    mirror: bool = True
    moved: float = 0.5
    jitter: int = 3
    light: float = 0.2
    validate_every: int = 4
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Basis:
    """What of the teacher is learned: mean, directions and the spread along all of them, of cells and of summaries.

    Args:
        spread: root of the mean square of what is left after the mean is taken, over all directions that are kept.
    """

    mean: Float[np.ndarray, " D"]
    directions: Float[np.ndarray, "D R"]
    spread: float

    @classmethod
    def of(cls, rows: Float[np.ndarray, "N D"], directions: int) -> Basis:
        """Find the strongest directions of some rows."""
        mean = rows.mean(0)
        _, vectors = np.linalg.eigh(np.cov((rows - mean).T.astype(np.float64)))
        kept = vectors[:, ::-1][:, :directions].astype(np.float32)
        spread = float(np.sqrt(np.square((rows - mean) @ kept).mean()))
        return cls(mean.astype(np.float32), kept, max(spread, 1e-9))

    def __call__(self, rows: Float[np.ndarray, "*N D"]) -> Float[np.ndarray, "*N R"]:
        """Give rows along the directions, of mean square 1."""
        made: np.ndarray = ((rows - self.mean) @ self.directions / self.spread).astype(np.float32)
        return made


@dataclass(frozen=True)
class Lesson:
    """Pictures and what the teacher says of them.

    Args:
        squares: the pictures.
        cells: along the teacher's directions, on a square grid, row by row.
        pooled: along those of its summaries.
    """

    squares: UInt8[np.ndarray, "N e e 3"]
    cells: Float[np.ndarray, "N L R"]
    pooled: Float[np.ndarray, "N S"]

    @property
    def side(self) -> int:
        """Give the cells of a row."""
        return math.isqrt(self.cells.shape[1])


def bases_of(features: CachedFeatures, directions: int, seed: int = 0) -> tuple[Basis, Basis]:
    """Find the strongest directions of a teacher's cells (in a sample) and of its summaries."""
    some = np.random.default_rng(seed).permutation(len(features))[:_SAMPLE]
    cells = features.take(np.sort(some)).tokens
    return Basis.of(cells.reshape(-1, cells.shape[-1]), directions), Basis.of(features.pooled, directions)


def lesson_of(squares: UInt8[np.ndarray, "N e e 3"], features: CachedFeatures, bases: tuple[Basis, Basis]) -> Lesson:
    """Join pictures with what the teacher says of them.

    Raises:
        ConfigError: the teacher's tokens are no square grid.
    """
    counts = set(features.lengths.tolist())
    if len(counts) != 1 or math.isqrt(min(counts)) ** 2 != min(counts):
        raise ConfigError(f"distil: the teacher gives {sorted(counts)} tokens a picture, expected a square grid")
    rows = np.arange(len(features))
    parts = [bases[0](features.take(rows[at : at + _AT_ONCE]).tokens) for at in range(0, len(rows), _AT_ONCE)]
    return Lesson(squares, np.concatenate(parts).astype(np.float16), bases[1](features.pooled))


class Student(nn.Module):
    """A network and the two maps to what the teacher says; the maps are thrown away afterwards."""

    def __init__(self, network: nn.Module, width: int, cells: int, pooled: int) -> None:
        super().__init__()
        self.network = network
        self.cells, self.pooled = nn.Linear(width, cells), nn.Linear(width, pooled)
        for layer in (self.cells, self.pooled):  # so that it starts by saying nothing, which leaves all unexplained
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, pixels: Float[Tensor, "B 3 h w"]) -> tuple[Float[Tensor, "B L R"], Float[Tensor, "B S"]]:
        """Give the cells and the summary as the teacher would."""
        tokens, pooled = self.network(pixels)
        return self.cells(tokens), self.pooled(pooled)

    def groups(self, learning_rate: float) -> list[dict[str, object]]:
        """Give the parameters that decay and those that do not."""
        kept = {id(parameter) for parameter in self.network.undecayed()}  # type: ignore[operator]
        alike = {p: p.ndim > 1 and id(p) not in kept for p in self.parameters()}
        return [
            {"params": [p for p, decays in alike.items() if decays], "lr": learning_rate},
            {"params": [p for p, decays in alike.items() if not decays], "lr": learning_rate, "weight_decay": 0.0},
        ]


@dataclass(frozen=True)
class DistilReport:
    """How a training went.

    Args:
        explained: percent of the variance of the teacher's cells and summaries that is explained in held-out pictures.
        cpu_seconds: of the steps that this process did.
    """

    explained: dict[str, float]
    steps: int
    cpu_seconds: float


def distil(
    student: Student,
    lesson: Lesson,
    held_out: Lesson,
    scaled: Callable[[Tensor], Tensor],
    config: DistilConfig,
    folder: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    every: checkpoint.Every = checkpoint.Every(),  # noqa: B008 - frozen
) -> DistilReport:
    """Train a student in place.

    Args:
        student: its weights are changed.
        lesson: to learn.
        held_out: to validate on.
        scaled: squares of bytes to what the network reads.
        config: the recipe.
        folder: takes `log.jsonl` and the newest checkpoint.
        resume: go on from it; the weights come out as without the interruption.
        progress: show a bar.
        every: how often a checkpoint is written.
    """
    half = precision_of(config.precision) == "bf16"
    optimiser = make_optimiser(student.groups(config.learning_rate), config.weight_decay)
    folder.mkdir(parents=True, exist_ok=True)
    place, spent = checkpoint.Place(), 0.0
    if resume and (found := checkpoint.latest(folder)) is not None:
        place, _, kept = checkpoint.load(found, [student], [optimiser])
        spent = kept["cpu_seconds"]
        log.info("resume after %d epochs and %d steps from %s", place.epoch, place.steps, found)
    else:
        (folder / "log.jsonl").unlink(missing_ok=True)
    per_epoch = len(lesson.squares) // config.batch_size
    total, explained = per_epoch * config.epochs, {}
    began, last = time.process_time() - spent, time.monotonic()
    bar = tqdm(
        total=total, initial=place.epoch * per_epoch + place.steps, desc="train", disable=None if progress else True
    )

    def keep() -> None:
        state = {"cpu_seconds": time.process_time() - began}
        checkpoint.save(folder, place, [student], [optimiser], [student.state_dict()], state)

    while place.epoch < config.epochs:
        student.train()
        for rows in list(batches(len(lesson.squares), config, place.epoch))[place.steps :]:
            set_rate(optimiser, rate_factor(place.epoch * per_epoch + place.steps, total, config.warm_up))
            draw = np.random.default_rng([config.seed, place.epoch, place.steps])
            pixels, cells, known, pooled = changed(lesson, rows, config, draw)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                said, summed = student(scaled(pixels))
            terms = {"cells": unexplained(said, cells, known), "pooled": unexplained(summed, pooled)}
            loss = config.cells * terms["cells"] + config.pooled * terms["pooled"]
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), config.clip)
            optimiser.step()
            for name, value in {**terms, "loss": loss}.items():
                place.sums[name] = place.sums.get(name, 0.0) + float(value.detach()) / per_epoch
            place.steps += 1
            bar.update()
            if every.due(place.steps, last):
                keep()
                last = time.monotonic()
        record = {"epoch": place.epoch + 1, "cpu_seconds": round(time.process_time() - began, 1)}
        record |= {name: round(value, 4) for name, value in place.sums.items()}
        if (place.epoch + 1) % config.validate_every == 0 or place.epoch + 1 == config.epochs:
            explained = explains(student, held_out, scaled)
            record |= {f"val_{name}": value for name, value in explained.items()}
            bar.set_postfix(explained=f"{explained['pooled']:.1f} %")
        with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        place = checkpoint.Place(place.epoch + 1)
        keep()
    bar.close()
    student.eval()
    return DistilReport(explained or explains(student, held_out, scaled), total, round(time.process_time() - began, 1))


def batches(count: int, config: DistilConfig, epoch: int) -> Iterator[Int64[np.ndarray, " B"]]:
    """Give the rows of an epoch in batches, all of one size; those left over come in another epoch."""
    order = np.random.default_rng([config.seed, epoch]).permutation(count)
    for start in range(0, count - config.batch_size + 1, config.batch_size):
        yield order[start : start + config.batch_size]


def changed(
    lesson: Lesson, rows: Int64[np.ndarray, " B"], config: DistilConfig, draw: np.random.Generator
) -> tuple[UInt8[Tensor, "B e e 3"], Float[Tensor, "B L R"], Bool[Tensor, "B L"], Float[Tensor, "B S"]]:
    """Give pictures changed by chance, and what the teacher would say of them: cells, which of these are known, summaries."""
    side, edge = lesson.side, lesson.squares.shape[1]
    cell = edge // side
    squares, cells = lesson.squares[np.sort(rows)], lesson.cells[np.sort(rows)].astype(np.float32)
    grids = cells.reshape(len(rows), side, side, -1)
    pixels, said = np.full_like(squares, 255), np.zeros_like(grids)
    known = np.zeros((len(rows), side, side), bool)
    tossed, moves = draw.random((2, len(rows))), draw.integers(-1, 2, (len(rows), 2))
    shakes = draw.integers(-config.jitter, config.jitter + 1, (len(rows), 2))
    for row in range(len(rows)):
        mirrored = slice(None, None, -1 if config.mirror and tossed[0, row] < 0.5 else None)
        move = moves[row] if tossed[1, row] < config.moved else np.zeros(2, np.int64)
        _put(pixels[row], squares[row][:, mirrored], move * cell + shakes[row])
        _put(said[row], grids[row][:, mirrored], move)
        _put(known[row], np.ones((side, side), bool), move)
    gains = 1 + config.light * draw.uniform(-1, 1, (len(rows), 1, 1, 3)).astype(np.float32)
    lit = np.rint(pixels * gains).clip(0, 255).astype(np.uint8)
    return (
        torch.from_numpy(lit),
        torch.from_numpy(said.reshape(cells.shape)),
        torch.from_numpy(known.reshape(len(rows), -1)),
        torch.from_numpy(lesson.pooled[np.sort(rows)]),
    )


def unexplained(
    said: Float[Tensor, "*B R"], told: Float[Tensor, "*B R"], known: Bool[Tensor, "*B"] | None = None
) -> Float[Tensor, ""]:
    """Give the mean squared difference where the teacher is known; about 1 for whoever says nothing."""
    lost = (said.float() - told).square().mean(-1)
    return lost.mean() if known is None else (lost * known).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def explains(student: Student, held_out: Lesson, scaled: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Give the percent of the variance of the teacher's cells and summaries that a student explains."""
    student.eval()
    lost, whole = {"cells": 0.0, "pooled": 0.0}, {"cells": 0.0, "pooled": 0.0}
    for start in range(0, len(held_out.squares), _AT_ONCE // 2):
        rows = slice(start, start + _AT_ONCE // 2)
        said = student(scaled(torch.from_numpy(np.array(held_out.squares[rows]))))
        for name, ours in zip(lost, said, strict=True):
            told = torch.from_numpy(getattr(held_out, name)[rows].astype(np.float32))
            lost[name] += float((ours - told).square().sum())
            whole[name] += float(told.square().sum())
    return {name: round(100 * (1 - lost[name] / whole[name]), 2) for name in lost}


def make_student(family: str, sizes: Any, lesson: Lesson, seed: int) -> Student:
    """Make a network with fresh weights, and the maps to what a lesson holds.

    Raises:
        ConfigError: it has other cells than the teacher.
    """
    torch.manual_seed(seed)
    student = Student(make_network(family, sizes), sizes.width, lesson.cells.shape[2], lesson.pooled.shape[1])
    with torch.no_grad():
        cells = student.eval()(torch.zeros(1, 3, sizes.edge, sizes.edge))[0].shape[1]
    if cells != lesson.cells.shape[1]:
        raise ConfigError(
            f"distil: {family} gives {cells} cells a picture, the teacher {lesson.cells.shape[1]}, expected the same",
            "change edge and patch, or the strides",
        )
    return student


def _put(into: np.ndarray, what: np.ndarray, move: Int64[np.ndarray, " 2"]) -> None:
    """Lay an array into another of its size, moved down and right; what hangs over is lost."""
    high, wide = into.shape[:2]
    down, right = (int(step) for step in move)
    into[max(down, 0) : high + min(down, 0), max(right, 0) : wide + min(right, 0)] = what[
        max(-down, 0) : high - max(down, 0), max(-right, 0) : wide - max(right, 0)
    ]
