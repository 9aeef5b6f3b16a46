"""What the heads of `nested` learn from: drawings with names, rows of the classifier as photographs, and nothing.

    drawings and clip art (features), names and keywords in many languages (features)
    class of the classifier -> features that it would take for this class <-> its names, its definition, WordNet's nouns for it
    noise, plain colours, pages of strokes <-> what is no picture; letters and signs <-> what is no query

No photograph is needed: moved along the row of a class as far as the drawings' covariance takes it, a drawing's features are
taken for that class, and keep what else varies from picture to picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8

from crossbit.data.cache import FeatureCache
from crossbit.data.imagenet import imagenet_classes, imagenet_nouns
from crossbit.data.manifest import Item, Manifest
from crossbit.encoders.base import Encoder

EDGE = 224
ENGLISH = "en"
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдежзиклмнопрст",
    "αβγδεζηθικλμ",
    "אבגדהוזחט",
    "ابتثجحخد",
    "あいうえおかき",
    "가나다라마바",
)
_UNREAD = "𐤀𐤁𐤂𓀀𓀁𓀂ᚠᚢᚦ𒀀𒀁꧁ꦀꦁ𐌀𐌁"
_SIGNS = "!?.,;:-_*#@%&/()[]0123456789"


@dataclass(frozen=True)
class Classes:
    """The classifier and the words for its classes.

    Args:
        weight: its rows.
        bias: of each class.
        names: rows of `texts` by class: names, names as sentences, definition.
        nouns: row of `texts` and classes of every noun around them.
        texts: what is to be encoded.
    """

    weight: Float32[np.ndarray, "C P"]
    bias: Float32[np.ndarray, " C"]
    names: tuple[tuple[int, ...], ...]
    nouns: tuple[tuple[int, tuple[int, ...]], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """Features and words to learn from.

    Args:
        pictures: pooled features.
        concepts: what each shows; pictures of one concept are no negatives of each other.
        captions: of each picture, language to rows of `captions_of`.
        words: pooled features of the captions.
        classes: the classifier and its words.
        class_words: pooled features of `classes.texts`.
        nothing: pooled features of pictures of nothing.
        babble: pooled features of texts that are no words.
    """

    pictures: Float32[np.ndarray, "N P"]
    concepts: Int64[np.ndarray, " N"]
    captions: tuple[dict[str, tuple[int, ...]], ...]
    words: Float32[np.ndarray, "M T"]
    classes: Classes
    class_words: Float32[np.ndarray, "K T"]
    nothing: Float32[np.ndarray, "J P"]
    babble: Float32[np.ndarray, "J T"]
    texts: tuple[str, ...] = field(default=(), repr=False)


def gather(
    manifest: Manifest,
    image: Encoder,
    text: Encoder,
    classifier: tuple[Float[np.ndarray, "C P"], Float[np.ndarray, " C"]],
    *,
    seed: int = 0,
    progress: bool = True,
) -> Material:
    """Encode everything, through the cache.

    Args:
        manifest: training items alone; of languages other than English only names are read.
        image: the frozen image encoder.
        text: the frozen text encoder.
        classifier: weight and bias of the image encoder's last layer.
        seed: of what is no picture and no text.
        progress: show bars.
    """
    classes = class_words(*classifier)
    place: dict[str, int] = {}
    captions = tuple(captions_of(item, place) for item in manifest)
    texts = tuple(place)
    concept = {name: number for number, name in enumerate(sorted({_concept(item) for item in manifest}))}
    words = FeatureCache(text)
    generator = np.random.default_rng(seed)
    return Material(
        FeatureCache(image).get_or_encode([manifest.file(item) for item in manifest], progress=progress).pooled,
        np.array([concept[_concept(item)] for item in manifest], np.int64),
        captions,
        words.get_or_encode(texts, progress=progress).pooled,
        classes,
        words.get_or_encode(classes.texts, progress=progress).pooled,
        image.encode(image.prepare(nothing(generator))).pooled,
        text.encode(text.prepare(babble(generator))).pooled,
        texts,
    )


def captions_of(item: Item, place: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Give an item's captions by language, as rows of all texts; new texts are added to `place`.

    English as it is, and its first name as a sentence too, since people ask either way; of other languages the names.
    """
    found: dict[str, tuple[int, ...]] = {}
    for caption in item.captions:
        if caption.lang == ENGLISH or caption.kind == "name":
            found[caption.lang] = (*found.get(caption.lang, ()), place.setdefault(caption.text, len(place)))
    name = next((caption.text for caption in item.captions if caption.lang == ENGLISH and caption.kind == "name"), "")
    if name:
        found[ENGLISH] = (*found[ENGLISH], place.setdefault(as_sentence(name), len(place)))
    return found


def as_sentence(name: str) -> str:
    """Write "An apple." for "apple"."""
    return f"{'An' if name[:1].lower() in 'aeiou' else 'A'} {name}."


def class_words(weight: Float[np.ndarray, "C P"], bias: Float[np.ndarray, " C"]) -> Classes:
    """Collect the words for the classes: names, names as sentences, definitions, nouns around them."""
    place: dict[str, int] = {}
    named = []
    for known in imagenet_classes():
        spoken = (*known.names, *map(as_sentence, known.names), f"{known.names[0]}: {known.definition}")
        named.append(tuple(place.setdefault(text, len(place)) for text in spoken))
    nouns = tuple(
        (place.setdefault(name, len(place)), noun.classes) for noun in imagenet_nouns() for name in noun.names
    )
    return Classes(np.asarray(weight, np.float32), np.asarray(bias, np.float32), tuple(named), nouns, tuple(place))


class Photographs:
    """Makes features of photographs that never were: a drawing's, moved along the row of a class.

    Were a class a cloud of features around its mean, with the covariance that all classes share, the best linear classifier's
    row would be the inverse covariance times the mean's place; so the covariance times the row leads to the class.

    Args:
        pictures: features whose covariance and leftovers are used.
        weight: rows of the classifier.
        strength: how far, in standard deviations of the class's own logit among the drawings.
        leftover: share that stays of what the drawing was.
    """

    def __init__(
        self,
        pictures: Float32[np.ndarray, "N P"],
        weight: Float32[np.ndarray, "C P"],
        strength: float = 20.0,
        leftover: float = 0.8,
    ) -> None:
        self.pictures, self.leftover, self.strength = pictures, leftover, strength
        self.mean = pictures.mean(0)
        rows = weight - weight.mean(0)
        moved = rows @ np.cov((pictures - self.mean).T).astype(np.float32)
        self.directions = moved / np.sqrt((moved * rows).sum(1, keepdims=True)).clip(1e-6)

    def of(self, classes: Int64[np.ndarray, " B"], generator: np.random.Generator) -> Float32[np.ndarray, "B P"]:
        """Make one photograph's features for each of these classes."""
        drawn = self.pictures[generator.integers(len(self.pictures), size=len(classes))] - self.mean
        far = self.strength * generator.uniform(0.6, 1.4, (len(classes), 1))
        made: np.ndarray = self.mean + self.leftover * drawn + far * self.directions[classes]
        clipped: np.ndarray = np.clip(made, 0, 6).astype(np.float32)  # the encoder's last layer ends between 0 and 6
        return clipped


def noun_masks(classes: Classes) -> Bool[np.ndarray, "V C"]:
    """Mark which classes each noun stands for."""
    mask = np.zeros((len(classes.nouns), len(classes.weight)), bool)
    for row, (_, below) in enumerate(classes.nouns):
        mask[row, list(below)] = True
    return mask


def nothing(generator: np.random.Generator, each: int = 24) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Make pictures of nothing: noise fine and coarse, plain colours, colour ramps, pages of strokes."""
    made = []
    for _ in range(each):
        grain = int(generator.choice([1, 2, 4, 8, 28, 56]))
        coarse = generator.integers(0, 256, (EDGE // grain, EDGE // grain, int(generator.choice([1, 3]))))
        made.append(np.broadcast_to(np.kron(coarse, np.ones((grain, grain, 1), int)), (EDGE, EDGE, 3)))
        made.append(np.broadcast_to(generator.integers(0, 256, 3), (EDGE, EDGE, 3)))
        ends = generator.integers(0, 256, (2, 3))
        ramp = np.linspace(0, 1, EDGE)[:, None, None] * np.ones((1, EDGE, 1))
        ramp = ramp if generator.random() < 0.5 else ramp.transpose(1, 0, 2)
        made.append(ends[0] + ramp * (ends[1] - ends[0]))
        made.append(_page(generator))
        made.append(generator.normal(128, generator.uniform(10, 80), (EDGE, EDGE, 3)))
    return [np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8)) for picture in made]


def _page(generator: np.random.Generator) -> Int64[np.ndarray, "H W 3"]:
    """Draw lines of strokes of the size of letters: what a page of text is from afar."""
    paper, ink = int(generator.integers(225, 256)), int(generator.integers(0, 90))
    page = np.full((EDGE, EDGE, 3), paper, np.int64)
    high = int(generator.integers(3, 9))
    margin = int(generator.integers(4, 24))
    for top in range(margin, EDGE - margin - high, int(high * generator.uniform(1.6, 2.2))):
        left, end = margin, EDGE - margin - int(generator.integers(0, 60) if generator.random() < 0.2 else 0)
        while left < end:
            for _ in range(int(generator.integers(2, 9))):  # letters of a word
                wide = max(1, int(high * generator.uniform(0.3, 0.7)))
                stroke = slice(left, min(left + max(1, wide // 3), end))
                low = top + int(high * generator.choice([0.0, 0.3]))
                page[low : top + high, stroke] = ink
                across = low if generator.random() < 0.5 else top + high - 1
                page[across : across + max(1, high // 5), left : min(left + wide, end)] = ink
                left += wide + 1
            left += max(2, high // 2)
    return page


def babble(generator: np.random.Generator, each: int = 60) -> list[str]:
    """Make texts that are no words: nothing, single letters, letters at random, signs, scripts that no tokenizer reads."""
    made = ["", " ", *"abcdefghijklmnopqrstuvwxyzABCXYZ"]

    def some(letters: Sequence[str], low: int, high: int) -> str:
        return "".join(generator.choice(list(letters), int(generator.integers(low, high))))

    for _ in range(each):
        for alphabet in _ALPHABETS:
            made += [str(generator.choice(list(alphabet))), some(alphabet, 4, 12)]
        made += [some(_SIGNS, 1, 8), some(_UNREAD, 1, 10), f"{some(_ALPHABETS[0], 3, 9)} {some(_ALPHABETS[0], 3, 9)}"]
    return list(dict.fromkeys(made))


def _concept(item: Item) -> str:
    return item.concept or item.id
