"""Write the ONNX graph of an EfficientNet-Lite from its torch checkpoint.

By hand and not by an exporter: the network is convolutions, clips and sums, this takes a second instead of twenty, and no
exporter (whose interface changes with each torch) has to be installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17


def write_graph(network: Any, edge: int, path: Path) -> None:
    """Write pixels (N, 3, edge, edge) -> tokens (N, L, D), pooled (N, D), every batch norm folded into its convolution."""
    graph = _Graph()
    map_ = graph.convolution("pixels", network._conv_stem, network._bn0, clip=True)
    for block in network._blocks:
        map_ = graph.block(map_, block)
    map_ = graph.convolution(map_, network._conv_head, network._bn1, clip=True)  # (N, D, h, w)
    width = network._conv_head.out_channels
    cells = graph.node("Reshape", [map_, graph.constant("cells", np.array([0, width, -1]))])
    graph.node("Transpose", [cells], "tokens", perm=[0, 2, 1])
    graph.node("ReduceMean", [cells], "pooled", axes=[2], keepdims=0)
    made = helper.make_graph(
        graph.nodes,
        "efficientnet-lite",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, edge, edge])],
        [
            helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["N", None, width]),
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["N", width]),
        ],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


class _Graph:
    """Collects nodes and constants; every method gives the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._limits = (self.constant("zero", np.float32(0)), self.constant("six", np.float32(6)))

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(self, source: str, layer: Any, norm: Any, *, clip: bool) -> str:
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        name = f"w{len(self.nodes)}"
        weight = self.constant(name, (layer.weight * scale[:, None, None, None]).detach().numpy())
        bias = self.constant(name + "b", (norm.bias - norm.running_mean * scale).detach().numpy())
        # TensorFlow's padding: where it is uneven, the odd row and column stand at the end
        attributes = {"auto_pad": "SAME_UPPER", "strides": list(layer.stride), "group": layer.groups}
        made = self.node("Conv", [source, weight, bias], kernel_shape=list(layer.kernel_size), **attributes)
        return self.node("Clip", [made, *self._limits]) if clip else made

    def block(self, source: str, block: Any) -> str:
        inside = source
        if block._block_args.expand_ratio != 1:
            inside = self.convolution(inside, block._expand_conv, block._bn0, clip=True)
        inside = self.convolution(inside, block._depthwise_conv, block._bn1, clip=True)
        inside = self.convolution(inside, block._project_conv, block._bn2, clip=False)
        kept = block._block_args.input_filters == block._block_args.output_filters
        stride = block._block_args.stride
        if block.id_skip and kept and stride in (1, [1]):
            return self.node("Add", [source, inside])
        return inside
