"""The door to ONNX Runtime: one way to open a graph, so that all encoders agree on threads and errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from crossbit.encoders.built import discard
from crossbit.errors import EncoderError


def threads() -> int:
    """Say how many threads an encoder may use: OMP_NUM_THREADS where it is set, else the cores this process may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    # not cpu_count: in a container or under taskset it promises cores that are not there
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_built(folder: Path) -> Any:
    """Open `graph.onnx` of a converted encoder in the cache.

    Raises:
        EncoderError: it cannot be read; the folder is removed, so that the next use builds it anew.
    """
    try:
        return open_session(folder / "graph.onnx")
    except EncoderError as error:
        discard(folder)
        raise EncoderError(
            error.message, "the damaged folder has been removed from the cache; run the command again to build it anew"
        ) from error


def open_session(graph: Path) -> Any:
    """Open an ONNX graph for running on the CPU.

    Threads wait asleep between runs: spinning gains 2 % on an idle machine and loses half on one that also decodes pictures.

    Raises:
        EncoderError: ONNX Runtime cannot read the graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings speak to those who write graphs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that are not exported
        raise EncoderError(f"{graph}: ONNX Runtime cannot read it ({str(error).splitlines()[0]})") from error
