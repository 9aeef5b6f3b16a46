"""A step over the graph of a pair: by hand, against both products, padding and order, gradients."""

from __future__ import annotations

import math

import torch

from crossbit.nn.reasoning import GraphLayer


def test_two_nodes_by_hand() -> None:
    layer = GraphLayer(2).double()
    with torch.no_grad():
        layer.query.weight.copy_(torch.eye(2))
        layer.query.bias.zero_()
        layer.key.weight.copy_(torch.eye(2))
    nodes = math.sqrt(math.log(3)) * torch.eye(2, dtype=torch.float64)[None]
    # each has log 3 with itself and 0 with the other: weights 3/4 and 1/4, and the node itself is added
    expected = nodes * 1.75 + nodes.flip(1) * 0.25
    torch.testing.assert_close(layer(nodes, torch.ones(1, 2, dtype=torch.bool)), expected, rtol=0, atol=1e-9)


def test_one_product_is_the_two_of_the_formula() -> None:
    torch.manual_seed(0)
    layer, nodes = GraphLayer(3).double(), torch.randn(2, 5, 4, 3, dtype=torch.float64)
    edges = torch.softmax(layer.query(nodes) @ layer.key(nodes).transpose(-1, -2), -1)
    torch.testing.assert_close(layer(nodes, torch.ones(2, 5, 4, dtype=torch.bool)), edges @ nodes + nodes)


def test_masked_nodes_and_order_change_nothing() -> None:
    torch.manual_seed(0)
    layer, nodes = GraphLayer(3).double(), torch.randn(1, 4, 3, dtype=torch.float64)
    before = layer(nodes[:, :3], torch.ones(1, 3, dtype=torch.bool))
    after = layer(nodes, torch.tensor([[True, True, True, False]]))
    torch.testing.assert_close(after[:, :3], before)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(layer(nodes[:, order], torch.ones(1, 3, dtype=torch.bool)), before[:, order])


def test_gradients() -> None:
    torch.manual_seed(0)
    layer, nodes = GraphLayer(3).double(), torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    assert torch.autograd.gradcheck(lambda value: layer(value, mask), (nodes,))
