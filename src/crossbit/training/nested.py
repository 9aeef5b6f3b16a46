"""Train the heads of `nested` on gathered features: pairs of heads, then what folds them, then bits, then doubt.

    heads  drawings <-> captions, photographs that never were <-> names of their class, and <-> nouns around it
    fold   the principal directions of all heads and the untrained opinion, side by side
    usual  the mean picture, taken out of all
    bits   rotations of the strongest directions, then every prefix learns pairs and the embedding's similarities
    doubt  logistic regression: is it a picture, are they words?

The loop is its own, since rows come from three places with three kinds of positives; the same seed gives the same bits. What
follows the heads is fitted to heads as they ship, in half precision, and depends on nothing else of their training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from tqdm import trange

from crossbit.batch import Encoded
from crossbit.data.base import BROUGHT
from crossbit.methods.nested import UNSURE, Nested, NestedConfig
from crossbit.nn.hashing import itq
from crossbit.training.nested_data import ENGLISH, Material, Photographs, noun_masks

Rows = Int64[np.ndarray, " B"]
PHOTOGRAPHS_EACH = 8
"""Photographs of each class that the bits learn from."""


@dataclass(frozen=True)
class Recipe:
    """How `nested` is trained.

    Args:
        epochs: passes over the drawings.
        batch: drawings in a step, and half as many photographs and nouns.
        learning_rate: the highest, after a tenth of the way.
        weight_decay: of the matrices.
        english: share of captions that are English.
        photographs: weight of classes and of nouns; 0 leaves the classifier's rows out.
        nouns: whether WordNet's nouns take part.
        drawings: whether drawings take part; without them an epoch has as many steps.
        blind: share of rows whose picture features are hidden, so that the heads learn to read the opinion alone.
        code_steps: steps for the bits, each of half a batch of pictures and a whole one of texts; 0 leaves them untrained.
        code_rate: highest learning rate for the bits.
        seed: of everything.
    """

    epochs: int = 16
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    english: float = 0.4
    photographs: float = 1.0
    nouns: bool = True
    drawings: bool = True
    blind: float = 0.2
    code_steps: int = 400
    code_rate: float = 3e-3
    seed: int = 0


def train_nested(
    material: Material, recipe: Recipe | None = None, config: NestedConfig | None = None, *, progress: bool = True
) -> Nested:
    """Train a whole method.

    Args:
        material: from `gather`.
        recipe: how.
        config: of the method.
        progress: show bars.
    """
    recipe, config = recipe or Recipe(), config or NestedConfig()
    torch.manual_seed(recipe.seed)
    method = Nested(config, {"image": (1, material.pictures.shape[1]), "text": (1, material.words.shape[1])})
    opinions_of(method, material)
    _train_heads(method, Sampler(method, material, recipe), recipe, progress)
    return after_the_heads(method, material, recipe, progress=progress)


def after_the_heads(method: Nested, material: Material, recipe: Recipe, *, progress: bool = True) -> Nested:
    """Round what is trained to what ships, and fit the rest to it: fold, usual picture, bits, doubt."""
    method.eval()
    torch.manual_seed(recipe.seed)
    with torch.no_grad():
        for name, value in method.state_dict().items():
            if name not in BROUGHT:
                value.copy_(value.half())
        sampler = Sampler(method, material, recipe)
        _fold(method, sampler, recipe)
    if recipe.code_steps:
        _train_bits(method, sampler, recipe, progress)
    with torch.no_grad():
        seen = sampler.all_pictures()
    learn_doubt(method, "image", seen, method.inputs(_view("image", material.nothing)))
    learn_doubt(method, "text", sampler.words, method.inputs(_view("text", material.babble)))
    return method.eval()


def opinions_of(method: Nested, material: Material) -> None:
    """Fill what is not trained: the classifier, the names of its classes, means and spreads."""
    classes = material.classes
    rows = F.normalize(torch.from_numpy(material.class_words), dim=-1)
    named = [list(places[: (len(places) - 1) // 2]) for places in classes.names]
    told = [places[-1] for places in classes.names]
    centre = rows[[place for places in named for place in places]].mean(0)
    defined = F.normalize(rows[told] - rows[told].mean(0), dim=-1)
    meant = torch.stack([F.normalize(rows[places] - centre, dim=-1).sum(0) for places in named])
    count = torch.tensor([len(places) + 1 for places in named])[:, None]
    method.weight.copy_(torch.from_numpy(classes.weight))
    method.bias.copy_(torch.from_numpy(classes.bias))
    method.names.copy_((meant + defined) / count)
    method.centre.copy_(centre)
    method.standardise["image"].learn(torch.from_numpy(material.pictures))  # type: ignore[operator]
    norm = method.standardise["text"]
    norm.learn(rows)  # type: ignore[operator]
    norm.mean.copy_(centre)  # type: ignore[operator,union-attr]


class Sampler:
    """Draws rows to learn from: what the heads read, and who is whose positive."""

    def __init__(self, method: Nested, material: Material, recipe: Recipe) -> None:
        self.method, self.material, self.recipe = method, material, recipe
        self.generator = np.random.default_rng(recipe.seed)
        self.pictures = Photographs(material.pictures, material.classes.weight)
        self.noun_classes = noun_masks(material.classes)
        with torch.no_grad():
            self.seen = method.inputs(_view("image", material.pictures))
            self.words = method.inputs(_view("text", material.words))
            self.class_words = method.inputs(_view("text", material.class_words))

    @property
    def steps(self) -> int:
        """Count the steps of an epoch."""
        return max(1, len(self.material.pictures) // self.recipe.batch)

    def drawings(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Give drawings with one caption each: what is seen, what is read, positives."""
        concepts = torch.from_numpy(self.material.concepts[rows])
        captions = [self.caption(row) for row in rows.tolist()]
        return self._hidden(self.seen[rows]), self.words[captions], concepts[:, None] == concepts[None]

    def classes(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give photographs that never were, with a name or definition of their class."""
        which = self.generator.integers(len(self.material.classes.names), size=count)
        places = [self.one(self.material.classes.names[row]) for row in which.tolist()]
        same = torch.from_numpy(which)
        return self._photographs(which), self.class_words[places], same[:, None] == same[None]

    def nouns(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give photographs that never were, with a noun that means their class or stands near it."""
        chosen = self.generator.integers(len(self.noun_classes), size=count)
        nouns = self.material.classes.nouns
        which = np.array([self.one(nouns[row][1]) for row in chosen.tolist()])
        positives = torch.from_numpy(self.noun_classes[chosen][:, which].T)
        return self._photographs(which), self.class_words[[nouns[row][0] for row in chosen.tolist()]], positives

    def all_pictures(self) -> Tensor:
        """Give all drawings, and one photograph of every class."""
        return torch.cat([self.seen, self.some_photographs(1)[0]])

    def some_photographs(self, each: int) -> tuple[Tensor, Rows]:
        """Give photographs of every class, and which class each shows."""
        which = np.repeat(np.arange(len(self.material.classes.names)), each)
        return self._photographs(which, hide=False), which

    def mixtures(self, count: int) -> Tensor:
        """Give features half-way between those of any two pictures, which no name knows, with the opinion of them."""
        which = np.repeat(np.arange(len(self.material.classes.names)), PHOTOGRAPHS_EACH)
        pool = np.concatenate([self.material.pictures, self.pictures.of(which, self.generator)])
        one, other = pool[self.generator.integers(len(pool), size=(2, count))]
        share = self.generator.uniform(0.2, 0.8, size=(count, 1)).astype(np.float32)
        with torch.no_grad():
            return self.method.inputs(_view("image", share * one + (1 - share) * other))

    def _photographs(self, which: Rows, hide: bool = True) -> Tensor:
        with torch.no_grad():
            made = self.method.inputs(_view("image", self.pictures.of(which, self.generator)))
        return self._hidden(made) if hide else made

    def _hidden(self, seen: Tensor) -> Tensor:
        if not self.recipe.blind:
            return seen
        kept = torch.ones_like(seen)
        kept[self.generator.random(len(seen)) < self.recipe.blind, : self.material.pictures.shape[1]] = 0
        return seen * kept

    def caption(self, row: int) -> int:
        """Draw one caption of a drawing."""
        spoken = self.material.captions[row]
        if ENGLISH in spoken and self.generator.random() < self.recipe.english:
            return self.one(spoken[ENGLISH])
        return self.one(spoken[list(spoken)[int(self.generator.integers(len(spoken)))]])

    def one(self, places: tuple[int, ...]) -> int:
        """Draw one of some rows."""
        return places[int(self.generator.integers(len(places)))]


def _train_heads(method: Nested, sampler: Sampler, recipe: Recipe, progress: bool) -> None:
    trained = [*method.image.parameters(), *method.text.parameters(), method.log_scale]
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    total = sampler.steps * recipe.epochs
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total + 1, pct_start=max(0.1, 2 / (total + 1))
    )
    method.train()
    for _ in trange(recipe.epochs, desc="heads", disable=None if progress else True):
        order = sampler.generator.permutation(len(sampler.material.pictures))
        for step in range(sampler.steps):
            parts = []
            if recipe.drawings:
                parts.append((1.0, sampler.drawings(order[step * recipe.batch : (step + 1) * recipe.batch])))
            if recipe.photographs:
                parts.append((recipe.photographs, sampler.classes(recipe.batch // 2)))
            if recipe.photographs and recipe.nouns:
                parts.append((recipe.photographs, sampler.nouns(recipe.batch // 2)))
            losses = [share * term.mean() for share, part in parts for term in method.head_losses(*part).values()]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()
            pace.step()


def _fold(method: Nested, sampler: Sampler, recipe: Recipe) -> None:
    """Keep the directions in which pictures and words, equally counted, are longest; then find the usual picture."""
    sides = [method.joint("image", sampler.all_pictures()), method.joint("text", _all_words(sampler))]
    moment = sum((side.double().T @ side.double() / len(side) for side in sides), torch.zeros(()))
    vectors = torch.linalg.eigh(moment)[1]
    method.fold.copy_(vectors[:, -len(method.fold) :].flip(1).T.float())
    kinds = [sampler.seen] if recipe.drawings else []
    if recipe.photographs:
        kinds.append(sampler.some_photographs(1)[0])
    means = [F.normalize(method.joint("image", kind) @ method.fold.T, dim=-1).mean(0) for kind in kinds]
    method.usual.copy_(torch.stack(means).mean(0))


def _all_words(sampler: Sampler) -> Tensor:
    return torch.cat([sampler.words, sampler.class_words])


def _train_bits(method: Nested, sampler: Sampler, recipe: Recipe, progress: bool) -> None:
    """Start at rotations of the strongest directions, then learn what the heads, now fixed, can tell apart."""
    with torch.no_grad():
        photographs, which = sampler.some_photographs(PHOTOGRAPHS_EACH)
        mixtures = sampler.mixtures(len(photographs))
        seen = method.joint("image", torch.cat([sampler.seen, photographs, mixtures]))
        read = method.joint("text", _all_words(sampler))
        _start_bits(method, seen, read, recipe.seed)
    drawn, each, names = len(sampler.seen), max(1, recipe.batch // 6), sampler.material.classes.names
    learnt = [*method.project.parameters(), *method.reader.parameters(), method.apart, method.writer, method.code_scale]
    optimiser = torch.optim.AdamW(learnt, lr=recipe.code_rate, weight_decay=0.0)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.code_rate, recipe.code_steps + 1, pct_start=max(0.1, 2 / (recipe.code_steps + 1))
    )
    method.train()
    for _ in trange(recipe.code_steps, desc="bits", disable=None if progress else True):
        at = sampler.generator.integers(drawn, size=each)
        shown = sampler.generator.integers(len(which), size=each)
        mixed = sampler.generator.integers(len(mixtures), size=each)
        pictures = np.concatenate([at, drawn + shown, drawn + len(which) + mixed])
        captions = [sampler.caption(row) for row in at.tolist()]
        called = [len(sampler.words) + sampler.one(names[row]) for row in which[shown].tolist()]
        others = sampler.generator.integers(len(read), size=4 * each)
        known = torch.from_numpy(np.concatenate([sampler.material.concepts[at], -1 - which[shown]]))
        terms = method.code_losses(seen[pictures], read[[*captions, *called, *others]], known[:, None] == known[None])
        optimiser.zero_grad()
        torch.stack([term.mean() for term in terms.values()]).sum().backward()
        optimiser.step()
        pace.step()
    method.eval()


def _start_bits(method: Nested, seen: Float[Tensor, "N J"], read: Float[Tensor, "M J"], seed: int) -> None:
    """Let each side's bits be rotations of its folded vectors, and be balanced."""
    sides = [method.folded("image", seen), method.folded("text", read)]
    rows = torch.cat([(side - side.mean(0))[torch.randperm(len(side))[:10_000]] for side in sides])
    start = nested_rotations(rows, method.config.prefixes, seed)
    start = start / (rows @ start).std()
    method.project.weight.copy_(start.T)
    method.project.bias.copy_(-(sides[0].mean(0) @ start))
    method.apart.copy_((sides[0].mean(0) - sides[1].mean(0)) @ start)


def nested_rotations(rows: Float[Tensor, "N W"], prefixes: tuple[int, ...], seed: int) -> Float[Tensor, "W K"]:
    """Give directions whose first bits are a good short code: each block rotates the strongest half as many directions."""
    blocks, done = [], 0
    for number, bits in enumerate(prefixes):
        wanted = bits - done
        blocks.append(itq(rows, wanted, directions=min(wanted, prefixes[0] * max(1, number)), seed=seed + number))
        done = bits
    return torch.cat(blocks, 1)


def learn_doubt(method: Nested, view: str, real: Float[Tensor, "N I"], unreal: Float[Tensor, "M I"]) -> None:
    """Learn to tell the real from the unreal, by logistic regression; one in a thousand real ones is doubted a little."""
    weights = method.doubt_image if view == "image" else method.doubt_text
    width = len(weights) - 1
    x = torch.cat([real[:, :width], unreal[:, :width]]).double()
    y = torch.cat([torch.zeros(len(real)), torch.ones(len(unreal))]).double()
    each = torch.cat(
        [torch.full((len(real),), 0.5 / len(real)), torch.full((len(unreal),), 0.5 / len(unreal))]
    ).double()
    found = torch.zeros(width + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([found], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = x @ found[:-1] + found[-1]
        cost = F.binary_cross_entropy_with_logits(logits, y, weight=each, reduction="sum")
        value: Tensor = cost + 1e-3 * found[:-1].square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    with torch.no_grad():
        logits = x @ found[:-1] + found[-1]
        high = logits[: len(real)].quantile(0.999) if len(real) < 100_000 else logits[: len(real)].topk(100).values[-1]
        low = logits[len(real) :].quantile(0.1)
        steep = 8.0 / (low - high).clamp(min=1.0)  # from a doubt of 0.02 to one of 0.98 between the two
        weights[:-1] = (steep * found[:-1]).float()
        weights[-1] = (steep * (found[-1] - high) - 4.0 + UNSURE).float()


def _view(modality: str, pooled: np.ndarray) -> Encoded:
    rows = torch.from_numpy(np.ascontiguousarray(pooled, np.float32))
    return Encoded(modality, rows[:, None, :1], torch.ones(len(rows), 1, dtype=torch.bool), rows)  # type: ignore[arg-type]
