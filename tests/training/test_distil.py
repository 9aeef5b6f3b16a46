"""Distilling: targets move with their pictures, the unknown counts for nothing, a run that stops ends with the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossbit.data.squares import squares
from crossbit.encoders.small import scaled
from crossbit.errors import ConfigError, MediaError
from crossbit.nn.vit import ViTConfig
from crossbit.training import checkpoint
from crossbit.training.distil import (
    Basis,
    DistilConfig,
    Lesson,
    Student,
    batches,
    changed,
    distil,
    explains,
    make_student,
    unexplained,
)

PLAIN = DistilConfig(epochs=3, batch_size=8, mirror=False, moved=0.0, jitter=0, light=0.0, precision="fp32")
SIZES = ViTConfig(edge=16, patch=8, width=8, layers=1, heads=2)


def lesson(count: int = 24, seed: int = 0) -> Lesson:
    """Pictures whose four cells are of one grey each, and a teacher that says the grey."""
    greys = np.random.default_rng(seed).integers(0, 256, (count, 2, 2), np.uint8)
    pixels = np.repeat(np.repeat(greys, 8, 1), 8, 2)[..., None].repeat(3, 3)
    said = (greys.reshape(count, 4, 1) / 74.0 - 1.7).astype(np.float16)
    return Lesson(pixels, said, said.astype(np.float32).mean(1))


def test_targets_move_with_their_pictures() -> None:
    given, config = lesson(), replace(PLAIN, mirror=True, moved=1.0)
    rows = np.arange(24)
    pixels, cells, known, _ = changed(given, rows, config, np.random.default_rng(1))
    grid = pixels[:, ::8, ::8, 0].reshape(24, 4).numpy() / 74.0 - 1.7
    seen = known.numpy()
    assert 0.3 < seen.mean() < 0.9
    np.testing.assert_allclose(cells[..., 0].numpy()[seen], grid[seen], atol=2e-3)
    assert (pixels.numpy()[:, ::8, ::8].reshape(24, 4, 3)[~seen] == 255).all()
    assert not np.array_equal(pixels.numpy(), given.squares)


def test_nothing_changes_where_nothing_is_to_change() -> None:
    given = lesson()
    pixels, cells, known, pooled = changed(given, np.array([5, 3]), PLAIN, np.random.default_rng(0))
    np.testing.assert_array_equal(pixels.numpy(), given.squares[[3, 5]])
    np.testing.assert_array_equal(cells.numpy(), given.cells[[3, 5]].astype(np.float32))
    np.testing.assert_array_equal(pooled.numpy(), given.pooled[[3, 5]])
    assert known.all()


def test_what_is_not_known_does_not_count() -> None:
    said, told = torch.tensor([[[1.0, 3.0], [9.0, 9.0]]]), torch.zeros(1, 2, 2)
    assert unexplained(said, told, torch.tensor([[True, False]])).item() == pytest.approx(5.0)
    assert unexplained(said, told).item() == pytest.approx((5 + 81) / 2)


def test_a_basis_finds_the_strongest_directions_and_scales_to_one() -> None:
    draw = np.random.default_rng(0)
    plane = draw.standard_normal((400, 2)) @ draw.standard_normal((2, 6))
    rows = (plane + 3 + 1e-3 * draw.standard_normal((400, 6))).astype(np.float32)
    basis = Basis.of(rows, 2)
    found = basis(rows)
    assert np.square(found).mean() == pytest.approx(1.0, abs=1e-3)
    back = found * basis.spread @ basis.directions.T + basis.mean
    np.testing.assert_allclose(back, rows, atol=0.02)


def test_an_epoch_shows_each_picture_once_and_another_order_next() -> None:
    first, second = (np.concatenate(list(batches(24, PLAIN, epoch))) for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(24))
    assert first.tolist() != second.tolist()
    assert len(np.concatenate(list(batches(23, PLAIN, 0)))) == 16


def trained(folder: Path, config: DistilConfig, **options: object) -> Student:
    student = make_student("small-vit", SIZES, lesson(), 0)
    distil(student, lesson(), lesson(8, 1), scaled, config, folder, progress=False, **options)  # type: ignore[arg-type]
    return student


def test_a_student_learns_and_says_how_much(tmp_path: Path) -> None:
    untaught = explains(make_student("small-vit", SIZES, lesson(), 0), lesson(8, 1), scaled)
    assert untaught["cells"] == pytest.approx(0.0, abs=1e-6)  # it says nothing
    student = make_student("small-vit", SIZES, lesson(), 0)
    config = replace(PLAIN, epochs=60, learning_rate=1e-2, validate_every=60, weight_decay=0.0)
    report = distil(student, lesson(), lesson(8, 1), scaled, config, tmp_path, progress=False)
    assert report.explained["cells"] > 80
    assert report.explained["pooled"] > 80
    assert report.steps == 180
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 60


def test_a_run_that_was_broken_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(PLAIN, moved=0.5, light=0.2)
    whole = trained(tmp_path / "whole", config)
    save, calls = checkpoint.save, []

    def broken(*given: object) -> Path:
        calls.append(given)
        made = save(*given)  # type: ignore[arg-type]
        if len(calls) == 6:  # within the second epoch
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(checkpoint, "save", broken)
    every = checkpoint.Every(seconds=0, steps=1)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", config, every=every)
    again = trained(tmp_path / "broken", config, resume=True, every=every)
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_network_with_other_cells_than_the_teacher_is_refused() -> None:
    with pytest.raises(ConfigError, match="distil: small-vit gives 16 cells a picture, the teacher 4"):
        make_student("small-vit", replace(SIZES, patch=4), lesson(), 0)


def test_places_and_the_first_token_do_not_decay() -> None:
    student = make_student("small-vit", SIZES, lesson(), 0)
    decayed, plain = ({id(p) for p in group["params"]} for group in student.groups(1.0))  # type: ignore[attr-defined]
    network = student.network
    assert {id(network.places), id(network.first), id(student.cells.bias)} <= plain
    assert id(student.cells.weight) in decayed
    assert len(decayed) + len(plain) == len(list(student.parameters()))


def test_pictures_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (20, 10), colour).save(tmp_path / f"{number}.png")
        paths.append(tmp_path / f"{number}.png")
    first = squares(paths, 8, folder=tmp_path / "cache", progress=False)
    assert first.shape == (2, 8, 8, 3)
    assert first[0, 4, 4].tolist() == [255, 0, 0]
    assert first[0, 0, 0].tolist() == [255, 255, 255]  # a wide picture stands on white

    def never(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("crossbit.data.squares.decode", never)
    np.testing.assert_array_equal(squares(paths, 8, folder=tmp_path / "cache", progress=False), first)
    monkeypatch.undo()
    turned = squares(paths[::-1], 8, folder=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(turned, first[::-1])
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(MediaError):
        squares(paths, 8, folder=tmp_path / "cache", progress=False)
    assert len(list((tmp_path / "cache" / "squares").iterdir())) == 2  # nothing half written stays
