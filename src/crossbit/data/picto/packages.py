"""The packages that `picto` is made of: pinned, fetched through their ordinary clients, checked by hash, unpacked with care.

    fetch("noto")      npm pack @iconify-json/noto@1.2.9          -> downloads/iconify-json-noto-1.2.9.tgz
    fetch("stamps")    apt-get download tuxpaint-stamps-default=… -> downloads/tuxpaint-stamps-default_….deb
    unpacked("noto")                                              -> data/picto-packages/iconify-json-noto-1.2.9/

An archive that lies in the folder named by `CROSSBIT_DOWNLOADS` is taken from there, checked in the same way, so that a machine
without one of the clients or without a network can be served by another.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from crossbit.cachedir import cache_dir, scratch_folder
from crossbit.data.picto.archives import extract
from crossbit.errors import ManifestError

FOLDER_VARIABLE = "CROSSBIT_DOWNLOADS"
TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Package:
    """One archive of a registry, in the one version that was tested.

    Args:
        client: who fetches it.
        name: in its registry.
        version: as the client writes it.
        archive: the file's name, as the client writes it.
        sha256: of the archive.
        size: of the archive in bytes.
    """

    client: Literal["npm", "apt-get"]
    name: str
    version: str
    archive: str
    sha256: str
    size: int

    @property
    def command(self) -> tuple[str, ...]:
        """Give the client's command that puts the archive into the current folder."""
        if self.client == "npm":
            return ("npm", "pack", f"{self.name}@{self.version}", "--silent")
        return ("apt-get", "download", f"{self.name}={self.version}")


def _npm(name: str, version: str, sha256: str, size: int) -> Package:
    archive = f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"
    return Package("npm", name, version, archive, sha256, size)


def _apt(name: str, version: str, sha256: str, size: int) -> Package:
    return Package("apt-get", name, version, f"{name}_{version.replace(':', '%3a')}_all.deb", sha256, size)


PACKAGES: Mapping[str, Package] = {
    "noto": _npm(
        "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad", 3_102_958
    ),
    "twemoji": _npm(
        "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7", 1_555_888
    ),
    "openmoji": _npm(
        "@iconify-json/openmoji",
        "1.2.29",
        "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5",
        1_264_633,
    ),
    "fluent-flat": _npm(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        1_172_438,
    ),
    "fluent-3d": _npm(
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
        14_323_330,
    ),
    "cldr": _npm(
        "cldr-annotations-full", "48.2.0", "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1", 6_537_823
    ),
    "emojibase": _npm(
        "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a", 6_711_091
    ),
    "clips-1": _npm(
        "@lobehub/fluent-emoji-anim-1",
        "1.0.0",
        "4c03ac178c1eabf2e2a16dd498f3cc2b92dc30ec3466ae38fdc497d4774c99ea",
        164_966_217,
    ),
    "clips-2": _npm(
        "@lobehub/fluent-emoji-anim-2",
        "1.0.0",
        "e431da8172e394036c330faa77648d6fbbae1fd3b0be95637c4497c9075019c0",
        181_915_962,
    ),
    "clips-3": _npm(
        "@lobehub/fluent-emoji-anim-3",
        "1.0.0",
        "3624d0c34c819c1794b74ccf6ae9034adff7c4cb6318dd2a645145f0196feb43",
        197_000_910,
    ),
    "clips-4": _npm(
        "@lobehub/fluent-emoji-anim-4",
        "1.0.0",
        "3d4c08f1e321f70808ef4996aba0ab575a9d97b6c56ffffc92cf6161a7836aa3",
        185_915_894,
    ),
    "stamps": _apt(
        "tuxpaint-stamps-default",
        "2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        160_880_444,
    ),
    "clipart": _apt(
        "openclipart-svg",
        "1:0.18+dfsg-19",
        "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
        24_919_068,
    ),
}
_CLIENT_FROM = {"npm": "Node.js", "apt-get": "Debian or Ubuntu"}


def missing_client(name: str) -> str | None:
    """Name the client that a package needs and this machine lacks; None when the package can be fetched or lies here."""
    package = PACKAGES[name]
    if any(path.is_file() for path in _places(package)) or _unpacked_folder(package).is_dir():
        return None
    return None if shutil.which(package.client) else package.client


def fetch(name: str, *, progress: bool = True) -> Path:
    """Give a package's archive, fetched when it is not there yet, and checked against its hash in any case.

    Raises:
        ManifestError: the client is missing or failed, the archive is not the pinned one, or the disk is full.
    """
    package = PACKAGES[name]
    for place in _places(package):
        if place.is_file():
            check(package, place)
            return place
    if shutil.which(package.client) is None:
        raise ManifestError(
            f"{name}: the client `{package.client}` of {_CLIENT_FROM[package.client]} is not on this machine, expected it "
            f"to fetch {package.name} {package.version}",
            f"install it, or fetch {package.archive} elsewhere with `{' '.join(package.command)}` and name its folder in "
            f"{FOLDER_VARIABLE}",
        )
    target = _downloads() / package.archive
    scratch = None
    try:
        scratch = scratch_folder(_downloads())
        fetched = _run(name, package, scratch, progress)
        check(package, fetched)
        fetched.replace(target)
    except OSError as error:
        raise disk_fault(name, error, package.size) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def unpacked(name: str, *, progress: bool = True) -> Path:
    """Give the folder with a package's contents, unpacked when that was not done yet.

    Raises:
        ManifestError: as `fetch`; or the archive holds what it should not, such as a path that leads out of its folder.
    """
    package = PACKAGES[name]
    folder = _unpacked_folder(package)
    if folder.is_dir():
        return folder
    archive = fetch(name, progress=progress)
    scratch = None
    try:
        scratch = scratch_folder(folder.parent)
        extract(archive, scratch, progress=progress)
        scratch.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process was quicker
            return folder
        raise disk_fault(name, error, 4 * package.size) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def check(package: Package, archive: Path) -> None:
    """Compare an archive with the pinned size and hash.

    Raises:
        ManifestError: it is cut short, or another file.
    """
    size = archive.stat().st_size
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == package.sha256:
        return
    if size < package.size:
        raise ManifestError(
            f"{archive}: {size:,} bytes, expected {package.size:,}: it was cut short",
            "delete the file and prepare again; what is there already is kept",
        )
    raise ManifestError(
        f"{archive}: sha256 {found[:16]}…, expected {package.sha256[:16]}… of {package.name} {package.version}",
        f"delete the file and fetch the pinned version: `{' '.join(package.command)}`",
    )


def disk_fault(name: str, error: OSError, needed: int) -> ManifestError:
    """Say what a failed write means and what helps."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ManifestError(
            f"{name}: the disk of {cache_dir()} is full, expected room for about {needed / 1e6:,.0f} MB more",
            "make room, or name a folder on another disk in CROSSBIT_CACHE; what is there already is kept",
        )
    return ManifestError(
        f"{name}: {error.filename or cache_dir()}: {error.strerror or error}, expected to write there",
        "name a folder that can be written in CROSSBIT_CACHE",
    )


def _run(name: str, package: Package, folder: Path, progress: bool) -> Path:
    """Run the client in an empty folder and give what it fetched."""
    what = f"{package.name} {package.version}"
    with tqdm(desc=f"fetch {what}", total=1, unit="archive", disable=None if progress else True) as bar:
        try:
            done = subprocess.run(
                package.command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ManifestError(
                f"{name}: `{' '.join(package.command)}` was not done after {TIMEOUT_S:g} s, given up",
                "try again when the network is quicker; packages that are there are kept",
            ) from error
        bar.update()
    if done.returncode == 0 and (folder / package.archive).is_file():
        return folder / package.archive
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    if found:
        raise ManifestError(
            f"{name}: `{package.client}` gave {found[0]}, expected {package.archive}",
            f"{what} is the version that was tested; name a folder that holds it in {FOLDER_VARIABLE}",
        )
    said = (done.stderr or done.stdout).strip().splitlines()
    refresh = ", after `apt-get update`" if package.client == "apt-get" else ""
    raise ManifestError(
        f"{name}: `{' '.join(package.command)}` ended with {done.returncode}: {said[-1] if said else 'it said nothing'}",
        f"try again{refresh}; when the registry has no {what} any more, name a folder that holds {package.archive} "
        f"in {FOLDER_VARIABLE}",
    )


def _places(package: Package) -> tuple[Path, ...]:
    own = os.environ.get(FOLDER_VARIABLE)
    return (*((Path(own).expanduser() / package.archive,) if own else ()), _downloads() / package.archive)


def _downloads() -> Path:
    return cache_dir() / "downloads"


def _unpacked_folder(package: Package) -> Path:
    return (
        cache_dir() / "data" / "picto-packages" / Path(package.archive.removesuffix(".tgz").removesuffix(".deb")).name
    )
