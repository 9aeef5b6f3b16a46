"""Checkpoints without pickle: tensors in safetensors, the rest in JSON, one folder each, whole or not at all.

    checkpoint-0007-000120/   7 epochs and 120 steps of the next one are done
        tensors.safetensors   weights and optimiser of each peer, its best weights, random states
        state.json            the rest

What is kept is all that the next step depends on, so a run that was killed anywhere ends with the bits of one that was not.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from crossbit.errors import ModelError
from crossbit.strategies.base import PairEvidence

_STATE, _TENSORS = "state.json", "tensors.safetensors"
_EVIDENCE = ("loss", "forward", "backward")


@dataclass(frozen=True)
class Every:
    """Say how often a checkpoint is written within an epoch; what comes first counts, 0 never comes.

    Args:
        seconds: since the last one.
        steps: of the epoch.
    """

    seconds: float = 60.0
    steps: int = 0

    def due(self, steps: int, last: float) -> bool:
        """Say whether it is time, after so many steps of the epoch and with the last one at that `time.monotonic()`."""
        by_time = self.seconds > 0 and time.monotonic() - last >= self.seconds
        return by_time or (self.steps > 0 and steps % self.steps == 0)


@dataclass
class Place:
    """Where a run is, and what the rest of its epoch depends on besides weights and optimisers.

    Args:
        epoch: the running epoch; as many are done.
        steps: steps done in it.
        sums: of its log so far.
        shown: what the strategy was shown when it began.
        random: torch's random state at that time.
        believed: what the strategy remembered at that time.
    """

    epoch: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    shown: tuple[PairEvidence, ...] = ()
    random: Tensor | None = None
    believed: Mapping[str, np.ndarray] = field(default_factory=dict)


def save(
    folder: Path,
    place: Place,
    methods: Sequence[nn.Module],
    optimisers: Sequence[torch.optim.Optimizer],
    best: Sequence[Mapping[str, Tensor]],
    state: Mapping[str, Any],
) -> Path:
    """Write a checkpoint and drop the older ones.

    Args:
        folder: of the run.
        place: where it is.
        methods: one a peer.
        optimisers: one a peer.
        best: the weights of the best validated epoch, one mapping a peer.
        state: whatever else the loop keeps, fit for JSON.
    """
    tensors: dict[str, Tensor] = {f"random/{name}": value for name, value in _random_states().items()}
    for peer, (method, optimiser, kept) in enumerate(zip(methods, optimisers, best, strict=True)):
        tensors |= {f"method{peer}/{name}": value for name, value in method.state_dict().items()}
        tensors |= {f"best{peer}/{name}": value for name, value in kept.items()}
        for index, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser{peer}/{index}/{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    for peer, seen in enumerate(place.shown):
        tensors |= {f"shown{peer}/{name}": torch.from_numpy(getattr(seen, name)) for name in _EVIDENCE}
    tensors |= {f"believed/{name}": torch.from_numpy(value) for name, value in place.believed.items()}
    if place.random is not None:
        tensors["began/random"] = place.random
    target, partial = folder / f"checkpoint-{place.epoch:04d}-{place.steps:06d}", folder / "checkpoint.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, partial / _TENSORS)
    record = {
        "epoch": place.epoch,
        "steps": place.steps,
        "sums": place.sums,
        "random": random.getstate(),
        "state": state,
    }
    (partial / _STATE).write_text(json.dumps(record))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for older in _all(folder):
        if older != target:
            shutil.rmtree(older)
    return target


def latest(folder: Path) -> Path | None:
    """Give the newest checkpoint of a run, if it has one."""
    found = _all(folder)
    return found[-1] if found else None


def load(
    checkpoint: Path, methods: Sequence[nn.Module], optimisers: Sequence[torch.optim.Optimizer]
) -> tuple[Place, list[dict[str, Tensor]], dict[str, Any]]:
    """Put weights, optimisers and random states back; give the place, the best weights and the rest of the state.

    Raises:
        ModelError: the checkpoint is damaged or was made with other settings.
    """
    try:
        record: dict[str, Any] = json.loads((checkpoint / _STATE).read_text())
        tensors = load_file(checkpoint / _TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{checkpoint}: cannot be read ({error})", "delete the folder and train again") from error
    best = [_below(tensors, f"best{peer}/") for peer in range(len(methods))]
    for peer, (method, optimiser) in enumerate(zip(methods, optimisers, strict=True)):
        try:
            method.load_state_dict(best[peer])  # to see that they fit; the newest ones take their place
            method.load_state_dict(_below(tensors, f"method{peer}/"))
        except RuntimeError as error:
            raise ModelError(
                f"{checkpoint}: its weights do not fit these settings",
                "train into another folder, or with the old settings",
            ) from error
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, f"optimiser{peer}/").items():
            index, slot = name.split("/")
            slots.setdefault(int(index), {})[slot] = value
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
    shown = [_below(tensors, f"shown{peer}/") for peer in range(len(methods))]
    place = Place(
        record["epoch"],
        record["steps"],
        record["sums"],
        tuple(PairEvidence(*(_array(seen[name]) for name in _EVIDENCE)) for seen in shown if seen),
        tensors.get("began/random"),
        {name: _array(value) for name, value in _below(tensors, "believed/").items()},
    )
    _put_random_states(_below(tensors, "random/"), record["random"])
    return place, best, record["state"]


def _all(folder: Path) -> list[Path]:
    """Give the checkpoints of a run, oldest first."""
    return sorted(folder.glob("checkpoint-????-??????"))


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.numpy()
    return array


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda{device:03d}": state for device, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _put_random_states(states: Mapping[str, Tensor], python: Sequence[Any]) -> None:
    torch.set_rng_state(states["cpu"])
    version, numbers, gauss = python
    random.setstate((version, tuple(numbers), gauss))
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all([state for name, state in sorted(states.items()) if name.startswith("cuda")])
