"""Model folders: the same rows before and after, without torch, and every damage named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossbit.batch import Encoded
from crossbit.codes.packing import pack
from crossbit.encoders.base import EncoderCard
from crossbit.errors import AbilityError, ConfigError, FingerprintError, MediaError, ModelError, UsageError
from crossbit.features import Features
from crossbit.methods.clip import Clip, ClipConfig
from crossbit.methods.fgcmh import FGCMH, FGCMHConfig
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.model import Model, method_class

DIMS = {"image": (6, 6), "text": (5, 5)}
ENCODERS = {"image": "toy-image", "text": "toy-text"}


class ToyEncoder:
    """Features that depend on the media alone: means of a picture's quarters, or letters of a text."""

    def __init__(self, view: str, mark: str = "1") -> None:
        self.view = view
        self.mark = mark

    def describe(self) -> EncoderCard:
        width = DIMS[self.view][0]
        return EncoderCard(f"toy-{self.view}", self.view, width, width, self.mark)  # type: ignore[arg-type]

    def prepare(self, media: Sequence[Any], **options: Any) -> dict[str, Any]:
        return {"media": media}

    def encode(self, inputs: dict[str, Any]) -> Features:
        rows = [self._row(item) for item in inputs["media"]]
        length = max(len(row) for row in rows)
        tokens = np.zeros((len(rows), length, DIMS[self.view][0]), np.float32)
        mask = np.zeros((len(rows), length), bool)
        for place, row in enumerate(rows):
            tokens[place, : len(row)], mask[place, : len(row)] = row, True
        pooled = tokens.sum(1) / mask.sum(1, keepdims=True)
        return Features(self.view, tokens, mask, pooled)  # type: ignore[arg-type]

    def _row(self, item: Any) -> np.ndarray:
        if self.view == "text":
            return np.eye(5, dtype=np.float32)[[ord(letter) % 5 for letter in item]]
        cells = item[:2, :2].reshape(4, 3).astype(np.float32) / 255
        return np.concatenate([cells, cells**2], 1)

    def module(self) -> torch.nn.Module:
        return torch.nn.Identity()


@pytest.fixture(autouse=True)
def toy_encoders(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    marks = {"image": "1", "text": "1"}
    monkeypatch.setattr("crossbit.model.load_encoder", lambda name: ToyEncoder(name[4:], marks[name[4:]]))
    return marks


def fgcmh() -> FGCMH:
    torch.manual_seed(0)
    config = replace(FGCMHConfig.small(), width=16, refine_width=16, hidden=16, heads=2, bits=24)
    return FGCMH(config, DIMS)


def vsepp() -> VSEPP:
    torch.manual_seed(0)
    return VSEPP(VSEPPConfig(width=8, hidden=8), DIMS)


PICTURES = [np.random.default_rng(n).integers(0, 256, (4, 4, 3), dtype=np.uint8) for n in range(5)]
TEXTS = ["a", "longer words", "abc", "zz top", "b"]


def test_a_saved_model_gives_the_same_rows(tmp_path: Path) -> None:
    model = Model.from_method(fgcmh(), "fgcmh", ENCODERS)
    before = {view: model.encode(view, media) for view, media in (("image", PICTURES), ("text", TEXTS))}
    model.save_pretrained(tmp_path / "m")
    found = Model.from_pretrained(tmp_path / "m")
    assert (found.dim, found.bits, found.name) == (16, 24, "fgcmh")
    assert found.abilities == model.abilities >= {"embeds", "hashes", "learns"}
    for view, media in (("image", PICTURES), ("text", TEXTS)):
        after = found.encode(view, media, batch_size=2)
        assert after.embedding is not None
        np.testing.assert_allclose(after.embedding, before[view].embedding, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(after.embedding, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(after.code, before[view].code)
        assert after.code is not None
        assert after.code.shape == (5, 3)


def test_tokens_that_a_saved_model_does_not_read_may_stay_away(tmp_path: Path) -> None:
    for method, name, reads in ((vsepp(), "vsepp", False), (fgcmh(), "fgcmh", True)):
        Model.from_method(method, name, ENCODERS).save_pretrained(tmp_path / name)
        model = Model.load(tmp_path / name)
        assert [model.reads_tokens(view) for view in ("image", "text")] == [reads, reads]
        if not reads:
            whole = model.features("text", TEXTS)
            thin = replace(whole, tokens=whole.tokens[:, :0], mask=whole.mask[:, :0])
            np.testing.assert_array_equal(model.rows(thin).embedding, model.rows(whole).embedding)


def test_codes_are_the_signs_of_the_method(tmp_path: Path) -> None:
    method = fgcmh().eval()
    model = Model.from_method(method, "fgcmh", ENCODERS)
    features = model.features("text", TEXTS)
    with torch.no_grad():
        relaxed = method.relax(Encoded.from_features(features)).numpy()
    np.testing.assert_array_equal(model.code("text", TEXTS), pack(relaxed))


def test_order_and_batch_size_change_nothing(tmp_path: Path) -> None:
    model = Model.from_method(vsepp(), "vsepp", ENCODERS)
    rows = model.encode_text(TEXTS)
    np.testing.assert_allclose(model.encode_text(TEXTS[::-1], batch_size=1)[::-1], rows, atol=1e-6)


def test_precisions(tmp_path: Path) -> None:
    model = Model.from_method(fgcmh(), "fgcmh", ENCODERS)
    exact = model.encode_image(PICTURES)
    assert model.encode_image(PICTURES, precision="float16").dtype == np.float16
    small = model.encode_image(PICTURES, precision="int8")
    assert small.dtype == np.int8
    np.testing.assert_allclose(small / 127, exact, atol=0.5 / 127 + 1e-6)
    np.testing.assert_array_equal(model.encode_image(PICTURES, precision="binary"), model.code("image", PICTURES))
    with pytest.raises(UsageError, match="precision is 'int4'"):
        model.encode_image(PICTURES, precision="int4")  # type: ignore[arg-type]


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first = Model.from_method(vsepp(), "vsepp", ENCODERS)
    first.save_pretrained(tmp_path / "a")
    other = vsepp()
    with torch.no_grad():
        next(other.parameters()).add_(0.1)
    second = Model.from_method(other, "vsepp", ENCODERS)
    second.save_pretrained(tmp_path / "b")
    assert Model.load(str(tmp_path / "a")).fingerprint == first.fingerprint != second.fingerprint
    assert Model.load(tmp_path / "b").fingerprint == second.fingerprint


def test_another_encoder_is_refused(tmp_path: Path, toy_encoders: dict[str, str]) -> None:
    Model.from_method(vsepp(), "vsepp", ENCODERS).save_pretrained(tmp_path / "m")
    toy_encoders["text"] = "2"
    model = Model.load(tmp_path / "m")
    with pytest.raises(FingerprintError, match="encoder `toy-text` has fingerprint 2, the model was trained on 1"):
        model.encode_text(["a"])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda m: (m / "config.json").unlink(), "no config.json"),
        (lambda m: (m / "model.safetensors").unlink(), "model.safetensors: missing, the model folder is half-written"),
        (lambda m: (m / "text.onnx").write_bytes(b"x"), "text.onnx: its checksum is wrong"),
        (lambda m: (m / "config.json").write_text("{"), "config.json: damaged"),
        (lambda m: _set(m / "config.json", format=99), "format 99, this version reads up to 2"),
        (lambda m: _flip(m / "model.safetensors"), "model.safetensors: its checksum is wrong"),
    ],
)
def test_every_damage_is_named(tmp_path: Path, damage: Any, said: str) -> None:
    folder = Model.from_method(vsepp(), "vsepp", ENCODERS).save_pretrained(tmp_path / "m")
    damage(folder)
    with pytest.raises(ModelError, match=said) as caught:
        Model.from_pretrained(folder)
    assert caught.value.hint


def _set(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_missing_model_and_method_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a folder nor one of base, conse"):
        Model.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no method 'fgmch'") as caught:
        method_class("fgmch")
    assert "did you mean 'fgcmh'" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot load it"):
        method_class("no_such_module:Method")


def test_saving_over_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ModelError, match="holds other files"):
        Model.from_method(vsepp(), "vsepp", ENCODERS).save_pretrained(tmp_path)
    assert (tmp_path / "holiday.jpg").exists()


def test_what_a_model_cannot_do_is_said() -> None:
    model = Model.from_method(vsepp(), "vsepp", ENCODERS)
    with pytest.raises(AbilityError, match="has no codes"):
        model.code("text", ["a"])
    with pytest.raises(AbilityError, match=r"reads \['image', 'text'\], not 'audio'"):
        model.encode("audio", ["a"])
    with pytest.raises(AbilityError, match="no joint score"):
        model.scorer(model.features("text", ["a"]), lambda ids: model.features("image", PICTURES))
    with pytest.raises(UsageError, match="text 1 is 7, expected a string"):
        model.encode_text(["a", 7])  # type: ignore[list-item]
    with pytest.raises(MediaError):
        model.encode_image([b"not a picture"])


def test_a_frozen_dual_encoder_is_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DIMS, "text", (6, 6))
    monkeypatch.setattr(ToyEncoder, "_row", lambda self, item: np.ones((1, 6), np.float32))
    model = Model.from_method(Clip(ClipConfig(), DIMS), "clip", ENCODERS)
    np.testing.assert_allclose(model.encode_text(["x"]) @ model.encode_image(PICTURES[:1]).T, 1, atol=1e-6)


def coded() -> Model:
    """Give a dense model with codes of 16 bits along known directions."""
    from crossbit.codes.afterwards import Projection

    directions = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
    means = {view: np.full(8, 0.1, np.float32) for view in ENCODERS}
    return Model.from_method(vsepp(), "vsepp", ENCODERS).with_codes(Projection(means, directions), "random", seed=0)


def test_codes_made_afterwards_are_saved_with_the_model(tmp_path: Path) -> None:
    dense, model = Model.from_method(vsepp(), "vsepp", ENCODERS), coded()
    assert (model.dim, model.bits, model.name) == (8, 16, "vsepp-random-16bit")
    assert "hashes" in model.abilities
    assert model.fingerprint != dense.fingerprint
    model.save_pretrained(tmp_path / "m")
    found = Model.from_pretrained(tmp_path / "m")
    rows = found.encode("text", TEXTS)
    expected = dense.encode("text", TEXTS).embedding
    assert model.projection is not None
    np.testing.assert_allclose(rows.embedding, expected, atol=1e-5)
    np.testing.assert_array_equal(rows.code, pack((expected - np.float32(0.1)) @ model.projection.directions))
    np.testing.assert_array_equal(found.encode_image(PICTURES, precision="binary"), model.code("image", PICTURES))
    assert json.loads((tmp_path / "m" / "config.json").read_text())["format"] == 2
    assert "codes were made after the training" in (tmp_path / "m" / "README.md").read_text()


def test_a_folder_without_such_codes_stays_readable_for_crossbit_of_before(tmp_path: Path) -> None:
    Model.from_method(fgcmh(), "fgcmh", ENCODERS).save_pretrained(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["format"] == 1
    assert "codes" not in config


def test_damaged_codes_are_named(tmp_path: Path) -> None:
    coded().save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "codes.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"codes\.safetensors: its checksum is wrong"):
        Model.from_pretrained(tmp_path / "m")


def test_the_first_bits_of_a_code_are_a_model_of_their_own(tmp_path: Path) -> None:
    model = Model.from_method(fgcmh(), "fgcmh", ENCODERS)
    model.save_pretrained(tmp_path / "m")
    whole = Model.from_pretrained(tmp_path / "m")
    cut = whole.with_bits(8)
    assert (cut.bits, whole.bits) == (8, 24)
    assert cut.fingerprint != whole.fingerprint
    assert cut.fingerprint == Model.from_pretrained(tmp_path / "m").with_bits(8).fingerprint
    assert cut.fingerprint != whole.with_bits(16).fingerprint
    for view, media in (("image", PICTURES), ("text", TEXTS)):
        first = whole.encode(view, media)
        assert first.code is not None
        np.testing.assert_array_equal(cut.encode(view, media).code, first.code[:, :1])
        np.testing.assert_array_equal(cut.rows(whole.features(view, media)).code, first.code[:, :1])
    assert whole.with_bits(24) is whole
    for bits in (0, 25):
        with pytest.raises(AbilityError, match=f"codes of 24 bits, asked for the first {bits}"):
            whole.with_bits(bits)
    with pytest.raises(AbilityError, match="has no codes, asked for the first 8"):
        Model.from_method(vsepp(), "vsepp", ENCODERS).with_bits(8)


def test_which_lengths_were_trained_is_known() -> None:
    assert coded().nests(3)  # any of random directions
    plain = Model.from_method(fgcmh(), "fgcmh", ENCODERS)
    assert not plain.nests(16)
