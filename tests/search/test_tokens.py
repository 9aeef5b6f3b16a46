"""Kept tokens and re-ranking: what is written is read, follows the items, survives damage; budgets; files without tokens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbit.errors import AbilityError, CollectionError, ConfigError, UsageError
from crossbit.features import Features
from crossbit.search.collection import Collection
from crossbit.search.durable import write_json
from crossbit.search.tokens import KeptTokens, keep, kept_precision
from search.fakes import FakeModel, paint


class TokenModel(FakeModel):
    """Shows its tokens: the picture's row and its half. As a joint scorer it likes best what the cosine likes least."""

    abilities = frozenset({"embeds", "hashes", "scores"})

    def __init__(self, name: str = "fake", encoder: str = "cells", **settings: Any) -> None:
        super().__init__(name, **settings)
        self.of_encoder = encoder
        self.pictures = 0

    def encoder(self, view: str) -> Any:
        return SimpleNamespace(describe=lambda: SimpleNamespace(fingerprint=self.of_encoder))

    def features(self, view: str, media: Sequence[Any], **_: Any) -> Features:
        self.pictures += len(media) * (view == "image")
        rows = np.stack([self._text(one) if view == "text" else self._image(one) for one in media]).astype(np.float32)
        tokens = np.stack([rows, rows / 2], 1)
        return Features("text" if view == "text" else "image", tokens, np.ones(tokens.shape[:2], bool), rows)

    def rows(self, features: Features) -> Any:
        rows = features.pooled / np.linalg.norm(features.pooled, axis=1, keepdims=True)
        code = FakeModel.encode.__globals__["pack"](rows.astype(np.float64) @ self.projection)
        return SimpleNamespace(embedding=rows, code=code)

    def scorer(self, queries: Features, tokens: Callable[[np.ndarray], Features]) -> Any:
        def score(query: int, ids: np.ndarray) -> np.ndarray:
            found = tokens(ids)
            scores: np.ndarray = -found.tokens[:, 0] @ queries.tokens[query, 0]
            return scores

        return score


def features(rows: np.ndarray, pooled: np.ndarray | None = None) -> Features:
    return Features("image", rows[None], np.ones((1, len(rows)), bool), rows[:1] if pooled is None else pooled)


@settings(max_examples=20)
@given(
    st.integers(1, 5), st.floats(1e-3, 50), st.sampled_from(["int8", "float16"]), st.binary(min_size=32, max_size=32)
)
def test_what_is_kept_is_read_again_nearly(
    tmp_path_factory: pytest.TempPathFactory, length: int, scale: float, precision: str, key: bytes
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    keep(folder, precision)
    rows = (np.random.default_rng(length).standard_normal((length, 16)) * scale).astype(np.float32)
    kept = KeptTokens(folder, "e")
    kept.add(key, features(rows))
    assert key not in kept
    kept.flush()
    for opened in (kept, KeptTokens(folder, "e")):
        found = opened.read(key)
        assert found is not None
        # a step of int8 is the largest number over 127, its scale is rounded to 11 bits; float16 has 11 bits
        step = np.abs(rows).max(1, keepdims=True) * (1 / 200 if precision == "int8" else 1 / 1000)
        assert (np.abs(found.tokens[0] - rows) <= step + 1e-6).all()
    assert KeptTokens(folder, "other").read(key) is None


def test_a_damaged_picture_counts_as_missing_and_the_others_stand(tmp_path: Path) -> None:
    keep(tmp_path, "int8")
    kept = KeptTokens(tmp_path, "e")
    for number in (1, 2):
        kept.add(bytes([number]) * 32, features(np.full((3, 4), number, np.float32)))
    kept.flush()
    file = next(tmp_path.rglob("tokens.npy"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    opened = KeptTokens(tmp_path, "e")
    assert opened.read(b"\2" * 32) is None
    assert opened.read(b"\1" * 32) is not None
    file.write_bytes(data[:-3])  # a cut file: the whole pack is out
    assert KeptTokens(tmp_path, "e").read(b"\1" * 32) is None


def test_damaged_tokens_are_named_dropped_and_made_again(tmp_path: Path, pictures: Path) -> None:
    model = TokenModel()
    collection = Collection.create(tmp_path / "c", model, root=pictures)
    collection.sync(pictures, progress=False)
    collection.keep_tokens("float16")
    clean = collection.verify()
    assert clean.ok
    file = next((tmp_path / "c").rglob("pack-*/tokens.npy"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    (damage,) = collection.verify()
    assert damage.file == str(file.parent)
    assert damage.found == "the tokens of 1 of 8 pictures"
    (mended,) = collection.repair().mended
    assert "without the tokens of 1 of 8 pictures: the next `index` makes them again" in mended
    assert collection.verify().ok
    before = model.pictures
    collection.sync(progress=False)
    assert model.pictures == before + 1
    assert collection.verify().files == clean.files + 6  # a second pack

    file.unlink(missing_ok=True)
    cut = next((tmp_path / "c").rglob("pack-*/lengths.npy"))
    cut.write_bytes(cut.read_bytes()[:-2])
    assert [damage.found for damage in collection.verify()] == ["its files do not fit together"]
    collection.repair()
    assert collection.verify().ok

    note = tmp_path / "c" / "tokens" / "settings.json"
    note.write_text('{"format": ')
    assert [damage.file for damage in collection.verify()] == [str(note)]
    assert "dropped with all kept tokens" in collection.repair().mended[0]
    assert collection.verify().ok


def test_tokens_of_a_newer_crossbit_are_named_and_never_dropped(tmp_path: Path, pictures: Path) -> None:
    collection = Collection.create(tmp_path / "c", TokenModel(), root=pictures)
    collection.sync(pictures, progress=False)
    collection.keep_tokens("int8")
    note = tmp_path / "c" / "tokens" / "settings.json"
    write_json(note, {"format": 99, "keep": "int4"})
    assert [damage.file for damage in collection.verify()] == [str(note)]
    with pytest.raises(CollectionError, match=r"this crossbit reads 1\n\nhint: upgrade crossbit"):
        collection.repair()
    assert list((tmp_path / "c").rglob("pack-*/tokens.npy"))


def test_tokens_follow_the_items(tmp_path: Path, pictures: Path) -> None:
    model = TokenModel()
    collection = Collection.create(tmp_path / "c", model, root=pictures)
    collection.sync(pictures, progress=False)
    before = model.pictures
    assert collection.keep_tokens("int8") > 0
    assert model.pictures == before + 8  # they were indexed without
    paint(pictures / "new.png", "red", mark=7)
    (pictures / "b/c" / "blue.png").unlink()
    (pictures / "b/c" / "red.png").rename(pictures / "moved.png")
    report = collection.sync(progress=False)
    assert (report.added, report.removed, report.renamed) == (1, 1, 1)
    assert model.pictures == before + 9  # the new one once, for row and tokens together
    assert report.token_bytes == collection.sync(progress=False).token_bytes > 0
    kept = KeptTokens(collection.folder, "cells")
    living = {bytes.fromhex(item.sha256) for item in collection}
    assert all(sha256 in kept for sha256 in living)
    held = sum(len(np.load(path)) for path in collection.folder.rglob("keys.npy"))
    assert held == 9  # the blue one lies idle
    collection.compact()
    assert sum(len(np.load(path)) for path in collection.folder.rglob("keys.npy")) == 8
    kept = KeptTokens(collection.folder, "cells")
    assert all(kept.read(sha256) is not None for sha256 in living)
    assert collection.verify().ok
    assert collection.keep_tokens("none") == 0
    assert kept_precision(collection.folder) is None
    assert not list(collection.folder.rglob("keys.npy"))


def test_rows_are_the_same_with_and_without_kept_tokens(tmp_path: Path, pictures: Path) -> None:
    found = []
    for name in ("plain", "kept"):
        collection = Collection.create(tmp_path / name, TokenModel(), root=pictures)
        if name == "kept":
            collection.keep_tokens("float16")
        collection.sync(pictures, progress=False)
        found.append([(hit.path, hit.score) for hit in collection.search("red blue")])
    assert found[0] == found[1]


@pytest.mark.parametrize("kept", [True, False])
def test_the_short_list_is_ordered_anew(tmp_path: Path, pictures: Path, kept: bool) -> None:
    model = TokenModel()
    collection = Collection.create(tmp_path / "c", model, root=pictures)
    if kept:
        collection.keep_tokens("int8")
    collection.sync(pictures, progress=False)
    first = collection.search("red", k=8)
    again = collection.search("red", k=3, candidates=4, rerank=model)
    # the joint scorer likes best what the cosine likes least; what is not on the short list does not come in
    assert [hit.path for hit in again] == [hit.path for hit in first[:4]][::-1][:3]
    assert [hit.rank for hit in again] == [1, 2, 3]
    assert collection.reranking is not None
    assert (collection.reranking.scored, collection.reranking.from_files) == (4, 0 if kept else 4)
    shutil.rmtree(pictures)
    gone = collection.search("red", k=3, candidates=4, rerank=model)
    assert [hit.path for hit in gone] == [hit.path for hit in (again if kept else first[:3])]
    assert collection.reranking.unreadable == (0 if kept else 4)


def test_a_budget_leaves_the_rest_in_its_order(tmp_path: Path, many: Callable[[int], Path]) -> None:
    model, folder = TokenModel(), many(40)
    collection = Collection.create(tmp_path / "c", model, root=folder)
    collection.keep_tokens("int8")
    collection.sync(folder, progress=False)
    first = [hit.id for hit in collection.search("red", k=40)]
    again = [hit.id for hit in collection.search("red", k=40, rerank=model, budget_ms=1e-9)]
    assert collection.reranking is not None
    assert (collection.reranking.candidates, collection.reranking.scored) == (40, 16)
    assert again[16:] == first[16:]
    assert sorted(again[:16]) == sorted(first[:16])
    assert again != first


def test_a_model_that_only_embeds_decides_by_its_cosine(tmp_path: Path, pictures: Path) -> None:
    fine = TokenModel("fine", seed=5)
    fine.abilities = frozenset({"embeds"})  # type: ignore[misc]
    collection = Collection.create(tmp_path / "c", FakeModel(), root=pictures)
    collection.sync(pictures, progress=False)
    assert collection.search("green", k=1, rerank=fine)[0].path.name == "green.png"


def test_what_cannot_be_asked(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    collection = Collection.create(tmp_path / "c", TokenModel(), root=pictures)
    collection.sync(pictures, progress=False)
    with pytest.raises(UsageError, match="expected words"):
        collection.search(image=pictures / "a" / "green.png", rerank=TokenModel())
    with pytest.raises(UsageError, match="more than 0"):
        collection.search("red", rerank=TokenModel(), budget_ms=0)
    with pytest.raises(ConfigError, match="no model of this method"):
        collection.search("red", rerank="scan")
    odd = TokenModel()
    odd.abilities = frozenset({"hashes"})  # type: ignore[misc]
    with pytest.raises(AbilityError, match="cannot re-rank"):
        collection.search("red", rerank=odd)
    with pytest.raises(UsageError, match="int8, float16 or none"):
        collection.keep_tokens("int4")  # type: ignore[arg-type]
