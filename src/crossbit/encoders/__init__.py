"""Encoders by name. Strings, so that listing costs nothing and only what is used gets imported."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from crossbit.errors import ConfigError

if TYPE_CHECKING:
    from crossbit.encoders.base import Encoder

ENCODERS: dict[str, str] = {
    "efficientnet-lite0": "crossbit.encoders.image:EfficientNetLite0",
    "e5-small": "crossbit.encoders.text:E5Small",
    "minilm": "crossbit.encoders.text:MiniLM",
    "minilm-words": "crossbit.encoders.wordtable:MiniLMWords",
    "words": "crossbit.encoders.words:Words",
}
"""Packaged encoders, which need no hub."""

FAMILIES: dict[str, str] = {
    "regions": "crossbit.encoders.regions:Regions",
    "vit": "crossbit.encoders.pretrained:PretrainedImage",
    "resnet": "crossbit.encoders.pretrained:PretrainedImage",
    "clip-image": "crossbit.encoders.pretrained:PretrainedImage",
    "siglip-image": "crossbit.encoders.pretrained:PretrainedImage",
    "bert": "crossbit.encoders.pretrained:PretrainedText",
    "clip-text": "crossbit.encoders.pretrained:PretrainedText",
    "siglip-text": "crossbit.encoders.pretrained:PretrainedText",
    "small-vit": "crossbit.encoders.small:SmallImage",
    "small-resnet": "crossbit.encoders.small:SmallImage",
}
"""Features computed elsewhere, `regions:WIDTH`; kinds of `transformers` models, `vit:X`, where X is a local folder or a name on
the hub; and two of our own, by folder."""


@lru_cache(maxsize=16)
def load(name: str) -> Encoder:
    """Give an encoder by name; asked again, the same one.

    Raises:
        ConfigError: no encoder has this name; the message names the nearest.
        EncoderError: its weights cannot be found.
    """
    if name in ENCODERS:
        made: Encoder = _class(ENCODERS[name])()
        return made
    family, colon, source = name.partition(":")
    if colon and family in FAMILIES and source:
        made = _class(FAMILIES[family])(family, source)
        return made
    known = [*ENCODERS, *(f"{family}:NAME" for family in FAMILIES)]
    near = get_close_matches(f"{family}:NAME" if colon else name, known, n=1, cutoff=0.4)
    raise ConfigError(
        f"encoder: found {name!r}, expected one of {', '.join(known)}",
        f"did you mean `{near[0]}`? NAME is a folder or a name on the model hub" if near else "",
    )


def default_text() -> str:
    """Name the text encoder to use when none is asked for: "e5-small", or "minilm" where its package is missing."""
    from crossbit.encoders.text import default_text

    return default_text()


def default_image() -> str:
    """Name the image encoder to use when none is asked for."""
    return "efficientnet-lite0"


def _class(where: str) -> type:
    module, _, name = where.partition(":")
    found: type = getattr(import_module(module), name)
    return found
