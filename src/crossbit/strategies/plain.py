"""Plain: train as the method says, believing every pair."""

from __future__ import annotations

from crossbit.strategies.base import Strategy


class Plain(Strategy):
    """Believe every pair."""
