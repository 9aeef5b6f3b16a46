"""Every error that a user can cause, drawn as a tree.

    CrossbitError                 exit code 4
    ├── UsageError                2   an argument or a query that cannot be used
    ├── ConfigError               2   a setting, method or model name that does not exist or does not fit
    ├── AbilityError              2   something was asked of a method that it cannot do
    ├── NothingFound              1   the question was fine, the answer is empty
    ├── DataError                 3   a file or folder of the user's is at fault
    │   ├── ManifestError             a record of a data set
    │   ├── MediaError                a picture, video or sound that cannot be read
    │   ├── ModelError                a model folder that is damaged or half-written
    │   ├── CollectionError           a collection that is missing, damaged or locked
    │   └── FingerprintError          model, data or index do not belong together
    ├── BatchError                4   tensors that do not fit together
    ├── MetricError               4   a measure that is not defined for what it was given
    ├── EncoderError              4   packaged weights missing, or an encoder that cannot run here
    └── EngineError               4   a search engine was handed rows that it cannot hold

A message says *where: what was found, what was expected*; the hint says what to do. Each name is a heading of `docs/errors.md`.
"""

from __future__ import annotations


class CrossbitError(Exception):
    """Carry one sentence about what is wrong, a hint about what to do, and the exit code of the command line."""

    exit_code = 4

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


class UsageError(CrossbitError):
    """An argument or a query cannot be used as it is."""

    exit_code = 2


class ConfigError(CrossbitError):
    """A setting, method or model name does not exist, or its value does not fit."""

    exit_code = 2


class AbilityError(CrossbitError):
    """A method was asked for something that it cannot do, such as the embedding of a joint scorer."""

    exit_code = 2


class NothingFound(CrossbitError):  # noqa: N818 - an answer, not a fault
    """The question was fine and the answer is empty."""

    exit_code = 1


class DataError(CrossbitError):
    """A file or folder of the user's is at fault."""

    exit_code = 3


class ManifestError(DataError):
    """A record of a data set is wrong; the message names file, line and field."""


class MediaError(DataError):
    """A picture, video or sound cannot be read."""


class ModelError(DataError):
    """A model folder is missing, damaged or half-written."""


class CollectionError(DataError):
    """A collection is missing, damaged or locked."""


class FingerprintError(DataError):
    """Model, data or collection do not belong together."""


class BatchError(CrossbitError):
    """Tensors do not fit together."""


class MetricError(CrossbitError):
    """A measure is not defined for what it was given."""


class EncoderError(CrossbitError):
    """Packaged weights are missing, or an encoder cannot run on this machine."""


class EngineError(CrossbitError):
    """A search engine was handed rows that it cannot hold, or its server does not answer."""
