"""What annotators called relevant, from the metadata of the items: see `crossbit.data.formats.relevance`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossbit.data.manifest import Item
from crossbit.errors import ManifestError
from crossbit.metrics.relevance import Relevant

Told = Sequence[tuple[int, int]]
"""Captions as the row of their item and their place among its captions."""


def captions_of_images(items: Sequence[Item], asking: np.ndarray, searched: Told) -> Relevant:
    """Say which searched captions are relevant to each asking picture; pictures that annotators did not ask have none.

    Args:
        items: of the plan.
        asking: rows of items.
        searched: the captions.

    Raises:
        ManifestError: no picture asks, or captions have no numbers.
    """
    numbers = {_sentid(items[row], place): column for column, (row, place) in enumerate(searched)}
    wanted = [items[row].metadata.get("relevant_captions", ()) for row in asking]
    if not any(wanted):
        raise _not_annotated("relevant_captions")
    return Relevant.from_lists([[numbers[n] for n in found if n in numbers] for found in wanted], len(searched))


def images_of_captions(items: Sequence[Item], asking: Told, searched: np.ndarray) -> Relevant:
    """Say which searched pictures are relevant to each asking caption; captions that annotators did not ask have none.

    Args:
        items: of the plan.
        asking: the captions.
        searched: rows of items.

    Raises:
        ManifestError: no caption asks.
    """
    numbers = {items[row].metadata.get("cocoid"): column for column, row in enumerate(searched)}
    wanted = [_pictures(items[row], place) for row, place in asking]
    if not any(wanted):
        raise _not_annotated("relevant_images")
    return Relevant.from_lists([[numbers[n] for n in found if n in numbers] for found in wanted], len(searched))


def _pictures(item: Item, place: int) -> Sequence[int]:
    found = item.metadata.get("relevant_images")
    if found is None:
        return ()
    if not isinstance(found, list) or len(found) != len(item.captions):
        raise ManifestError(
            f"item {item.id!r}: relevant_images are not a list for each of its {len(item.captions)} captions"
        )
    return found[place] or ()


def _sentid(item: Item, place: int) -> int:
    sentids = item.metadata.get("sentids")
    if not isinstance(sentids, list) or len(sentids) != len(item.captions):
        raise ManifestError(f"item {item.id!r}: sentids are not a number for each of its {len(item.captions)} captions")
    return int(sentids[place])


def _not_annotated(name: str) -> ManifestError:
    return ManifestError(
        f"no item has {name} in its metadata, expected those of ECCV Caption or CxC",
        "read them together with COCO: crossbit data convert FOLDER eccv.jsonl --from eccv --option coco=dataset_coco.json",
    )
