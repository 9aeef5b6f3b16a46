"""crossbit demo: learn, measure, index and search real drawings by words, in one command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crossbit.cli.demo_photographs import Asked, ask_photographs, lines
from crossbit.cli.demo_photographs import sections as sections_of
from crossbit.cli.show import printable, say, table_out

if TYPE_CHECKING:
    from crossbit.data.manifest import Manifest
    from crossbit.search.collection import Collection


@dataclass(frozen=True)
class Question:
    """Words to ask, the language they are in, what they mean, and the drawing that they have in mind."""

    words: str
    language: str
    meaning: str
    answer: str


# four answers lie in the training split and four in the test split; none was chosen by what a model answers
QUESTIONS = (
    Question("a red apple", "en", "a red apple", "1f34e"),
    Question("eine schwarze Katze", "de", "a black cat", "1f408-200d-2b1b"),
    Question("un gâteau pour un anniversaire", "fr", "a cake for a birthday", "1f382"),
    Question("un lugar con una palmera", "es", "a place with a palm tree", "1f334"),
    Question("雨の日にさすもの", "ja", "what one opens on a rainy day", "2614"),
    Question("حيوان برقبة طويلة", "ar", "an animal with a long neck", "1f992"),
    Question("en pingvin", "sv", "a penguin", "1f427"),
    Question("xe cứu thương", "vi", "an ambulance", "1f691"),
)
ANSWERS = 5
BOTH = ("embedding", "code")
NEW = "no training name was in this language"


def demo(
    output: Path = typer.Option(
        Path("crossbit-demo"), "--output", "-o", metavar="FOLDER", help="Where everything goes."
    ),
    epochs: int = typer.Option(24, "--epochs", min=1, help="Passes over the training drawings."),
    seed: int = typer.Option(0, "--seed", help="Of the training."),
) -> None:
    """Learn drawings by their names in 14 languages, measure, index them and ask eight questions."""
    from crossbit.data.picto import openmoji

    clock = _Clock()
    output.mkdir(parents=True, exist_ok=True)
    with clock("prepare"):
        manifest = openmoji.prepare()
    with clock("train"):
        model_folder = _trained(manifest, output / "run", epochs, seed)
    with clock("evaluate"):
        header, rows = _measured(model_folder, manifest, output)
    with clock("index"):
        collection = _indexed(model_folder, manifest, output / "collection")
    with clock("ask"):
        asked = [(question, collection.search(question.words, k=ANSWERS)) for question in QUESTIONS]
    with clock("photographs"):
        photographs = ask_photographs(output / "photographs", ANSWERS)
    say("")
    table_out(header, rows, right=range(1, len(header)))
    say("")
    names = {item.id: item for item in manifest}
    table_out(
        ("question", "language", "answers, best first"), [_line(question, hits, names) for question, hits in asked]
    )
    say("[asked for]  * never seen in training  (new) " + NEW)
    if photographs is not None:
        say(f"\nphotographs, by the model `{photographs[0]}`, which was not trained here and saw none of them:")
        table_out(("question", "language", "answers, best first"), lines(photographs[1]))
    page = _page(output / "answers.html", header, rows, asked, names, photographs[1] if photographs else [])
    say(f"\n{clock}")
    say(f"page with the pictures: {printable(page)}\n")
    say("try next:")
    place = printable(output / "collection")
    say(f'  crossbit search --collection {place} "a cat with a heart" --open')
    say("  crossbit index ~/Pictures && cd ~/Pictures && crossbit search 'a dog'")
    say("  crossbit train vsepp --data openmoji --languages en,de --output my-model")


class _Clock:
    """Collects how long each step took."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.took[step] = time.perf_counter() - start

    def __str__(self) -> str:
        return "seconds: " + ", ".join(f"{step} {took:.1f}" for step, took in self.took.items())


def _trained(manifest: Manifest, folder: Path, epochs: int, seed: int) -> Path:
    """Train, or take the model that an earlier demo with the same settings has left."""
    import json

    from crossbit.modelcard import readable

    card = readable(folder / "model")
    wanted = {"data_fingerprint": manifest.fingerprint, "epochs": epochs, "seed": seed}
    if card is not None:
        known = card.training.get("settings", {})
        found = {
            "data_fingerprint": card.training.get("data_fingerprint"),
            "epochs": known.get("epochs"),
            "seed": known.get("seed"),
        }
        if found == wanted:
            say(f"model: {printable(folder / 'model')} (trained before)")
            return folder / "model"
    from crossbit.cli.fit import fit, settings_for

    mark = folder / "wanted.json"
    resume = mark.is_file() and json.loads(mark.read_text()) == wanted
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(wanted))
    fit("fgcmh", manifest, folder, training=settings_for("fgcmh", epochs=epochs, seed=seed), resume=resume)
    return folder / "model"


def _measured(model_folder: Path, manifest: Manifest, output: Path) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Measure dense embedding and code on the unseen drawings; kept for the next run of the demo."""
    import json

    from crossbit.evaluation.evaluate import evaluate
    from crossbit.model import Model

    model = Model.from_pretrained(model_folder)
    kept = output / f"measured-{model.fingerprint}.json"
    if not kept.is_file():
        measured = {by: evaluate(model, manifest, by=by, cache=True).metrics for by in BOTH}  # type: ignore[arg-type]
        kept.write_text(json.dumps(measured))
    measured = json.loads(kept.read_text())
    dense, code = (measured[by] for by in BOTH)
    asked = "text_to_image"
    rows = [
        (
            language,
            *(f"{sides[asked][f'recall_at_{k}']:.0f}" for k in (1, 5, 10)),
            f"{sides['both']['rsum']:.0f}",
            f"{code[language]['both']['rsum']:.0f}",
            f"{100 * code[language]['both']['rsum'] / sides['both']['rsum']:.0f} %",
        )
        for language, sides in dense.items()
    ]
    return ("language", "R@1", "R@5", "R@10", "rsum", f"rsum of {model.bits} bits", "kept"), rows


def _indexed(model_folder: Path, manifest: Manifest, place: Path) -> Collection:
    """Index the drawings; a second demo finds everything unchanged."""
    from crossbit.model import Model
    from crossbit.search.collection import Collection
    from crossbit.search.head import is_collection

    model = Model.from_pretrained(model_folder)
    if is_collection(place):
        collection = Collection.open(place)
        if collection.meta.fingerprint != model.fingerprint:
            collection = Collection.create(place, model_folder, replace=True)
    else:
        collection = Collection.create(place, model_folder)
    collection.sync(manifest.root / "pictures")
    return collection


def _name(path: Path, names: dict[str, Any]) -> str:
    item = names[path.stem]
    return str(next(caption.text for caption in item.captions if caption.lang == "en"))


def _line(question: Question, hits: list[Any], names: dict[str, Any]) -> tuple[str, str, str]:
    from crossbit.data.picto.openmoji import LANGUAGES

    mark = "" if question.language in LANGUAGES else " (new)"
    found = []
    for hit in hits:
        name = _name(hit.path, names) + ("" if names[hit.path.stem].split == "train" else "*")
        found.append(f"[{name}]" if hit.path.stem == question.answer else name)
    return f"{question.words} = {question.meaning}", question.language + mark, ", ".join(found)


def _page(path: Path, header: Any, rows: Any, asked: Any, names: dict[str, Any], photographs: list[Asked]) -> Path:
    from crossbit.cli.sheet import Answer, Section, SheetTable, write_sheet
    from crossbit.data.picto.openmoji import ATTRIBUTION, LANGUAGES

    sections = [
        Section(
            question.words,
            [
                Answer(
                    hit.path,
                    _name(hit.path, names),
                    hit.score,
                    note="" if names[hit.path.stem].split == "train" else "never seen in training",
                    right=hit.path.stem == question.answer,
                )
                for hit in hits
            ],
            language=question.language,
            note="" if question.language in LANGUAGES else NEW,
            translation="" if question.language == "en" else question.meaning,
        )
        for question, hits in asked
    ]
    table = SheetTable(
        "On drawings of things that training never showed", header, rows, note="R@K in percent, text to image."
    )
    lead = "Drawings found by words: a model that learned seven in ten of them by their names in 14 languages, on this machine."
    sections += sections_of(photographs)
    foot = ATTRIBUTION + (" Photographs: Tux Paint stamps, GPL-2.0-or-later." if photographs else "")
    return write_sheet(path, "crossbit demo", sections, tables=[table], lead=lead, foot=foot)
