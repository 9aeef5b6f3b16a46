"""Collections: folders of pictures that can be searched."""

from crossbit.search.collection import Collection
from crossbit.search.records import Hit, Item, Stats, SyncReport, VerifyReport

__all__ = ["Collection", "Hit", "Item", "Stats", "SyncReport", "VerifyReport"]
