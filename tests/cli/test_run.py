"""What a training run is asked to do: file, words and flags; short keys; a folder is neither overwritten nor mixed up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crossbit.cli.fit import settings_for
from crossbit.cli.run import FILE, Run, check_folder, read_run, resolve_run, resolved
from crossbit.config import load_yaml, write_resolved
from crossbit.errors import ConfigError
from crossbit.methods.vsepp import VSEPP
from crossbit.training.loop import TrainingConfig

ENCODERS = {"image": "efficientnet-lite0", "text": "e5-small"}


def settings(*words: str, config: Path | None = None, **flags: Any) -> dict[str, Any]:
    run = read_run(config, words, flags)
    return resolved(run, *resolve_run(run), ENCODERS)


def test_a_method_alone_takes_the_small_preset_and_the_loop_that_suits_it() -> None:
    run = read_run(None, ["vsepp"], {})
    assert run == Run("vsepp")
    assert resolve_run(run) == (VSEPP.Config.small(), settings_for("vsepp"))


def test_the_paper_preset() -> None:
    assert resolve_run(read_run(None, ["vsepp", "preset=paper"], {})) == (VSEPP.Config(), TrainingConfig())


def test_file_then_words_then_flags(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "method: vsepp\nseed: 1\nlanguages: [en]\ntraining: {epochs: 3, clip: 1}\nmethod_config: {margin: 0.3}\n"
    )
    run = read_run(
        path, ["seed=2", "epochs=4", "margin=0.1", "training.batch_size=8"], {"seed": 3, "languages": ["de", "no"]}
    )
    method, loop = resolve_run(run)
    assert (run.method, run.seed, run.languages) == ("vsepp", 3, ("de", "no"))
    assert method.margin == 0.1
    assert (loop.epochs, loop.clip, loop.batch_size, loop.seed) == (4, 1.0, 8, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no method is named"),
        (["vsepp", "fgcmh"], "found 'fgcmh' after the method 'vsepp'"),
        (["vsepp", "epoch=1"], "`epoch` does not exist\n\nhint: did you mean `epochs`?"),
        (["vsepp", "training.epoch=1"], "`training.epoch` does not exist\n\nhint: did you mean `epochs`?"),
        (["vsepp", "epochs=1.5"], "`training.epochs` is 1.5, expected a whole number"),
        (["vsepp", "margin=wide"], "`method_config.margin` is 'wide', expected a number"),
        (["vsepp", "preset=large"], "`preset` is 'large', expected one of 'small' or 'paper'"),
        (["vsepp", "training.seed=1"], "`training.seed` is set, expected the seed beside `training`"),
        (["vsepq"], "did you mean 'vsepp'?"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_run(read_run(None, words, {}))
    assert message in str(caught.value)


def test_file_and_line_must_agree_on_the_method(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("method: vsepp\n")
    with pytest.raises(ConfigError, match="trains `vsepp`, the line says `fgcmh`"):
        read_run(path, ["fgcmh"], {})


def test_what_is_resolved_can_be_fed_back(tmp_path: Path) -> None:
    first = settings("vsepp", "epochs=2", "margin=0.25", seed=5)
    path = write_resolved(tmp_path / FILE, first)
    assert settings(config=path) == first
    assert load_yaml(path)["training"]["learning_rate"] == settings_for("vsepp").learning_rate
    assert settings("vsepp", "epochs=9", config=path)["training"]["epochs"] == 9


def used(folder: Path, values: Mapping[str, Any]) -> Path:
    write_resolved(folder / FILE, values)
    return folder


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = used(tmp_path / "run", settings("vsepp"))
    with pytest.raises(ConfigError, match="holds a run already") as caught:
        check_folder(folder, settings("vsepp"), resume=False)
    assert "--resume" in caught.value.hint
    check_folder(tmp_path / "new", settings("vsepp"), resume=False)
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty", settings("vsepp"), resume=False)


def test_a_run_goes_on_with_its_own_settings_only(tmp_path: Path) -> None:
    folder = used(tmp_path / "run", settings("vsepp", "epochs=3"))
    check_folder(folder, settings("vsepp", "epochs=3"), resume=True)
    check_folder(tmp_path / "none yet", settings("vsepp"), resume=True)
    with pytest.raises(ConfigError, match=r"was started with training.epochs=3, asked to go on with 4"):
        check_folder(folder, settings("vsepp", "epochs=4"), resume=True)
