"""Packages are fetched by their client, checked by hash and unpacked once; whatever is wrong is named with its remedy."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from crossbit.data.picto import packages
from crossbit.data.picto.packages import PACKAGES, fetch, missing_client, unpacked
from crossbit.errors import ManifestError
from data.picto.made_archives import fake_client, package_of, tar_of

DATA = tar_of({"package/package.json": b'{"version": "1.0.0"}'})


@pytest.fixture
def thing(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packages, "PACKAGES", {"thing": package_of(DATA)})
    return own_cache


def handing_out(data: bytes, archive: str = "thing-1.0.0.tgz") -> str:
    return f"open({archive!r}, 'wb').write({data!r})"


def test_it_is_fetched_once_and_unpacked_once(thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_client(tmp_path / "bin", monkeypatch, handing_out(DATA))
    folder = unpacked("thing", progress=False)
    assert (folder / "package" / "package.json").read_bytes() == b'{"version": "1.0.0"}'
    assert unpacked("thing", progress=False) == folder
    assert fetch("thing", progress=False).read_bytes() == DATA
    assert calls.read_text() == "pack thing@1.0.0 --silent\n"
    assert [path.name for path in thing.rglob(".partial-*")] == []


def test_a_folder_of_downloads_serves_a_machine_without_the_client(
    thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_client("thing") == "npm"
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thing-1.0.0.tgz").write_bytes(DATA)
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "there"))
    assert missing_client("thing") is None
    assert fetch("thing", progress=False) == tmp_path / "there" / "thing-1.0.0.tgz"


def test_a_missing_client_is_named_with_the_way_round(
    thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ManifestError, match="client `npm` of Node.js is not on this machine") as error:
        fetch("thing", progress=False)
    assert "npm pack thing@1.0.0" in error.value.hint
    assert packages.FOLDER_VARIABLE in error.value.hint


def test_an_archive_that_was_cut_short(thing: Path) -> None:
    (thing / "downloads").mkdir(parents=True)
    (thing / "downloads" / "thing-1.0.0.tgz").write_bytes(DATA[:-40])
    with pytest.raises(ManifestError, match=f"{len(DATA) - 40} bytes, expected {len(DATA)}: it was cut short") as error:
        unpacked("thing", progress=False)
    assert "delete the file" in error.value.hint


def test_another_content_under_the_same_name(thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tar_of({"package/package.json": b'{"version": "1.0.0", "evil": "much longer than the real one was"}'})
    fake_client(tmp_path / "bin", monkeypatch, handing_out(other))
    with pytest.raises(ManifestError, match=r"sha256 [0-9a-f]{16}…, expected .* of thing 1\.0\.0"):
        fetch("thing", progress=False)
    assert not (thing / "downloads" / "thing-1.0.0.tgz").exists()


def test_another_version_than_pinned(thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_client(tmp_path / "bin", monkeypatch, handing_out(DATA, "thing-2.0.0.tgz"))
    with pytest.raises(ManifestError, match=r"gave thing-2\.0\.0\.tgz, expected thing-1\.0\.0\.tgz") as error:
        fetch("thing", progress=False)
    assert "1.0.0 is the version that was tested" in error.value.hint


def test_a_client_that_fails_is_quoted(thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_client(tmp_path / "bin", monkeypatch, "print('a\\nno such version', file=sys.stderr); sys.exit(7)")
    with pytest.raises(ManifestError, match="ended with 7: no such version"):
        fetch("thing", progress=False)


def test_a_full_disk(thing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_client(tmp_path / "bin", monkeypatch, handing_out(DATA))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packages, "extract", full)
    with pytest.raises(ManifestError, match="disk of .* is full, expected room for about") as error:
        unpacked("thing", progress=False)
    assert "CROSSBIT_CACHE" in error.value.hint


def test_the_table_names_archives_as_the_clients_write_them() -> None:
    assert PACKAGES["noto"].archive == "iconify-json-noto-1.2.9.tgz"
    assert PACKAGES["clipart"].archive == "openclipart-svg_1%3a0.18+dfsg-19_all.deb"
    assert PACKAGES["clipart"].command == ("apt-get", "download", "openclipart-svg=1:0.18+dfsg-19")
    assert all(len(package.sha256) == 64 and package.size > 1_000_000 for package in PACKAGES.values())
