"""Codes fitted to dense rows: what each way promises, on rows drawn for it."""

from __future__ import annotations

import numpy as np
import pytest

from crossbit.codes.packing import pack, unpack
from crossbit.errors import ConfigError
from crossbit.training.afterwards import fit_codes


def rows(count: int = 400, width: int = 16, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    images = draw.standard_normal((count, width)).astype(np.float32)
    texts = images + 0.1 * draw.standard_normal((count, width)).astype(np.float32)
    return {"image": images + 3, "text": texts - 3}  # two kinds of media that lie apart


def test_signs_are_the_embeddings_own() -> None:
    made = fit_codes(rows(), 16, "sign")
    asked = rows(seed=1)["text"]
    np.testing.assert_array_equal(pack(made.relax("text", asked)), pack(asked))


def test_bits_tell_items_apart_and_not_kinds_of_media() -> None:
    some = rows()
    for by in ("itq", "random"):
        made = fit_codes(some, 32, by)
        assert made.bits == 32
        codes = {view: unpack(pack(made.relax(view, some[view])), 32) for view in some}
        for view in some:
            assert np.abs(codes[view].mean(0)).max() < 0.25  # every bit about halves the items
        agree = codes["image"] @ codes["text"].T / 32
        strangers = agree[~np.eye(len(agree), dtype=bool)]
        assert np.diag(agree).mean() > 0.8
        assert abs(strangers.mean()) < 0.05


def test_bits_of_random_directions_differ_as_the_angle_says() -> None:
    # two directions at an angle of 60 degrees: a third of all bits differ (Goemans and Williamson 1995)
    made = fit_codes({"text": np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)}, 6000, "random", seed=3)
    two = np.array([[1, 0], [0.5, np.sqrt(0.75)]], np.float32)
    signs = made.relax("text", two) >= 0
    assert np.mean(signs[0] != signs[1]) == pytest.approx(1 / 3, abs=0.03)


def test_itq_loses_less_than_chance() -> None:
    some = rows(width=8)
    itq, chance = (fit_codes(some, 8, by, directions=8) for by in ("itq", "random"))

    def lost(made: object) -> float:
        turned = some["image"] - some["image"].mean(0)
        z = turned @ made.directions  # type: ignore[attr-defined]
        cosines = (z * np.where(z >= 0, 1, -1)).sum(1) / np.linalg.norm(z, axis=1) / np.sqrt(8)
        return 1 - float(cosines.mean())

    assert lost(itq) < lost(chance)


def test_the_same_seed_gives_the_same_codes() -> None:
    for by in ("itq", "random"):
        first, again, other = (fit_codes(rows(), 24, by, seed=seed).directions for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(ConfigError, match="16 numbers are 16 bits, asked for 32"):
        fit_codes(rows(), 32, "sign")
    with pytest.raises(ConfigError, match="codes by 'magic'"):
        fit_codes(rows(), 32, "magic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="0 bits"):
        fit_codes(rows(), 0)
