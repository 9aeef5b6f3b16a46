"""Steps over all pairs of two sides with gradients written out: attention, cosines, nodes and graphs, in less time.

Every tensor of pairs is (Nb, Na, La, ...), the seen side first, so that all that asks one item of it is one matrix.
Three things cost in plain operations: a softmax or a norm over fewer than 16 numbers, which the processor's wide registers do
not help with; a new tensor for every small step; and gradients that are summed one after the other. Here exponentials are taken
in place and sums go where the matrix product adds them anyway. Under autocast the products of nodes are bf16, attention is not.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

_SAFE = 60.0
"""An exponent up to here needs no maximum taken out."""


def pair_affinity(a: Float[Tensor, "Na La D"], b: Float[Tensor, "Nb Lb D"]) -> Float[Tensor, "Nb Na La Lb"]:
    """Give the dot product of every token of `a` with every token of `b`."""
    (na, la, width), (nb, lb, _) = a.shape, b.shape
    kind = _narrow(a)
    with _wide(a):
        product = a.reshape(na * la, width).to(kind) @ b.reshape(nb * lb, width).to(kind).T
        turned = product.view(na, la, nb, lb).permute(2, 0, 1, 3)
        return turned.to(_dtype(a), memory_format=torch.contiguous_format)


def pair_looks(
    scores: Float[Tensor, "Nb Na La Lb"],
    mask_a: Bool[Tensor, "Na La"],
    mask_b: Bool[Tensor, "Nb Lb"],
    inverse_temperature: float,
) -> Float[Tensor, "Nb Na La Lb"]:
    """Give for each token of `a` the weights of the tokens of `b`, as `crossing.own_looks` has them, for all pairs."""
    with _wide(scores):
        scores = scores.to(_dtype(scores))
        found: Tensor = _Looks.apply(
            scores, mask_a[None, :, :, None].to(scores), mask_b[:, None, None, :].to(scores), inverse_temperature
        )
        return found


def pair_cosines(
    scores: Float[Tensor, "Nb Na La Lb"],
    weights: Float[Tensor, "Nb Na La Lb"],
    norms: Float[Tensor, "Na La"],
    gram: Float[Tensor, "Nb Lb Lb"],
) -> Float[Tensor, "Nb Na La"]:
    """Give the cosine of each token of `a` with what it sees, by the Gram matrix of what is seen, see `crossing`."""
    with _wide(scores):
        found: Tensor = _Cosines.apply(scores, weights, norms.to(scores), gram.to(scores))
        return found


def gram_of(b: Float[Tensor, "Nb Lb D"]) -> Float[Tensor, "Nb Lb Lb"]:
    """Give the dot products of the tokens of each item with each other."""
    return b @ b.transpose(1, 2)


def pair_nodes(
    weights: Float[Tensor, "Nb Na La Lb"],
    a: Float[Tensor, "Na La D"],
    b: Float[Tensor, "Nb Lb D"],
    matrix: Float[Tensor, "S D"],
    bias: Float[Tensor, " S"],
) -> Float[Tensor, "Nb Na La S"]:
    """Give `unit(matrix (seen - own)^2 + bias)` for every token of `a`, where `seen` is the weighted sum of tokens of `b`."""
    kind = _narrow(weights)
    with _wide(weights):
        found: Tensor = _Nodes.apply(weights.to(kind), a.to(kind), b.to(kind), matrix.to(kind), bias.to(kind))
        return found


def graph_step(
    nodes: Float[Tensor, "*P L S"], mask: Bool[Tensor, "*P L"], both: Float[Tensor, "S S"], bias: Float[Tensor, " S"]
) -> Float[Tensor, "*P L S"]:
    """Give `softmax((s both + bias) s^T) s + s`; the softmax runs over the real nodes, evenly over all where none is real."""
    kind = _narrow(nodes)
    with _wide(nodes):
        far = torch.zeros(mask.shape, dtype=_dtype(nodes), device=nodes.device).masked_fill_(~mask, -1e4)
        far = far.expand(nodes.shape[:-1]).reshape(-1, 1, nodes.shape[-2])
        out: Tensor = _Graph.apply(nodes.to(kind).flatten(0, -3), far, both.to(kind), bias.to(kind))
        return out.view(nodes.shape)


class _Looks(torch.autograd.Function):
    """Shrink, norm over the tokens that ask, softmax over those that are seen."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, real_a: Tensor, real_b: Tensor, inverse_temperature: float) -> Tensor:
        shrunk = F.leaky_relu(scores, 0.1).mul_(real_a)
        scale = shrunk.square().sum(2, keepdim=True).sqrt_().clamp_(min=1e-8).reciprocal_().mul_(inverse_temperature)
        weights = shrunk * scale
        if inverse_temperature > _SAFE:
            weights.sub_(weights.masked_fill(real_b == 0, -1e30).amax(3, keepdim=True)).clamp_(max=0)
        weights.exp_().mul_(real_b)
        weights.div_(weights.sum(3, keepdim=True).clamp_(min=1e-30))
        ctx.save_for_backward(shrunk, scale, weights, real_a)
        ctx.inverse_temperature = inverse_temperature
        return weights

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        shrunk, scale, weights, real_a = ctx.saved_tensors
        moved = grad * weights
        moved.addcmul_(weights, moved.sum(3, keepdim=True), value=-1)
        along = (moved * shrunk).sum(2, keepdim=True)
        along.mul_((scale / ctx.inverse_temperature).square_())
        moved.addcmul_(shrunk, along, value=-1).mul_(scale * real_a)
        return torch.ops.aten.leaky_relu_backward(moved, shrunk, 0.1, False), None, None, None


class _Cosines(torch.autograd.Function):
    """From affinities, weights, lengths and the Gram matrix of what is seen."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, weights: Tensor, norms: Tensor, gram: Tensor) -> Tensor:
        (nb, na, la, lb) = weights.shape
        across = torch.bmm(weights.view(nb, na * la, lb), gram).view_as(weights)
        squared = (across * weights).sum(3).clamp_(min=1e-12)
        lengths = norms[None] * squared.sqrt()
        lengths.clamp_(min=1e-8)
        cosines = (weights * scores).sum(3).div_(lengths)
        ctx.save_for_backward(scores, weights, norms, across, squared, lengths, cosines)
        return cosines

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        scores, weights, norms, across, squared, lengths, cosines = ctx.saved_tensors
        nb, na, la, lb = weights.shape
        product = (grad / lengths).unsqueeze(3)
        turned = grad * cosines
        half = (turned / squared).mul_(-0.5).unsqueeze(3)
        of_weights = (scores * product).addcmul_(across, half, value=2)
        of_norms = (turned / norms.clamp(min=1e-8)).sum(0).neg_()
        of_gram = None
        if ctx.needs_input_grad[3]:
            scaled = (weights * half).view(nb, na * la, lb)
            of_gram = torch.bmm(scaled.transpose(1, 2), weights.view(nb, na * la, lb))
        return weights * product, of_weights, of_norms, of_gram


class _Nodes(torch.autograd.Function):
    """The node of each token that asks."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, a: Tensor, b: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        nb, na, la, lb = weights.shape
        seen = torch.bmm(weights.reshape(nb, na * la, lb), b).view(nb, na, la, -1)
        gap = seen.sub_(a[None])
        long = torch.addmm(bias, gap.square().view(-1, gap.shape[3]), matrix.T).to(_dtype(a))
        scale = long.square().sum(1, keepdim=True).sqrt_().clamp_(min=1e-12).reciprocal_()
        nodes = long.mul_(scale).to(a)
        ctx.save_for_backward(weights, b, matrix, gap, nodes, scale)
        return nodes.view(nb, na, la, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        weights, b, matrix, gap, nodes, scale = ctx.saved_tensors
        nb, na, la, lb = weights.shape
        unit, grad = nodes.to(scale), grad.reshape(nodes.shape).to(scale)
        turned = torch.addcmul(grad, unit, (grad * unit).sum(1, keepdim=True), value=-1).mul_(scale).to(b)
        of_matrix = turned.T @ gap.square().view(-1, gap.shape[3])
        moved = (turned @ matrix).view_as(gap).mul_(gap)  # half of the gradient of the gap
        of_a = moved.sum(0).mul_(-2)
        moved = moved.view(nb, na * la, -1)
        of_weights = torch.bmm(moved, (b * 2).transpose(1, 2)).view(nb, na, la, lb)
        of_b = torch.bmm(weights.reshape(nb, na * la, lb).transpose(1, 2), moved).mul_(2)
        return of_weights, of_a, of_b, of_matrix, turned.sum(0)


class _Graph(torch.autograd.Function):
    """One step over the graph of each pair."""

    @staticmethod
    def forward(ctx: Any, nodes: Tensor, far: Tensor, both: Tensor, bias: Tensor) -> Tensor:
        width = nodes.shape[2]
        asked = torch.addmm(bias, nodes.reshape(-1, width), both).view_as(nodes)
        edges = torch.bmm(asked, nodes.transpose(1, 2)).to(far).add_(far)
        edges.sub_(edges.amax(2, keepdim=True)).exp_()
        edges = edges.div_(edges.sum(2, keepdim=True)).to(nodes)
        ctx.save_for_backward(nodes, both, asked, edges)
        return torch.baddbmm(nodes, edges, nodes)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        nodes, both, asked, edges = ctx.saved_tensors
        width, wide = nodes.shape[2], _dtype(nodes)
        weights = edges.to(wide)
        moved = torch.bmm(grad, nodes.transpose(1, 2)).to(wide).mul_(weights)
        moved = moved.addcmul_(weights, moved.sum(2, keepdim=True), value=-1).to(nodes)
        of_asked = torch.bmm(moved, nodes).view(-1, width)
        of_nodes = torch.baddbmm(grad, edges.transpose(1, 2), grad)
        of_nodes.baddbmm_(moved.transpose(1, 2), asked)
        of_nodes.view(-1, width).addmm_(of_asked, both.T)
        return of_nodes, None, nodes.reshape(-1, width).T @ of_asked, of_asked.sum(0)


def _dtype(x: Tensor) -> torch.dtype:
    return x.dtype if x.dtype == torch.float64 else torch.float32


def _narrow(x: Tensor) -> torch.dtype:
    """Give the precision of products: what autocast says, or float32, or the double that comes in."""
    kind = x.device.type
    if x.dtype != torch.float64 and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return _dtype(x)


def _wide(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)
