"""What one format writes and reads again, and every way from a format that is written to another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossbit.data import formats
from crossbit.data.formats.content import content, safe_name
from crossbit.data.formats.gather import one_line
from crossbit.data.formats.losses import as_file, inside
from crossbit.data.formats.precomp import rows
from crossbit.data.formats.webdataset import key_of
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError
from data.formats.made import COLOURS, PICTURES, manifest, png

HARD = [
    "a, b",
    'say "no"',
    "'",
    "tab\there",
    "two\nlines",
    "cr\r\nlf",
    "שלום, עולם",
    "مرحبا",
    "❄️🏳️‍🌈",
    "[sic]",
    '["x"]',
    "{}",
    "NULL",
]
TEXT = st.one_of(
    st.sampled_from(HARD),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
).filter(lambda text: bool(one_line(text)))
NAME = st.text("abz019 ._-%/é字", min_size=1, max_size=10).filter(lambda text: text == text.strip())
CAPTIONS = st.lists(
    st.builds(Caption, TEXT, st.sampled_from(["en", "de", "zh", "pt-BR"]), st.sampled_from(["caption", "name"])),
    max_size=4,
).map(tuple)
ITEMS = st.builds(
    Item,
    id=NAME,
    path=st.just(""),  # given below
    modality=st.sampled_from(["image", "video"]),
    captions=CAPTIONS,
    labels=st.lists(st.text("ab;[ ", min_size=1, max_size=4).filter(str.strip), max_size=3).map(tuple),
    split=st.sampled_from(["", "train", "val", "test", "query"]),
    concept=st.sampled_from(["", "c:1,2"]),
    source=st.sampled_from(["", "here"]),
    licence=st.sampled_from(["", "MIT"]),
    start=st.sampled_from([None, 0.0, 0.1]),
    end=st.sampled_from([None, 2.5]),
    metadata=st.dictionaries(
        st.sampled_from(["year", "size", "row", "member"]), st.integers() | TEXT | st.lists(TEXT), max_size=3
    ),
)
SPLITS = {"", "train", "val", "test", "query"}


def sound(items: list[Item], root: Path) -> Manifest:
    """Give each item a file of its own, and keep a concept in one split."""
    made = []
    for number, item in enumerate(items):
        (root / f"{number}.png").write_bytes(png((number, 0, 0)))
        made.append(replace(item, path=f"{number}.png", concept=item.concept and f"{item.concept}{item.split}"))
    return Manifest("toy", root, tuple(made))


def plain(captions: tuple[Caption, ...]) -> tuple[Caption, ...]:
    return tuple(replace(caption, text=one_line(caption.text)) for caption in captions)


MANY = given(st.lists(ITEMS, min_size=1, max_size=4, unique_by=lambda item: item.id))
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("suffix", [".jsonl", ".arrow"])
@MANY
@FEW
def test_a_manifest_holds_everything(tmp_path_factory: pytest.TempPathFactory, suffix: str, items: list[Item]) -> None:
    root = tmp_path_factory.mktemp("m")
    given = sound(items, root)
    assert formats.write("manifest", given, root / f"toy{suffix}") == []
    assert formats.read("manifest", root / f"toy{suffix}") == given


@pytest.mark.parametrize("name", ["csv", "tsv", "jsonl", "parquet"])
@MANY
@FEW
def test_tables_hold_everything_but_line_breaks(
    tmp_path_factory: pytest.TempPathFactory, name: str, items: list[Item]
) -> None:
    root = tmp_path_factory.mktemp("t")
    given = sound(items, root)
    lost = formats.write(name, given, root / f"toy.{name}")
    found = formats.read(name, root / f"toy.{name}", bare=True)
    assert found == replace(given, items=tuple(replace(item, captions=plain(item.captions)) for item in given))
    assert any("line breaks" in said for said in lost) == (found != given)
    assert any("no caption" in said for said in lost) == any(not item.captions for item in given)


@MANY
@FEW
def test_tars_hold_everything_and_the_media(tmp_path_factory: pytest.TempPathFactory, items: list[Item]) -> None:
    root = tmp_path_factory.mktemp("w")
    given = sound(items, root)
    formats.write("webdataset", given, root / "tars", per_tar=2)
    found = formats.read("webdataset", root / "tars", bare=True)
    by_id = {item.id: item for item in found}
    assert set(by_id) == {item.id for item in given}
    for item in given:
        # a name that says where in the tar an item lies is the tar's, whatever it was before
        kept = {name: value for name, value in item.metadata.items() if name not in ("member", "size")}
        assert as_file(by_id[item.id], item.path) == replace(item, captions=plain(item.captions), metadata=kept)
        assert content(found, by_id[item.id]) == (root / item.path).read_bytes()


@MANY
@FEW
def test_folders_hold_media_captions_and_splits(tmp_path_factory: pytest.TempPathFactory, items: list[Item]) -> None:
    root = tmp_path_factory.mktemp("f")
    given = sound([replace(item, split="" if item.split == "query" else item.split) for item in items], root)
    formats.write("folder", given, root / "out")
    found = {item.id: item for item in formats.read("folder", root / "out", bare=True)}
    assert len(found) == len(given)
    for item in given:
        prefix = f"{item.split}/" if item.split else ""
        name = prefix + safe_name(item.id.removeprefix(prefix))
        # `cat.de.png` would be taken for the German of `cat.png`, so such a name loses its dots
        other = found[name] if name in found else found[name.replace(".", "%2E")]
        # captions stand by language there; within one they keep their order
        for lang in {caption.lang for caption in item.captions}:
            texts = [one_line(caption.text) for caption in item.captions if caption.lang == lang]
            assert [caption.text for caption in other.captions if caption.lang == lang] == texts
        assert (root / "out" / other.path).read_bytes() == (root / item.path).read_bytes()


@given(st.lists(CAPTIONS.filter(len), min_size=1, max_size=4), st.sampled_from(["karpathy", "precomp"]))
@FEW
def test_formats_of_one_language_keep_its_captions(
    tmp_path_factory: pytest.TempPathFactory, captions: list[tuple[Caption, ...]], name: str
) -> None:
    root = tmp_path_factory.mktemp("k")
    spoken = [tuple(replace(caption, lang="de", kind="caption") for caption in each) for each in captions]
    items = [Item(f"i{n}", "", captions=each, split="val") for n, each in enumerate(spoken)]
    given = sound(items, root)
    given = replace(given, items=tuple(replace(item, id=Path(item.path).stem) for item in given))
    features = np.arange(len(given) * 6, dtype=np.float32).reshape(len(given), 2, 3)
    np.save(root / "f.npy", features)
    options: dict[str, Any] = {"features": root / "f.npy"} if name == "precomp" else {}
    target = root / ("pre" if name == "precomp" else "toy.json")
    lost = formats.write(name, given, target, **options)
    assert any("language 'de'" in said for said in lost)
    found = formats.read(name, target, **({"language": "de"} if name == "precomp" else {}))
    texts = [[one_line(caption.text) for caption in item.captions] for item in given]
    assert [[caption.text for caption in item.captions] for item in found] == texts
    assert [(item.id, item.split) for item in found] == [(item.id, "val") for item in given]
    if name == "precomp":
        np.testing.assert_array_equal(rows(found, found), features)


@given(NAME, NAME)
def test_names_of_two_ids_differ_and_stay_inside(one: str, other: str) -> None:
    for name in (safe_name, key_of):
        assert (name(one) == name(other)) == (one == other)
        parts = name(one).split("/")
        assert all(parts)
        assert not any(part.startswith(".") for part in parts)
    assert "." not in key_of(one)


WRITTEN = {"manifest": "a.jsonl", "karpathy": "a.json", "csv": "a.csv", "tsv": "a.tsv", "jsonl": "rows.jsonl"}
WRITTEN |= {"parquet": "a.parquet", "webdataset": "tars", "folder": "folder", "precomp": "precomp"}


def converted(source: Manifest, name: str, folder: Path) -> Manifest:
    options: dict[str, Any] = {}
    if name == "precomp" and not any(item.path.endswith(".npy") for item in source):
        np.save(folder / "features.npy", np.arange(len(source), dtype=np.float32)[:, None])
        options["features"] = folder / "features.npy"
    path = folder / WRITTEN[name]
    formats.convert(source, path, name, copy="copy", **options)
    return formats.read(name, path)


@pytest.mark.parametrize("first", formats.WRITERS)
@pytest.mark.parametrize("second", formats.WRITERS)
def test_every_way_from_one_to_another(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    through = converted(formats.read("manifest", manifest(tmp_path / "toy")), first, tmp_path / "one")
    if first == "precomp" and second != "precomp":
        # there are no pictures in it that could be listed or packed
        with pytest.raises(ManifestError, match="is a row of features"):
            converted(through, second, tmp_path / "two")
        return
    found = converted(through, second, tmp_path / "two")
    got = {item.id.rpartition("/")[2]: (item.split, tuple(c.text for c in item.captions)) for item in found}
    assert got == PICTURES
    for item in found:
        if second == "precomp":
            assert inside(item)
        else:
            assert content(found, item) == png(COLOURS[item.id.rpartition("/")[2]])
