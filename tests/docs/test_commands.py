"""The reference of the command line: generated, complete, and as the commands say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossbit.cli.reference import commands, reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
COMMANDS = commands()


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs` and commit docs/reference/cli.md"


def test_all_verbs_are_there() -> None:
    verbs = {name.split()[1] for name in COMMANDS}
    assert verbs >= {
        "index", "search", "collection", "demo", "train", "evaluate", "compare", "methods", "data", "doctor",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_stands_on_the_page(name: str) -> None:
    command: Any = COMMANDS[name]
    page = PAGE.read_text(encoding="utf-8")
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert command.help
    assert command.help.strip().endswith(".")
    assert " ".join(command.help.split()) in section
    for parameter in command.params:
        if parameter.name == "help":
            continue
        assert parameter.help, f"{name}: {parameter.name} has no help"
        assert parameter.help.strip().endswith("."), f"{name}: the help of {parameter.name} is no sentence"
        assert " ".join(parameter.help.split()).replace("|", "\\|") in section
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert option in section


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.split()[1] not in ("demo", "compare")])
def test_what_prints_results_has_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)
