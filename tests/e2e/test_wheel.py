"""The wheel, not the checkout: built from a copy of the sources, installed into an empty venv, and used there.

The venv has no packages of its own but the wheel; the dependencies are those of the running interpreter, seen through a path
file. Path files inside that folder are not followed, so the editable install of the checkout stays out of sight.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE")


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a program in a folder that has nothing to do with the checkout, and give what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**inherited, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that no build folder is left in the checkout or taken from it."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", copy, folder=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the `bin` folder of a venv that has the wheel and nothing else of its own."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=home)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home).strip())
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_wheel_holds_every_module_and_all_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "crossbit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".so", ".pyd", ".c", ".h")
    }
    built = {name for name in names if ".dist-info/" not in name}
    assert {name for name in built if not name.endswith((".so", ".pyd", ".c", ".h"))} == sources
    if shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]):
        assert "crossbit/codes/_hamming.abi3.so" in built
    information = {name.partition(".dist-info/")[2] for name in names - sources}
    assert {"licenses/LICENSE", "licenses/NOTICE", "entry_points.txt", "METADATA"} <= information


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    place, version = run(
        installed / "python",
        "-c",
        "import crossbit; print(crossbit.__file__); print(crossbit.__version__)",
        folder=tmp_path,
    ).split()
    assert Path(place).is_relative_to(installed.parent.resolve())
    assert not Path(place).is_relative_to(ROOT)
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_package_data_come_along(installed: Path, tmp_path: Path) -> None:
    program = "from crossbit.data.imagenet import imagenet_classes; print(imagenet_classes()[954].names[0])"
    assert run(installed / "python", "-c", program, folder=tmp_path).strip() == "banana"


def test_commands_run(installed: Path, tmp_path: Path) -> None:
    methods = run(installed / "crossbit", "methods", folder=tmp_path)
    assert all(name in methods for name in ("clip", "conse", "fgcmh", "vsepp"))
    assert "0.1.0" in run(
        installed / "crossbit", "doctor", folder=tmp_path, CROSSBIT_CACHE=os.environ["CROSSBIT_CACHE"]
    )


def test_a_folder_is_indexed_and_searched_by_the_heads_that_it_carries(installed: Path, tmp_path: Path) -> None:
    """With an empty cache: model and collection are made by the wheel alone."""
    for name, colour in (("sun", "yellow"), ("night", "black"), ("sea", "blue")):
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).ellipse((8, 8, 56, 56), fill=colour)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        picture.save(tmp_path / "pictures" / f"{name}.png")
    cache = str(tmp_path / "cache")
    added = run(installed / "crossbit", "index", "pictures", folder=tmp_path, CROSSBIT_CACHE=cache)
    assert added.startswith("3 added")
    found = run(
        installed / "crossbit", "search", "the sun", "-c", "pictures", "--json", folder=tmp_path, CROSSBIT_CACHE=cache
    )
    assert all(f"{name}.png" in found for name in ("sun", "night", "sea"))
    assert [path.name.partition("-")[0] for path in (tmp_path / "cache" / "models").iterdir()] == ["base"]
