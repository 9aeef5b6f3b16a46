"""Engines: what scans. `flat` on dense rows, `hamming` on packed codes; both exact, both behind `base.Engine`."""

from crossbit.search.engines.base import Engine
from crossbit.search.engines.flat import FlatEngine
from crossbit.search.engines.hamming import HammingEngine

__all__ = ["Engine", "FlatEngine", "HammingEngine"]
