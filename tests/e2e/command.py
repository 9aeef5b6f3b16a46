"""Running the program in tests: in this process, or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

PROGRAM = [sys.executable, "-m", "crossbit.cli.main"]


@dataclass(frozen=True)
class Done:
    """What a run left: exit code, stdout, stderr, and stdout as bytes."""

    code: int
    out: str
    err: str
    raw: bytes


def crossbit(*words: str | Path) -> Done:
    """Run in this process, which saves the start of an interpreter."""
    from crossbit.cli.main import app

    result = CliRunner().invoke(app, [os.fspath(word) for word in words])
    return Done(result.exit_code, result.stdout_bytes.decode("utf-8", "replace"), result.stderr, result.stdout_bytes)


def process(*words: str | Path | bytes, cwd: Path | None = None, program: list[str] | None = None) -> Done:
    """Run as a user does, in a process of its own."""
    command = [os.fsencode(word) for word in [*(program or PROGRAM), *words]]
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=120, check=False)
    return Done(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), done.stdout
    )


def sentence(done: Done) -> str:
    """Give what was said on stderr, after checking that it is a sentence and no trace."""
    assert "Traceback" not in done.err, done.err
    assert "fault in crossbit" not in done.err, done.err
    return done.err
