"""Features of a frozen encoder, kept on disk so that training and evaluation encode each item once.

    features/<encoder fingerprint>/<pack>/   keys.npy    (N, 32) sha256 of each item's bytes or text
                                             lengths.npy (N,)    real tokens of each item
                                             tokens.npy  (T, D)  float16, item after item without padding
                                             pooled.npy  (N, P)  float32
                                             sums.npy    (N,)    checksum of each item's tokens and pooled vector
                                             files.json          sizes; written last

A pack is written apart and renamed into place, so it is there whole or not at all, and any number of processes may write at
once. What is found damaged all the same (another size, another checksum) is encoded anew, and the log counts it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float16, Int64
from tqdm import tqdm

from crossbit.cachedir import cache_dir, scratch_folder
from crossbit.errors import DataError, MediaError, UsageError
from crossbit.features import Features, Modality

if TYPE_CHECKING:
    from crossbit.encoders.base import Encoder

_PACK_BYTES = 96 * 2**20
_TEXTS_AT_ONCE = 2048  # sorted by length among themselves, so that a batch has little padding
_THREADS = 4
_log = logging.getLogger(__name__)


class FeatureCache:
    """Look up the features of an encoder, and encode what is not there."""

    def __init__(self, encoder: Encoder, folder: Path | None = None) -> None:
        """Take the encoder; `folder` stands for the user's cache."""
        self.encoder = encoder
        self.card = encoder.describe()
        self.folder = (folder or cache_dir()) / "features" / self.card.fingerprint

    def get_or_encode(
        self, media: Sequence[str | Path], *, progress: bool = True, batch_size: int = 32
    ) -> CachedFeatures:
        """Give the features of picture files or of texts, one row each, in their order.

        Args:
            media: paths for an image encoder, strings for a text encoder.
            progress: show a bar on stderr while something is encoded.
            batch_size: items that the encoder gets at a time.

        Raises:
            MediaError: a picture cannot be read; what was encoded before it is kept.
            DataError: the cache cannot be written.
        """
        keys = self._keys(media)
        known = self._known(set(keys))
        missing = {key: item for key, item in zip(keys, media, strict=True) if key not in known}
        if missing:
            self._encode(missing, progress, batch_size)
            known |= self._known(set(missing))
        places = [known[key] for key in keys]
        return CachedFeatures.of(self.card.modality, (self.card.dim, self.card.pooled_dim), places)

    def _keys(self, media: Sequence[str | Path]) -> list[bytes]:
        if self.card.modality != "image":
            for place, text in enumerate(media):
                if not isinstance(text, str):
                    raise UsageError(f"text {place}: found a {type(text).__name__}, expected a string")
            return [hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).digest() for text in media]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(_file_key, media))

    def _known(self, wanted: set[bytes]) -> dict[bytes, _Place]:
        """Find the wanted items in all packs, and leave out what is damaged."""
        found: dict[bytes, _Place] = {}
        broken = 0
        for folder in sorted(self.folder.glob("pack-*")):  # later ones stand for earlier ones
            pack = _Pack.open(folder)
            if pack is None:
                broken += 1
                shutil.rmtree(folder, ignore_errors=True)
                continue
            found.update({key: _Place(pack, row) for row, key in enumerate(pack.keys) if key in wanted})
        if broken:
            _log.warning("%s: %d damaged packs removed, their items are encoded anew", self.folder, broken)
        with ThreadPoolExecutor(_THREADS) as pool:
            sound = dict(zip(found, pool.map(_Place.is_sound, found.values()), strict=True))
        if damaged := len(sound) - sum(sound.values()):
            _log.warning("%s: %d of %d items are damaged and encoded anew", self.folder, damaged, len(sound))
        return {key: place for key, place in found.items() if sound[key]}

    def _encode(self, missing: dict[bytes, Any], progress: bool, batch_size: int) -> None:
        keys, media = list(missing), list(missing.values())
        writer = _Writer(self.folder)
        encoded = self._pictures(media, batch_size) if self.card.modality == "image" else self._texts(media, batch_size)
        bar = tqdm(
            total=len(media),
            desc=f"{self.card.name} features",
            unit=self.card.modality,
            disable=None if progress else True,
        )
        try:
            with bar:
                for rows, features in encoded:
                    for at, row in enumerate(rows):
                        writer.add(keys[row], features.tokens[at][features.mask[at]], features.pooled[at])
                    bar.update(len(rows))
        finally:
            writer.flush()  # a picture that cannot be read does not cost what was done before it

    def _texts(self, texts: Sequence[str], batch_size: int) -> Iterator[tuple[Sequence[int], Features]]:
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            inputs = self.encoder.prepare(texts[start : start + _TEXTS_AT_ONCE])
            order = np.argsort(inputs["mask"].sum(1), kind="stable")
            for first in range(0, len(order), batch_size):
                rows = order[first : first + batch_size]
                yield (
                    (start + rows).tolist(),
                    self.encoder.encode({name: value[rows] for name, value in inputs.items()}),
                )

    def _pictures(self, paths: Sequence[Path], batch_size: int) -> Iterator[tuple[Sequence[int], Features]]:
        """Decode in threads while encoding, a bounded number of pictures ahead."""
        ahead = max(_THREADS, 2 * batch_size)
        following = iter(paths)
        with ThreadPoolExecutor(_THREADS) as pool:
            running = deque(pool.submit(self._prepared, path) for path in islice(following, ahead))
            try:
                for start in range(0, len(paths), batch_size):
                    rows = range(start, min(start + batch_size, len(paths)))
                    parts = [running.popleft().result() for _ in rows]
                    running.extend(pool.submit(self._prepared, path) for path in islice(following, len(rows)))
                    inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
                    yield rows, self.encoder.encode(inputs)
            finally:
                for future in running:
                    future.cancel()

    def _prepared(self, path: str | Path) -> Any:
        from crossbit.media.image import load_image

        return self.encoder.prepare([load_image(path, size=self.card.edge or None)])


@dataclass(frozen=True)
class CachedFeatures:
    """Features of N items: pooled vectors in memory, tokens on disk until some rows are taken."""

    modality: Modality
    dim: int
    pooled: Float[np.ndarray, "N P"]
    lengths: Int64[np.ndarray, " N"]
    _packs: tuple[_Pack, ...] = field(repr=False)
    _pack_of: Int64[np.ndarray, " N"] = field(repr=False)
    _first: Int64[np.ndarray, " N"] = field(repr=False)

    @classmethod
    def of(cls, modality: Modality, widths: tuple[int, int], places: Sequence[_Place]) -> CachedFeatures:
        """Gather rows that lie in any packs."""
        packs = {id(place.pack): place.pack for place in places}
        number = {key: at for at, key in enumerate(packs)}
        pack_of = np.array([number[id(place.pack)] for place in places], np.int64)
        row_of = np.array([place.row for place in places], np.int64)
        pooled = np.empty((len(places), widths[1]), np.float32)
        lengths, first = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
        for at, pack in enumerate(packs.values()):
            here = np.flatnonzero(pack_of == at)
            rows = row_of[here]
            pooled[here] = pack.pooled[rows]
            starts = np.concatenate([[0], pack.ends[:-1]])
            first[here], lengths[here] = starts[rows], (pack.ends - starts)[rows]
        return cls(modality, widths[0], pooled, lengths, tuple(packs.values()), pack_of, first)

    def __len__(self) -> int:
        return len(self.pooled)

    def take(self, rows: np.ndarray, *, tokens: bool = True, half: bool = False) -> Features:
        """Give some rows, padded to the longest of them.

        Args:
            rows: their numbers, or a mask.
            tokens: without them the rows have no token at all, L = 0, and the disk is not touched.
            half: give tokens as float16, as they are kept, for a caller that widens them faster than NumPy does (torch).
        """
        rows = np.arange(len(self))[rows]  # negative numbers and masks as NumPy has them
        lengths = self.lengths[rows] if tokens else np.zeros(len(rows), np.int64)
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        dtype = np.float16 if half else np.float32
        taken = (np.empty if mask.all() else np.zeros)((*mask.shape, self.dim), dtype)
        if tokens:
            # a copy a row: index arrays over whole packs were measured, and are nowhere faster (benchmarks/loader.py)
            places = zip(self._pack_of[rows].tolist(), self._first[rows].tolist(), lengths.tolist(), strict=True)
            for at, (pack, first, length) in enumerate(places):
                _copy(self._packs[pack].tokens[first : first + length], taken[at, :length])
        return Features(self.modality, taken, mask, self.pooled[rows])


_AS_SINGLE = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
"""Every float16 as float32, by its bits: looking a value up takes a third of the time of NumPy's own conversion."""


def _copy(tokens: Float16[np.ndarray, "length D"], into: Float[np.ndarray, "length D"]) -> None:
    if into.dtype == np.float16:
        into[:] = tokens
    else:
        # no bits lie outside of the table; "clip" saves asking
        np.take(_AS_SINGLE, tokens.view(np.uint16), out=into, mode="clip")


@dataclass(frozen=True)
class _Pack:
    """One pack, memory-mapped."""

    keys: list[bytes]
    ends: Int64[np.ndarray, " N"]
    tokens: Float16[np.ndarray, "T D"]
    pooled: Float[np.ndarray, "N P"]
    sums: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> _Pack | None:
        """Open a pack, or say None when its files are not what was written."""
        try:
            sizes = json.loads((folder / "files.json").read_text(encoding="utf-8"))
            if any((folder / name).stat().st_size != size for name, size in sizes.items()):
                return None
            # as plain arrays over the map: slices of np.memmap itself cost five times as much to make
            part = {name: np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False)) for name in sizes}
            keys = [bytes(key) for key in part["keys.npy"]]
            ends = np.cumsum(part["lengths.npy"], dtype=np.int64)
            pack = cls(keys, ends, part["tokens.npy"], part["pooled.npy"], part["sums.npy"])
        except (OSError, ValueError, KeyError, AttributeError):
            return None
        whole = len(keys) == len(ends) == len(pack.pooled) == len(pack.sums) and (ends[-1:] == len(pack.tokens)).all()
        return pack if whole and pack.tokens.dtype == np.float16 else None


@dataclass(frozen=True)
class _Place:
    """Where one item lies."""

    pack: _Pack
    row: int

    def tokens(self) -> Float16[np.ndarray, "length D"]:
        start = int(self.pack.ends[self.row - 1]) if self.row else 0
        return self.pack.tokens[start : int(self.pack.ends[self.row])]

    def is_sound(self) -> bool:
        """Compare the checksum: reads the item once, at some GB a second."""
        return _sum(self.tokens(), self.pack.pooled[self.row]) == int(self.pack.sums[self.row])


class _Writer:
    """Collects items and writes them as packs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.items: list[tuple[bytes, np.ndarray, np.ndarray]] = []
        self.bytes = 0

    def add(self, key: bytes, tokens: Float[np.ndarray, "length D"], pooled: Float[np.ndarray, " P"]) -> None:
        half = tokens.astype(np.float16)
        self.items.append((key, half, pooled.astype(np.float32)))
        self.bytes += half.nbytes
        if self.bytes >= _PACK_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self.items:
            return
        arrays: dict[str, np.ndarray] = {
            "keys.npy": np.frombuffer(b"".join(key for key, _, _ in self.items), np.uint8).reshape(-1, 32),
            "lengths.npy": np.array([len(tokens) for _, tokens, _ in self.items], np.int32),
            "tokens.npy": np.concatenate([tokens for _, tokens, _ in self.items]),
            "pooled.npy": np.stack([pooled for _, _, pooled in self.items]),
            "sums.npy": np.array([_sum(tokens, pooled) for _, tokens, pooled in self.items], np.uint32),
        }
        try:
            scratch = scratch_folder(self.folder)
            try:
                for name, array in arrays.items():
                    np.save(scratch / name, array)
                sizes = {name: (scratch / name).stat().st_size for name in arrays}
                (scratch / "files.json").write_text(json.dumps(sizes), encoding="utf-8")
                # the time first, so that names sort by age
                scratch.rename(self.folder / f"pack-{time.time_ns():020d}-{secrets.token_hex(4)}")
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise DataError(
                f"{self.folder}: cannot write features ({error.strerror or error})",
                "make room there, or name another folder in the environment variable CROSSBIT_CACHE",
            ) from error
        self.items, self.bytes = [], 0


def _sum(tokens: np.ndarray, pooled: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(pooled).data, zlib.crc32(np.ascontiguousarray(tokens).data))


def _file_key(path: str | Path) -> bytes:
    from crossbit.media.files import open_regular, shown

    with open_regular(Path(path)) as file:
        try:
            digest = hashlib.sha256()
            for block in iter(partial(file.read, 1 << 20), b""):
                digest.update(block)
            return digest.digest()
        except OSError as error:
            raise MediaError(f"{shown(path)}: cannot be read ({error.strerror or error})") from error
