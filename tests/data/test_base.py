"""The shipped heads: what is written is read again, rounded; damage and size are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossbit.data import base
from crossbit.errors import ModelError
from crossbit.model import Model


def test_heads_are_written_in_half_precision_without_the_classifier(tmp_path: Path) -> None:
    state = {"fold": np.array([[1.0, 1 / 3]], np.float32), "weight": np.ones((9, 9)), "bias": np.ones(9)}
    given = base.write_heads(state, {"method": "nested"}, tmp_path)
    read = base.read_heads(tmp_path / base.HEADS)
    assert set(read) == {"fold"}
    assert read["fold"].dtype == np.float32
    assert read["fold"].tolist() == given["fold"].tolist() == [[1.0, float(np.float16(1 / 3))]]
    assert base.read_card(tmp_path) == {"method": "nested"}


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    state = {"b": np.arange(6.0), "a": np.arange(4.0)}
    base.write_heads(state, {}, tmp_path / "one")
    base.write_heads(dict(reversed(state.items())), {}, tmp_path / "two")
    assert (tmp_path / "one" / base.HEADS).read_bytes() == (tmp_path / "two" / base.HEADS).read_bytes()


def test_heads_too_large_for_a_wheel_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected at most 8,000,000"):
        base.write_heads({"fold": np.zeros(4_100_000, np.float32)}, {}, tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}{}{}{}", None])
def test_damaged_or_missing_heads_are_named(tmp_path: Path, damage: bytes | None) -> None:
    if damage is not None:
        (tmp_path / base.HEADS).write_bytes(damage)
    with pytest.raises(ModelError, match="expected the heads"):
        base.read_heads(tmp_path / base.HEADS)
    with pytest.raises(ModelError, match="expected the card"):
        base.read_card(tmp_path)


def test_what_ships_is_small_and_says_what_it_learnt_from() -> None:
    assert base.heads_file().stat().st_size <= base.MOST_BYTES
    card = base.read_card()
    assert set(card["training"]["items"]) == {"noto", "twemoji", "fluent-flat", "fluent-3d", "clipart"}
    assert not {"GPL-2.0-or-later", "CC-BY-SA-4.0"} & set(card["training"]["licences"])
    assert card["encoders"] == {"image": "efficientnet-lite0", "text": "e5-small"}
    assert set(base.read_heads()) >= {"fold", "names", "project.weight"}


def test_the_shorter_codes_that_it_carries_are_known() -> None:
    model = Model.from_pretrained("base")
    assert [bits for bits in range(1, 257) if model.nests(bits)] == [64, 128, 256]
