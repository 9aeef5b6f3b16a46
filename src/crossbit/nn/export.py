"""Export a torch function to ONNX, so that indexing and searching run without torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from crossbit.batch import Encoded
from crossbit.features import Modality


class _Function(nn.Module):
    """A function of a module, as a module: what the exporter wants."""

    def __init__(self, owner: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.owner = owner
        self.function = function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.function(*inputs)


def export(
    owner: nn.Module,
    function: Callable[..., tuple[Tensor, ...]],
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    free_axes: dict[str, dict[int, str]],
) -> None:
    """Write `function(*inputs)` as an ONNX graph, whole or not at all.

    Args:
        owner: the module that holds the weights; left in eval mode.
        function: takes the inputs in order, gives the outputs in order.
        inputs: examples by name, at least two rows and two tokens, or the tracer takes a size for a constant.
        outputs: their names.
        path: the file to write.
        free_axes: input or output to axis to the axis' name.
    """
    partial = path.with_suffix(".partial")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations, at every call
        torch.onnx.export(
            _Function(owner, function).eval(),  # or the exporter puts the owner back into training mode
            tuple(inputs.values()),
            str(partial),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free_axes,
            opset_version=18,
            dynamo=False,
        )
    logging.getLogger(__name__).debug("exported %s", path)
    partial.replace(path)


def export_head(
    method: nn.Module,
    view: str,
    dims: tuple[int, int],
    tokens: int,
    embeds: bool,
    hashes: bool,
    path: Path,
    grid: bool | None = None,
) -> None:
    """Export what a method does to one view's features: "embedding" and "relaxed" from "tokens", "mask" and "pooled".

    The number of tokens is free for texts and regions, and fixed where `grid` says that a method may read rows and columns; by
    default for pictures.
    """
    rows = 3
    inputs = {
        "tokens": torch.randn(rows, tokens, dims[0]),
        "mask": torch.arange(tokens).expand(rows, tokens) < torch.tensor([[tokens], [2], [tokens]]),
        "pooled": torch.randn(rows, dims[1]),
    }
    outputs = [name for name, has in (("embedding", embeds), ("relaxed", hashes)) if has]

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        encoded = Encoded(cast(Modality, view), *values)
        found = (method.embed(encoded) if embeds else None, method.relax(encoded) if hashes else None)  # type: ignore[operator]
        return tuple(value for value in found if value is not None)

    free = {0: "B"} if (view == "image" if grid is None else grid) else {0: "B", 1: "L"}
    axes = {"tokens": free, "mask": free, "pooled": {0: "B"}, **{name: {0: "B"} for name in outputs}}
    export(method, run, inputs, outputs, path, axes)
