"""What a training run is asked to do: YAML file, words and flags of the line joined into checked settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossbit.cli.show import printable
from crossbit.config import check, load_yaml, override, suggest, to_mapping
from crossbit.data.noise import Noise
from crossbit.data.noise_file import read_noise
from crossbit.errors import ConfigError, FingerprintError

FILE = "config.yaml"
"""The resolved settings, in the run's folder; it can be fed back with `--config`."""


@dataclass(frozen=True)
class Run:
    """What a training file says; everything has a default but the method.

    Args:
        method: a name of `crossbit methods`, or `module:Class`.
        preset: which settings of method and loop to start from: "small" for two cores, or the "paper"'s and the loop's own.
        method_config: the method's settings that differ from the preset.
        data: a name of `crossbit data`, or a manifest.
        languages: of the captions to train on; None takes all.
        encoders: of "image" and "text"; the packaged ones where not named.
        strategy: how pairs are believed; a name of the table, or `module:Class`.
        strategy_config: the strategy's settings that differ from its defaults.
        licences: classes of licence (permissive, share-alike, copyleft) that an item may have; None takes all.
        noise: a noise file; training reads its wrong captions in place of the right ones.
        noise_fingerprint: of that file; filled in when the run starts, and the file must have it when the run is repeated.
        training: settings of the loop that differ from its defaults.
        seed: of everything.
    """

    method: str
    preset: Literal["small", "paper"] = "small"
    method_config: Mapping[str, Any] = field(default_factory=dict)
    data: str = "openmoji"
    languages: tuple[str, ...] | None = None
    encoders: Mapping[str, str] = field(default_factory=dict)
    strategy: str = "plain"
    strategy_config: Mapping[str, Any] = field(default_factory=dict)
    licences: tuple[str, ...] | None = None
    noise: str | None = None
    noise_fingerprint: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


def read_run(config: Path | None, words: Sequence[str], flags: Mapping[str, Any]) -> Run:
    """Join the YAML file, the words of the line and its flags; what comes later wins.

    Raises:
        ConfigError: no method is named, or two; a setting does not exist or does not fit.
    """
    values = load_yaml(config) if config is not None else {}
    names, settings = [word for word in words if "=" not in word], [word for word in words if "=" in word]
    if len(names) > 1:
        raise ConfigError(f"train: found {names[1]!r} after the method {names[0]!r}, expected KEY=VALUE")
    if names and values.get("method", names[0]) != names[0]:
        raise ConfigError(
            f"{config}: trains `{values['method']}`, the line says `{names[0]}`", "leave one of them away"
        )
    method = names[0] if names else values.get("method")
    if not method:
        raise ConfigError("train: no method is named, expected one", "`crossbit methods` lists them")
    merged = {**override(values, _spelled_out(str(method), settings)), "method": method, **flags}
    return check(Run, merged, source=str(config) if config is not None else "")


def resolve_run(run: Run) -> tuple[Any, Any]:
    """Give the settings of the method and of the loop, with every default filled in.

    Raises:
        ConfigError: a setting does not exist or does not fit, or the seed is set in two places.
    """
    from crossbit.cli.fit import settings_for

    method, loop = _settings_of(run.method)
    if "seed" in run.training:
        raise ConfigError("`training.seed` is set, expected the seed beside `training`", "write `seed` instead")
    small = run.preset == "small"
    start, loop_start = (method.small(), settings_for(run.method)) if small else (method(), loop())
    return (
        check(method, {**to_mapping(start), **run.method_config}, prefix="method_config"),
        check(loop, {**to_mapping(loop_start), **run.training, "seed": run.seed}, prefix="training"),
    )


def resolved(run: Run, method: Any, loop: Any, encoders: Mapping[str, str]) -> dict[str, Any]:
    """Spell every setting of a run out, as `config.yaml` holds it."""
    training = {name: value for name, value in to_mapping(loop).items() if name != "seed"}
    return {**to_mapping(run), "method_config": to_mapping(method), "encoders": dict(encoders), "training": training}


def noise_of(run: Run) -> tuple[Run, Noise | None]:
    """Read the noise file of a run, if it has one, and write its fingerprint into the run.

    Raises:
        FingerprintError: the file holds another noise than the run was started with.
        ConfigError: the run has a noise's fingerprint and no file.
        DataError: there is no such file, or it is no noise file.
    """
    if run.noise is None:
        if run.noise_fingerprint is not None:
            raise ConfigError(
                f"`noise_fingerprint` is {run.noise_fingerprint!r}, expected a noise file in `noise` beside it"
            )
        return run, None
    noise = read_noise(Path(run.noise))
    if run.noise_fingerprint not in (None, noise.fingerprint):
        raise FingerprintError(
            f"{printable(run.noise)}: holds noise {noise.fingerprint}, the run was started with {run.noise_fingerprint}",
            "name the old file with `--noise`, or train into another folder without `noise_fingerprint`",
        )
    return dataclasses.replace(run, noise_fingerprint=noise.fingerprint), noise


def check_folder(folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Refuse to overwrite a run, or to go on with other settings than it was started with.

    Raises:
        ConfigError: the message names the folder, or the first setting that differs.
    """
    used = folder.is_dir() and any(folder.iterdir())
    if used and not resume:
        raise ConfigError(
            f"{printable(folder)}: holds a run already, which would be overwritten",
            "go on with `--resume`, or name another place with `--output`",
        )
    if resume and (folder / FILE).is_file():
        before = _flat(load_yaml(folder / FILE))
        now = _flat(settings)
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                raise ConfigError(
                    f"{printable(folder)}: was started with {key}={before.get(key)}, asked to go on with {now.get(key)}",
                    f"resume with its own settings: `crossbit train --config {printable(folder / FILE)} --resume`",
                )


def _spelled_out(method: str, words: Sequence[str]) -> list[str]:
    """Spell short keys out: `epochs=5` is `training.epochs=5`, and a setting of the method is `method_config.…`.

    Raises:
        ConfigError: a short key exists nowhere, or in both.
    """
    own = {part.name for part in dataclasses.fields(Run)}
    ours, loops = ({part.name for part in dataclasses.fields(settings)} for settings in _settings_of(method))
    found = []
    for word in words:
        key = word.partition("=")[0].strip()
        if "." in key or key in own:
            found.append(word)
        elif key in ours and key in loops:
            hint = f"write `training.{key}` or `method_config.{key}`"
            raise ConfigError(f"`{key}` is a setting of the loop and of `{method}`, expected one of them", hint)
        elif key in ours or key in loops:
            found.append(f"{'training' if key in loops else 'method_config'}.{word}")
        else:
            raise ConfigError(f"`{key}` does not exist", suggest(key, sorted(own | ours | loops)))
    return found


def _settings_of(method: str) -> tuple[Any, Any]:
    """Give the dataclasses of the method's settings and of the loop's; imports torch."""
    from crossbit.model import method_class
    from crossbit.training.loop import TrainingConfig

    return method_class(method).Config, TrainingConfig


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
