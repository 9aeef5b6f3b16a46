from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crossbit.data import cache as cache_module
from crossbit.data.cache import FeatureCache
from crossbit.encoders.base import EncoderCard, Inputs
from crossbit.errors import DataError, MediaError, UsageError
from crossbit.features import Features

WORDS = ["red", "a red apple", "", "one two three four five", "a red apple"]


class Letters:
    """A text encoder that can be worked out by hand: one token a letter, its code in both columns."""

    def __init__(self, mark: str = "letters") -> None:
        self.mark = mark
        self.seen: list[str] = []

    def describe(self) -> EncoderCard:
        return EncoderCard("letters", "text", 2, 3, self.mark, 64)

    def prepare(self, media: Sequence[str]) -> Inputs:
        self.seen.extend(media)
        length = max(map(len, media)) + 1
        ids = np.zeros((len(media), length), np.int32)
        for row, text in enumerate(media):
            ids[row, : len(text)] = [ord(letter) for letter in text]
        return {"ids": ids, "mask": np.arange(length) <= np.array([[len(text)] for text in media])}

    def encode(self, inputs: Inputs) -> Features:
        longest = int(inputs["mask"].sum(1).max())
        ids, mask = inputs["ids"][:, :longest], inputs["mask"][:, :longest]
        tokens = np.repeat(ids[:, :, None], 2, 2).astype(np.float32)
        return Features("text", tokens, mask, np.repeat(ids.sum(1)[:, None], 3, 1).astype(np.float32) + 0.1)


class Colours:
    """An image encoder: one token, the mean colour."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def describe(self) -> EncoderCard:
        return EncoderCard("colours", "image", 3, 3, "colours")

    def prepare(self, media: Sequence[np.ndarray]) -> Inputs:
        return {"pixels": np.stack([picture.mean((0, 1)) for picture in media]).astype(np.float32)}

    def encode(self, inputs: Inputs) -> Features:
        pixels = inputs["pixels"]
        self.batches.append(len(pixels))
        return Features("image", pixels[:, None], np.ones((len(pixels), 1), bool), pixels)


def pictures(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (4, 4), (number, 2 * number, 7)).save(path)
    return paths


def test_rows_in_order_and_as_encoded(tmp_path: Path) -> None:
    cached = FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    assert len(cached) == 5
    assert cached.lengths.tolist() == [4, 12, 1, 24, 12]
    for row, text in enumerate(WORDS):
        assert cached.pooled[row].tolist() == pytest.approx([sum(map(ord, text)) + 0.1] * 3)
        taken = cached.take(np.array([row]))
        assert taken.tokens[0, :-1, 0].tolist() == [ord(letter) for letter in text]
    taken = cached.take(np.array([1, 0, 1]))
    assert taken.tokens.shape == (3, 12, 2)
    assert taken.tokens.dtype == taken.pooled.dtype == np.float32
    assert taken.mask.sum(1).tolist() == [12, 4, 12]
    assert not taken.tokens[1, 4:].any()
    np.testing.assert_array_equal(taken.pooled, cached.pooled[[1, 0, 1]])


def test_each_text_is_encoded_once_ever(tmp_path: Path) -> None:
    encoder = Letters()
    FeatureCache(encoder, tmp_path).get_or_encode(WORDS, progress=False)
    assert sorted(encoder.seen) == sorted(set(WORDS))
    encoder.seen.clear()
    FeatureCache(encoder, tmp_path).get_or_encode([*WORDS, "new"], progress=False)
    assert encoder.seen == ["new"]


def test_another_encoder_has_its_own(tmp_path: Path) -> None:
    FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    other = Letters("other")
    FeatureCache(other, tmp_path).get_or_encode(WORDS, progress=False)
    assert len(other.seen) == 4


def test_pictures_by_content_not_by_name(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 70)
    encoder = Colours()
    cached = FeatureCache(encoder, tmp_path / "cache").get_or_encode(paths, progress=False, batch_size=16)
    assert cached.pooled.tolist() == [[number, 2 * number, 7] for number in range(70)]
    assert encoder.batches == [16, 16, 16, 16, 6]
    paths[3].rename(tmp_path / "renamed.png")
    paths[3] = tmp_path / "renamed.png"
    again = FeatureCache(encoder, tmp_path / "cache").get_or_encode(paths[::-1], progress=False)
    assert len(encoder.batches) == 5
    np.testing.assert_array_equal(again.pooled, cached.pooled[::-1])


def test_broken_picture_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 40)
    paths[33].write_bytes(b"not a picture")
    encoder = Colours()
    with pytest.raises(MediaError, match="33.png"):
        FeatureCache(encoder, tmp_path / "cache").get_or_encode(paths, progress=False, batch_size=8)
    assert encoder.batches == [8, 8, 8, 8]
    pictures(tmp_path, 40)
    encoder.batches.clear()
    FeatureCache(encoder, tmp_path / "cache").get_or_encode(paths, progress=False, batch_size=8)
    assert encoder.batches == [8]


def test_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="gone.png: no such file"):
        FeatureCache(Colours(), tmp_path).get_or_encode([tmp_path / "gone.png"], progress=False)


def test_nothing(tmp_path: Path) -> None:
    cached = FeatureCache(Letters(), tmp_path).get_or_encode([], progress=False)
    assert len(cached) == 0
    assert cached.pooled.shape == (0, 3)
    assert cached.take(np.array([], int)).tokens.shape == (0, 0, 2)


def test_refuses_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="text 1: found a int"):
        FeatureCache(Letters(), tmp_path).get_or_encode(["a", 3], progress=False)


def only_pack(folder: Path) -> Path:
    (pack,) = folder.glob("features/letters/pack-*")
    return pack


@pytest.mark.parametrize("name", ["tokens.npy", "pooled.npy", "keys.npy", "files.json"])
@pytest.mark.parametrize("how", ["cut", "gone", "emptied"])
def test_half_pack_is_encoded_anew_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    first = FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    pooled = first.pooled.copy()
    file = only_pack(tmp_path) / name
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 if how == "cut" else 0])
    encoder = Letters()
    with caplog.at_level(logging.WARNING):
        again = FeatureCache(encoder, tmp_path).get_or_encode(WORDS, progress=False)
    np.testing.assert_array_equal(again.pooled, pooled)
    assert len(encoder.seen) == 4
    assert "1 damaged packs removed" in caplog.text
    caplog.clear()
    FeatureCache(encoder, tmp_path).get_or_encode(WORDS, progress=False)
    assert len(encoder.seen) == 4
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["tokens.npy", "pooled.npy"])
def test_one_flipped_bit_costs_one_item(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    pooled = FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False).pooled.copy()
    file = only_pack(tmp_path) / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    encoder = Letters()
    with caplog.at_level(logging.WARNING):
        again = FeatureCache(encoder, tmp_path).get_or_encode(WORDS, progress=False)
    np.testing.assert_array_equal(again.pooled, pooled)
    assert len(encoder.seen) == 1
    assert "1 of 4 items are damaged" in caplog.text


def test_items_are_spread_over_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_PACK_BYTES", 100)  # 25 tokens of 2 x 2 bytes
    texts = [f"text number {number}" for number in range(40)]
    cached = FeatureCache(Letters(), tmp_path).get_or_encode(texts, progress=False)
    assert len(list(tmp_path.glob("features/letters/pack-*"))) == 20
    rows = np.random.default_rng(0).permutation(40)
    taken = cached.take(rows)
    for at, row in enumerate(rows):
        letters = taken.tokens[at, : taken.mask[at].sum() - 1, 0]
        assert "".join(chr(int(letter)) for letter in letters) == texts[row]


def test_two_writers_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(3)
    made = []

    def work(number: int) -> None:
        together.wait()
        texts = [f"{number % 2} {place}" for place in range(300)] + [f"shared {place}" for place in range(300)]
        made.append(FeatureCache(Letters(), tmp_path).get_or_encode(texts, progress=False).pooled[300:].copy())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    np.testing.assert_array_equal(made[0], made[1])
    assert not list(tmp_path.glob("features/letters/.partial-*"))


def test_killed_while_writing_leaves_nothing_that_counts(tmp_path: Path) -> None:
    # the child dies between writing its arrays and the rename
    program = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_cache
Path.rename = lambda self, target: os._exit(7)
test_cache.FeatureCache(test_cache.Letters(), Path(sys.argv[1])).get_or_encode(test_cache.WORDS, progress=False)
"""
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path), os.path.dirname(__file__)], check=False)
    assert ran.returncode == 7
    assert list(tmp_path.glob("features/letters/.partial-*"))
    encoder = Letters()
    FeatureCache(encoder, tmp_path).get_or_encode(WORDS, progress=False)
    assert len(encoder.seen) == 4


def test_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.np, "save", full)
    with pytest.raises(DataError, match="No space left on device") as caught:
        FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    assert "CROSSBIT_CACHE" in caught.value.hint
    assert not list(tmp_path.glob("features/letters/*"))


def test_packaged_encoder_within_half_precision(tmp_path: Path) -> None:
    from crossbit import encoders

    encoder = encoders.load("minilm")
    direct = encoder.encode(encoder.prepare(WORDS))
    cached = FeatureCache(encoder, tmp_path).get_or_encode(WORDS, progress=False).take(np.arange(5))
    np.testing.assert_allclose(cached.tokens, direct.tokens, atol=2e-3)
    np.testing.assert_allclose(cached.pooled, direct.pooled, atol=1e-4)
    np.testing.assert_array_equal(cached.mask, direct.mask)


@settings(max_examples=25, deadline=None)
@given(asked=st.lists(st.lists(st.integers(0, 30), max_size=12), min_size=1, max_size=6))
def test_whatever_was_asked_before_the_rows_are_right(asked: list[list[int]]) -> None:
    encoder = Letters()
    with tempfile.TemporaryDirectory() as folder:
        for numbers in asked:
            texts = ["x" * number for number in numbers]
            cached = FeatureCache(encoder, Path(folder)).get_or_encode(texts, progress=False)
            assert cached.lengths.tolist() == [number + 1 for number in numbers]
            assert cached.pooled[:, 0].tolist() == pytest.approx([number * ord("x") + 0.1 for number in numbers])
            taken = cached.take(np.arange(len(numbers)))
            assert taken.tokens[..., 0].sum(1).tolist() == [number * ord("x") for number in numbers]
    assert len(encoder.seen) == len(set(encoder.seen)) == len({number for numbers in asked for number in numbers})


def test_keys_may_end_in_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # NumPy leaves zeros at the end of byte strings out; the next two differ nowhere else
    keys = {"a": b"\1" * 31 + b"\0", "b": b"\1" * 30 + b"\0\0", "c": b"\0" * 32}
    monkeypatch.setattr(FeatureCache, "_keys", lambda _, media: [keys[text] for text in media])
    encoder = Letters()
    for texts in (["a"], ["b", "a"], ["c", "b", "a"], ["a", "b", "c"]):
        cached = FeatureCache(encoder, tmp_path).get_or_encode(texts, progress=False)
        assert cached.pooled[:, 0].tolist() == pytest.approx([ord(text) + 0.1 for text in texts])
    assert encoder.seen == ["a", "b", "c"]


def age(pack: Path, seconds: float) -> None:
    for path in pack.iterdir():
        os.utime(path, (path.stat().st_atime - seconds, path.stat().st_mtime - seconds))


def test_checksums_are_compared_once_and_again_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compared = []
    real = cache_module._sum
    monkeypatch.setattr(cache_module, "_sum", lambda *arrays: compared.append(1) or real(*arrays))

    def cost() -> int:
        compared.clear()
        FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
        return len(compared)

    cost()
    pack = only_pack(tmp_path)
    assert cost() == 4  # just written: whoever writes once more within a tick of the clock leaves the time as it is
    assert not (pack / "checked.json").exists()
    age(pack, 10)
    assert [cost(), cost()] == [4, 0]
    data = bytearray((pack / "tokens.npy").read_bytes())
    data[-1] ^= 1
    (pack / "tokens.npy").write_bytes(data)
    age(pack, 10)
    with caplog.at_level(logging.WARNING):
        cost()
    assert "1 of 4 items are damaged" in caplog.text
    caplog.clear()
    for folder in tmp_path.glob("features/letters/pack-*"):
        age(folder, 10)
    cost()
    assert cost() == 0
    assert caplog.text == ""  # what was encoded anew stands for it
    (pack / "checked.json").write_text("{")
    assert cost() == 4


def test_a_damaged_item_is_remembered_as_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    pack = only_pack(tmp_path)
    sums = np.load(pack / "sums.npy")
    sums[2] += 1
    np.save(pack / "sums.npy", sums)
    age(pack, 10)
    opened = cache_module._Pack.open(pack)
    assert opened is not None
    for _ in range(2):
        assert opened.sound().tolist() == [True, True, False, True]
    assert json.loads((pack / "checked.json").read_text())["damaged"] == [2]


def test_a_cache_that_may_only_be_read_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    age(only_pack(tmp_path), 10)
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "read-only")))
    again = FeatureCache(Letters(), tmp_path).get_or_encode(WORDS, progress=False)
    np.testing.assert_array_equal(again.pooled, first.pooled)
    assert not list(only_pack(tmp_path).glob("*checked*"))
