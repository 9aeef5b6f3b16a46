"""Settings: every mistake names key, value and what is expected; what is written can be fed back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from crossbit.config import check, load_yaml, override, resolve, suggest, to_mapping, write_resolved
from crossbit.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    warm_up: float = 0.1
    kind: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up < 1:
            raise ConfigError(f"Schedule: warm_up is {self.warm_up}, expected 0 up to below 1")


@dataclass(frozen=True)
class Settings:
    method: str
    epochs: int = 10
    rate: float = 5e-4
    languages: tuple[str, ...] = ("en",)
    bf16: bool = False
    schedule: Schedule = field(default_factory=Schedule)
    extra: Schedule | None = None
    method_config: Mapping[str, Any] = field(default_factory=dict)
    output: Path = Path("runs")


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_then_file_then_words(tmp_path: Path) -> None:
    path = write(tmp_path, "method: fgcmh\nepochs: 3\nschedule: {warm_up: 0.2}\n")
    found = resolve(Settings, path, ["epochs=5", "schedule.kind=constant", "languages=[en, de]"])
    assert found == Settings("fgcmh", 5, languages=("en", "de"), schedule=Schedule(0.2, "constant"))


def test_a_whole_number_fits_a_float_and_a_list_a_tuple() -> None:
    found = check(Settings, {"method": "x", "rate": 1, "languages": ["fr"], "output": "out"})
    assert (found.rate, found.languages, found.output) == (1.0, ("fr",), Path("out"))
    assert isinstance(found.rate, float)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("rate=1e-4", 1e-4),  # PyYAML itself reads this as text
        ("rate=.5", 0.5),
        ("languages=[no, on, y]", ("no", "on", "y")),  # and these as booleans
        ("method=2026-01-02", "2026-01-02"),  # and this as a date
        ("method=a=b", "a=b"),
        ("epochs=010", 10),  # and this as 8
        ("extra=null", None),
        ("method_config={margin: 0.2, sizes: [1, 2]}", {"margin": 0.2, "sizes": [1, 2]}),
    ],
)
def test_words_are_read_by_yaml_1_2(word: str, value: object) -> None:
    found = resolve(Settings, None, ["method=m", word])
    assert getattr(found, word.partition("=")[0]) == value


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("epochs=many", "`epochs` is 'many', expected a whole number"),
        ("epochs=2.5", "`epochs` is 2.5, expected a whole number"),
        ("epochs=true", "`epochs` is True, expected a whole number"),
        ("rate=fast", "`rate` is 'fast', expected a number"),
        ("bf16=yes", "`bf16` is 'yes', expected `true` or `false`"),
        ("languages=en", "`languages` is 'en', expected a list, such as `[a, b]`"),
        ("languages=[en, 3]", "`languages.1` is 3, expected text"),
        ("schedule.kind=linear", "`schedule.kind` is 'linear', expected one of 'cosine' or 'constant'"),
        ("schedule=3", "`schedule` is 3, expected nested `key: value` settings"),
        ("schedule.warm_up=2", "Schedule: warm_up is 2.0, expected 0 up to below 1"),
        ("epoch=3", "`epoch` does not exist\n\nhint: did you mean `epochs`?"),
        ("schedule.warmup=0", "`schedule.warmup` does not exist\n\nhint: did you mean `warm_up`?"),
        ("extra.kinds=cosine", "`extra.kinds` does not exist\n\nhint: did you mean `kind`?"),
        ("schedule.zzz=0", "`schedule.zzz` does not exist\n\nhint: there are: kind, warm_up"),
        ("epochs", "'epochs': no `=`, expected `key=value`\n\nhint: such as `training.epochs=5` or `seed=1`"),
        ("=3", "'=3': no `=`, expected `key=value`\n\nhint: such as `training.epochs=5` or `seed=1`"),
        ("epochs=[1", "epochs=[1, line 1, column 3: expected ',' or ']', but got '<stream end>', expected YAML"),
    ],
)
def test_a_wrong_word_names_key_value_and_expectation(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(Settings, None, ["method=m", word])
    assert str(caught.value) == message


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ConfigError, match="`method` is missing"):
        resolve(Settings)


def test_a_dotted_key_does_not_lead_through_a_plain_value() -> None:
    with pytest.raises(ConfigError, match="`epochs` is 3, expected nested settings"):
        override({"epochs": 3}, ["epochs.first=1"])


def test_override_leaves_its_input_alone() -> None:
    values = {"schedule": {"warm_up": 0.1}}
    assert override(values, ["schedule.warm_up=0.5"]) == {"schedule": {"warm_up": 0.5}}
    assert values == {"schedule": {"warm_up": 0.1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: key `a` stands twice"),
        ("- a\n- b\n", "the top level is a list"),
        ("words\n", "the top level is text"),
        ("a: [1\n", "expected YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_yaml(tmp_path / "latin.yaml")
    assert load_yaml(write(tmp_path, "# nothing\n")) == {}


def test_a_wrong_key_of_a_file_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "metod: x\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml: `metod` does not exist") as caught:
        resolve(Settings, path)
    assert caught.value.hint == "did you mean `method`?"


def test_prefix_and_tags_that_are_not_plain() -> None:
    with pytest.raises(ConfigError, match=r"`training\.warm_up` is 'x', expected a number"):
        check(Schedule, {"warm_up": "x"}, prefix="training")
    with pytest.raises(ConfigError, match="not plain"):
        resolve(Settings, None, ["method=m", "method_config.a=!!set {x, y}"])


def test_what_is_written_can_be_fed_back(tmp_path: Path) -> None:
    settings = Settings("fgcmh", rate=1e-4, languages=("no", "de"), method_config={"a": 1e22, "b": float("inf")})
    path = write_resolved(tmp_path / "deep" / "resolved.yaml", settings)
    assert resolve(Settings, path) == settings
    assert "warm_up: 0.1" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]
    # and by readers of YAML 1.1, such as PyYAML's own
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["languages"] == ["no", "de"]


# any letters; PyYAML itself folds the line separators of Unicode
_text = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(_text, _values, max_size=4))
@example({"0E0": None, "list": ["1e5", "1.", "0o7", "12e03", "no", "~", "<<"]})
def test_any_plain_values_survive_the_file(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = write_resolved(tmp_path_factory.mktemp("round") / "x.yaml", values)
    assert load_yaml(path) == to_mapping(values)


def test_suggest_names_the_nearest_or_all() -> None:
    assert suggest("fgchm", ["fgcmh", "vsepp"]) == "did you mean `fgcmh`?"
    assert suggest("zzz", ["fgcmh", "vsepp"]) == "there are: fgcmh, vsepp"
