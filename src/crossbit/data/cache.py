"""Features of a frozen encoder, kept on disk so that training and evaluation encode each item once.

    features/<encoder fingerprint>/<pack>/   keys.npy    (N, 32) sha256 of each item's bytes or text
                                             lengths.npy (N,)    real tokens of each item
                                             tokens.npy  (T, D)  float16, item after item without padding
                                             pooled.npy  (N, P)  float32
                                             sums.npy    (N,)    checksum of each item's tokens and pooled vector
                                             files.json          sizes; written last
                                             checked.json        when the checksums were compared, and what was damaged

A pack is written apart and renamed into place, so it is there whole or not at all, and any number of processes may write at
once. What is found damaged all the same (another size, another checksum) is encoded anew, and the log counts it. The checksums
are compared when a pack is first opened, and again when size or time of one of its files have changed since.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import secrets
import shutil
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float16, Int64
from tqdm import tqdm

from crossbit.cachedir import cache_dir, scratch_folder
from crossbit.errors import DataError, MediaError, UsageError
from crossbit.features import Features, Modality

if TYPE_CHECKING:
    from crossbit.encoders.base import Encoder

_PACK_BYTES = 96 * 2**20
_TEXTS_AT_ONCE = 2048  # sorted by length among themselves, so that a batch has little padding
_FILES_AT_ONCE = 64
_THREADS = 4
_SETTLED_NS = 2 * 10**9
_CHUNK_BYTES = 2**20
_AHEAD_TOKENS = 2**13  # values of an item from which on asking the system costs less than it may save
_KEY = np.dtype("S32")
_log = logging.getLogger(__name__)

Widen = Callable[[np.ndarray, np.ndarray], None]
"""Writes float16 values into a float32 array of the same shape."""


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
        keys = np.frombuffer(b"".join(self._keys(media)), _KEY)
        wanted, firsts, where = np.unique(keys, return_index=True, return_inverse=True)
        known = self._known(wanted)
        if (absent := np.sort(firsts[known.pack_of < 0])).size:
            self._encode({keys[at].ljust(_KEY.itemsize, b"\0"): media[at] for at in absent}, progress, batch_size)
            known = self._known(wanted)
        return CachedFeatures.of(self.card.modality, (self.card.dim, self.card.pooled_dim), known.at(where))

    def _keys(self, media: Sequence[str | Path]) -> list[bytes]:
        if self.card.modality != "image":
            for place, text in enumerate(media):
                if not isinstance(text, str):
                    raise UsageError(f"text {place}: found a {type(text).__name__}, expected a string")
            return [hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).digest() for text in media]
        chunks = [media[start : start + _FILES_AT_ONCE] for start in range(0, len(media), _FILES_AT_ONCE)]
        with ThreadPoolExecutor(_THREADS) as pool:
            return [key for keys in pool.map(_file_keys, chunks) for key in keys]

    def _known(self, wanted: np.ndarray) -> _Places:
        """Find the wanted keys, sorted and each once, in all packs, and leave out what is damaged."""
        packs, broken = [], 0
        for folder in sorted(self.folder.glob("pack-*")):  # later ones stand for earlier ones
            if (pack := _Pack.open(folder)) is not None:
                packs.append(pack)
            else:
                broken += 1
                shutil.rmtree(folder, ignore_errors=True)
        if broken:
            _log.warning("%s: %d damaged packs removed, their items are encoded anew", self.folder, broken)
        places = _Places(tuple(packs), *(np.full(len(wanted), -1, np.int64) for _ in range(2)))
        damaged = np.zeros(len(wanted), bool)
        held = [_find(pack.keys, wanted) for pack in packs]
        with ThreadPoolExecutor(_THREADS) as pool:
            sound = pool.map(lambda pack, at: pack.sound() if (at >= 0).any() else None, packs, held)
            for number, (at, good) in enumerate(zip(held, sound, strict=True)):
                if good is None:
                    continue
                damaged[at[(at >= 0) & ~good]] = True
                rows = np.flatnonzero((at >= 0) & good)
                places.pack_of[at[rows]], places.row_of[at[rows]] = number, rows
        if lost := int((damaged & (places.pack_of < 0)).sum()):
            found = int((damaged | (places.pack_of >= 0)).sum())
            _log.warning("%s: %d of %d items are damaged and encoded anew", self.folder, lost, found)
        return places

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
    def of(cls, modality: Modality, widths: tuple[int, int], places: _Places) -> CachedFeatures:
        """Gather rows that lie in any packs."""
        size = len(places.pack_of)
        pooled = np.empty((size, widths[1]), np.float32)
        lengths, first = np.empty(size, np.int64), np.empty(size, np.int64)
        for number, pack in enumerate(places.packs):
            here = np.flatnonzero(places.pack_of == number)
            if not len(here):
                continue
            rows = places.row_of[here]
            pooled[here] = pack.pooled[rows]
            first[here], lengths[here] = pack.starts[rows], pack.lengths[rows]
        return cls(modality, widths[0], pooled, lengths, places.packs, places.pack_of, first)

    def __len__(self) -> int:
        return len(self.pooled)

    def take(self, rows: np.ndarray, *, tokens: bool = True, widen: Widen | None = None) -> Features:
        """Give some rows as float32, padded to the longest of them.

        Args:
            rows: their numbers, or a mask.
            tokens: without them the rows have no token at all, L = 0, and the disk is not touched.
            widen: writes float16 into float32; NumPy's is the default, torch's is faster (`data.loader.encoded`).
        """
        rows = np.arange(len(self))[rows]  # negative numbers and masks as NumPy has them
        if tokens:
            self.expect(rows)
        lengths = self.lengths[rows] if tokens else np.zeros(len(rows), np.int64)
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        # NumPy's memory and not torch's: it asks for large pages, without which the first touch costs more than the copy
        taken = np.empty((*mask.shape, self.dim), np.float32)
        # so few rows at a time that they stay in the processor's cache between the copy and the widening; a copy a row, since
        # index arrays over whole packs are nowhere faster
        step = max(1, _CHUNK_BYTES // max(1, 2 * taken[0].size)) if taken.size else 1
        half = np.zeros((min(step, len(rows)), *taken.shape[1:]), np.float16)
        places = list(zip(self._pack_of[rows].tolist(), self._first[rows].tolist(), lengths.tolist(), strict=True))
        for start in range(0, len(rows) if taken.size else 0, step):
            chunk = places[start : start + step]
            for at, (pack, first, length) in enumerate(chunk):
                half[at, :length] = self._packs[pack].tokens[first : first + length]
                half[at, length:] = 0
            (widen or widened)(half[: len(chunk)], taken[start : start + step])
        return Features(self.modality, taken, mask, self.pooled[rows])

    def expect(self, rows: Int64[np.ndarray, " B"]) -> None:
        """Tell the system that the tokens of some rows will be taken, so that it reads them together and meanwhile."""
        if len(rows) and self.dim * self.lengths[rows].max() >= _AHEAD_TOKENS:
            places = zip(
                self._pack_of[rows].tolist(), self._first[rows].tolist(), self.lengths[rows].tolist(), strict=True
            )
            for pack, first, length in places:
                self._packs[pack].expect(first, first + length)


_AS_SINGLE = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
"""Every float16 as float32, by its bits: looking a value up takes a third of the time of NumPy's own conversion."""


def widened(half: Float16[np.ndarray, "B L D"], into: Float[np.ndarray, "B L D"]) -> None:
    """Write float16 into float32."""
    # no bits lie outside of the table; "clip" saves asking
    np.take(_AS_SINGLE, half.view(np.uint16), out=into, mode="clip")


@dataclass(frozen=True)
class _Places:
    """Where items lie: a pack, by its number, and a row of it; both -1 where an item is in none."""

    packs: tuple[_Pack, ...]
    pack_of: Int64[np.ndarray, " N"]
    row_of: Int64[np.ndarray, " N"]

    def at(self, rows: np.ndarray) -> _Places:
        """Give the places of some items."""
        return _Places(self.packs, self.pack_of[rows], self.row_of[rows])


@dataclass(frozen=True)
class _Pack:
    """One pack, memory-mapped."""

    folder: Path
    keys: np.ndarray
    lengths: Int64[np.ndarray, " N"]
    tokens: Float16[np.ndarray, "T D"]
    pooled: Float[np.ndarray, "N P"]
    sums: np.ndarray
    map: np.memmap

    @classmethod
    def open(cls, folder: Path) -> _Pack | None:
        """Open a pack, or say None when its files are not what was written."""
        try:
            sizes = json.loads((folder / "files.json").read_text(encoding="utf-8"))
            if any((folder / name).stat().st_size != size for name, size in sizes.items()):
                return None
            maps = {name: np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in sizes}
            # as plain arrays over the map: slices of np.memmap itself cost five times as much to make
            part = {name: np.asarray(value) for name, value in maps.items()}
            keys, lengths = part["keys.npy"].view(_KEY)[:, 0], part["lengths.npy"].astype(np.int64)
            pack = cls(
                folder, keys, lengths, part["tokens.npy"], part["pooled.npy"], part["sums.npy"], maps["tokens.npy"]
            )
        except (OSError, ValueError, KeyError, IndexError, AttributeError):
            return None
        whole = len(keys) == len(lengths) == len(pack.pooled) == len(pack.sums) and lengths.sum() == len(pack.tokens)
        return pack if whole and pack.tokens.dtype == np.float16 else None

    @cached_property
    def starts(self) -> Int64[np.ndarray, " N"]:
        """Give the first token of each item."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    def expect(self, first: int, end: int) -> None:
        """Tell the system which tokens will be read, so that it reads them together, not each when it is touched."""
        if hasattr(mmap, "MADV_WILLNEED"):
            width = self.tokens.strides[0]
            start = self.map.offset % mmap.ALLOCATIONGRANULARITY + first * width
            page = start - start % mmap.PAGESIZE
            of_map: mmap.mmap = self.map._mmap  # type: ignore[attr-defined]
            of_map.madvise(mmap.MADV_WILLNEED, page, start + (end - first) * width - page)

    def sound(self) -> Bool[np.ndarray, " N"]:
        """Say of each item whether its checksum is what was written."""
        stamps = self._stamps()
        good = np.ones(len(self.keys), bool)
        try:
            checked = json.loads((self.folder / "checked.json").read_text(encoding="utf-8"))
            if stamps and checked["files"] == stamps:
                good[checked["damaged"]] = False
                return good
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            self.expect(0, len(self.tokens))  # never checked
        for row, (start, length) in enumerate(zip(self.starts.tolist(), self.lengths.tolist(), strict=True)):
            good[row] = _sum(self.tokens[start : start + length], self.pooled[row]) == int(self.sums[row])
        # a file that has just been written may change once more without its time telling
        if stamps and max(changed for _, changed in stamps.values()) < time.time_ns() - _SETTLED_NS:
            self._keep({"files": stamps, "damaged": np.flatnonzero(~good).tolist()})
        return good

    def _stamps(self) -> dict[str, list[int]]:
        names = ("tokens.npy", "pooled.npy", "lengths.npy", "sums.npy")
        try:
            found = {name: (self.folder / name).stat() for name in names}
        except OSError:  # somebody removes the pack; what is mapped stays readable
            return {}
        return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}

    def _keep(self, checked: dict[str, Any]) -> None:
        partial = self.folder / f".checked-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            partial.write_text(json.dumps(checked), encoding="utf-8")
            partial.replace(self.folder / "checked.json")
        except OSError:  # a cache that may only be read is checked every time
            partial.unlink(missing_ok=True)


def _find(keys: np.ndarray, wanted: np.ndarray) -> Int64[np.ndarray, " N"]:
    """Give for each key its place in the sorted `wanted`, or -1."""
    if not len(wanted):
        return np.full(len(keys), -1, np.int64)
    at = np.searchsorted(wanted, keys).clip(max=len(wanted) - 1)
    return np.where(wanted[at] == keys, at, -1)


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


def _file_keys(paths: Sequence[str | Path]) -> list[bytes]:
    return [_file_key(path) for path in paths]


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
