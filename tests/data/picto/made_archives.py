"""Small archives as npm and Debian make them, and clients that hand them out."""

from __future__ import annotations

import hashlib
import io
import stat
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from crossbit.data.picto.packages import Package


def tar_of(files: Mapping[str, bytes], mode: str = "w:gz", links: Mapping[str, str] | None = None) -> bytes:
    """A tar file in memory; a link's value is where it leads."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, goal in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, goal
            tar.addfile(member)
    return made.getvalue()


def deb_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None, data_name: str = "data.tar.xz") -> bytes:
    """A Debian package: an ar archive with three members."""
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": tar_of({"./control": b"Package: x\n"}),
        data_name: tar_of(files, "w:xz", links),
    }
    made = b"!<arch>\n"
    for name, data in members.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        made += head.encode() + data + b"\n" * (len(data) % 2)
    return made


def package_of(data: bytes, archive: str = "thing-1.0.0.tgz", version: str = "1.0.0") -> Package:
    return Package("npm", "thing", version, archive, hashlib.sha256(data).hexdigest(), len(data))


def fake_client(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str, name: str = "npm") -> Path:
    """Put a program of that name first on the path; it runs `body` and notes that it was called."""
    folder.mkdir(parents=True, exist_ok=True)
    program, calls = folder / name, folder / "calls"
    noted = f"open({str(calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')"
    program.write_text(f"#!{sys.executable}\nimport sys\n{noted}\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    return calls
