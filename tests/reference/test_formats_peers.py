"""Folders and tars that `datasets` and `webdataset` write are read, and they read ours: where the two are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossbit.data import formats
from crossbit.data.formats.content import content
from crossbit.data.formats.hf import of_dataset
from data.formats.made import COLOURS, PICTURES, manifest, pictures, png

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("default")]  # their warnings are not ours


def rows(datasets: Any, folder: Path, split: str) -> Any:
    names = [name for name, (its, _) in PICTURES.items() if its == split]
    columns = {
        "image": [str(folder / f"{name}.png") for name in names],
        "caption": [list(PICTURES[name][1]) for name in names],
        "label": names,
    }
    features = {
        "image": datasets.Image(),
        "caption": datasets.Sequence(datasets.Value("string")),
        "label": datasets.ClassLabel(names=list(PICTURES)),
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def test_what_datasets_saves_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pictures(tmp_path / "pictures")
    splits = {"train": "train", "validation": "val", "test": "test"}
    made = {theirs: rows(datasets, tmp_path / "pictures", ours) for theirs, ours in splits.items()}
    datasets.DatasetDict(made).save_to_disk(tmp_path / "saved", num_shards={"train": 2, "validation": 1, "test": 1})
    assert formats.detect(tmp_path / "saved") == "hf"
    assert formats.validate("hf", tmp_path / "saved").problems == ()
    found = formats.read("hf", tmp_path / "saved")
    got = {item.labels[0]: (item.split, tuple(caption.text for caption in item.captions)) for item in found}
    assert got == PICTURES
    for item in found:
        assert content(found, item) == png(COLOURS[item.labels[0]])


def test_a_data_set_in_memory_is_read_as_it_was_mapped(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pictures(tmp_path / "pictures")
    chosen = rows(datasets, tmp_path / "pictures", "train").filter(lambda row: row["caption"][0].startswith("grass"))
    (item,) = of_dataset(chosen, tmp_path / "saved")
    assert [caption.text for caption in item.captions] == list(PICTURES["green"][1])


def test_what_webdataset_writes_is_read(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.TarWriter(str(tmp_path / "train-000.tar")) as writer:
        for name, (_, texts) in PICTURES.items():
            record = {"captions": list(texts), "width": 4}
            writer.write({"__key__": name, "png": png(COLOURS[name]), "txt": texts[0], "json": record, "cls": 7})
    assert formats.validate("webdataset", tmp_path / "train-000.tar").problems == ()
    found = formats.read("webdataset", tmp_path / "train-000.tar")
    assert {i.id: tuple(c.text for c in i.captions) for i in found} == {n: texts for n, (_, texts) in PICTURES.items()}
    assert {(item.labels, item.split, item.metadata["width"]) for item in found} == {(("7",), "train", 4)}
    assert [content(found, item) for item in found] == [png(COLOURS[item.id]) for item in found]


def test_webdataset_reads_our_tars(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    formats.write("webdataset", formats.read("manifest", manifest(tmp_path / "toy")), tmp_path / "toy.tar")
    found = {sample["__key__"]: sample for sample in wds.WebDataset(str(tmp_path / "toy.tar"), shardshuffle=False)}
    assert set(found) == set(PICTURES)
    for name, (_, texts) in PICTURES.items():
        assert found[name]["png"] == png(COLOURS[name])
        assert found[name]["txt"].decode().splitlines() == list(texts)
