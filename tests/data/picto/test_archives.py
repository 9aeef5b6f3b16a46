"""Archives are unpacked whole or refused: no member may lead out, be a device, or ask for all of the disk."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from crossbit.data.picto import archives
from crossbit.data.picto.archives import extract
from crossbit.errors import ManifestError
from data.picto.made_archives import deb_of, tar_of


def unpack(data: bytes, folder: Path) -> Path:
    (folder / "archive").write_bytes(data)
    (folder / "out").mkdir()
    extract(folder / "archive", folder / "out", progress=False)
    return folder / "out"


def test_a_tar_and_a_debian_package_give_their_files(tmp_path: Path) -> None:
    files = {"usr/share/a.txt": b"one", "usr/share/deep/b.txt": b"two"}
    for name, data in (("tar", tar_of(files)), ("deb", deb_of(files, {"usr/share/c.txt": "deep/b.txt"}))):
        (tmp_path / name).mkdir()
        out = unpack(data, tmp_path / name)
        assert (out / "usr/share/a.txt").read_bytes() == b"one"
        assert (out / "usr/share/deep/b.txt").read_bytes() == b"two"
    assert (out / "usr/share/c.txt").is_symlink()
    assert (out / "usr/share/c.txt").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_member_that_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="leads out of the archive"):
        unpack(tar_of({"ok": b"1", name: b"2"}), tmp_path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("goal", ["../../evil", "/etc/passwd"])
def test_a_link_that_leads_out(tmp_path: Path, goal: str) -> None:
    with pytest.raises(ManifestError, match="leads out of the archive"):
        unpack(tar_of({"ok": b"1"}, links={"deep/link": goal}), tmp_path)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, "b"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("a/file"))  # would be written to b, were the link made first
    with pytest.raises((ManifestError, OSError)):
        unpack(data.getvalue(), tmp_path)
    assert not (tmp_path / "out" / "b").exists()


def test_a_device_is_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        pipe = tarfile.TarInfo("pipe")
        pipe.type = tarfile.FIFOTYPE
        tar.addfile(pipe)
    with pytest.raises(ManifestError, match="'pipe' is no file, folder or link inside"):
        unpack(data.getvalue(), tmp_path)


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_MEMBERS"])
def test_more_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(archives, limit, 2)
    with pytest.raises(ManifestError, match="given up"):
        unpack(tar_of({"a": b"1", "b": b"2", "c": b"3"}), tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tar_of({"a": b"x" * 5000})[:-30], "cannot be unpacked"),
        (b"no archive at all", "cannot be unpacked"),
        (deb_of({"a": b"x" * 5000})[:-40], "cut short in data.tar.xz"),
        (deb_of({"a": b"1"}, data_name="data.tar.zst"), "its data is data.tar.zst"),
        (b"!<arch>\n" + b"debian-binary   " + b"?" * 44, "a damaged Debian package"),
        (b"!<arch>\n", "no data.tar in it"),
    ],
    ids=["cut tar", "text", "cut deb", "zstd", "damaged", "empty"],
)
def test_what_is_no_whole_archive(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        unpack(data, tmp_path)
