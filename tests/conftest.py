"""Shape checks, threads and cache for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("crossbit", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("crossbit")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; two threads each would wait for one another
os.environ["HF_HUB_OFFLINE"] = "1"

# every jaxtyping shape of these rooms is checked at run time while the tests run
from jaxtyping import install_import_hook  # noqa: E402

_CHECKED = ["batch", "features", "ranking", "cascade", "codes", "metrics", "nn", "methods", "strategies"]
install_import_hook([f"crossbit.{room}" for room in _CHECKED], "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the tests' cache apart from the user's, but across runs, since converting the encoders costs half a minute."""
    if "CROSSBIT_CACHE" not in os.environ:
        folder = Path(__file__).parent.parent / ".crossbit" / "cache"
        os.environ["CROSSBIT_CACHE"] = str(folder)
    return Path(os.environ["CROSSBIT_CACHE"])


@pytest.hookimpl(tryfirst=True)
def pytest_report_to_serializable(report: object) -> None:
    """Spell half characters out: damaged texts are logged, and what is caught of it has to travel between processes."""
    if isinstance(report, pytest.TestReport):
        report.sections = [
            (name, text.encode("utf-8", "backslashreplace").decode("utf-8")) for name, text in report.sections
        ]
