"""Hugging Face data sets: what their features say, media that lie beside, cells, and what a damaged one is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossbit.data import formats
from crossbit.data.formats.arrow import batches, cell, schema_of
from crossbit.data.formats.content import content
from crossbit.data.formats.hf import of_dataset
from crossbit.data.manifest import Caption
from crossbit.errors import ManifestError
from data.formats.made import PICTURES, hf_saved, png

MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def shard(path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **how)
    return path


def pictures(*colours: int) -> pa.Array:
    return pa.array([{"bytes": png((colour, 0, 0)), "path": None} for colour in colours], MEDIA)


def test_a_translation_is_captions_by_language(tmp_path: Path) -> None:
    columns = {"image": pictures(1), "translation": [{"en": "a dog", "de": "ein Hund", "fr": None}]}
    (item,) = formats.read("hf", shard(tmp_path / "train.parquet", columns))
    assert item.captions == (Caption("a dog"), Caption("ein Hund", "de"))
    assert (item.id, item.split) == ("train-0", "train")


def test_class_labels_become_names(tmp_path: Path) -> None:
    names = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    columns = {"image": pictures(1, 2), "text": ["x", "y"], "label": [1, 0], "coarse": [[0, 1], []]}
    features = {"image": {"_type": "Image"}, "label": names, "coarse": {"feature": names, "_type": "List"}}
    first, second = formats.read("hf", shard(tmp_path / "a.parquet", columns, features))
    assert (first.labels, second.labels) == (("dog",), ("cat",))
    assert (first.metadata["coarse"], second.metadata["coarse"]) == (["cat", "dog"], [])


def test_captions_as_lists_of_objects_and_a_split_of_its_own(tmp_path: Path) -> None:
    """As the published copies of COCO and Flickr30k have it: all rows in `test`, the true split in a column."""
    sentences = [[{"raw": "a dog", "sentid": 1}, {"raw": "a cat", "sentid": 2}]]
    columns = {"image": pictures(1), "sentences": sentences, "split": ["restval"], "img_id": [17]}
    (item,) = formats.read("hf", shard(tmp_path / "data" / "test-00000-of-00001.parquet", columns).parent)
    assert item.captions == (Caption("a dog"), Caption("a cat"))
    assert (item.id, item.split) == ("17", "restval")


def test_sounds_are_told_by_the_features(tmp_path: Path) -> None:
    columns = {"audio": pa.array([{"bytes": b"RIFF", "path": "x"}], MEDIA), "text": ["rain"]}
    path = shard(tmp_path / "a.parquet", columns, {"audio": {"_type": "Audio"}})
    (item,) = formats.read("hf", path)
    assert item.modality == "audio"
    assert item.metadata == {"column": "audio", "row": 0, "member": "x"}


def test_media_that_lie_beside_the_shard(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(png((1, 2, 3)))
    columns = {"image": pa.array([{"bytes": None, "path": "pics/a.png"}], MEDIA), "text": ["x"]}
    manifest = formats.read("hf", shard(tmp_path / "a.parquet", columns))
    assert manifest.items[0].path == "pics/a.png"
    assert content(manifest, manifest.items[0]) == png((1, 2, 3))


@pytest.mark.parametrize("path", ["pics/none.png", "../out.png", "/etc/hostname", None])
def test_a_cell_that_holds_nothing(tmp_path: Path, path: str | None) -> None:
    (tmp_path / "out.png").write_bytes(b"x")
    columns = {"image": pa.array([{"bytes": None, "path": path}], MEDIA), "text": ["x"]}
    file = shard(tmp_path / "set" / "a.parquet", columns)
    with pytest.raises(ManifestError, match="row 0: column 'image' holds neither bytes nor the path of a file"):
        formats.read("hf", file)


def test_plain_bytes_and_the_column_that_is_named(tmp_path: Path) -> None:
    columns = {"thumb": [b"small"], "jpg": [png((9, 9, 9))], "text": ["x"]}
    path = shard(tmp_path / "a.parquet", columns)
    manifest = formats.read("hf", path, column="jpg")
    assert content(manifest, manifest.items[0]) == png((9, 9, 9))
    assert "thumb" not in manifest.items[0].metadata
    assert content(formats.read("hf", path), formats.read("hf", path).items[0]) == b"small"
    with pytest.raises(ManifestError, match="has no column 'png', it has thumb, jpg, text"):
        formats.read("hf", path, column="png")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_cells_of_many_groups(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    table = pa.table({"n": list(range(2500)), "s": [str(n) for n in range(2500)]})
    if suffix == ".parquet":
        pq.write_table(table, path, row_group_size=700)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            for batch in table.to_batches(700):
                writer.write_batch(batch)
    assert schema_of(path).names == ["n", "s"]
    assert [cell(path, "n", row) for row in (0, 699, 700, 2499, 1)] == [0, 699, 700, 2499, 1]
    assert cell(path, "s", 1400) == "1400"
    assert [value for batch in batches(path, ["s"]) for value in batch["s"].to_pylist()] == table["s"].to_pylist()
    for row in (-1, 2500):
        with pytest.raises(ManifestError, match="has 2500 rows"):
            cell(path, "n", row)
    with pytest.raises(ManifestError, match="has no column 'x', expected one of n, s"):
        cell(path, "x", 0)


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": [1]}), path)
    assert cell(path, "n", 0) == 1
    pq.write_table(pa.table({"n": [7, 8]}), path)
    assert cell(path, "n", 1) == 8


def test_a_place_that_leads_nowhere(tmp_path: Path) -> None:
    from dataclasses import replace

    manifest = formats.read("hf", shard(tmp_path / "a.parquet", {"image": pictures(1), "text": ["x"]}))
    item = manifest.items[0]
    spots: list[tuple[dict[str, Any], str]] = [
        ({"row": 3}, "has 1 rows"),
        ({"row": "0"}, "row '0' leads nowhere"),
        ({"column": "text"}, "holds no bytes"),
    ]
    for spot, said in spots:
        with pytest.raises(ManifestError, match=said):
            content(manifest, replace(item, metadata={**item.metadata, **spot}))


def test_a_data_set_in_memory_is_saved_and_read(tmp_path: Path) -> None:
    class Toy:
        def save_to_disk(self, dataset_path: str) -> None:
            hf_saved(Path(dataset_path))

    manifest = of_dataset(Toy(), tmp_path / "toy", language="fr")
    assert [item.id for item in manifest] == list(PICTURES)
    assert manifest.languages == ("fr",)
    with pytest.raises(ManifestError, match="holds files already"):
        of_dataset(Toy(), tmp_path / "toy")


def test_a_folder_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"neither state\.json, dataset_dict\.json nor \*\.parquet is there"):
        formats.read("hf", tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(ManifestError, match=r"state\.json: no such file, expected the list of the shards"):
        formats.read("hf", tmp_path)
