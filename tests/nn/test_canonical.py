"""Canonical maps and ITQ against planted structure and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crossbit.nn.canonical import canonical_maps, pooled_fit, start_canonical
from crossbit.nn.hashing import itq


def two_views(rows: int = 600, noise: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Give two linear views of three hidden numbers, with noise of their own."""
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(rows, 3))
    x = hidden @ draw.normal(size=(3, 8)) + noise * draw.normal(size=(rows, 8))
    y = hidden @ draw.normal(size=(3, 6)) + noise * draw.normal(size=(rows, 6))
    return torch.from_numpy(x - x.mean(0)).float(), torch.from_numpy(y - y.mean(0)).float()


def test_planted_directions_are_found_and_the_rest_is_noise() -> None:
    x, y = two_views()
    a, b, correlations = canonical_maps(x, y, 6, ridge=(1e-6, 1e-6), power=0.0)
    assert torch.all(correlations[:3] > 0.99)
    assert torch.all(correlations[3:] < 0.3)
    left, right = x @ a[:, :3], y @ b[:, :3]
    for place in range(3):
        assert torch.corrcoef(torch.stack([left[:, place], right[:, place]]))[0, 1] > 0.99


def test_without_a_ridge_they_are_the_canonical_correlations() -> None:
    """The product of the two orthonormal bases has the correlations as its singular values (Bjorck and Golub, 1973)."""
    x, y = two_views(noise=0.7)
    found = canonical_maps(x, y, 6, ridge=(0.0, 0.0))[2]
    bases = [torch.linalg.qr(side.double())[0] for side in (x, y)]
    expected = torch.linalg.svdvals(bases[0].T @ bases[1]).float()
    assert torch.allclose(found, expected, atol=1e-4)


def test_the_width_is_cut_to_what_there_is_and_directions_are_scaled() -> None:
    x, y = two_views()
    a, b, correlations = canonical_maps(x, y, 99)
    assert a.shape == (8, 6)
    assert b.shape == (6, 6)
    plain = canonical_maps(x, y, 99, power=0.0)[0]
    assert torch.allclose(a.norm(dim=0) / plain.norm(dim=0), correlations**0.75, atol=1e-4)


def test_itq_rotates_to_the_corners() -> None:
    """Points near the corners of a turned square: ITQ turns them back, so every sign tells a corner."""
    torch.manual_seed(0)
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    angle = torch.tensor(0.6)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    which = torch.randint(0, 4, (400,))
    rows = (corners[which] + 0.1 * torch.randn(400, 2)) @ turn
    codes = rows @ itq(rows, 2)
    loss = (codes - torch.where(codes >= 0, 1.0, -1.0)).square().mean()
    assert loss < 0.05
    signs = {(int(w), *map(float, c.sign())) for w, c in zip(which, codes, strict=True)}
    assert len(signs) == 4  # one code a corner


def test_several_rotations_share_the_strongest_directions() -> None:
    torch.manual_seed(0)
    rows = torch.randn(300, 6) * torch.tensor([5.0, 4.0, 0.01, 0.01, 0.01, 0.01])
    projection = itq(rows, 8, directions=2)
    assert projection.shape == (6, 8)
    assert projection[2:].abs().max() < 0.05
    assert torch.equal(projection, itq(rows, 8, directions=2))
    assert torch.linalg.matrix_rank(projection[:, :4]) == 2
    assert not torch.allclose(projection[:, :2], projection[:, 2:4])


@pytest.mark.reference
def test_the_maps_agree_with_scikit_learn() -> None:
    from sklearn.cross_decomposition import CCA

    x, y = two_views(noise=0.3)
    left, right = CCA(n_components=3, scale=False).fit_transform(x.numpy(), y.numpy())
    theirs = sorted(np.corrcoef(left[:, k], right[:, k])[0, 1] for k in range(3))
    ours = sorted(canonical_maps(x, y, 3, ridge=(0.0, 0.0))[2].tolist())
    np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_layers_start_as_the_maps_of_centred_rows_at_unit_variance() -> None:
    x, y = (rows + 3 for rows in two_views())
    first, second = torch.nn.Linear(8, 5), torch.nn.Linear(6, 5)
    start_canonical(first, x, second, y)
    maps = canonical_maps(x - x.mean(0), y - y.mean(0), 5)
    for layer, rows, found in zip((first, second), (x, y), maps[:2], strict=True):
        given, expected = layer(rows), (rows - rows.mean(0)) @ found
        torch.testing.assert_close(given.mean(0), torch.zeros(5), atol=1e-4, rtol=0)
        assert given.square().mean().item() == pytest.approx(1.0, abs=1e-4)
        torch.testing.assert_close(given / given.norm(), expected / expected.norm(), atol=1e-4, rtol=1e-3)


def test_a_layer_wider_than_the_rows_gives_zeros_beyond() -> None:
    x, y = two_views()
    first, second = torch.nn.Linear(8, 7), torch.nn.Linear(6, 7)
    start_canonical(first, x, second, y)
    assert not first(x)[:, 6:].any()


def test_pooled_vectors_of_another_width_than_tokens_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert pooled_fit({"image": (8, 8), "text": (6, 6)})
    assert not caplog.records
    assert not pooled_fit({"image": (8, 8), "text": (6, 5)})
    assert "other widths (text 6 and 5)" in caplog.text
