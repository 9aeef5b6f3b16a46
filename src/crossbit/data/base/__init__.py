"""The trained heads of the model `base`, as they come in the wheel: half precision, without what the encoders bring anyway.

    heads.safetensors   weights in float16, but for the image encoder's own classifier
    card.json           settings of the method, encoders and their fingerprints, how it was trained
    README.md           the same for people, with what it can and cannot see

All three are written by `crossbit train base` and by nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crossbit.errors import ModelError

HEADS, CARD = "heads.safetensors", "card.json"
BROUGHT = ("weight", "bias")
"""The classifier: 2.5 MB that lie in the package of the image encoder."""
MOST_BYTES = 8_000_000


def heads_file() -> Path:
    """Give the place of the heads in the package."""
    return Path(__file__).parent / HEADS


def read_card(folder: Path | None = None) -> dict[str, Any]:
    """Read the card that lies beside the heads.

    Raises:
        ModelError: it is not there or damaged.
    """
    path = (folder or Path(__file__).parent) / CARD
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}, expected the card of the model `base`", "reinstall crossbit") from error


def read_heads(path: Path | None = None) -> dict[str, np.ndarray]:
    """Read the heads as float32.

    Raises:
        ModelError: the file is not there or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = path or heads_file()
    try:
        return {name: value.astype(np.float32) for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: {error}, expected the heads of the model `base`", "reinstall crossbit") from error


def write_heads(state: Mapping[str, np.ndarray], card: Mapping[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Write heads and card, and give the weights as they will be read again: rounded.

    Raises:
        ModelError: they are larger than what a wheel should carry.
    """
    from safetensors.numpy import save

    half = {name: np.asarray(value, np.float16) for name, value in state.items() if name not in BROUGHT}
    data = save({name: np.ascontiguousarray(value) for name, value in sorted(half.items())})
    if len(data) > MOST_BYTES:
        raise ModelError(
            f"{folder / HEADS}: {len(data):,} bytes, expected at most {MOST_BYTES:,}", "take smaller heads"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEADS).write_bytes(data)
    (folder / CARD).write_text(json.dumps(dict(card), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return {name: value.astype(np.float32) for name, value in half.items()}
