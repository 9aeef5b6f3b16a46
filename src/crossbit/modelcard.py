"""ModelCard: what stands in a model folder's `config.json`, read with suspicion and written for people and programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossbit.errors import ConfigError, ModelError

FORMAT = 2
"""Version of the folder's layout; newer ones are refused with a sentence. A folder is of version 2 where its codes were made
afterwards, and of version 1 otherwise, so that an older crossbit reads whatever it can."""

CODES_FILE = "codes.safetensors"
"""Means and directions of codes that were made after the training."""


@dataclass(frozen=True)
class ModelCard:
    """Say what a model is; the content of `config.json`.

    `codes` says how the codes were made where that was after the training: from the embedding, by "itq", "sign" or "random".
    """

    name: str
    method: str
    config: Mapping[str, Any]
    encoders: Mapping[str, str]
    encoder_fingerprints: Mapping[str, str]
    dims: Mapping[str, tuple[int, int]]
    abilities: tuple[str, ...]
    dim: int
    bits: int
    sees: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    codes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def format(self) -> int:
        """Give the oldest version of the layout that can say all this."""
        return FORMAT if self.codes else 1


def read_card(folder: Path) -> ModelCard:
    """Read a model folder's card and check every file that it names.

    Raises:
        ConfigError: there is no such folder.
        ModelError: the folder is half-written, a file is damaged, or the format is newer than this version.
    """
    path = folder / "config.json"
    if not folder.exists():
        raise ConfigError(
            f"no model {str(folder)!r}: neither a folder nor one of base, conse, clip:NAME, siglip:NAME",
            "train one with `crossbit train fgcmh`, or name `base`",
        )
    if not path.is_file():
        raise ModelError(
            f"{folder}: no config.json, so this is no model folder or it was only half written", "save it again"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        version, files = int(config.pop("format")), config.pop("files")
        config.pop("fingerprint")
        if version > FORMAT:
            raise ModelError(f"{folder}: format {version}, this version reads up to {FORMAT}", "update crossbit")
        card = ModelCard(**config)
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: damaged ({error})", "restore the folder from a copy, or train again") from error
    for name, expected in files.items():
        file = folder / name
        if not file.is_file():
            raise ModelError(
                f"{file}: missing, the model folder is half-written", "restore it from a copy, or train again"
            )
        if name != "README.md" and sha256_of(file) != expected:  # a card may be edited
            raise ModelError(
                f"{file}: its checksum is wrong, the file is damaged", "restore it from a copy, or train again"
            )
    return card


def fingerprint_of(card: ModelCard, files: Mapping[str, str]) -> str:
    """Hash method, settings, encoders and weights."""
    known = {
        "method": card.method,
        "config": dict(card.config),
        "encoders": dict(card.encoder_fingerprints),
        "weights": files["model.safetensors"],
    }
    if card.codes:
        known["codes"] = {**card.codes, "weights": files[CODES_FILE]}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def readme(card: ModelCard) -> str:
    """Write the model card as Markdown."""

    def lines() -> Iterator[str]:
        yield f"# {card.name}\n"
        yield f"A crossbit model: method `{card.method}`, embedding width {card.dim}, code length {card.bits}.\n"
        if card.codes:
            yield f"Its codes were made after the training, from the embedding, by `{card.codes['by']}`.\n"
        if card.sees:
            yield card.sees + "\n"
        yield "| view | encoder | fingerprint |\n|---|---|---|"
        for view, encoder in card.encoders.items():
            yield f"| {view} | {encoder} | {card.encoder_fingerprints[view]} |"
        yield "\n## Settings\n"
        yield "```json\n" + json.dumps(dict(card.config), indent=1) + "\n```"
        if card.training:
            yield "\n## Training\n"
            yield "```json\n" + json.dumps(dict(card.training), indent=1, ensure_ascii=False) + "\n```"

    return "\n".join(lines()) + "\n"


def readable(folder: Path) -> ModelCard | None:
    """Give the card of a whole model folder, or None where there is none or it is damaged."""
    try:
        return read_card(folder)
    except (ConfigError, ModelError):
        return None
