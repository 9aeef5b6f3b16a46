"""Reasoning over the nodes of a pair: a fully connected graph whose edges are computed from the nodes themselves."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from crossbit.nn.pairwise import graph_step


class GraphLayer(nn.Module):
    """One step: `A = softmax(Wq s (Wk s)^T)` over the real nodes, then `s <- A s + s`.

    Source: similarity graph reasoning of SGRAF (Diao and others, AAAI 2021), section 3.2, in the form of MVSEN, which has a
    residual in the place of a further weight. The bias of the keys is left out: the softmax takes no notice of it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, nodes: Float[Tensor, "*P L S"], mask: Bool[Tensor, "*P L"]) -> Float[Tensor, "*P L S"]:
        """Give the nodes after the step; masked nodes are looked at by nobody."""
        # Wq s . Wk s' = s (Wq^T Wk) s': one product with the nodes in the place of two
        both = self.query.weight.T @ self.key.weight
        return graph_step(nodes, mask, both, self.query.bias @ self.key.weight)
