"""Every file in configs/ can be read, and its method built."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.cli.run import read_run, resolve_run
from crossbit.model import method_class

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_builds_its_method(path: Path) -> None:
    run = read_run(path, (), {})
    config, training = resolve_run(run)
    method = method_class(run.method)(config, {"image": (1280, 1280), "text": (384, 384)})
    assert sum(parameter.numel() for parameter in method.parameters()) > 0
    assert training.epochs > 0


def test_there_are_configs() -> None:
    assert CONFIGS
