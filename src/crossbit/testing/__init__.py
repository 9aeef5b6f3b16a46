"""The contracts as functions: hold a method, a strategy or an engine, ours or your own, to what the library relies on.

    from crossbit.testing import check_method
    check_method(MyMethod)

Each tries a list of named properties and raises `PropertyFailed` at the first that does not hold; it returns the names that
it tried, since what a class cannot do is not asked of it.
"""

from crossbit.testing.engine import check_engine
from crossbit.testing.failure import PropertyFailed
from crossbit.testing.method import check_method
from crossbit.testing.strategy import check_strategy

__all__ = ["PropertyFailed", "check_engine", "check_method", "check_strategy"]
