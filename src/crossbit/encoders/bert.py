"""Write the ONNX graph of a BERT whose weights stay in its `model.safetensors`.

The graph takes word embeddings instead of ids, so that a big word table never has to be loaded whole; its weights are
pointers into the safetensors file beside it, which ONNX Runtime maps into memory. So one file of weights serves both ONNX
Runtime and torch, nothing is exported, and the graph itself has 60 kB.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

_OPSET = 20
_IR = 9
_FLOAT, _BOOL = TensorProto.FLOAT, TensorProto.BOOL


def write_graph(folder: Path) -> None:
    """Write `graph.onnx`: words (N, L, D) float32, mask (N, L) bool -> tokens (N, L, D), the last hidden states.

    Args:
        folder: holds `config.json` and `model.safetensors` of a BertModel; its word table may be missing.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    graph = _Graph(folder / "model.safetensors")
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    graph.norm_settings = {"axis": -1, "epsilon": config["layer_norm_eps"]}

    # all but attention runs on (N·L, D), so that every product is one Gemm with its bias
    graph.constant("flat", np.array([-1, hidden]))
    graph.constant("one", np.array([1]))
    graph.constant("zero", np.array([0]))
    graph.constant("heads", np.array([heads, hidden // heads]))
    graph.constant("scale", np.float32((hidden // heads) ** -0.5))
    graph.node("Shape", ["words"], "shape")
    graph.node("Shape", ["words"], "length", start=1, end=2)
    graph.node("Shape", ["words"], "rows", start=0, end=2)
    graph.node("Concat", ["rows", "heads"], "split", axis=0)
    graph.node("Slice", ["embeddings.position_embeddings.weight", "zero", "length"], "positions")
    graph.node("Slice", ["embeddings.token_type_embeddings.weight", "zero", "one"], "type")
    graph.node("Add", ["positions", "type"], "places")
    graph.node("Add", ["words", "places"], "placed")
    graph.node("Reshape", ["placed", "flat"], "embedded")
    state = graph.norm("embedded", "embeddings.LayerNorm")

    graph.constant("seen", np.float32(0))
    graph.constant("hidden", np.float32(np.finfo(np.float32).min))
    graph.constant("axes", np.array([1, 2]))
    graph.node("Where", ["mask", "seen", "hidden"], "penalty")
    graph.node("Unsqueeze", ["penalty", "axes"], "penalties")  # (N, 1, 1, L)
    for layer in range(config["num_hidden_layers"]):
        state = graph.layer(state, f"encoder.layer.{layer}")
    graph.node("Reshape", [state, "shape"], "tokens")

    made = helper.make_graph(
        graph.nodes,
        "bert",
        [
            helper.make_tensor_value_info("words", _FLOAT, ["N", "L", hidden]),
            helper.make_tensor_value_info("mask", _BOOL, ["N", "L"]),
        ],
        [helper.make_tensor_value_info("tokens", _FLOAT, ["N", "L", hidden])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    (folder / "graph.onnx").write_bytes(model.SerializeToString())


class _Graph:
    """Collects nodes and constants; the safetensors' tensors are constants by their own names."""

    def __init__(self, weights: Path) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = [_pointer(name, *place, weights.name) for name, place in _places(weights).items()]
        self.norm_settings: Mapping[str, Any] = {}

    def constant(self, name: str, value: Any) -> None:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def norm(self, source: str, name: str) -> str:
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        return self.node("LayerNormalization", inputs, f"{name}.out", **self.norm_settings)

    def linear(self, source: str, name: str) -> str:
        return self.node("Gemm", [source, f"{name}.weight", f"{name}.bias"], f"{name}.out", transB=1)

    def heads(self, source: str, name: str, order: list[int]) -> str:
        made = self.linear(source, name)
        self.node("Reshape", [made, "split"], f"{name}.split")  # (N, L, heads, D / heads)
        return self.node("Transpose", [f"{name}.split"], f"{name}.heads", perm=order)

    def layer(self, state: str, name: str) -> str:
        query = self.heads(state, f"{name}.attention.self.query", [0, 2, 1, 3])
        key = self.heads(state, f"{name}.attention.self.key", [0, 2, 3, 1])
        value = self.heads(state, f"{name}.attention.self.value", [0, 2, 1, 3])
        scores = self.node("MatMul", [query, key], f"{name}.scores")  # (N, heads, L, L)
        scaled = self.node("Mul", [scores, "scale"], f"{name}.scaled")
        masked = self.node("Add", [scaled, "penalties"], f"{name}.masked")
        weights = self.node("Softmax", [masked], f"{name}.weights", axis=-1)
        mixed = self.node("MatMul", [weights, value], f"{name}.mixed")
        ordered = self.node("Transpose", [mixed], f"{name}.ordered", perm=[0, 2, 1, 3])
        joined = self.node("Reshape", [ordered, "flat"], f"{name}.joined")
        attended = self.linear(joined, f"{name}.attention.output.dense")
        sum_ = self.node("Add", [attended, state], f"{name}.attention.sum")
        state = self.norm(sum_, f"{name}.attention.output.LayerNorm")
        wide = self.linear(state, f"{name}.intermediate.dense")
        active = self.node("Gelu", [wide], f"{name}.active")
        narrow = self.linear(active, f"{name}.output.dense")
        return self.norm(self.node("Add", [narrow, state], f"{name}.sum"), f"{name}.output.LayerNorm")


def _places(weights: Path) -> dict[str, tuple[list[int], int, int]]:
    """Give shape, offset from the file's start and size of every tensor."""
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    start = 8 + size
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    spans = {name: (start + entry["data_offsets"][0], entry["data_offsets"]) for name, entry in entries.items()}
    return {name: (entries[name]["shape"], at, end - begin) for name, (at, (begin, end)) in spans.items()}


def _pointer(name: str, shape: list[int], offset: int, size: int, file: str) -> Any:
    tensor = TensorProto(name=name, data_type=_FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", file), ("offset", offset), ("length", size)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
