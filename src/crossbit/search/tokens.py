"""Kept tokens: what the image encoder says of each picture, compressed, so that re-ranking decodes and encodes nothing.

    tokens/settings.json           format and precision
    tokens/<encoder>/<pack>/       keys.npy    (n, 32)  sha256 of each picture file
                                   lengths.npy (n,)     tokens of each picture
                                   tokens.npy  (T, D)   int8 with scales.npy (T,) float16, or float16; read through a map
                                   pooled.npy  (n, P)   float16
                                   sums.npy    (n,)     CRC-32 of each picture's tokens, scales and pooled vector

They are found by the content of a picture, not by its item: a renamed picture keeps its tokens, a changed one has none until
it is encoded, a removed one's lie idle until `compact`; so no order of writing can make them disagree with the items. A pack
is written apart and renamed into place. What is damaged counts as missing; `verify` names it, and `repair` drops it, so that
the next `index` makes it again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from tqdm import tqdm

from crossbit.errors import CollectionError, MediaError, UsageError
from crossbit.features import Features
from crossbit.search.durable import read_json, told, write_json

FOLDER = "tokens"
FORMAT = 1
Keep = Literal["int8", "float16"]
_PACK_BYTES = 64 << 20
_ARRAYS = ("keys", "lengths", "tokens", "scales", "pooled", "sums")
_KEY = np.dtype("S32")


def kept_precision(folder: Path) -> Keep | None:
    """Say how a collection keeps tokens, None where it keeps none.

    Raises:
        CollectionError: a newer crossbit wrote them, or the note is damaged.
    """
    path = folder / FOLDER / "settings.json"
    if not path.is_file():
        return None
    record = read_json(path)
    if record.get("format") != FORMAT or record.get("keep") not in get_args(Keep):
        raise CollectionError(
            f"{path}: format {record.get('format')} with {record.get('keep')!r}, this crossbit reads {FORMAT}",
            f"upgrade crossbit, or remove {path.parent}: tokens can be made again",
        )
    return cast(Keep, record["keep"])


def keep(folder: Path, precision: str) -> None:
    """Keep tokens from now on, or with "none" drop them.

    Raises:
        UsageError: the precision is none of int8, float16 and none.
        CollectionError: the disk is full or cannot be written.
    """
    if precision not in (*get_args(Keep), "none"):
        raise UsageError(f"keep tokens {precision!r}, expected int8, float16 or none")
    with told(folder):
        if precision == "none" or kept_precision(folder) not in (None, precision):
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
        if precision != "none" and kept_precision(folder) is None:
            (folder / FOLDER).mkdir(exist_ok=True)
            write_json(folder / FOLDER / "settings.json", {"format": FORMAT, "keep": precision})


class KeptTokens:
    """The tokens of one encoder beside a collection, open for reading and for adding.

    Args:
        folder: of the collection.
        encoder: fingerprint of the image encoder.
    """

    def __init__(self, folder: Path, encoder: str) -> None:
        self.folder = folder / FOLDER / encoder
        self.precision = kept_precision(folder)
        self._waiting: dict[bytes, dict[str, np.ndarray]] = {}
        self._bytes = 0
        self._places: dict[bytes, tuple[_Pack, int]] = {}
        for path in sorted(self.folder.glob("pack-*")):
            self._take(path)

    def __contains__(self, sha256: bytes) -> bool:
        return _name(sha256) in self._places

    @property
    def size(self) -> int:
        """Give the bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def read(self, sha256: bytes) -> Features | None:
        """Give the tokens of a picture as float32, None where they are missing or damaged."""
        found = self._places.get(_name(sha256))
        return None if found is None else found[0].read(found[1])

    def add(self, sha256: bytes, features: Features) -> None:
        """Take the tokens of one picture; they are on the disk after `flush`."""
        if sha256 in self or _name(sha256) in self._waiting:
            return
        real = features.tokens[0][features.mask[0]].astype(np.float32)
        held: dict[str, np.ndarray] = {"pooled": features.pooled[0].astype(np.float16)}
        if self.precision == "int8":
            scales = (np.abs(real).max(1, initial=0.0) / 127.0).clip(1e-6).astype(np.float16)
            held |= {"tokens": np.rint(real / scales[:, None].astype(np.float32)).clip(-127, 127).astype(np.int8)}
            held |= {"scales": scales}
        else:
            held |= {"tokens": real.astype(np.float16), "scales": np.ones(len(real), np.float16)}
        self._waiting[_name(sha256)] = held
        self._bytes += held["tokens"].nbytes
        if self._bytes >= _PACK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a pack, whole or not at all.

        Raises:
            CollectionError: the disk is full or cannot be written.
        """
        if not self._waiting:
            return
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        arrays = {
            "keys": np.array(list(waiting), _KEY),
            "lengths": np.array([len(held["tokens"]) for held in waiting.values()], np.int32),
            "sums": np.array([_sum(held) for held in waiting.values()], np.uint32),
            "pooled": np.stack([held["pooled"] for held in waiting.values()]),
            **{name: np.concatenate([held[name] for held in waiting.values()]) for name in ("tokens", "scales")},
        }
        name = f"pack-{len(list(self.folder.glob('pack-*'))):06d}-{secrets.token_hex(4)}"
        partial = self.folder / f"{name}.partial-{os.getpid()}"
        with told(self.folder.parent.parent):
            partial.mkdir(parents=True)
            try:
                for kind, array in arrays.items():
                    with (partial / f"{kind}.npy").open("wb") as file:
                        np.save(file, array, allow_pickle=False)
                        file.flush()
                        os.fsync(file.fileno())
                partial.rename(self.folder / name)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        self._take(self.folder / name)

    def retain(self, living: Iterable[bytes]) -> None:
        """Drop the tokens of all other pictures for good, and what other encoders and killed writers left."""
        wanted = {_name(key) for key in living}
        with told(self.folder.parent.parent):
            for other in self.folder.parent.iterdir() if self.folder.parent.is_dir() else ():
                if other.is_dir() and other != self.folder:
                    shutil.rmtree(other)
            packs = {pack.folder: pack for pack, _ in self._places.values()}
            for path in sorted(self.folder.glob("pack-*")):
                pack = packs.get(path)
                if pack is not None and all(key in wanted for key in pack.keys):
                    continue
                for row, key in enumerate(pack.keys if pack is not None else ()):
                    assert pack is not None
                    if key in wanted and (held := pack.held(row)) is not None:
                        self._waiting[key] = held
                        self._bytes += held["tokens"].nbytes
                        self._places.pop(key, None)
                if self._bytes >= _PACK_BYTES:
                    self.flush()
                self._forget(path)
            self.flush()

    def drop_damaged(self, path: Path) -> None:
        """Write the sound pictures of a pack anew and delete the pack."""
        pack = _Pack.open(path)
        for row, key in enumerate(pack.keys if pack is not None else ()):
            assert pack is not None
            if (held := pack.held(row)) is not None:
                self._waiting[key] = held
        with told(self.folder.parent.parent):
            self._forget(path)

    def _forget(self, path: Path) -> None:
        self.flush()  # what was taken out of a pack is written before the pack goes
        self._places = {key: place for key, place in self._places.items() if place[0].folder != path}
        shutil.rmtree(path, ignore_errors=True)

    def _take(self, path: Path) -> None:
        pack = _Pack.open(path)
        if pack is not None:
            self._places.update((key, (pack, row)) for row, key in enumerate(pack.keys))


def damaged(folder: Path) -> list[tuple[Path, str]]:
    """Read every kept token of a collection and name the packs, or the note, in which something is not as it was written."""
    try:
        kept_precision(folder)
    except CollectionError as error:
        path = folder / FOLDER / "settings.json"
        return [(path, error.message.removeprefix(f"{path}: "))]
    found = []
    for path in _packs(folder):
        pack = _Pack.open(path)
        if pack is None:
            found.append((path, "its files do not fit together"))
        elif wrong := sum(pack.held(row) is None for row in range(len(pack.keys))):
            found.append((path, f"the tokens of {wrong:,} of {len(pack.keys):,} pictures"))
    return found


def mend(folder: Path) -> list[str]:
    """Drop what is damaged and keep the rest; say so, one sentence a pack.

    Raises:
        CollectionError: the disk is full or cannot be written, or a newer crossbit wrote the tokens, which is no damage.
    """
    said = []
    for path, what in damaged(folder):
        if path.name == "settings.json":
            if _readable(path):
                kept_precision(folder)  # says what to do
            with told(folder):
                shutil.rmtree(path.parent)
            said.append(f"{path}, dropped with all kept tokens: `index --keep-tokens` makes them again")
            continue
        KeptTokens(folder, path.parent.name).drop_damaged(path)
        said.append(f"{path}, without {what}: the next `index` makes them again")
    return said


def _readable(path: Path) -> bool:
    try:
        return bool(read_json(path))
    except CollectionError:
        return False


def _packs(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / FOLDER).glob("*/pack-*")) if ".partial" not in path.name]


@dataclass(frozen=True)
class _Pack:
    """One pack, memory-mapped."""

    folder: Path
    arrays: dict[str, np.ndarray]

    @classmethod
    def open(cls, folder: Path) -> _Pack | None:
        """Open a pack, or say None where its files do not fit together."""
        if ".partial" in folder.name:
            return None
        try:
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
            lengths, tokens = arrays["lengths"], arrays["tokens"]
            fits = len(arrays["keys"]) == len(lengths) == len(arrays["pooled"]) == len(arrays["sums"])
            fits = fits and bool((lengths >= 0).all()) and int(lengths.sum()) == len(tokens) == len(arrays["scales"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return cls(folder, arrays) if fits and tokens.ndim == 2 and tokens.dtype in (np.int8, np.float16) else None

    @cached_property
    def keys(self) -> list[bytes]:
        """Give the sha256 of every picture, see `_name`."""
        found: list[bytes] = self.arrays["keys"].tolist()
        return found

    @cached_property
    def ends(self) -> np.ndarray:
        """Give where each picture's tokens end."""
        found: np.ndarray = np.cumsum(self.arrays["lengths"].astype(np.int64))
        return found

    def held(self, row: int) -> dict[str, np.ndarray] | None:
        """Give a picture's arrays as they are kept, None where their checksum is another."""
        end = int(self.ends[row])
        span = slice(end - int(self.arrays["lengths"][row]), end)
        held = {name: np.array(self.arrays[name][span]) for name in ("tokens", "scales")}
        held["pooled"] = np.array(self.arrays["pooled"][row])
        return held if _sum(held) == int(self.arrays["sums"][row]) else None

    def read(self, row: int) -> Features | None:
        """Give a picture's tokens as float32."""
        held = self.held(row)
        if held is None:
            return None
        tokens = held["tokens"].astype(np.float32)
        if held["tokens"].dtype == np.int8:
            tokens *= held["scales"][:, None].astype(np.float32)
        mask = np.ones((1, len(tokens)), bool)
        return Features("image", tokens[None], mask, held["pooled"][None].astype(np.float32))


def _name(sha256: bytes) -> bytes:
    """Give a key as NumPy gives it back: without zero bytes at its end."""
    return sha256.rstrip(b"\0")


def _sum(held: dict[str, np.ndarray]) -> int:
    total = 0
    for name in ("tokens", "scales", "pooled"):
        total = zlib.crc32(np.ascontiguousarray(held[name]).data, total)
    return total


def complete(
    kept: KeptTokens, pictures: Sequence[tuple[bytes, Path]], encode: Callable[[list[Any]], Features], progress: bool
) -> list[tuple[Path, str]]:
    """Encode the pictures whose tokens are missing.

    Args:
        kept: takes the tokens.
        pictures: sha256 and path of every living item.
        encode: gives the features of some files.
        progress: show a bar on stderr.

    Returns:
        The files that cannot be read any more, each with the reason; re-ranking leaves them where they are.
    """
    kept.flush()
    missing = list({sha256: path for sha256, path in pictures if sha256 not in kept}.items())
    lost = []
    hide = None if progress and missing else True
    with tqdm(total=len(missing), desc="tokens", unit="picture", disable=hide) as bar:
        for start in range(0, len(missing), 32):
            some = missing[start : start + 32]
            try:
                features = encode([path for _, path in some])
                parts = [features[at : at + 1] for at in range(len(some))]
                for (sha256, _), part in zip(some, parts, strict=True):
                    kept.add(sha256, part)
            except MediaError:
                for sha256, path in some:
                    try:
                        kept.add(sha256, encode([path]))
                    except MediaError as error:
                        lost.append((path, error.message))
            bar.update(len(some))
    kept.flush()
    return lost
