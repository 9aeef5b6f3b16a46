"""Checkpoints without pickle: tensors in safetensors, the rest in JSON, one folder an epoch, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from crossbit.errors import ModelError

_STATE, _TENSORS = "state.json", "tensors.safetensors"


def save(
    folder: Path,
    epoch: int,
    methods: Sequence[nn.Module],
    optimisers: Sequence[torch.optim.Optimizer],
    state: dict[str, Any],
) -> Path:
    """Write `checkpoint-EPOCH` and drop the older ones."""
    tensors: dict[str, Tensor] = {"rng": torch.get_rng_state()}
    for peer, (method, optimiser) in enumerate(zip(methods, optimisers, strict=True)):
        tensors |= {f"method{peer}/{name}": value for name, value in method.state_dict().items()}
        for index, slots in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser{peer}/{index}/{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    target, partial = folder / f"checkpoint-{epoch:04d}", folder / "checkpoint.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, partial / _TENSORS)
    (partial / _STATE).write_text(json.dumps({"epoch": epoch, **state}))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for older in folder.glob("checkpoint-????"):
        if older != target:
            shutil.rmtree(older)
    return target


def latest(folder: Path) -> Path | None:
    """Give the newest checkpoint of a run, if it has one."""
    found = sorted(folder.glob("checkpoint-????"))
    return found[-1] if found else None


def load(checkpoint: Path, methods: Sequence[nn.Module], optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Put weights, optimiser and random state back; give the rest of the state.

    Raises:
        ModelError: the checkpoint is damaged or was made with other settings.
    """
    try:
        state: dict[str, Any] = json.loads((checkpoint / _STATE).read_text())
        tensors = load_file(checkpoint / _TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{checkpoint}: cannot be read ({error})", "delete the folder and train again") from error
    for peer, (method, optimiser) in enumerate(zip(methods, optimisers, strict=True)):
        try:
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
    torch.set_rng_state(tensors["rng"])
    return state


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
