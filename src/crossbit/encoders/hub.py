"""Find the folder of a published model: a local one, or a snapshot of the model hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

from crossbit.encoders.built import file_sha256
from crossbit.errors import EncoderError

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_SETTINGS = ("*.json", "*.txt", "*.model")


def model_folder(name: str, source: str) -> Path:
    """Give the folder with configuration and weights of a model.

    Args:
        name: the whole name of the encoder, for messages: `clip-image:openai/clip-vit-base-patch32`.
        source: a folder, or a name on the hub. What is there as a folder is never looked for on the hub.

    Raises:
        EncoderError: neither leads to a model; the message says where it was looked for.
    """
    local = Path(source).expanduser()
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise EncoderError(f"{name}: folder {local} has no config.json, expected a model saved by transformers")
        if not weight_files(local):
            raise EncoderError(f"{name}: folder {local} has no weights, expected *.safetensors")
        return local
    if local.exists():
        raise EncoderError(f"{name}: {local} is a file, expected a folder or a name on the model hub")
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise EncoderError(f"{name}: no folder {local}, expected a model saved by transformers")
    return _snapshot(name, source)


def weight_files(folder: Path) -> list[Path]:
    """List the weights of a model folder: safetensors if there are any, else torch's own files."""
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def folder_fingerprint(folder: Path) -> str:
    """Hash weights and settings: whatever changes an output changes this."""
    digest = hashlib.sha256()
    settings = {path for pattern in _SETTINGS for path in folder.glob(pattern)}
    for path in sorted([*settings, *weight_files(folder)]):
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()[:16]


def _snapshot(name: str, source: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        for pattern in _WEIGHTS:  # the second only where the first brought no weights
            folder = Path(snapshot_download(source, allow_patterns=[*_SETTINGS, pattern], ignore_patterns=["*/*"]))
            if weight_files(folder):
                return folder
    except Exception as error:  # the hub's client raises a dozen kinds: no network, no such model, no permission
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise EncoderError(
            f"{name}: no folder {source!r} here, and the model hub did not give a model of that name ({reason[0]})",
            f"where the hub can be reached: `hf download {source} --local-dir DIR`, then name the folder: "
            f"{name.partition(':')[0]}:DIR; without a hub the packaged encoders work (see `crossbit doctor`)",
        ) from error
    raise EncoderError(f"{name}: the hub's model has no weights that can be read, expected *.safetensors")
