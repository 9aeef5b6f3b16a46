"""The demo's eight questions over photographs: what the default model knows without any training, where picto is prepared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossbit.search.records import Hit


@dataclass(frozen=True)
class Asked:
    """A question over photographs: words, language, meaning, how the names of right answers begin; and what was found."""

    words: str
    language: str
    meaning: str
    answers: tuple[str, ...]
    hits: tuple[Hit, ...] = ()

    def right(self, hit: Hit) -> bool:
        """Say whether a hit is what was asked for."""
        return name_of(hit).startswith(self.answers)


# chosen before any model had answered them, one a kind of thing
QUESTIONS = (
    Asked("a fire engine", "en", "a fire engine", ("firetruck",)),
    Asked("eine reife Erdbeere", "de", "a ripe strawberry", ("strawberry", "Strawberry")),
    Asked("un instrument à cordes", "fr", "a string instrument", ("cello", "guitar", "violin")),
    Asked("un coche deportivo", "es", "a sports car", ("sportscar", "indycar")),
    Asked("フクロウ", "ja", "an owl", ("owl",)),
    Asked("حيوان برقبة طويلة", "ar", "an animal with a long neck", ("giraffe",)),
    Asked("en pingvin", "sv", "a penguin", ("penguin", "little-penguin", "magellanic_penguin")),
    Asked("quả chuối", "vi", "a banana", ("banana",)),
)


def name_of(hit: Hit) -> str:
    """Give a stamp's name: its file's."""
    return Path(hit.path).stem


def ask_photographs(place: Path, number: int) -> tuple[str, list[Asked]] | None:
    """Index the photographic stamps of picto with the default model and ask; None where picto is not prepared.

    Args:
        place: where the collection lies; a second demo finds everything unchanged.
        number: answers to a question.
    """
    from crossbit.data.picto.assemble import folder
    from crossbit.model import Model
    from crossbit.search.collection import Collection
    from crossbit.search.head import is_collection

    stamps = folder() / "stamps"
    if not stamps.is_dir():
        return None
    model = Model.default()
    stale = is_collection(place) and Collection.open(place).meta.fingerprint != model.fingerprint
    if is_collection(place) and not stale:
        collection = Collection.open(place)
    else:
        collection = Collection.create(place, model.name, replace=stale)
    collection.sync(stamps)
    return model.name, [
        replace(question, hits=tuple(collection.search(question.words, k=number))) for question in QUESTIONS
    ]


def lines(asked: list[Asked]) -> list[tuple[str, str, str]]:
    """Give the rows of a table, what was asked for in brackets."""
    return [
        (
            f"{question.words} = {question.meaning}",
            question.language,
            ", ".join(f"[{name_of(hit)}]" if question.right(hit) else name_of(hit) for hit in question.hits),
        )
        for question in asked
    ]


def sections(asked: list[Asked]) -> list[Any]:
    """Give the sections of the page."""
    from crossbit.cli.sheet import Answer, Section

    return [
        Section(
            question.words,
            [Answer(hit.path, name_of(hit), hit.score, right=question.right(hit)) for hit in question.hits],
            language=question.language,
            translation="" if question.language == "en" else question.meaning,
        )
        for question in asked
    ]
