"""Tiny models of random weights, saved as published ones are: what no hub is needed for."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTForImageClassification,
)

WORDS = ["a", "red", "apple", "blue", "river", "dog", "the", "runs"]
SMALL = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}


def save_tokenizer(folder: Path, longest: int, *, begin: str = "[CLS]", end: str = "[SEP]") -> int:
    """Save a word-level tokenizer; gives the number of its words."""
    names = ["[PAD]", begin, end, "[UNK]"] if begin else ["[PAD]", end, "[UNK]"]
    vocabulary = {word: number for number, word in enumerate([*names, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(name, vocabulary[name]) for name in (begin, end) if name]
    made.post_processor = processors.TemplateProcessing(f"{begin} $A {end}".strip(), special_tokens=special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", eos_token=end, model_max_length=longest
    )
    fast.save_pretrained(folder)
    return len(vocabulary)


def save_processor(folder: Path, **settings: object) -> None:
    """Save a preprocessor file."""
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def vit(folder: Path) -> Path:
    """Save a ViT that was trained to classify."""
    torch.manual_seed(0)
    ViTForImageClassification(ViTConfig(**SMALL, image_size=32, patch_size=8)).save_pretrained(folder)
    save_processor(folder, do_resize=True, size={"height": 32, "width": 32}, resample=2, do_normalize=True)
    return folder


def resnet(folder: Path) -> Path:
    """Save a ResNet."""
    torch.manual_seed(1)
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).save_pretrained(folder)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    save_processor(folder, size={"shortest_edge": 32}, crop_pct=0.875, resample=3, image_mean=mean, image_std=std)
    return folder


def bert(folder: Path) -> Path:
    """Save a BERT."""
    words = save_tokenizer(folder, 20)
    torch.manual_seed(2)
    BertModel(BertConfig(**SMALL, vocab_size=words, max_position_embeddings=24)).save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    """Save a CLIP whose halves do not repeat the width of the whole, as some published ones."""
    words = save_tokenizer(folder, 12)
    torch.manual_seed(3)
    text = {**SMALL, "vocab_size": words, "max_position_embeddings": 12, "bos_token_id": 1, "eos_token_id": 2}
    config = CLIPConfig(text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 8}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    save_processor(
        folder,
        size={"shortest_edge": 32},
        do_center_crop=True,
        crop_size={"height": 32, "width": 32},
        resample=3,
        image_mean=[0.48145466, 0.4578275, 0.40821073],
        image_std=[0.26862954, 0.26130258, 0.27577711],
    )
    return folder


def siglip(folder: Path) -> Path:
    """Save a SigLIP: no opening piece, rows filled up to 10."""
    words = save_tokenizer(folder, 10, begin="", end="</s>")
    torch.manual_seed(4)
    text = {**SMALL, "vocab_size": words, "max_position_embeddings": 10}
    config = SiglipConfig(text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 8})
    SiglipModel(config).save_pretrained(folder)
    save_processor(folder, size={"height": 32, "width": 32}, resample=3)
    return folder
