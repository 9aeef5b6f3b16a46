"""The hashing sets: the same twelve pairs through every layout and version, splits drawn, arrays given back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from crossbit.data import formats
from crossbit.data.formats.content import content
from crossbit.data.formats.hashing import SETS, drawn_splits, rows
from crossbit.data.formats.matfile import opened
from crossbit.data.manifest import Manifest
from crossbit.errors import ManifestError
from crossbit.evaluation import protocol_of
from data.formats import made_benchmarks as made

ARRAYS = made.hashing_arrays()


def read(name: str, path: Path, **options: Any) -> Manifest:
    return formats.read(name, path, counts=False, **options)


def problems(name: str, path: Path, **options: Any) -> list[tuple[str, str]]:
    found = formats.validate(name, path, media_files=False, **{"counts": False, **options}).problems
    return [(Path(problem.where).name, problem.message) for problem in found]


def labels_of(pair: int) -> tuple[str, ...]:
    return tuple(f"label:{column}" for column in range(made.LABELS) if (pair + column) % 8 == 0)


def words_of(pair: int) -> list[str]:
    words = " ".join(f"t{word}" for word in range(made.WORDS) if (pair * 3 + word) % 4 == 0)
    return [words] if words and pair != 3 else []


@pytest.mark.parametrize("maker", [made.dcmh, made.dcmh_one_file])
def test_whole_sets_are_read_and_cut(tmp_path: Path, maker: made.Maker) -> None:
    manifest = read("mirflickr25k", maker(tmp_path), **made.DRAW)
    assert [item.id for item in manifest] == [f"mirflickr25k-{pair:02}" for pair in range(12)]
    for pair, item in enumerate(manifest):
        assert item.labels == labels_of(pair)
        assert [caption.text for caption in item.captions] == words_of(pair)
        assert {caption.kind for caption in item.captions} <= {"tags"}
        assert item.metadata["drawn"] == "query 3, train 4, seed 0"
    assert Counter(item.split for item in manifest) == {"query": 3, "train": 4, "retrieval": 5}


def test_pictures_come_back_upright(tmp_path: Path) -> None:
    manifest = read("mirflickr25k", made.dcmh(tmp_path), **made.DRAW)
    order = [manifest.items[pair] for pair in (7, 0, 11)]
    np.testing.assert_array_equal(rows(manifest, order), ARRAYS["I"][[7, 0, 11]].astype(np.float32))
    np.testing.assert_array_equal(rows(manifest, order, "text"), ARRAYS["Y"][[7, 0, 11]].astype(np.float32))


def test_pictures_in_arrays_are_no_files(tmp_path: Path) -> None:
    manifest = read("mirflickr25k", made.dcmh(tmp_path), **made.DRAW)
    with pytest.raises(ManifestError, match="is a row of features"):
        content(manifest, manifest.items[0])


def test_words_and_labels_get_their_names(tmp_path: Path) -> None:
    path = made.dcmh(tmp_path / "set")
    words = made.text(tmp_path / "tags.txt", *(f"word {n}" for n in range(made.WORDS)))
    classes = made.text(tmp_path / "classes.txt", *(f"class {n}" for n in range(made.LABELS)))
    item = read("mirflickr25k", path, words=words, classes=classes, **made.DRAW).items[0]
    assert item.captions[0].text == "word 0 word 4"
    assert item.labels == ("class 0", "class 8", "class 16")
    made.text(words, "too", "few")
    with pytest.raises(ManifestError, match=r"tags\.txt: 2 names, expected 7"):
        read("mirflickr25k", path, words=words, **made.DRAW)


@pytest.mark.parametrize("version", [5, 7])
def test_cut_sets_keep_their_parts_and_no_pair_twice(tmp_path: Path, version: int) -> None:
    manifest = read("iaprtc12", made.cut(tmp_path, version))
    assert [item.id for item in manifest] == [
        *(f"iaprtc12-query-{row}" for row in range(3)),
        *(f"iaprtc12-train-{row}" for row in range(4)),
        *(f"iaprtc12-retrieval-{row}" for row in range(4, 9)),  # rows 0 to 3 are the training pairs
    ]
    assert [item.labels for item in manifest] == [labels_of(pair) for pair in range(12)]
    features = np.linspace(-1, 1, 72).reshape(12, 6)
    np.testing.assert_allclose(rows(manifest, manifest.items), features, rtol=1e-6)
    assert not any("drawn" in item.metadata for item in manifest)


def test_raw_sets_have_sentences_and_names_of_files(tmp_path: Path) -> None:
    manifest = read("coco-hashing", made.raw(tmp_path / "coco"), media=tmp_path / "pictures", **made.DRAW)
    assert manifest.root == tmp_path / "pictures"
    assert [item.path for item in manifest] == [f"im{pair:02}.jpg" for pair in range(12)]
    assert [[c.text for c in item.captions] for item in manifest.items[:2]] == [
        ["only of 0"],
        ["first of 1", "second of 1"],
    ]
    assert {c.kind for item in manifest for c in item.captions} == {"caption"}
    assert [item.labels for item in manifest] == [labels_of(pair) for pair in range(12)]


def test_names_of_files_in_version_73(tmp_path: Path) -> None:
    names = [f"im{n}é.jpg" for n in range(12)]
    made.version73(tmp_path / "mirflickr25k-fall.mat", {"FAll": names})
    made.version73(tmp_path / "mirflickr25k-lall.mat", {"LAll": ARRAYS["L"]})
    made.version73(tmp_path / "mirflickr25k-yall.mat", {"YAll": ARRAYS["Y"]})
    manifest = read("mirflickr25k", tmp_path, **made.DRAW)
    assert [item.path for item in manifest] == names
    np.testing.assert_array_equal(rows(manifest, manifest.items, "text"), ARRAYS["Y"].astype(np.float32))
    with pytest.raises(ManifestError, match="is no row of images"):
        rows(manifest, manifest.items)


def test_features_of_text_are_no_words(tmp_path: Path) -> None:
    dense = np.linspace(-1, 1, 12 * 7).reshape(12, 7)
    scipy.io.savemat(tmp_path / "iapr.mat", {"XAll": dense, "YAll": dense, "LAll": ARRAYS["L"]})
    manifest = read("iaprtc12", tmp_path / "iapr.mat", **made.DRAW)
    assert not any(item.captions for item in manifest)
    np.testing.assert_allclose(rows(manifest, manifest.items, "text"), dense, rtol=1e-6)


@pytest.mark.parametrize("turn", [False, True])
def test_either_side_may_hold_the_pairs_and_matrices_may_be_sparse(tmp_path: Path, turn: bool) -> None:
    stored = {"XAll": np.ones((12, 5)), "YAll": ARRAYS["Y"], "LAll": ARRAYS["L"]}
    stored = {name: array.T if turn else array for name, array in stored.items()}
    stored["YAll"] = scipy.sparse.csc_matrix(stored["YAll"])
    scipy.io.savemat(tmp_path / "mirflickr.mat", stored)
    manifest = read("mirflickr25k", tmp_path / "mirflickr.mat", **made.DRAW)
    assert [item.labels for item in manifest] == [labels_of(pair) for pair in range(12)]
    assert [[c.text for c in item.captions] for item in manifest] == [words_of(pair) for pair in range(12)]


def test_the_protocol_searches_what_does_not_ask(tmp_path: Path) -> None:
    manifest = read("mirflickr25k", made.dcmh(tmp_path), **made.DRAW)
    plan = protocol_of("hashing").plan(manifest, "query")
    (case,) = plan.cases
    assert len(case.images) == 3
    assert len(case.image_gallery) == 9
    assert {plan.items[row].split for row in case.image_gallery} == {"train", "retrieval"}


@given(
    count=st.integers(3, 300),
    query=st.floats(0.01, 0.5),
    train=st.floats(0.01, 0.49),
    seed=st.integers(0, 1000),
)
def test_draws_have_their_sizes_and_repeat(count: int, query: float, train: float, seed: int) -> None:
    asked, trained = int(count * query), int(count * train)
    found = drawn_splits(count, asked, trained, seed)
    assert Counter(found) == Counter(query=asked, train=trained, retrieval=count - asked - trained)
    assert found == drawn_splits(count, asked, trained, seed)


def test_seeds_draw_differently() -> None:
    assert drawn_splits(1000, 100, 500, 0) != drawn_splits(1000, 100, 500, 1)


@pytest.mark.parametrize(
    ("name", "pairs", "tags", "labels", "query", "train"),
    [
        # Jiang and Li, Deep Cross-Modal Hashing, CVPR 2017, section 4.1
        ("mirflickr25k", 20_015, 1_386, 24, 2_000, 10_000),
        ("iaprtc12", 20_000, 2_912, 255, 2_000, 10_000),
        ("nuswide21", 195_834, 1_000, 21, 2_100, 10_500),
        ("nuswide10", 186_577, 1_000, 10, 2_000, 10_000),
        ("coco-hashing", 122_218, 2_026, 80, 2_000, 10_000),
    ],
)
def test_published_numbers(name: str, pairs: int, tags: int, labels: int, query: int, train: int) -> None:
    found = SETS[name]
    assert (found.pairs, found.tags, found.labels, found.query, found.train) == (pairs, tags, labels, query, train)


def test_other_numbers_are_problems(tmp_path: Path) -> None:
    assert [message for _, message in problems("mirflickr25k", made.dcmh(tmp_path), counts=True, **made.DRAW)] == [
        "12 pairs, expected 20,015, as published for mirflickr25k",
        "7 tags, expected 1,386, as published for mirflickr25k",
    ]


def test_a_set_that_is_too_small_to_draw_from_is_a_problem(tmp_path: Path) -> None:
    (found,) = problems("mirflickr25k", made.dcmh(tmp_path))
    assert found == ("mirflickr25k-lall.mat", "12 pairs, expected more than 2,000 that ask and 10,000 to train on")


def test_arrays_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = made.dcmh(tmp_path)
    scipy.io.savemat(path / "mirflickr25k-yall.mat", {"YAll": ARRAYS["Y"][:9]})
    ((_, message),) = problems("mirflickr25k", path, **made.DRAW)
    assert message == "YAll has shape (9, 7), expected a side of 12, a row a pair"
    (path / "mirflickr25k-lall.mat").unlink()
    ((_, message),) = problems("mirflickr25k", path, **made.DRAW)
    assert message.endswith("arrays IAll, YAll, expected labels, and pictures or names of picture files")


def test_labels_are_zeros_and_ones(tmp_path: Path) -> None:
    path = made.dcmh(tmp_path)
    labels = ARRAYS["L"].copy()
    labels[5, 2] = 3
    scipy.io.savemat(path / "mirflickr25k-lall.mat", {"LAll": labels})
    assert problems("mirflickr25k", path, **made.DRAW) == [
        ("mirflickr25k-lall.mat", "pair 5: labels from 0 to 3, expected 0 or 1")
    ]


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    path = made.raw(tmp_path / "coco")
    names = np.array(["../../etc/passwd", "C:\\pictures\\b.jpg", *(f"sub/im{n}.jpg" for n in range(2, 12))], object)
    scipy.io.savemat(path / "index.mat", {"index": names})
    assert problems("coco-hashing", path, **made.DRAW) == [
        ("index.mat", "pair 0: file name ['../../etc/passwd'], expected one name")
    ]
    manifest = formats.read("coco-hashing", path, drop_faulty=True, counts=False, **made.DRAW)
    assert [item.path for item in manifest.items[:2]] == ["b.jpg", "sub/im2.jpg"]


@pytest.mark.parametrize("name", ["mirflickr25k-iall.mat", "mirflickr25k-lall.mat", "mirflickr25k-yall.mat"])
def test_files_that_are_cut_or_strange_are_named(tmp_path: Path, name: str) -> None:
    path = made.dcmh(tmp_path)
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[: len(whole) - len(whole) // 4])
    ((_, message),) = problems("mirflickr25k", path, **made.DRAW)
    assert message.startswith("cannot be read")
    (path / name).write_bytes(b"PK\x03\x04 a zip file")
    ((file, message),) = problems("mirflickr25k", path, **made.DRAW)
    assert (file, message.split(", expected")[0]) == (name, r"begins with b'PK\x03\x04 a zip f'")


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path: Path) -> None:
    import h5py

    secret = made.version73(tmp_path / "secret.mat", {"LAll": ARRAYS["L"]})
    path = tmp_path / "set.mat"
    with h5py.File(path, "w") as file:
        file["IAll"] = ARRAYS["I"]
        file["LAll"] = h5py.ExternalLink(str(secret), "LAll")
        file["YAll"] = h5py.SoftLink("/IAll")
        layout = h5py.VirtualLayout(shape=(24, 12), dtype="f8")
        layout[:] = h5py.VirtualSource(str(secret), "LAll", shape=(24, 12))
        file.create_virtual_dataset("labels", layout)
        file.create_dataset("L", (12, 24), "u1", external=[(str(secret), 0, 288)])
    with opened([path]) as variables:
        assert list(variables) == ["IAll"]


def test_cells_lead_to_no_other_file(tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret.txt"
    secret.write_bytes("not for you".encode("utf-16-le"))
    with h5py.File(tmp_path / "set.mat", "w") as file:
        letters = file.create_dataset("#refs#/a", (11, 1), "u2", external=[(str(secret), 0, 22)])
        cells = file.create_dataset("FAll", (1, 1), dtype=h5py.ref_dtype)
        cells[0, 0] = letters.ref
    with (
        opened([tmp_path / "set.mat"]) as variables,
        pytest.raises(ManifestError, match="holds in a cell what is no text"),
    ):
        variables["FAll"].texts()


def test_arrays_too_large_are_refused_before_they_are_read(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "bomb.mat", "w") as file:
        file.create_dataset("YAll", (2_000_000_000, 12), "f8", chunks=(1000, 12), compression="gzip")
        file.create_dataset("XAll", (12, 5), "f8", maxshape=(None, None), chunks=(40_000, 5_000), compression="gzip")
        file["LAll"] = ARRAYS["L"].T
    with opened([tmp_path / "bomb.mat"]) as variables:
        with pytest.raises(ManifestError, match=r"YAll has [0-9]+ MB in one read"):
            variables["YAll"].rows(0, 12, 0)
        with pytest.raises(ManifestError, match="XAll has 1525 MB in one piece"):
            variables["XAll"].rows(0, 12, 1)


def test_rows_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = made.dcmh(tmp_path / "set")
    manifest = read("mirflickr25k", path, **made.DRAW)
    scipy.io.savemat(path / "mirflickr25k-yall.mat", {"YAll": ARRAYS["Y"][:9]})
    with pytest.raises(ManifestError, match=r"YAll has shape \(9, 7\), expected 12 rows"):
        rows(manifest, manifest.items, "text")
    with pytest.raises(ManifestError, match="expected a file below"):
        rows(Manifest("toy", tmp_path / "set" / "inner", manifest.items), [_moved(manifest)])


def _moved(manifest: Manifest) -> Any:
    from dataclasses import replace

    item = manifest.items[0]
    place = item.metadata["image_array"] | {"file": "../mirflickr25k-iall.mat"}
    return replace(item, metadata=item.metadata | {"image_array": place})
