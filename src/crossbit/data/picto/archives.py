"""Unpack a .tgz or .deb from elsewhere: what its members may be is checked before anything is written."""

from __future__ import annotations

import io
import lzma
import os
import posixpath
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from crossbit.errors import ManifestError

MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 100_000
_AR_HEAD = 60


def extract(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Write the files of an archive below a folder; links that stay inside come last, so nothing is written through one.

    Args:
        archive: a tar file, compressed or not, or a Debian package, whose data member is read without `dpkg`.
        folder: exists and is empty.
        progress: show a bar.

    Raises:
        ManifestError: no such archive, cut short, a member that leads out of the folder or is no file, or more than
            4 GiB or 100,000 members: a small archive can ask for any amount of disk.
    """
    with archive.open("rb") as file:
        data = _debian_data(file, archive) if file.read(8) == b"!<arch>\n" else _rewound(file)
        try:
            with tarfile.open(fileobj=data, mode="r:*") as tar:
                _write_members(tar, archive, folder, progress)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise ManifestError(
                f"{archive}: cannot be unpacked ({error}), expected a whole archive",
                "delete the file and fetch it again",
            ) from error


def _write_members(tar: tarfile.TarFile, archive: Path, folder: Path, progress: bool) -> None:
    links: list[tuple[str, str]] = []
    total = 0
    bar = tqdm(tar, desc=f"unpack {archive.name[:40]}", unit="file", disable=None if progress else True)
    for number, member in enumerate(bar, start=1):
        name = _inside(member.name, archive)
        total += member.size
        if number > MAX_MEMBERS or total > MAX_BYTES:
            raise ManifestError(f"{archive}: more than {MAX_MEMBERS:,} members or {MAX_BYTES:,} bytes, given up")
        if member.isdir():
            (folder / name).mkdir(parents=True, exist_ok=True)
        elif member.isfile():
            source = tar.extractfile(member)
            assert source is not None
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        elif member.issym():
            goal = _inside(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)), archive)
            links.append((name, os.path.relpath(goal, posixpath.dirname(name) or ".")))
        else:
            raise ManifestError(
                f"{archive}: member {member.name!r} is no file, folder or link inside, expected only these"
            )
    for name, goal in links:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(goal)


def _inside(name: str, archive: Path) -> str:
    """Give a member's plain relative name."""
    plain = posixpath.normpath(name)
    if "\0" in name or posixpath.isabs(plain) or ".." in PurePosixPath(plain).parts:
        raise ManifestError(f"{archive}: member {name!r} leads out of the archive, expected a path inside")
    return plain


def _rewound(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _debian_data(file: IO[bytes], archive: Path) -> IO[bytes]:
    """Give the `data.tar` of a Debian package, an `ar` archive whose members stand behind one another with 60-byte heads."""
    while len(head := file.read(_AR_HEAD)) == _AR_HEAD:
        name = head[:16].decode("ascii", "replace").rstrip(" /")
        try:
            size = int(head[48:58])
        except ValueError as error:
            raise ManifestError(f"{archive}: a damaged Debian package, expected a size at {name!r}") from error
        if name.startswith("data.tar"):
            if name.endswith(".zst"):
                raise ManifestError(
                    f"{archive}: its data is {name}, expected .xz or .gz",
                    "fetch the version that Debian itself carries",
                )
            data = file.read(size)
            if len(data) < size:
                raise ManifestError(f"{archive}: cut short in {name}", "delete the file and fetch it again")
            return io.BytesIO(data)
        file.seek(size + size % 2, os.SEEK_CUR)
    raise ManifestError(
        f"{archive}: no data.tar in it, expected a Debian package", "delete the file and fetch it again"
    )
