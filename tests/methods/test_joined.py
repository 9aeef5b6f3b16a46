"""Joined peers: the dot product of their rows is the mean of the peers' cosines, in torch, in ONNX and from the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crossbit.batch import Encoded
from crossbit.errors import ConfigError
from crossbit.methods.base import abilities, similarity
from crossbit.methods.fgcmh import FGCMH, FGCMHConfig
from crossbit.methods.joined import joined, peers_in
from crossbit.methods.scan import SCAN, SCANConfig
from crossbit.methods.vsepp import VSEPP, VSEPPConfig
from crossbit.model import Model

DIMS = {"image": (12, 10), "text": (8, 8)}


def view(name: str, rows: int = 4) -> Encoded:
    width, pooled = DIMS[name]
    draw = torch.Generator().manual_seed(len(name))
    mask = torch.ones(rows, 3, dtype=torch.bool)
    return Encoded(
        name,  # type: ignore[arg-type]
        torch.randn(rows, 3, width, generator=draw),
        mask,
        torch.randn(rows, pooled, generator=draw),
    )


def vsepp(seed: int, dims: dict[str, tuple[int, int]] | None = None) -> VSEPP:
    torch.manual_seed(seed)
    return VSEPP(replace(VSEPPConfig.small(), width=6), dims or DIMS).eval()  # type: ignore[return-value]


def test_the_product_of_joined_rows_is_the_mean_of_the_cosines() -> None:
    peers = [vsepp(0), vsepp(1), vsepp(2)]
    both = joined(peers).eval()
    assert abilities(type(both)) == {"embeds"}
    assert type(both).reads_tokens is VSEPP.reads_tokens
    rows = both.embed(view("image"))  # type: ignore[operator]
    assert rows.shape == (4, 18)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    single = [similarity(peer, (view("image"),), (view("text"),)) for peer in peers]
    torch.testing.assert_close(similarity(both, (view("image"),), (view("text"),)), torch.stack(single).mean(0))


def test_scores_are_averaged_and_codes_are_the_first_peers() -> None:
    torch.manual_seed(0)
    scan = [SCAN(SCANConfig.small(), DIMS).eval() for _ in range(2)]
    both = joined(scan)
    assert abilities(type(both)) == {"scores", "aligns"}
    asked, items = (view("text"),), (view("image"),)
    expected = (scan[0].score(asked, items) + scan[1].score(asked, items)) / 2
    torch.testing.assert_close(both.score(asked, items), expected)  # type: ignore[operator]
    config = replace(FGCMHConfig.small(), width=8, refine_width=8, hidden=8, heads=2, bits=16)
    hashing = [FGCMH(config, DIMS).eval() for _ in range(2)]
    pair = joined(hashing)
    assert abilities(type(pair)) >= {"embeds", "hashes"}
    torch.testing.assert_close(pair.relax(view("image")), hashing[0].relax(view("image")))  # type: ignore[operator]


def test_one_peer_stays_as_it_is_and_different_ones_are_refused() -> None:
    alone = vsepp(0)
    assert joined([alone]) is alone
    with pytest.raises(ConfigError, match="SCAN.*VSEPP"):
        joined([alone, SCAN(SCANConfig.small(), DIMS)])
    with pytest.raises(ConfigError, match="no class"):
        joined([])


def test_peers_are_counted_by_the_names_of_their_weights() -> None:
    assert peers_in(vsepp(0).state_dict()) == 1
    assert peers_in(joined([vsepp(0), vsepp(1)]).state_dict()) == 2
    assert peers_in(["peers.987654321.weight", "peers.x"]) == 1  # a large number in a file makes no large model


def test_a_saved_model_of_two_peers_works_like_any(tmp_path: Path) -> None:
    from crossbit.encoders import load

    encoders = {"image": "efficientnet-lite0", "text": "e5-small"}
    cards = {name: load(encoder).describe() for name, encoder in encoders.items()}
    dims = {name: (card.dim, card.pooled_dim) for name, card in cards.items()}
    peers = [vsepp(0, dims), vsepp(1, dims)]
    made = Model.from_method(peers, "vsepp", encoders)
    texts = ["a red apple", "two dogs"]
    in_torch = made.encode_text(texts)
    made.save_pretrained(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert (loaded.dim, loaded.card.training["peers"]) == (12, 2)
    rows = loaded.encode_text(texts)  # through ONNX
    np.testing.assert_allclose(rows, in_torch, atol=1e-5)
    alone = [Model.from_method(peer, "vsepp", encoders).encode_text(texts) for peer in peers]
    np.testing.assert_allclose(rows @ rows.T, (alone[0] @ alone[0].T + alone[1] @ alone[1].T) / 2, atol=1e-5)
    weights = loaded.method.state_dict()  # the second peer's weights came back too
    assert torch.equal(weights["peers.1.heads.image.1.weight"], peers[1].heads["image"][1].weight)  # type: ignore[index]
    again = [vsepp(0, dims), vsepp(2, dims)]
    assert Model.from_method(again, "vsepp", encoders).fingerprint != made.fingerprint
