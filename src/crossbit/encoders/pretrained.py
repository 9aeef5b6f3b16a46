"""Models of the `transformers` library as encoders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.utils import logging as transformers_logging

from crossbit.errors import EncoderError


class BertTwin(nn.Module):
    """A BERT in torch: ids and mask -> tokens (zero where padded), mask, their masked mean."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the layers on framed ids (B, L), at most as long as the model reads."""
        tokens = self.bert(input_ids=ids.long(), attention_mask=mask.long()).last_hidden_state
        tokens = tokens * mask[..., None]
        return tokens, mask, tokens.sum(1) / mask.sum(1, keepdim=True)


def bert_twin(folder: Path, words: Float[np.ndarray, "V D"]) -> BertTwin:
    """Load a converted BERT of the cache, whose word table lies apart.

    Raises:
        EncoderError: the weights do not fit the configuration.
    """
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = torch.from_numpy(words)
    config = BertConfig.from_json_file(folder / "config.json")
    # given as a state, the weights are taken over as they are: drawing 96 million random ones first would take seconds
    with quiet():
        bert, report = BertModel.from_pretrained(
            None, config=config, state_dict=weights, add_pooling_layer=False, output_loading_info=True
        )
    if wrong := [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]:
        raise EncoderError(f"{folder}: {len(wrong)} tensors do not fit `config.json`, such as {wrong[0]!r}")
    return BertTwin(bert).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars away while weights are loaded; ours say what takes time."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
