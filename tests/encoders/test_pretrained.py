from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, CLIPModel, SiglipModel
from transformers.utils import logging as transformers_logging

from crossbit import encoders as crossbit_encoders
from crossbit.encoders.base import Encoder
from crossbit.encoders.hub import folder_fingerprint, model_folder
from crossbit.encoders.pretrained import PretrainedImage, PretrainedText
from crossbit.errors import ConfigError, EncoderError, UsageError
from encoders import tiny

TEXTS = ["a red apple", "the dog runs", "", "river"]


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Any:
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    yield
    transformers_logging.set_verbosity(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    makers = {"vit": tiny.vit, "resnet": tiny.resnet, "bert": tiny.bert, "clip": tiny.clip, "siglip": tiny.siglip}
    made = {}
    for name, maker in makers.items():
        (root / name).mkdir()
        made[name] = maker(root / name)
    return made


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((40, 60, 3), (33, 32, 3), (100, 50, 3))]


IMAGES = [("vit", 16, 32, 32), ("resnet", 16, 16, 16), ("clip-image", 16, 32, 16), ("siglip-image", 16, 32, 32)]


@pytest.mark.parametrize(("family", "cells", "width", "pooled"), IMAGES)
def test_image_shapes_card_and_twin(
    folders: dict[str, Path], pictures: list[np.ndarray], family: str, cells: int, width: int, pooled: int
) -> None:
    encoder = crossbit_encoders.load(f"{family}:{folders[family.removesuffix('-image')]}")
    assert isinstance(encoder, Encoder)
    card = encoder.describe()
    assert (card.modality, card.dim, card.pooled_dim, card.edge >= 32) == ("image", width, pooled, True)
    inputs = encoder.prepare(pictures)
    assert inputs["pixels"].shape == (3, 3, 32, 32)
    features = encoder.encode(inputs)
    assert features.tokens.shape == (3, cells, width)
    assert features.pooled.shape == (3, pooled)
    assert features.mask.all()
    twin = encoder.module()
    tokens, _, vector = twin(torch.from_numpy(inputs["pixels"]))
    np.testing.assert_allclose(tokens.detach().numpy(), features.tokens, atol=1e-5)
    vector.square().sum().backward()
    assert any(parameter.grad is not None for parameter in twin.parameters())
    np.testing.assert_array_equal(encoder.encode(inputs).pooled, features.pooled)  # the frozen one is another
    assert len(encoder.encode(encoder.prepare([])).pooled) == 0


@pytest.mark.parametrize(("family", "pooled"), [("bert", 32), ("clip-text", 16), ("siglip-text", 32)])
def test_text_shapes_card_and_twin(folders: dict[str, Path], family: str, pooled: int) -> None:
    encoder = crossbit_encoders.load(f"{family}:{folders[family.removesuffix('-text')]}")
    assert isinstance(encoder, Encoder)
    card = encoder.describe()
    longest = {"bert": 20, "clip-text": 12, "siglip-text": 10}[family]
    assert (card.modality, card.dim, card.pooled_dim, card.max_tokens) == ("text", 32, pooled, longest)
    inputs = encoder.prepare(TEXTS)
    features = encoder.encode(inputs)
    own = 1 if family == "siglip-text" else 2
    assert features.mask.sum(1).tolist() == [3 + own, 3 + own, own, 1 + own]
    assert not features.tokens[~features.mask].any()
    tokens, mask, vector = encoder.module()(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    np.testing.assert_allclose(tokens.detach().numpy(), features.tokens, atol=1e-5)
    np.testing.assert_allclose(vector.detach().numpy(), features.pooled, atol=1e-5)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(encoder.encode(encoder.prepare([text])).pooled[0], features.pooled[row], atol=1e-5)


def test_clip_gives_the_librarys_own_similarities(folders: dict[str, Path], pictures: list[np.ndarray]) -> None:
    whole = CLIPModel.from_pretrained(folders["clip"]).eval()
    image, text = PretrainedImage("clip-image", str(folders["clip"])), PretrainedText("clip-text", str(folders["clip"]))
    batch = AutoTokenizer.from_pretrained(folders["clip"])(TEXTS, padding=True, return_tensors="pt")
    pixels = image.prepare(pictures)
    with torch.no_grad():
        expected = (
            whole(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                pixel_values=torch.from_numpy(pixels["pixels"]),
            ).logits_per_image
            / whole.logit_scale.exp()
        )
    rows, columns = image.encode(pixels).pooled, text.encode(text.prepare(TEXTS)).pooled
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    columns /= np.linalg.norm(columns, axis=1, keepdims=True)
    np.testing.assert_allclose(rows @ columns.T, expected.numpy(), atol=1e-5)


def test_siglip_gives_the_librarys_own_similarities(folders: dict[str, Path], pictures: list[np.ndarray]) -> None:
    whole = SiglipModel.from_pretrained(folders["siglip"]).eval()
    image = PretrainedImage("siglip-image", str(folders["siglip"]))
    text = PretrainedText("siglip-text", str(folders["siglip"]))
    tokenizer = AutoTokenizer.from_pretrained(folders["siglip"])
    batch = tokenizer(TEXTS, padding="max_length", max_length=10, return_tensors="pt")
    pixels = image.prepare(pictures)
    with torch.no_grad():
        made = whole(input_ids=batch["input_ids"], pixel_values=torch.from_numpy(pixels["pixels"]))
    rows, columns = image.encode(pixels).pooled, text.encode(text.prepare(TEXTS)).pooled
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    columns /= np.linalg.norm(columns, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, made.image_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(columns, made.text_embeds.numpy(), atol=1e-5)


def test_vit_is_the_classifiers_trunk(folders: dict[str, Path], pictures: list[np.ndarray]) -> None:
    encoder = PretrainedImage("vit", str(folders["vit"]))
    inputs = encoder.prepare(pictures)
    with torch.no_grad():
        state = AutoModel.from_pretrained(folders["vit"])(torch.from_numpy(inputs["pixels"])).last_hidden_state
    features = encoder.encode(inputs)
    np.testing.assert_allclose(features.pooled, state[:, 0].numpy(), atol=1e-5)
    np.testing.assert_allclose(features.tokens, state[:, 1:].numpy(), atol=1e-5)


def test_resnet_pools_its_cells(folders: dict[str, Path], pictures: list[np.ndarray]) -> None:
    encoder = PretrainedImage("resnet", str(folders["resnet"]))
    inputs = encoder.prepare(pictures)
    with torch.no_grad():
        made = AutoModel.from_pretrained(folders["resnet"])(torch.from_numpy(inputs["pixels"]))
    features = encoder.encode(inputs)
    np.testing.assert_allclose(features.pooled, made.pooler_output.flatten(1).numpy(), atol=1e-5)
    np.testing.assert_allclose(features.tokens[:, 5], made.last_hidden_state[:, :, 1, 1].numpy(), atol=1e-5)


def test_bert_is_the_masked_mean(folders: dict[str, Path]) -> None:
    encoder = PretrainedText("bert", str(folders["bert"]))
    batch = AutoTokenizer.from_pretrained(folders["bert"])(TEXTS, padding=True, return_tensors="pt")
    inputs = encoder.prepare(TEXTS)
    np.testing.assert_array_equal(inputs["ids"], batch["input_ids"].numpy())
    with torch.no_grad():
        state = AutoModel.from_pretrained(folders["bert"])(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state
    weight = batch["attention_mask"][..., None]
    expected = (state * weight).sum(1) / weight.sum(1)
    np.testing.assert_allclose(encoder.encode(inputs).pooled, expected.numpy(), atol=1e-5)


def test_long_texts_as_in_every_text_encoder(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    encoder = PretrainedText("clip-text", str(folders["clip"]))
    long = "red apple " * 10
    with pytest.raises(UsageError, match="20 words make 20 pieces"):
        encoder.prepare([long], on_long_text="error")
    with caplog.at_level(logging.WARNING):
        assert encoder.prepare([long])["ids"].shape == (1, 12)
    assert "1 of 1 texts" in caplog.text
    chunked = encoder.encode(encoder.prepare([long], on_long_text="chunk"))
    halves = encoder.encode(encoder.prepare(["red apple " * 5]))
    np.testing.assert_allclose(chunked.pooled, halves.pooled, atol=1e-5)


def test_special_names_are_plain_text(folders: dict[str, Path]) -> None:
    encoder = PretrainedText("bert", str(folders["bert"]))
    assert not {1, 2} & set(encoder.split(["red [SEP] apple [CLS]"])[0])


def test_fingerprint_follows_weights_and_settings(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(folders["resnet"], tmp_path / "copy")
    assert folder_fingerprint(copy) == folder_fingerprint(folders["resnet"])
    first = PretrainedImage("resnet", str(copy)).describe().fingerprint
    settings = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(settings | {"resample": 2}))
    second = PretrainedImage("resnet", str(copy)).describe().fingerprint
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    third = PretrainedImage("resnet", str(copy)).describe().fingerprint
    assert len({first, second, third}) == 3


# faults -----------------------------------------------------------------------------------------------------------------


def test_name_that_is_nowhere() -> None:
    with pytest.raises(
        EncoderError, match="clip-image:nobody/nothing: no folder .* and the model hub did not"
    ) as caught:
        crossbit_encoders.load("clip-image:nobody/nothing")
    assert "clip-image:DIR" in caught.value.hint


@pytest.mark.parametrize("source", ["./nowhere", "/nowhere/at/all", "a/b/c", "~/nowhere-at-all"])
def test_folder_that_is_not_there(source: str) -> None:
    with pytest.raises(EncoderError, match="no folder"):
        model_folder("vit:x", source)


def test_folders_that_hold_no_model(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(EncoderError, match="no config.json"):
        model_folder("vit:x", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match="no weights"):
        model_folder("vit:x", str(tmp_path))
    with pytest.raises(EncoderError, match="is a file"):
        model_folder("vit:x", str(tmp_path / "config.json"))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(EncoderError, match="config.json cannot be read"):
        PretrainedImage("vit", str(tmp_path))


@pytest.mark.parametrize(
    ("family", "kind", "hint"),
    [
        ("vit", "clip", "clip-image:X"),
        ("bert", "siglip", "siglip-text:X"),
        ("vit", "bert", "bert:X"),
        ("bert", "vit", "vit:X"),
    ],
)
def test_wrong_family_is_told_the_right_one(folders: dict[str, Path], family: str, kind: str, hint: str) -> None:
    maker = PretrainedText if family == "bert" else PretrainedImage
    with pytest.raises(ConfigError) as caught:
        maker(family, str(folders[kind]))
    assert hint in caught.value.hint


def test_wrong_dual_encoder(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="holds a clip model, expected siglip"):
        PretrainedImage("siglip-image", str(folders["clip"]))


def test_missing_weights_are_an_error_not_random_numbers(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folders["clip"], tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="visual_projection"):
        PretrainedImage("clip-image", str(copy)).module()


def test_damaged_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(folders["vit"], tmp_path / "copy")
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:500])
    with pytest.raises(EncoderError, match="cannot be loaded"):
        PretrainedImage("vit", str(copy)).module()


def test_no_preprocessor_and_no_tokenizer(folders: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(folders["clip"], tmp_path / "copy")
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match="preprocessor_config.json"):
        PretrainedImage("clip-image", str(copy))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(EncoderError, match="no tokenizer"):
        PretrainedText("clip-text", str(copy))
