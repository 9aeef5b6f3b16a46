"""A real Milvus server for tests, from the package `milvus`, which needs an environment of its own.

    python -m venv .crossbit/milvus
    .crossbit/milvus/bin/pip install milvus "setuptools<81" "pymilvus<2.5"

or wherever CROSSBIT_MILVUS says that environment is. Each server has a fresh folder and ports of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

_LAY_OUT = """
import os, sys
from os.path import join
import milvus
config = milvus.MilvusServerConfig(data_dir=sys.argv[1])
config.resolve()
unpacked = sys.argv[2]
os.makedirs(unpacked, exist_ok=True)
milvus._initialize_data_files(unpacked)
port, sock = config.resolve_port(29091)
sock.close()
print(config.get("proxy_port"), port)
"""


def environment() -> Path:
    """Give the environment that the server is installed in."""
    return Path(os.environ.get("CROSSBIT_MILVUS") or ROOT / ".crossbit" / "milvus")


def missing() -> str:
    """Say why no server can be started, or nothing."""
    if sys.platform != "linux":
        return f"the package `milvus` has a server for Linux, this is {sys.platform}"
    place = environment()
    if not list(place.glob("lib/python3*/site-packages/milvus/__init__.py")):
        return f"no Milvus server in {place}, see tests/search/milvus_server.py"
    return ""


class MilvusServer:
    """A standalone server that can be stopped, killed and started again with what it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        unpacked = environment() / "unpacked"
        python = environment() / "bin" / "python"
        laid = subprocess.run(
            [python, "-W", "ignore", "-c", _LAY_OUT, folder, unpacked], check=True, capture_output=True, text=True
        )
        self.port, self.health = (int(word) for word in laid.stdout.split()[-2:])
        self.bin = unpacked / "bin"

    @property
    def url(self) -> str:
        return f"milvus://127.0.0.1:{self.port}"

    def start(self, patience: float = 240) -> None:
        """Start the server and wait until it is healthy."""
        run = {"DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(self.health), "MILVUS_RUN_DIR": f"{self.folder}/run"}
        paths = {"LD_LIBRARY_PATH": f"{self.bin}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
        log = self.folder / "logs" / "milvus.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                ["nice", "-n", "5", self.bin / "milvus", "run", "standalone"],
                cwd=self.folder, env={**os.environ, **run, **paths}, stdout=out, stderr=out,
            )  # fmt: skip
        until = time.monotonic() + patience
        while not self._healthy():
            assert self.process.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < until, f"no healthy server within {patience} s"
            time.sleep(0.3)

    def _healthy(self) -> bool:
        from urllib.error import URLError
        from urllib.request import urlopen

        try:
            with urlopen(f"http://127.0.0.1:{self.health}/healthz", timeout=5) as answer:
                return b"OK" in answer.read()
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        """End the server at once, as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=30)
            self.process = None

    def stop(self) -> None:
        """End the server and remove what it had."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
