"""Batches of cached features: rows against a twin that goes one by one, with tokens and without, from any place on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.batch import Encoded
from crossbit.data import cache as cache_module
from crossbit.data.cache import CachedFeatures, FeatureCache
from crossbit.data.loader import Pairs, RowsInMemory, _widen, encoded
from crossbit.encoders.base import EncoderCard, Inputs
from crossbit.features import Features
from crossbit.methods.vsepp import VSEPP, VSEPPConfig


class Numbered:
    """An encoder of texts like "7 3": item 7 has 3 tokens, whose values are drawn from the item's number."""

    def describe(self) -> EncoderCard:
        return EncoderCard("numbered", "text", 4, 3, "numbered", 64)

    def prepare(self, media: list[str]) -> Inputs:
        numbers = np.array([[int(word) for word in text.split()] for text in media], np.int64)
        return {"numbers": numbers, "mask": np.arange(numbers[:, 1].max()) < numbers[:, 1:]}

    def encode(self, inputs: Inputs) -> Features:
        mask = inputs["mask"][:, : inputs["numbers"][:, 1].max()]
        tokens = np.zeros((*mask.shape, 4), np.float32)
        for row, (number, length) in enumerate(inputs["numbers"]):
            tokens[row, :length] = truth(number, length)
        return Features("text", tokens, mask, inputs["numbers"][:, :1] + np.array([[0.25, 0.5, 0.75]], np.float32))


def truth(number: int, length: int) -> np.ndarray:
    """Give the tokens of an item, as float16 keeps them."""
    return np.random.default_rng(int(number)).normal(size=(length, 4)).astype(np.float16).astype(np.float32)


LENGTHS = (1 + np.random.default_rng(5).integers(0, 6, 40)).tolist()


@pytest.fixture(scope="module", params=["one length", "many lengths"])
def cached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CachedFeatures:
    """Forty items that lie in about ten packs."""
    lengths = LENGTHS if request.param == "many lengths" else [5] * 40
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "_PACK_BYTES", 130)
        FeatureCache(Numbered(), folder).get_or_encode(
            [f"{n} {length}" for n, length in enumerate(lengths)], progress=False, batch_size=3
        )
    assert len(list(folder.glob("features/numbered/pack-*"))) > 3
    texts = [f"{n} {length}" for n, length in enumerate(lengths)]
    return FeatureCache(Numbered(), folder).get_or_encode(texts[::-1], progress=False)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(-40, 39), max_size=12), chunk=st.integers(1, 300), torch_widens=st.booleans())
def test_take_is_its_slow_twin(cached: CachedFeatures, rows: list[int], chunk: int, torch_widens: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "_CHUNK_BYTES", chunk)
        taken = cached.take(np.array(rows, int), widen=_widen if torch_widens else None)
    numbers = [39 - row if row >= 0 else -row - 1 for row in rows]  # the cache was asked in reverse
    lengths = [int(cached.lengths[row]) for row in rows]
    assert taken.tokens.shape == (len(rows), max(lengths, default=0), 4)
    assert taken.tokens.dtype == np.float32
    for at, (number, length) in enumerate(zip(numbers, lengths, strict=True)):
        np.testing.assert_array_equal(taken.tokens[at, :length], truth(number, length))
        assert not taken.tokens[at, length:].any()
        assert taken.mask[at].tolist() == [True] * length + [False] * (taken.mask.shape[1] - length)
        assert taken.pooled[at].tolist() == [number + 0.25, number + 0.5, number + 0.75]


def test_take_by_mask(cached: CachedFeatures) -> None:
    chosen = np.arange(40) % 7 == 0
    np.testing.assert_array_equal(cached.take(chosen).tokens, cached.take(np.flatnonzero(chosen)).tokens)


def test_every_half_widens_as_numpy_widens_it() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 4)
    wide = np.empty(every.shape, np.float32)
    cache_module.widened(every, wide)
    np.testing.assert_array_equal(wide.view(np.uint32), every.astype(np.float32).view(np.uint32))


def test_without_tokens_no_pack_is_touched(cached: CachedFeatures) -> None:
    blind = replace(cached, _packs=())
    taken = blind.take(np.array([3, 0, 3]), tokens=False)
    assert taken.tokens.shape == (3, 0, 4)
    assert taken.mask.shape == (3, 0)
    np.testing.assert_array_equal(taken.pooled, cached.pooled[[3, 0, 3]])
    with pytest.raises(IndexError):
        blind.take(np.array([3]))


def test_tensors_are_the_same_bits_as_arrays(cached: CachedFeatures) -> None:
    rows = np.array([4, 39, 4, 17])
    found, expected = encoded(cached, rows), Encoded.from_features(cached.take(rows))
    assert found.tokens.dtype == torch.float32
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(found.mask, expected.mask)
    assert torch.equal(found.pooled, expected.pooled)


def test_rows_in_memory_take_as_cached_rows_do(cached: CachedFeatures) -> None:
    memory, rows = RowsInMemory(cached.take(np.arange(40))), np.array([1, 30, 8])
    for tokens in (True, False):
        found, expected = memory.take(rows, tokens=tokens), cached.take(rows, tokens=tokens)
        np.testing.assert_array_equal(found.tokens, expected.tokens)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.pooled, expected.pooled)


def pairs(cached: CachedFeatures) -> Pairs:
    item_of = np.repeat(np.arange(40), 1 + np.arange(40) % 3)
    captions = RowsInMemory(cached.take(item_of))
    return Pairs(cached, captions, item_of, np.arange(40) // 2, [""] * len(item_of), ["en"] * len(item_of))


@settings(max_examples=30, deadline=None)
@given(
    epoch=st.integers(0, 9),
    seed=st.integers(0, 9),
    size=st.integers(1, 50),
    passes=st.integers(1, 3),
    start=st.integers(0, 9),
)
def test_an_epoch_goes_on_from_any_place(
    cached: CachedFeatures, epoch: int, seed: int, size: int, passes: int, start: int
) -> None:
    joined = pairs(cached)
    whole = [rows.tolist() for rows in joined.epoch(epoch, seed, size, passes)]
    assert len(whole) == joined.batches_per_epoch(size, passes)
    assert [rows.tolist() for rows in joined.epoch(epoch, seed, size, passes, start)] == whole[start:]


def test_a_method_of_pooled_vectors_needs_no_tokens(cached: CachedFeatures) -> None:
    joined, rows = pairs(cached), np.arange(0, 60, 5)
    method = VSEPP(VSEPPConfig(width=8), {"image": (4, 3), "text": (4, 3)}).eval()
    assert not method.reads_tokens
    whole, thin = joined.batch(rows), joined.batch(rows, tokens=False)
    assert thin["text"].tokens.shape == (12, 0, 4)
    assert torch.equal(thin.item, whole.item)
    assert torch.equal(thin.pair, whole.pair)
    for view in ("image", "text"):
        with torch.no_grad():
            encoded_whole = replace(whole[view], modality=view)
            encoded_thin = replace(thin[view], modality=view)
            assert torch.equal(method.embed(encoded_whole), method.embed(encoded_thin))


def test_what_is_expected_is_asked_of_the_system_where_it_lies(
    cached: CachedFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, int]] = []
    joined, rows = pairs(cached), np.array([3, 20, 3])
    assert cached.lengths[rows].max() >= 2
    expected = cached.take(rows)
    monkeypatch.setattr(cache_module, "_AHEAD_TOKENS", 8)
    monkeypatch.setattr(cache_module._Pack, "expect", lambda self, first, end: asked.append((id(self), first, end)))
    joined.expect(np.array([np.flatnonzero(joined.item_of == row)[0] for row in rows]))
    packs = {id(pack): pack for pack in cached._packs}
    assert len(asked) == 3  # captions lie in memory
    for at, (pack, first, end) in enumerate(asked):
        found = packs[pack].tokens[first:end].astype(np.float32)
        np.testing.assert_array_equal(found, expected.tokens[at][expected.mask[at]])
    cached.take(rows)
    assert asked[3:] == asked[:3]
    asked.clear()
    cached.take(rows, tokens=False)
    monkeypatch.setattr(cache_module, "_AHEAD_TOKENS", 10**6)
    cached.take(rows)
    assert not asked


def test_the_system_can_be_asked_for_every_token(cached: CachedFeatures) -> None:
    for pack in cached._packs:
        for first in range(len(pack.tokens)):
            pack.expect(first, first + 1)
        pack.expect(0, len(pack.tokens))
        with pytest.raises(ValueError, match="madvise"):  # so the places above lie inside of the map
            pack.expect(10**6, 10**6 + 1)
