"""Pictures that are the same, or nearly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossbit.errors import UsageError
from crossbit.search import Collection
from crossbit.search.duplicates import duplicates
from search.fakes import FakeModel, paint


def names(groups: list) -> list[tuple[str, list[tuple[str, bool]]]]:
    return [(group.kept.path.name, [(twin.item.path.name, twin.same) for twin in group.twins]) for group in groups]


@pytest.fixture
def doubled(pictures: Path) -> Path:
    """Eight colours; red three times, once smaller; green twice as it is; blue a little darker and larger."""
    shutil.copy(pictures / "b" / "c" / "red.png", pictures / "red twin.png")
    paint(pictures / "small red.png", "red", size=(6, 5))
    shutil.copy(pictures / "a" / "green.png", pictures / "green twin.png")
    paint(pictures / "large blue.png", (30, 42, 215), size=(60, 50))
    return pictures


@pytest.mark.parametrize(("dim", "bits"), [(40, 64), (40, 0), (0, 256)])
def test_groups(doubled: Path, dim: int, bits: int) -> None:
    collection = Collection.create(doubled / ".crossbit", FakeModel(dim=dim, bits=bits), root=doubled)
    collection.sync(progress=False)
    found = names(duplicates(collection.snapshot, kind="same"))
    assert sorted(found) == [("green.png", [("green twin.png", True)]), ("red.png", [("red twin.png", True)])]
    found = names(duplicates(collection.snapshot, threshold=0.9, look=64))
    assert sorted(found) == [
        ("green.png", [("green twin.png", True)]),
        ("large blue.png", [("blue.png", False)]),  # the one with most pixels is kept
        ("red.png", [("red twin.png", True), ("small red.png", False)]),
    ]
    if dim:
        with pytest.raises(UsageError, match="threshold is 1.5"):
            collection.duplicates(threshold=1.5)
        group = next(group for group in collection.duplicates(look=64) if group.kept.path.name == "red.png")
        assert group.spare == sum(twin.item.size for twin in group.twins)
        assert group.to_dict()["twins"][0]["same"] is True


@pytest.mark.parametrize("vectors", ["float16", "int8"])
def test_agrees_with_brute_force(tmp_path: Path, vectors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without codes, over several segments and dead items, each twin is near its keeper, and every near pair meets."""
    draw = np.random.default_rng(0)
    model = FakeModel(dim=40, bits=256)
    collection = Collection.create(tmp_path / "c", model, vectors=vectors)  # type: ignore[arg-type]
    for part in range(3):
        files = []
        for number in range(40):
            file = tmp_path / f"{part}-{number:02d}.png"
            Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(3, 0).repeat(3, 1)).save(file)
            files.append(file)
        collection.add(files)
    collection.delete([3, 50, 51])
    for limit in (20_000, 10):
        monkeypatch.setattr("crossbit.search.duplicates.ALL_PAIRS_BELOW", limit)
        monkeypatch.setattr("crossbit.search.duplicates.NEIGHBOURS", 120)
        groups = collection.duplicates(threshold=0.98, look=64)
        rows = {item.id: collection.snapshot.embeddings(item.id)[0][0] for item in collection}
        cosine = {
            (a, b): float(rows[a] @ rows[b] / np.linalg.norm(rows[a]) / np.linalg.norm(rows[b]))
            for a in rows
            for b in rows
        }
        grouped = [item for group in groups for item in (group.kept.id, *(twin.item.id for twin in group.twins))]
        assert len(grouped) == len(set(grouped))
        assert groups
        for group in groups:
            for twin in group.twins:
                assert twin.similarity == pytest.approx(cosine[group.kept.id, twin.item.id], abs=1e-4)
                assert twin.similarity >= 0.98
        followers = {twin.item.id for group in groups for twin in group.twins}
        for a in rows:
            for b in rows:
                if a < b and cosine[a, b] >= 0.9801:
                    assert a in followers or b in followers, (a, b)


def test_an_empty_collection_has_none(tmp_path: Path, model: FakeModel) -> None:
    assert Collection.create(tmp_path / "c", model).duplicates() == []


def _stripes(path: Path, *, turned: bool = False, size: int = 64, bright: float = 1.0) -> Path:
    """A picture that goes from dark to light, or from light to dark: of one mean colour, and nothing alike to look at."""
    ramp = np.tile(np.linspace(20, 200, size), (size, 1)) * bright
    ramp = ramp[:, ::-1] if turned else ramp
    Image.fromarray(np.stack([ramp] * 3, axis=2).astype(np.uint8)).save(path)
    return path


def test_the_files_are_looked_at(tmp_path: Path) -> None:
    """The fake model knows colours only; the look tells pictures apart that it cannot, and joins what was made smaller."""
    collection = Collection.create(tmp_path / "c", FakeModel())
    files = [_stripes(tmp_path / "a.png"), _stripes(tmp_path / "smaller.png", size=32)]
    collection.add([*files, _stripes(tmp_path / "turned.png", turned=True)])
    assert len(collection.duplicates(look=64)[0].twins) == 2
    assert names(collection.duplicates()) == [("a.png", [("smaller.png", False)])]
    assert names(collection.duplicates(look=0, threshold=0.5)) == [("a.png", [("smaller.png", False)])]
    (tmp_path / "smaller.png").unlink()  # where one is gone, the embedding decides alone
    (tmp_path / "turned.png").unlink()
    assert len(collection.duplicates()[0].twins) == 2
    with pytest.raises(UsageError, match="look is 65"):
        collection.duplicates(look=65)
