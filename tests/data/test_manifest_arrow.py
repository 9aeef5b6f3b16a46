"""Arrow manifests: what is filtered while reading is what is filtered afterwards, and damage is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.data.manifest_arrow import schema, write_items
from crossbit.errors import ManifestError

ITEMS = st.lists(
    st.builds(
        Item,
        id=st.uuids().map(str),
        path=st.just("a.png"),
        modality=st.sampled_from(["image", "video", "audio"]),
        captions=st.lists(
            st.builds(Caption, st.sampled_from(["cat", "Katze", "猫"]), st.sampled_from(["en", "de", "zh"])), max_size=4
        ).map(tuple),
        split=st.sampled_from(["train", "test"]),
        source=st.sampled_from(["noto", "stamps"]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda item: item.id,
)
FIRST = Item("1", "a.png", captions=(Caption("cat"), Caption("Katze", "de")), split="train", source="noto")


@given(items=ITEMS, split=st.none() | st.sampled_from(["train", "test"]), language=st.sampled_from(["en", "zh"]))
def test_filtering_while_reading_is_filtering_afterwards(
    tmp_path_factory: pytest.TempPathFactory, items: list[Item], split: str | None, language: str
) -> None:
    path = tmp_path_factory.mktemp("m") / "toy.arrow"
    whole = Manifest("toy", path.parent, tuple(items))
    whole.write(path)
    asked = {"split": split, "languages": [language], "sources": ["noto"]}
    try:
        expected = whole.select(**asked)  # type: ignore[arg-type]
    except ManifestError:
        with pytest.raises(ManifestError):
            Manifest.read(path, **asked)  # type: ignore[arg-type]
    else:
        assert Manifest.read(path, **asked) == expected  # type: ignore[arg-type]


def test_both_formats_have_one_fingerprint(tmp_path: Path) -> None:
    items = tuple(replace(FIRST, id=str(n), metadata={"n": n, "é": [1.5]}) for n in range(5000))  # several batches
    for suffix in ("jsonl", "arrow"):
        Manifest("toy", tmp_path, items).write(tmp_path / f"toy.{suffix}")
    read = [Manifest.read(tmp_path / f"toy.{suffix}") for suffix in ("jsonl", "arrow")]
    assert read[0].items == read[1].items == items
    assert read[0].fingerprint == read[1].fingerprint


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"split": "val"}, r"no items in split 'val'"),
        ({"languages": ["fr"]}, r"no captions in \['fr'\]"),
        ({"sources": ["noto", "clipart"]}, r"no items from \['clipart'\]"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "arrow"])
def test_what_is_not_there_is_named(tmp_path: Path, suffix: str, asked: dict[str, object], said: str) -> None:
    path = tmp_path / f"toy.{suffix}"
    Manifest("toy", tmp_path, (FIRST,)).write(path)
    with pytest.raises(ManifestError, match=said):
        Manifest.read(path, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(("offsets", "text"), [((0, 5, 2), b"abcde"), ((0, 1, 2), b"a\xff")])
def test_offsets_and_text_that_are_damaged_are_named(tmp_path: Path, offsets: tuple[int, ...], text: bytes) -> None:
    path = tmp_path / "toy.arrow"
    Manifest("toy", tmp_path, (FIRST, replace(FIRST, id="b"))).write(path)
    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
    buffers = [None, pa.py_buffer(np.array(offsets, np.int32).tobytes()), pa.py_buffer(text)]
    broken = pa.Array.from_buffers(pa.string(), 2, buffers)
    columns = [broken if name == "id" else batch.column(name) for name in batch.schema.names]
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema()) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema()))
    with pytest.raises(ManifestError, match=r"toy\.arrow: not a whole Arrow file"):
        Manifest.read(path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "toy.arrow"
    Manifest("toy", tmp_path, (FIRST,)).write(path)
    whole = path.read_bytes()
    for damaged in (b"", b"something else", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ManifestError, match=r"toy\.arrow: not a whole Arrow file"):
            Manifest.read(path)


def test_a_file_of_others_and_a_newer_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.arrow"
    newer = schema().with_metadata({b"crossbit.manifest": b"2"})
    for found, said in ((pa.schema({"a": pa.string()}), "other columns"), (newer, "is of version 2")):
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, found):
            pass
        with pytest.raises(ManifestError, match=said):
            Manifest.read(path)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (replace(FIRST, path=""), "item '1': field 'path' is ''"),
        (replace(FIRST, modality="smell"), "item '1': modality 'smell'"),  # type: ignore[arg-type]
        (replace(FIRST, captions=(Caption(" "),)), "item '1': a caption has no text"),
    ],
)
def test_a_record_at_fault_is_named(tmp_path: Path, item: Item, said: str) -> None:
    write_items([item], tmp_path / "toy.arrow")
    with pytest.raises(ManifestError, match=said):
        Manifest.read(tmp_path / "toy.arrow")


def test_ids_that_stand_twice_are_named(tmp_path: Path) -> None:
    write_items([FIRST, FIRST], tmp_path / "toy.arrow")
    with pytest.raises(ManifestError, match="id '1' stands twice"):
        Manifest.read(tmp_path / "toy.arrow")


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    def items() -> object:
        yield FIRST
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_items(items(), tmp_path / "toy.arrow")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
