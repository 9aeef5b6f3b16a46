"""CLIP and its like: a dual encoder that was trained elsewhere, used as it is.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; SigLIP: Zhai et
al., ICCV 2023. Both towers end in one space; nothing is learnt here.

    image pooled (B, P) -> unit (B, P)
    text pooled (B, P)  -> unit (B, P)

From the paper: images and texts are compared by the cosine of the two projected vectors.
Our reconstruction: nothing. The towers' projections belong to the encoders ("clip-image:NAME", "clip-text:NAME"), so that a
trained hash head can stand on the same frozen trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from crossbit.batch import Encoded
from crossbit.errors import ConfigError
from crossbit.methods.base import Method


@dataclass(frozen=True)
class ClipConfig:
    """Nothing to set: the towers say it all."""

    @classmethod
    def small(cls) -> ClipConfig:
        """Give the settings for two cores: the same."""
        return cls()


class Clip(Method):
    """Compare what two frozen towers of one model say, by cosine.

    Raises:
        ConfigError: the pooled widths differ, so the encoders are not the two towers of one model.
    """

    Config = ClipConfig

    def __init__(self, config: ClipConfig, dims: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(config, dims)
        widths = {view: dims[view][1] for view in self.reads}
        if len(set(widths.values())) > 1:
            raise ConfigError(
                f"clip: pooled widths {widths}, expected one width for both",
                "name both towers of one model, such as clip-image:NAME and clip-text:NAME",
            )

    def embed(self, *views: Encoded) -> Float[Tensor, "B E"]:
        """Give the tower's projected vector at length 1."""
        return F.normalize(views[0].pooled, dim=-1)
