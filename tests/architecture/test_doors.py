"""Each heavy dependency has one door: the files that may import it, and whether only when a function runs."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from architecture.sources import PACKAGE, Import, _walk, files, imports, module_of

AT_ONCE = {
    "torch": ("batch.py", "nn/", "encoders/", "methods/", "strategies/", "testing/", "training/", "data/loader.py"),
    "accelerate": ("training/",),
    "transformers": ("encoders/pretrained.py",),
    "onnxruntime": ("encoders/",),
    "onnx": ("encoders/",),
    "tokenizers": ("encoders/",),
    "PIL": ("media/",),
    "resvg_py": ("media/",),
    "av": ("media/",),
    "soundfile": ("media/",),
    "lancedb": ("search/store.py",),
    "lance": ("search/store.py",),
    "pymilvus": ("search/engines/milvus.py",),
    "typer": ("cli/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "pydantic": ("config.py", "server/"),
    "fastapi": ("server/",),
    "h5py": (),
    "faiss": (),
    "usearch": (),
    "matplotlib": ("evaluation/compare.py", "evaluation/reliability.py"),
}
LATE = {
    "torch": ("model.py", "heads.py", "cli/fit.py", "cli/claims.py", "cli/doctor.py"),
    "onnxruntime": ("model.py",),
    "onnx": ("model.py",),
    "faiss": ("search/engines/hnsw.py", "search/exchange/faiss_files.py"),  # graphs; files of its own
    "usearch": ("search/exchange/usearch_files.py",),
    "tokenizers": ("model.py",),
    "h5py": ("data/formats/matfile.py",),  # of the extra `mat`: only files of MATLAB 7.3 need it
}
"""Also allowed there, but only inside a function: what trains or measures, and the doctor that looks whether torch runs."""


def broken(found: Import) -> str | None:
    """Say what is wrong with an import, or None."""
    package, path = found.module.split(".")[0], found.path.relative_to(PACKAGE).as_posix()
    if package not in AT_ONCE or found.typing:
        return None
    doors = AT_ONCE[package] + (LATE.get(package, ()) if found.late else ())
    return None if path.startswith(doors) else f"{found}, whose door is {', '.join(doors)}"


def test_heavy_dependencies_come_through_their_doors() -> None:
    assert [message for found in imports() if (message := broken(found))] == []


@pytest.mark.parametrize(
    ("path", "line", "wrong"),
    [
        ("metrics/x.py", "import torch", True),
        ("metrics/x.py", "from torch import nn", True),
        ("metrics/x.py", "if TYPE_CHECKING:\n    import torch", False),
        ("model.py", "import torch", True),
        ("model.py", "def f():\n    import torch", False),
        ("search/collection.py", "import lancedb", True),
        ("search/store.py", "import lancedb", False),
        ("encoders/text.py", "import transformers", True),
    ],
)
def test_the_test_can_fail(path: str, line: str, wrong: bool) -> None:
    assert [bool(broken(found)) for found in _walk(PACKAGE / path, ast.parse(line), False, False)] == [wrong]


def loaded_after(program: str) -> set[str]:
    """Run a program in a fresh interpreter and give the names of the packages that it has loaded."""
    program += "\nimport sys; print('\\n'.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_and_listing_cost_nothing() -> None:
    loaded = loaded_after("import crossbit; assert 'conse' in crossbit.list_methods()")
    assert "crossbit" in loaded
    assert loaded.isdisjoint({"torch", "numpy", *AT_ONCE})


WITHOUT_TORCH = (
    "heads",
    "modelcard",
    "media",
    "codes",
    "metrics",
    "cascade",
    "config",
    "data",
    "encoders",
    "model",
    "evaluation",
    "search",
    "cli",
)


def test_everything_on_the_way_to_an_answer_imports_without_torch() -> None:
    behind = {
        f.path for f in imports() if f.module.split(".")[0] in ("torch", "transformers") and not (f.late or f.typing)
    }
    behind |= {PACKAGE / "data" / "loader.py", PACKAGE / "cli" / "fit.py"}  # both serve training, nothing else
    names = [
        module_of(path)
        for path in files()
        if path not in behind and path.relative_to(PACKAGE).parts[0].removesuffix(".py") in WITHOUT_TORCH
    ]
    program = "\n".join(f"import {name}" for name in names)
    assert loaded_after(program).isdisjoint({"torch", "transformers", "accelerate"})
