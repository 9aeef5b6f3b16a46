"""Nested heads: the fold against its parts, prefixes of the code, doubt, and a hand-worked opinion."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossbit.batch import Encoded
from crossbit.errors import ConfigError
from crossbit.methods.nested import DOUBT, UNSURE, Nested, NestedConfig

DIMS = {"image": (12, 10), "text": (8, 6)}
TINY = NestedConfig(width=10, bits=16, shortest=4, hidden=5, code_hidden=6, pairs=2, top=2, temperature=1.0, classes=4)


def made(config: NestedConfig = TINY) -> Nested:
    torch.manual_seed(0)
    return Nested(config, DIMS).eval()


def view(modality: str, rows: int = 3) -> Encoded:
    generator = torch.Generator().manual_seed(1)
    width = DIMS[modality]
    pooled = torch.randn(rows, width[1], generator=generator)
    return Encoded(modality, torch.zeros(rows, 1, width[0]), torch.ones(rows, 1, dtype=torch.bool), pooled)  # type: ignore[arg-type]


def test_the_opinion_is_the_mean_of_the_likeliest_names() -> None:
    method = made()
    method.weight.zero_()
    method.weight[0, 0], method.weight[1, 0] = 1.0, 1.0
    method.weight[2, 1] = 5.0
    pooled = torch.zeros(1, 10)
    pooled[0, 0] = torch.tensor(3.0).log()
    # logits log 3, log 3, 0, 0: chances 3/8, 3/8, 1/8, 1/8; of the two likeliest each has a half
    expected = (method.names[0] + method.names[1]) / 2
    assert torch.allclose(method.opinion(pooled)[0], expected, atol=1e-6)


def test_before_training_similarity_is_a_weighted_mean_of_its_parts() -> None:
    """With a fold that keeps everything, the cosine is the mean over pairs of heads and opinion, each with its share."""
    method = made(NestedConfig(width=24, bits=4, shortest=4, hidden=5, pairs=2, top=2, classes=4, opinion=0.4))
    joint = 2 * 22 + 6
    method.fold = torch.eye(joint)
    seen, read = method.inputs(view("image")), method.inputs(view("text"))
    whole = method.joint("image", seen) @ method.joint("text", read).T
    parts = sum((0.3 * method.image[k](seen) @ method.text[k](read).T for k in range(2)), torch.zeros(3, 3))
    unit = torch.nn.functional.normalize
    plain = unit(method.untrained("image", seen), dim=-1) @ unit(method.untrained("text", read), dim=-1).T
    assert torch.allclose(whole, parts + 0.4 * plain, atol=1e-6)


def test_shorter_codes_lie_inside_longer_ones() -> None:
    assert TINY.prefixes == (4, 8, 16)
    assert NestedConfig().prefixes == (64, 128, 256)
    method = made().train()
    positives = torch.eye(3, dtype=torch.bool)
    joints = (method.joint(v, method.inputs(view(v))) for v in ("image", "text"))
    pairs, imitated = {"4 bits", "8 bits", "16 bits"}, {"4 bits imitate", "8 bits imitate", "16 bits imitate"}
    assert set(method.code_losses(*joints, positives)) == pairs | imitated


def test_bits_start_as_a_projection_of_the_folded_vectors_with_a_layer_beside_them() -> None:
    method = made()
    joint = method.joint("text", method.inputs(view("text")))
    plain = torch.tanh(method.project(method.folded("text", joint)))
    assert torch.equal(method.bits_of("text", joint), plain)  # the layer's share is zero at the start
    with torch.no_grad():
        method.writer[0, 1] = 2.0
        method.apart[3] = 0.5
    reads = torch.nn.functional.gelu(10 * joint @ method.reader.weight[1] + method.reader.bias[1])
    moved = torch.atanh(method.bits_of("text", joint)) - torch.atanh(plain)
    assert torch.allclose(moved[:, 0], 2.0 * reads, atol=1e-4)
    assert torch.allclose(moved[:, 3], torch.tensor(0.5), atol=1e-4)
    seen = method.joint("image", method.inputs(view("image")))
    expected = method.project(method.folded("image", seen))
    assert torch.allclose(torch.atanh(method.bits_of("image", seen))[:, 3], expected[:, 3], atol=1e-4)


def test_the_usual_picture_is_taken_out_of_pictures_alone() -> None:
    method = made()
    seen, read = (method.joint(v, method.inputs(view(v))) for v in ("image", "text"))
    before = method.folded("text", read)
    unusual = method.folded("image", seen)
    method.usual.copy_(unusual.mean(0))
    assert torch.equal(method.folded("text", read), before)
    assert torch.allclose(method.folded("image", seen), unusual - unusual.mean(0), atol=1e-6)
    found = method.embed(view("text")) @ method.embed(view("image")).T  # what doubt takes is less than 0.003
    assert torch.allclose(found, before @ (unusual - unusual.mean(0)).T, atol=0.01)
    method.usual.copy_(-unusual[0])
    assert torch.allclose(method.folded("image", seen)[0], unusual[0], atol=1e-6)  # twice as long, and cut to one


def test_what_follows_the_heads_does_not_move_where_they_start() -> None:
    heads = [
        {name: value for name, value in made(config).state_dict().items() if name.startswith(("image.", "text."))}
        for config in (TINY, replace(TINY, code_hidden=7))
    ]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])


@pytest.mark.parametrize("modality", ["image", "text"])
def test_doubt_makes_every_cosine_small(modality: str) -> None:
    method = made()
    other = "text" if modality == "image" else "image"
    sure = method.embed(view(modality)) @ method.embed(view(other)).T
    weights = method.doubt_image if modality == "image" else method.doubt_text
    weights[-1] = 12.0 + UNSURE
    unsure = method.embed(view(modality))
    doubtful = unsure @ method.embed(view(other)).T
    assert torch.allclose(unsure.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (unsure[:, -2 if modality == "image" else -1] > 0.999).all()
    assert (doubtful.abs() < 0.05).all()
    assert torch.equal(sure.argsort(dim=1), doubtful.argsort(dim=1)) or modality == "text"
    assert unsure.shape[1] == TINY.width
    assert DOUBT == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top": 0}, "top is 0"),
        ({"opinion": 1.0}, "opinion is 1.0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"width": 2}, "width 2"),
        ({"bits": 96}, "bits is 96"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NestedConfig(**settings)  # type: ignore[arg-type]
