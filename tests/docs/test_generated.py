"""What `make docs` writes is what lies in docs/: reference, heads of the method pages, list of pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "tools/make_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout == "", "run `make docs` and commit what it writes"
    assert done.returncode == 0
