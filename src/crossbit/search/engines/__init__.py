"""Engines: what scans. `flat` on dense rows; on packed codes `hamming` scans, `multi` looks at few and `hnsw` at fewer still.

All behind `base.Engine`, all exact but `hnsw`; `choice.choose` says which of those for codes fits a collection.
"""

from crossbit.search.engines.base import Engine
from crossbit.search.engines.choice import Choice, choose
from crossbit.search.engines.flat import FlatEngine
from crossbit.search.engines.hamming import HammingEngine
from crossbit.search.engines.hnsw import HNSWEngine
from crossbit.search.engines.multi import MultiIndexEngine

__all__ = ["Choice", "Engine", "FlatEngine", "HNSWEngine", "HammingEngine", "MultiIndexEngine", "choose"]
