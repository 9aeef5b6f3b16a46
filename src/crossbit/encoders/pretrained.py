"""Any image or text model of the `transformers` library as an encoder, by folder or name on the hub, run by torch.

    vit:X, resnet:X               tokens: patches or cells, row by row   pooled: class token, or the mean of the cells
    clip-image:X, siglip-image:X  tokens: patches of the last layer      pooled: what its texts are compared to
    bert:X                        tokens: last hidden states             pooled: their masked mean
    clip-text:X, siglip-text:X    tokens: last hidden states             pooled: what its pictures are compared to

Pictures are prepared as the model's own preprocessor file says, cropping included. A weight that the checkpoint does not
have is an error, never a random number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    SiglipTextModel,
    SiglipVisionModel,
)
from transformers.utils import logging as transformers_logging

from crossbit.encoders.base import EncoderCard, Inputs, Media
from crossbit.encoders.built import fingerprint
from crossbit.encoders.hub import folder_fingerprint, model_folder
from crossbit.encoders.longtext import Frame
from crossbit.encoders.processor import Processor, read_processor
from crossbit.encoders.text import TextEncoder
from crossbit.errors import ConfigError, EncoderError
from crossbit.features import Features

_RECIPE = "transformers v1"
_DUAL = {
    "clip-image": ("clip", CLIPVisionModelWithProjection),
    "clip-text": ("clip", CLIPTextModelWithProjection),
    "siglip-image": ("siglip", SiglipVisionModel),
    "siglip-text": ("siglip", SiglipTextModel),
}
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
# tokenizers say this or more where nobody set a limit
_NO_LIMIT = 100_000


class PretrainedImage:
    """An image model of transformers."""

    def __init__(self, family: str, source: str) -> None:
        """Take the family ("vit", "resnet", "clip-image", "siglip-image") and a folder or a name on the hub."""
        self.family, self.name = family, f"{family}:{source}"
        self.folder = model_folder(self.name, source)
        self.config = _config(self.name, family, self.folder)
        self.processor: Processor = read_processor(self.folder)

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        return self._card

    def prepare(self, media: Sequence[Media]) -> Inputs:
        """Resize, crop and scale RGB pictures as the model expects: `pixels` (N, 3, h, w) float32.

        Raises:
            UsageError: something is not a uint8 array of shape (H, W, 3).
        """
        return {"pixels": self.processor.pixels(media)}

    def encode(self, inputs: Inputs) -> Features:
        """Run the model without gradient."""
        if not len(inputs["pixels"]):
            empty = np.zeros((0, 1, self._card.dim), np.float32)
            return Features("image", empty, np.zeros((0, 1), bool), np.zeros((0, self._card.pooled_dim), np.float32))
        with torch.no_grad():
            tokens, mask, pooled = self._frozen(torch.from_numpy(inputs["pixels"]))
        return Features("image", tokens.numpy(), mask.numpy(), pooled.numpy())

    def module(self) -> nn.Module:
        """Load the model anew, for training: pixels -> (tokens, mask, pooled)."""
        return ImageTwin(_load(self.name, self.family, self.folder, self.config))

    @cached_property
    def _frozen(self) -> nn.Module:
        return self.module().requires_grad_(False)

    @cached_property
    def _card(self) -> EncoderCard:
        config = self.config
        width = config.hidden_sizes[-1] if getattr(config, "hidden_sizes", None) else config.hidden_size
        pooled = config.projection_dim if self.family == "clip-image" else width
        mark = fingerprint(self.family, folder_fingerprint(self.folder), _RECIPE)
        return EncoderCard(self.name, "image", width, pooled, mark, edge=self.processor.edge)


class PretrainedText(TextEncoder):
    """A text model of transformers."""

    def __init__(self, family: str, source: str) -> None:
        """Take the family ("bert", "clip-text", "siglip-text") and a folder or a name on the hub."""
        self.family, self.name = family, f"{family}:{source}"
        self.folder = model_folder(self.name, source)
        self.config = _config(self.name, family, self.folder)
        self._tokenizer = _tokenizer(self.name, self.folder)
        self.frame = self._frame()

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        return self._card

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Give each text's own piece ids, without special ones."""
        if not texts:
            return []
        # "[SEP]" in somebody's caption is five characters, not the end of a sentence
        settings = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        pieces: list[list[int]] = self._tokenizer(list(texts), **settings)["input_ids"]
        return pieces

    def run(
        self, ids: Int32[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
    ) -> tuple[Float[np.ndarray, "N L D"], Float[np.ndarray, "N P"]]:
        """Encode framed rows that are short enough: tokens and pooled."""
        with torch.no_grad():
            tokens, _, pooled = self._frozen(torch.from_numpy(ids), torch.from_numpy(mask))
        return tokens.numpy(), pooled.numpy()

    def module(self) -> nn.Module:
        """Load the model anew, for training: (ids, mask) -> (tokens, mask, pooled)."""
        model = _load(self.name, self.family, self.folder, self.config)
        if self.family == "bert":
            return BertTwin(model)
        # SigLIP was trained on rows filled up to full length, and reads the last one
        return DualTextTwin(model, self.frame.max_tokens if self.family == "siglip-text" else 0, self.frame.pad)

    @cached_property
    def _frozen(self) -> nn.Module:
        return self.module().requires_grad_(False)

    @cached_property
    def _card(self) -> EncoderCard:
        config = self.config
        pooled = {"clip-text": "projection_dim", "siglip-text": "projection_size"}.get(self.family, "hidden_size")
        mark = fingerprint(self.family, folder_fingerprint(self.folder), _RECIPE)
        return EncoderCard(self.name, "text", config.hidden_size, getattr(config, pooled), mark, self.frame.max_tokens)

    def _frame(self) -> Frame:
        """Ask the tokenizer what it puts around a text, by showing it one."""
        bare, framed = (self._tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
        starts = [at for at in range(len(framed)) if framed[at : at + len(bare)] == bare]
        if not starts:
            raise EncoderError(f"{self.name}: its tokenizer makes {framed} of {bare}, expected pieces around it")
        at = starts[0]
        longest = getattr(self.config, "max_position_embeddings", _NO_LIMIT)
        if "roberta" in self.config.model_type:  # its positions begin behind the padding's
            longest -= self.config.pad_token_id + 1
        told = self._tokenizer.model_max_length
        pad = self._tokenizer.pad_token_id
        return Frame(
            tuple(framed[:at]),
            tuple(framed[at + len(bare) :]),
            (self.config.pad_token_id or 0) if pad is None else pad,
            min(longest, told) if told < _NO_LIMIT else longest,
        )


class ImageTwin(nn.Module):
    """An image model: pixels -> tokens without class and register tokens, mask, pooled."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.patch = getattr(config, "patch_size", None)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run on prepared pictures (B, 3, h, w)."""
        made = self.model(pixel_values=pixels)
        state = made.last_hidden_state
        if state.ndim == 4:  # (B, D, h, w) of a convolutional network
            tokens = state.flatten(2).transpose(1, 2)
            pooled = tokens.mean(1)
        else:
            tall, wide = self.patch if isinstance(self.patch, list | tuple) else (self.patch, self.patch)
            patches = (pixels.shape[2] // tall) * (pixels.shape[3] // wide) if self.patch else state.shape[1]
            extra = max(0, state.shape[1] - patches)
            tokens = state[:, extra:]
            embedding = getattr(made, "image_embeds", None)
            if embedding is not None:
                pooled = embedding
            elif isinstance(self.model, SiglipVisionModel):
                pooled = made.pooler_output
            else:
                pooled = state[:, 0] if extra else tokens.mean(1)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return tokens, mask, pooled


class BertTwin(nn.Module):
    """A BERT in torch: ids and mask -> tokens (zero where padded), mask, their masked mean."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the layers on framed ids (B, L), at most as long as the model reads."""
        tokens = self.bert(input_ids=ids.long(), attention_mask=mask.long()).last_hidden_state
        tokens = tokens * mask[..., None]
        return tokens, mask, tokens.sum(1) / mask.sum(1, keepdim=True)


class DualTextTwin(nn.Module):
    """The text half of a dual encoder: ids and mask -> tokens (zero where padded), mask, embedding."""

    def __init__(self, model: nn.Module, length: int, pad: int) -> None:
        """Take the model; `length` is what rows are filled up to, unmasked, with `pad`; 0 leaves them, masked."""
        super().__init__()
        self.model, self.length, self.pad = model, length, pad

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the layers on framed ids (B, L), at most as long as the model reads."""
        own = ids.shape[1]
        if self.length:
            filled = nn.functional.pad(ids.long(), (0, self.length - own), value=self.pad)
            made = self.model(input_ids=filled)
            pooled = made.pooler_output
        else:
            made = self.model(input_ids=ids.long(), attention_mask=mask.long())
            pooled = made.text_embeds
        return made.last_hidden_state[:, :own] * mask[..., None], mask, pooled


def bert_twin(folder: Path, words: Float[np.ndarray, "V D"]) -> BertTwin:
    """Load a converted BERT of the cache, whose word table lies apart.

    Raises:
        EncoderError: the weights do not fit the configuration.
    """
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = torch.from_numpy(words)
    config = BertConfig.from_json_file(folder / "config.json")
    # given as a state, the weights are taken over as they are: drawing 96 million random ones first would take seconds
    with quiet():
        bert, report = BertModel.from_pretrained(
            None, config=config, state_dict=weights, add_pooling_layer=False, output_loading_info=True
        )
    _check(str(folder), report)
    return BertTwin(bert).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and reports away while weights are loaded; what matters in them is checked and raised."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()


def _config(name: str, family: str, folder: Path) -> Any:
    """Read the configuration of the half that is asked for, and refuse another kind of model."""
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{name}: {folder}/config.json cannot be read ({str(error).splitlines()[0]})") from error
    kind = config.model_type
    if family not in _DUAL:
        if hasattr(config, "vision_config") or kind.endswith(("_vision_model", "_text_model")):
            raise ConfigError(
                f"{name}: {folder} holds a {kind} model, expected one that reads a single kind of media",
                "name it as clip-image:X, clip-text:X, siglip-image:X or siglip-text:X",
            )
        reads_text = hasattr(config, "vocab_size")
        if reads_text != (family == "bert"):
            right = "bert" if reads_text else "vit:X or resnet"
            raise ConfigError(
                f"{name}: {folder} holds a {kind} model, which reads {'texts' if reads_text else 'pictures'}",
                f"name it as {right}:X",
            )
        return config
    expected, _ = _DUAL[family]
    half = "vision" if family.endswith("image") else "text"
    if kind == f"{expected}_{half}_model":
        return config
    if kind != expected:
        raise ConfigError(f"{name}: {folder} holds a {kind} model, expected {expected}")
    part = config.vision_config if half == "vision" else config.text_config
    if expected == "clip":  # the halves may carry the default instead of what the whole was trained with
        part.projection_dim = config.projection_dim
    return part


def _tokenizer(name: str, folder: Path) -> Any:
    # asked first: from a folder without a vocabulary the library makes an empty tokenizer, and every word is unknown
    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        raise EncoderError(f"{name}: {folder} has no tokenizer, expected one of {', '.join(_VOCABULARIES)}")
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # what is damaged shows in a dozen ways
        raise EncoderError(
            f"{name}: the tokenizer in {folder} cannot be read ({str(error).splitlines()[0]})"
        ) from error


def _load(name: str, family: str, folder: Path, config: Any) -> nn.Module:
    kind = _DUAL[family][1] if family in _DUAL else AutoModel
    try:
        with quiet():
            model, report = kind.from_pretrained(folder, config=config, output_loading_info=True)
    except Exception as error:  # a damaged or foreign file of weights shows in a dozen ways
        raise EncoderError(f"{name}: weights in {folder} cannot be loaded ({str(error).splitlines()[0]})") from error
    _check(name, report)
    loaded: nn.Module = model.float().eval()
    return loaded


def _check(name: str, report: dict[str, Any]) -> None:
    """Refuse weights that were not in the checkpoint, but for the pooler of ViT and BERT, which is not used."""
    missing = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
    if wrong := [*missing, *report["mismatched_keys"]]:
        raise EncoderError(
            f"{name}: {len(wrong)} weights are missing or of another size, such as {wrong[0]!r}",
            "is it the right kind of model for this encoder?",
        )
