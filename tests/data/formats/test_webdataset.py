"""Tars: patterns, splits, several media a key, JSON of other tools, and tars that are cut anywhere."""

from __future__ import annotations

import json
import logging
import tarfile
from pathlib import Path

import pytest

from crossbit.data import formats
from crossbit.data.formats.content import content
from crossbit.data.manifest import Caption
from crossbit.errors import ManifestError
from data.formats.made import png, tar

RED = png((255, 0, 0))


def three(path: Path) -> Path:
    members = [
        (f"{n}.{kind}", RED if kind == "png" else f"number {n}".encode()) for n in range(3) for kind in ("png", "txt")
    ]
    return tar(path, members)


def test_offsets_lead_to_the_bytes_without_tarfile(tmp_path: Path) -> None:
    path = three(tmp_path / "a.tar")
    manifest = formats.read("webdataset", path)
    for item in manifest:
        offset, size = item.metadata["offset"], item.metadata["size"]
        assert path.read_bytes()[offset : offset + size] == RED
        with tarfile.open(path) as opened:
            extracted = opened.extractfile(item.metadata["member"])
            assert extracted is not None
            assert extracted.read() == content(manifest, item)


@pytest.mark.parametrize("end", range(512, 10240, 512))
@pytest.mark.parametrize("more", [0, 100])
def test_a_tar_that_is_cut_is_named_with_its_last_whole_member(
    tmp_path: Path, end: int, more: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each member has a block of header and one of data, so there are 12 blocks, and then zeros up to 10,240 bytes."""
    whole = three(tmp_path / "whole.tar").read_bytes()
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[: end + more])
    names = ["0.png", "0.txt", "1.png", "1.txt", "2.png", "2.txt"]
    sizes = {name: len(RED) if name.endswith("png") else 8 for name in names}
    kept = sum(512 * (2 * n + 1) + sizes[name] <= end + more for n, name in enumerate(names))
    with caplog.at_level(logging.WARNING):
        if kept < 2:
            with pytest.raises(ManifestError):
                formats.read("webdataset", path)
            return
        found = formats.read("webdataset", path, drop_faulty=True)
    # every key with both its members is there
    assert [item.id for item in found] == ["0", "1", "2"][: kept // 2]
    if end + more >= 13 * 512:  # the first block of zeros is whole, so the tar is
        assert caplog.text == ""
        assert len(formats.read("webdataset", path)) == 3
        return
    assert f"{names[kept - 1]!r}" in caplog.text
    with pytest.raises(ManifestError, match=rf"cut\.tar: .*{names[kept - 1]!r}") as raised:
        formats.read("webdataset", path)
    assert "cut" in raised.value.hint


def test_damage_in_the_middle_does_not_pass_for_the_end(tmp_path: Path) -> None:
    path = three(tmp_path / "a.tar")
    raw = bytearray(path.read_bytes())
    raw[4 * 512 : 4 * 512 + 100] = b"\x07" * 100  # the header of the third member
    path.write_bytes(raw)
    with pytest.raises(ManifestError, match=r"no mark of its end after member '0\.txt'"):
        formats.read("webdataset", path)


def test_a_compressed_tar_is_said_to_be_one(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as opened:
        opened.add(__file__, "a.txt")
    with pytest.raises(ManifestError, match=r"a\.tar: no tar that can be read") as raised:
        formats.read("webdataset", tmp_path / "a.tar")
    assert "gunzip" in raised.value.hint


def test_a_link_is_no_member(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as opened:
        info = tarfile.TarInfo("a.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(info)
    with pytest.raises(ManifestError, match=r"member 'a\.png' is no plain file"):
        formats.read("webdataset", tmp_path / "a.tar")


def test_patterns_of_tars(tmp_path: Path) -> None:
    for number in range(3):
        tar(tmp_path / f"train-{number:03}.tar", [(f"{number}.png", RED), (f"{number}.txt", b"x")])
    manifest = formats.read("webdataset", tmp_path / "train-{000..002}.tar")
    assert [(item.id, item.path, item.split) for item in manifest] == [
        (str(n), f"train-00{n}.tar", "train") for n in range(3)
    ]
    assert manifest.name == "train"
    assert len(formats.read("webdataset", tmp_path / "train-{001..002}.tar")) == 2
    with pytest.raises(ManifestError, match=r"1 of 4 tars are missing, the first is train-003\.tar"):
        formats.read("webdataset", tmp_path / "train-{000..003}.tar")
    for pattern in ("train-{a..b}.tar", "{0..1}-{0..1}.tar", "train-{2..1}.tar"):
        with pytest.raises(ManifestError, match="no pattern of tars"):
            formats.read("webdataset", tmp_path / pattern)
    (tmp_path / "none").mkdir()
    with pytest.raises(ManifestError, match="a folder without tars"):
        formats.read("webdataset", tmp_path / "none")


def test_tars_that_all_count_from_zero_need_a_prefix(tmp_path: Path) -> None:
    for name in ("train/0.tar", "val/0.tar"):
        tar(tmp_path / name, [("0.png", RED), ("0.txt", b"x")])
    with pytest.raises(ManifestError, match="item '0' stands twice"):
        formats.read("webdataset", tmp_path)
    found = formats.read("webdataset", tmp_path, prefix=True)
    assert [(item.id, item.split) for item in found] == [("train/0/0", "train"), ("val/0/0", "val")]


def test_what_other_tools_write(tmp_path: Path) -> None:
    """The caption in .txt and again in .json, numbers of their own, a class, more languages, folders, hidden files."""
    record = {"caption": "a dog\nruns", "url": "x", "key": "00017", "width": 4, "split": "val"}
    path = tar(
        tmp_path / "part-0.tar",
        [
            ("._00017.png", b"mac"),
            ("a/00017.png", RED),
            ("a/00017.txt", b"a dog\nruns"),
            ("a/00017.de.txt", b"ein Hund\nnoch einer\n"),
            ("a/00017.json", json.dumps(record).encode()),
            ("a/00017.cls", b"7\n"),
        ],
    )
    (item,) = formats.read("webdataset", path)
    assert item.id == "a/00017"
    assert item.captions == (Caption("a dog runs"), Caption("ein Hund", "de"), Caption("noch einer", "de"))
    assert (item.split, item.labels) == ("val", ("7",))
    spot = {"member": "a/00017.png", "offset": 1536, "size": len(RED)}
    assert item.metadata == {"url": "x", "width": 4, "key": "00017", **spot}


def test_members_of_no_use_are_told_once_a_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    members = [(f"{n}.{kind}", RED) for n in range(3) for kind in ("png", "npy", "x.bin")]
    path = tar(tmp_path / "a.tar", [*members, ("0.caption", b"zero")])
    assert [item.id for item in formats.read("webdataset", path, bare=True, drop_faulty=True)] == ["0", "1", "2"]
    assert caplog.text.count("is neither media nor .txt, .json or .cls, and is not read") == 2
    assert "'0.npy'" in caplog.text
    assert "'0.x.bin'" in caplog.text


def test_a_clip_and_its_sound_are_two_items_of_one_concept(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [("7.mp4", b"clip"), ("7.wav", b"sound"), ("7.txt", b"rain")])
    clip, sound = formats.read("webdataset", path)
    assert (clip.id, clip.modality, clip.concept) == ("7.mp4", "video", "7")
    assert (sound.id, sound.modality, sound.concept) == ("7.wav", "audio", "7")
    assert clip.captions == sound.captions == (Caption("rain"),)


def test_the_same_items_give_the_same_tar(tmp_path: Path) -> None:
    manifest = formats.read("webdataset", three(tmp_path / "in.tar"))
    for name in ("one.tar", "two.tar"):
        formats.write("webdataset", manifest, tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_text_member_may_not_be_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.data.formats.webdataset.LINE_CAP", 10)
    path = tar(tmp_path / "a.tar", [("a.png", RED), ("a.txt", b"x" * 11)])
    with pytest.raises(ManifestError, match=r"member 'a\.txt' has 0 MB"):
        formats.read("webdataset", path)


def test_a_place_that_leads_nowhere(tmp_path: Path) -> None:
    from dataclasses import replace

    manifest = formats.read("webdataset", three(tmp_path / "a.tar"))
    item = manifest.items[0]
    for spot, said in (
        ({"size": 10**6}, "ends inside the item"),
        ({"offset": -1}, "lead nowhere"),
        ({"size": "5"}, "lead nowhere"),
    ):
        with pytest.raises(ManifestError, match=said):
            content(manifest, replace(item, metadata={**item.metadata, **spot}))
