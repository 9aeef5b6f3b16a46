"""crossbit: cross-modal retrieval, from embeddings down to bits.

The public names stand in `__all__` and are loaded when first used, so that `import crossbit` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from crossbit.cascade import rerank, rescore, retrieve
    from crossbit.data.manifest import Caption, Item, Manifest
    from crossbit.errors import (
        AbilityError,
        BatchError,
        CollectionError,
        ConfigError,
        CrossbitError,
        DataError,
        EncoderError,
        EngineError,
        FingerprintError,
        ManifestError,
        MediaError,
        MetricError,
        ModelError,
        NothingFound,
        UsageError,
    )
    from crossbit.evaluation.evaluate import evaluate
    from crossbit.evaluation.result import Result
    from crossbit.model import Model
    from crossbit.ranking import Ranking
    from crossbit.search import Collection, Hit

_HOMES = {
    "crossbit.cascade": "rerank rescore retrieve",
    "crossbit.data.manifest": "Caption Item Manifest",
    "crossbit.errors": "AbilityError BatchError CollectionError ConfigError CrossbitError DataError EncoderError EngineError "
    "FingerprintError ManifestError MediaError MetricError ModelError NothingFound UsageError",
    "crossbit.evaluation.evaluate": "evaluate",
    "crossbit.evaluation.result": "Result",
    "crossbit.model": "Model",
    "crossbit.ranking": "Ranking",
    "crossbit.search": "Collection Hit",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AbilityError",
    "BatchError",
    "Caption",
    "Collection",
    "CollectionError",
    "ConfigError",
    "CrossbitError",
    "DataError",
    "EncoderError",
    "EngineError",
    "FingerprintError",
    "Hit",
    "Item",
    "Manifest",
    "ManifestError",
    "MediaError",
    "MetricError",
    "Model",
    "ModelError",
    "NothingFound",
    "Ranking",
    "Result",
    "UsageError",
    "__version__",
    "evaluate",
    "list_methods",
    "rerank",
    "rescore",
    "retrieve",
]


def list_methods() -> list[str]:
    """Name the methods that come with crossbit; your own is named `my_module:MyMethod`.

    Example:
        >>> "conse" in list_methods()
        True
    """
    from crossbit.methods import METHODS

    return sorted(METHODS)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'crossbit' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
