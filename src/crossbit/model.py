"""Model: encoders and a method in one folder; media in, rows out. Encoding needs ONNX Runtime and NumPy, not torch.

A model folder holds

    config.json         method, its settings, encoders and their fingerprints, widths, checksums of the other files
    model.safetensors   the method's weights
    image.onnx          what the method does to an image encoder's features: embedding and relaxed code
    text.onnx           the same for text
    codes.safetensors   what makes codes of the embedding, where they were made after the training
    README.md           the model card

and is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from tqdm import tqdm

from crossbit.cachedir import cache_dir
from crossbit.codes.afterwards import CodedHead, CodesBy, Projection
from crossbit.codes.packing import pack
from crossbit.encoders import load as load_encoder
from crossbit.encoders.base import Encoder, Media
from crossbit.errors import AbilityError, ConfigError, FingerprintError, ModelError, UsageError
from crossbit.features import Features, concatenate
from crossbit.heads import Head, OnnxHead, TorchHead, widths
from crossbit.media.image import load_image
from crossbit.modelcard import CODES_FILE, ModelCard, fingerprint_of, read_card, readme, sha256_of

if TYPE_CHECKING:
    from crossbit.cascade import Scorer
    from crossbit.data.loader import FeatureRows
    from crossbit.methods.base import Method

EDGE = 224
"""Edge of the blank picture that an image encoder is probed with, and what one without a size of its own is given."""

OnLongText = Literal["error", "truncate", "chunk"]
Precision = Literal["float32", "float16", "int8", "binary"]
_INT8 = 127.0


@dataclass(frozen=True)
class Rows:
    """Hold what a model says of N items: unit embeddings, packed codes, or both, as far as its method goes.

    `relaxed`, in [-1, 1], is a code before it is cut to its signs: what an asymmetric comparison asks with.
    """

    embedding: Float32[np.ndarray, "N E"] | None
    code: UInt8[np.ndarray, "N W"] | None
    relaxed: Float32[np.ndarray, "N K"] | None = None


class Model:
    """A method with its encoders, ready for use.

    Example:
        >>> model = Model.from_pretrained("conse")                              # doctest: +SKIP
        >>> model.encode_text(["a dog", "ein Hund"]).shape                      # doctest: +SKIP
        (2, 384)
    """

    def __init__(self, card: ModelCard, method: Method | None = None, folder: Path | None = None) -> None:
        """Use `from_pretrained` or `from_method` instead."""
        self.card = card
        self.folder = folder
        self._method = method
        self._projection: Projection | None = None

    # ---- where models come from

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Model:
        """Load a model: "base", "conse", "clip:NAME", "siglip:NAME", or the folder of a trained one.

        Raises:
            ConfigError: there is no such model.
            ModelError: the folder is damaged or half-written.
            FingerprintError: an encoder is not the one that the model was trained on.
        """
        text = os.fspath(name)
        if text == "base":
            return base_model()
        if text == "conse":
            return _conse()
        kind, _, rest = text.partition(":")
        if kind in ("clip", "siglip") and rest and not Path(text).exists():
            return _dual(kind, rest)
        return cls.load(Path(text))

    @classmethod
    def default(cls) -> Model:
        """Load the model that `index` uses when none is named: "base", or "conse" where its text encoder has no package."""
        return cls.from_pretrained(default_model())

    @classmethod
    def load(cls, folder: str | Path) -> Model:
        """Load a model folder and check every file against its checksum."""
        return cls(read_card(Path(folder)), folder=Path(folder))

    @classmethod
    def from_method(
        cls,
        method: Method | Sequence[Method],
        key: str,
        encoders: Mapping[str, str],
        *,
        name: str = "",
        sees: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> Model:
        """Join a method with the encoders that it was trained on.

        Args:
            method: with its weights; put into eval mode. Peers that were trained side by side are joined.
            key: its name in the table of methods, or `module:Class`.
            encoders: view to encoder name, such as {"image": "efficientnet-lite0", "text": "e5-small"}.
            name: what to call the model; the key by default.
            sees: a sentence that says what the model can and cannot see.
            training: what it was trained on, for the model card.
        """
        from crossbit.methods.base import abilities
        from crossbit.methods.joined import joined

        peers = list(method) if isinstance(method, Sequence) else [method]
        method = joined(peers)
        cards = {view: load_encoder(encoders[view]).describe() for view in encoders}
        can = abilities(type(method))
        probe = widths(method.eval(), {view: (card.dim, card.pooled_dim) for view, card in cards.items()})
        card = ModelCard(
            name=name or key,
            method=key,
            config=asdict(method.config),
            encoders=dict(encoders),
            encoder_fingerprints={view: card.fingerprint for view, card in cards.items()},
            # the method's own widths too: of views that only training has
            dims={**method.dims, **{view: (card.dim, card.pooled_dim) for view, card in cards.items()}},
            abilities=tuple(sorted(can)),
            dim=probe[0],
            bits=probe[1],
            sees=sees,
            training={**(training or {}), **({"peers": len(peers)} if len(peers) > 1 else {})},
        )
        return cls(card, method)

    def save_pretrained(self, folder: Path | str) -> Path:
        """Write the model folder, whole or not at all; the model then works from there.

        Raises:
            ModelError: something else lies at this place.
        """
        from safetensors.torch import save_file

        folder = Path(folder)
        if folder.exists() and not (folder / "config.json").is_file() and any(folder.iterdir()):
            raise ModelError(f"{folder}: holds other files, expected an empty folder or an older model")
        partial = folder.with_name(folder.name + f".partial-{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in self.method.state_dict().items()}, partial / "model.safetensors")
        self._export(partial)
        if self.projection is not None:
            self.projection.save(partial / CODES_FILE)
        (partial / "README.md").write_text(readme(self.card), encoding="utf-8")
        files = {path.name: sha256_of(path) for path in sorted(partial.iterdir())}
        about = asdict(self.card)
        if not self.card.codes:
            del about["codes"]  # which crossbit of before does not know
        config = {
            "format": self.card.format,
            **about,
            "files": files,
            "fingerprint": fingerprint_of(self.card, files),
        }
        (partial / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
        self.folder = folder
        for cached in ("fingerprint", "_heads"):
            self.__dict__.pop(cached, None)
        return folder

    def with_codes(self, projection: Projection, by: CodesBy, **about: Any) -> Model:
        """Give the same model with codes made from its embedding, to be saved like any other.

        Args:
            projection: from `training.afterwards.fit_codes`.
            by: how it was made.
            about: what else the card shall say of it.

        Raises:
            AbilityError: the model has no embedding to make codes from.
        """
        if not self.dim:
            raise AbilityError(f"model `{self.name}` has no embedding, so no codes can be made from it")
        codes = {"by": by, "bits": projection.bits, "of": self.fingerprint, **about}
        name = f"{self.name}-{by}-{projection.bits}bit"
        can = tuple(sorted({*self.card.abilities, "hashes"}))
        made = Model(replace(self.card, name=name, bits=projection.bits, abilities=can, codes=codes), self.method)
        made._projection = projection
        return made

    def with_bits(self, bits: int) -> Model:
        """Give the same model with only the first bits of its code; see `nests`.

        Raises:
            AbilityError: the model has no such code.
        """
        if bits == self.bits:
            return self
        if not 0 < bits < self.bits:
            found = f"codes of {self.bits} bits" if self.bits else "no codes"
            raise AbilityError(f"model `{self.name}` has {found}, asked for the first {bits}")
        cut = Model(replace(self.card, bits=bits), self._method, self.folder)
        cut._projection = self.projection
        cut.__dict__["fingerprint"] = hashlib.sha256(f"{self.fingerprint}/{bits}".encode()).hexdigest()[:16]
        return cut

    # ---- what it is

    @property
    def name(self) -> str:
        """Say what the model is called."""
        return self.card.name

    @property
    def abilities(self) -> frozenset[str]:
        """Name what its method can do, such as {"embeds", "hashes"}."""
        return frozenset(self.card.abilities)

    @property
    def dim(self) -> int:
        """Give E, the width of its embeddings, 0 where it has none."""
        return self.card.dim

    @property
    def bits(self) -> int:
        """Give K, the length of its codes, 0 where it has none."""
        return self.card.bits

    @property
    def views(self) -> tuple[str, ...]:
        """Name the kinds of media that it reads."""
        return tuple(self.card.encoders)

    @property
    def image_size(self) -> int:
        """Give the edge in pixels that pictures may be decoded for."""
        return self.encoder("image").describe().edge or EDGE

    @cached_property
    def fingerprint(self) -> str:
        """Hash weights, settings and encoders: rows of models with different fingerprints must not be compared."""
        if self.folder is not None:
            return str(json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["fingerprint"])
        digest = hashlib.sha256()
        for key, value in sorted(self.method.state_dict().items()):
            digest.update(key.encode() + value.cpu().numpy().tobytes())
        files = {"model.safetensors": digest.hexdigest()}
        if self.projection is not None:
            numbers = [self.projection.directions, *(mean for _, mean in sorted(self.projection.means.items()))]
            files[CODES_FILE] = hashlib.sha256(b"".join(rows.tobytes() for rows in numbers)).hexdigest()
        return fingerprint_of(self.card, files)

    @cached_property
    def method(self) -> Method:
        """Give the method with its weights; loads torch."""
        if self._method is None:
            self._method = _load_method(self.card, self.folder)
        return self._method

    @property
    def projection(self) -> Projection | None:
        """Give what makes codes of the embedding, where they were made after the training."""
        if self._projection is None and self.card.codes and self.folder is not None:
            self._projection = Projection.load(self.folder / CODES_FILE)
        return self._projection

    def nests(self, bits: int) -> bool:
        """Say whether the first bits were made to be a code of their own."""
        if self.card.codes:
            return self.card.codes["by"] == "random" or bits in self.card.codes.get("nested", ())
        if self.card.config.get("nested"):
            from crossbit.codes.lengths import nested_lengths

            return bits in nested_lengths(self.card.bits)
        shortest = int(self.card.config.get("shortest", 0))
        return bool(shortest) and bits % shortest == 0 and (bits // shortest).bit_count() == 1

    def encoder(self, view: str) -> Encoder:
        """Give the encoder of a view.

        Raises:
            AbilityError: the model does not read this kind of media.
        """
        if view not in self.card.encoders:
            raise AbilityError(f"model `{self.name}` reads {list(self.views)}, not {view!r}")
        return self._encoders(view)

    # ---- what it does

    def encode(
        self,
        view: str,
        media: Sequence[Media],
        *,
        batch_size: int = 32,
        on_long_text: OnLongText = "truncate",
        show_progress: bool = False,
    ) -> Rows:
        """Give embeddings and codes of pictures or texts.

        Args:
            view: "image" or "text".
            media: paths, bytes, Pillow images or uint8 RGB arrays (H, W, 3); or strings.
            batch_size: items at a time.
            on_long_text: what to do with a text that is longer than the encoder reads.
            show_progress: show a bar on stderr.

        Raises:
            MediaError: a picture cannot be read; the message names it.
            UsageError: a text is empty, or too long with `on_long_text="error"`.
            AbilityError: the model neither embeds nor hashes, or does not read this kind of media.
        """
        if not self.dim and not self.bits:
            raise AbilityError(
                f"model `{self.name}` scores pairs jointly, so it has no embedding to give",
                "use it to re-rank the answers of a model that embeds",
            )
        encoder = self.encoder(view)
        order = np.arange(len(media))
        if view == "text":
            _check_texts(media)
            order = np.argsort([len(text) for text in media], kind="stable")  # little padding in a batch
        embeddings = np.empty((len(media), self.dim), np.float32) if self.dim else None
        relaxed = np.empty((len(media), self.bits), np.float32) if self.bits else None
        with tqdm(total=len(media), desc=f"encode {view}", unit=view, disable=None if show_progress else True) as bar:
            for start in range(0, len(media), batch_size):
                rows = order[start : start + batch_size]
                features = self._features(encoder, view, [media[row] for row in rows], on_long_text)
                embedding, unrounded = self._heads[view](features)
                if embeddings is not None:
                    embeddings[rows] = embedding
                if relaxed is not None:
                    relaxed[rows] = unrounded[:, : self.bits]
                bar.update(len(rows))
        return Rows(embeddings, None if relaxed is None else pack(relaxed), relaxed)

    def features(self, view: str, media: Sequence[Media], *, on_long_text: OnLongText = "truncate") -> Features:
        """Give what the frozen encoder says, before the method."""
        encoder = self.encoder(view)
        parts = [
            self._features(encoder, view, media[start : start + 32], on_long_text) for start in range(0, len(media), 32)
        ]
        return concatenate(parts)

    def reads_tokens(self, view: str) -> bool:
        """Say whether `rows` reads the tokens of a view; where it does not, features may come without them."""
        return bool({"tokens", "mask"} & self._heads[view].reads)

    def rows(self, features: Features) -> Rows:
        """Give embeddings and codes of features that are already there, such as cached ones."""
        embedding, relaxed = self._heads[features.modality](features)
        relaxed = None if relaxed is None else relaxed[:, : self.bits]
        return Rows(embedding, None if relaxed is None else pack(relaxed), relaxed)

    def encode_image(
        self,
        media: Sequence[Media],
        *,
        precision: Precision = "float32",
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> np.ndarray:
        """Give one row a picture: (N, E) in `precision`, or packed codes (N, K/8) for "binary"."""
        rows = self.encode("image", media, batch_size=batch_size, show_progress=show_progress)
        return self._in_precision(rows, precision)

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        precision: Precision = "float32",
        batch_size: int = 32,
        on_long_text: OnLongText = "truncate",
        show_progress: bool = False,
    ) -> np.ndarray:
        """Give one row a text, in any language that the text encoder reads."""
        rows = self.encode("text", texts, batch_size=batch_size, on_long_text=on_long_text, show_progress=show_progress)
        return self._in_precision(rows, precision)

    def code(self, view: str, media: Sequence[Media]) -> UInt8[np.ndarray, "N W"]:
        """Give packed codes, most significant bit first.

        Raises:
            AbilityError: the method does not hash.
        """
        return self._in_precision(self.encode(view, media), "binary")

    def scorer(self, queries: Features, tokens: Callable[[np.ndarray], Features]) -> Scorer:
        """Give the joint scores of a query with some items, for `cascade.rerank`.

        Raises:
            AbilityError: the method does not score pairs.
        """
        self._check_scores()
        import torch

        from crossbit.batch import Encoded

        encoded = Encoded.from_features(queries)

        def score(query: int, ids: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                asked = (encoded[query : query + 1],)
                scores = self.method.score(asked, (Encoded.from_features(tokens(ids)),))  # type: ignore[operator]
            row: np.ndarray = scores[0].float().numpy()
            return row

        return score

    def joint_scores(self, images: FeatureRows, texts: FeatureRows) -> Float32[np.ndarray, "N M"]:
        """Score every picture with every text jointly, from features that are already there.

        Raises:
            AbilityError: the method does not score pairs.
        """
        self._check_scores()
        from crossbit.methods.base import joint_scores

        return joint_scores(self.method, images, texts)

    def align(self, a: Features, b: Features) -> Float32[np.ndarray, "N La Lb"]:
        """Give how much each token of the rows of `a` looks at each token of the row of `b` at its place.

        Raises:
            AbilityError: the method does not align.
        """
        if "aligns" not in self.abilities:
            raise AbilityError(f"model `{self.name}` does not align words with parts", "see `crossbit methods`")
        import torch

        from crossbit.batch import Encoded

        with torch.no_grad():
            found = self.method.align(Encoded.from_features(a), Encoded.from_features(b))  # type: ignore[operator]
        weights: np.ndarray = found.float().numpy()
        return weights

    # ---- below

    def _check_scores(self) -> None:
        if "scores" not in self.abilities:
            raise AbilityError(
                f"model `{self.name}` compares embeddings and has no joint score", "see `crossbit methods`"
            )

    def _features(self, encoder: Encoder, view: str, media: Sequence[Media], on_long_text: OnLongText) -> Features:
        if getattr(encoder, "reads_arrays", False):
            return encoder.encode(encoder.prepare(media))
        if view == "image":
            edge = encoder.describe().edge or None
            return encoder.encode(encoder.prepare([_picture(item, edge) for item in media]))
        return encoder.encode(encoder.prepare(list(media), on_long_text=on_long_text))  # type: ignore[call-arg]

    def _in_precision(self, rows: Rows, precision: Precision) -> np.ndarray:
        if precision == "binary":
            if rows.code is None:
                raise AbilityError(f"model `{self.name}` has no codes", "train a method that hashes, such as fgcmh")
            return rows.code
        if rows.embedding is None:
            raise AbilityError(f"model `{self.name}` has codes alone", 'ask for precision="binary"')
        if precision == "float32":
            return rows.embedding
        if precision == "float16":
            return rows.embedding.astype(np.float16)
        if precision == "int8":
            scaled: np.ndarray = np.clip(np.rint(rows.embedding * _INT8), -_INT8, _INT8).astype(np.int8)
            return scaled
        raise UsageError(f"precision is {precision!r}, expected float32, float16, int8 or binary")

    def _encoders(self, view: str) -> Encoder:
        encoder: Encoder = load_encoder(self.card.encoders[view])
        found, expected = encoder.describe().fingerprint, self.card.encoder_fingerprints[view]
        if found != expected:
            raise FingerprintError(
                f"model `{self.name}`: encoder `{self.card.encoders[view]}` has fingerprint {found}, "
                f"the model was trained on {expected}",
                "install the version of the encoder that the model card names, or train the model again",
            )
        return encoder

    @cached_property
    def _heads(self) -> Mapping[str, Head]:
        return {view: self._head(view) for view in self.views}

    def _head(self, view: str) -> Head:
        path = None if self.folder is None else self.folder / f"{view}.onnx"
        head: Head = OnnxHead(path) if path is not None and path.is_file() else TorchHead(lambda: self.method)
        return head if self.projection is None else CodedHead(head, self.projection, view)

    def _export(self, folder: Path) -> None:
        from crossbit.nn.export import export_head

        hashes = bool(self.bits) and not self.card.codes
        if not self.dim and not hashes:
            return  # a joint scorer has no rows to give
        for view in self.views:
            probe: Any = np.zeros((EDGE, EDGE, 3), np.uint8) if view == "image" else "five words to probe with"
            encoder = self.encoder(view)
            if getattr(encoder, "reads_arrays", False):
                probe = np.zeros((5, encoder.describe().dim), np.float32)
            tokens = encoder.encode(encoder.prepare([probe])).tokens.shape[1]
            target = folder / f"{view}.onnx"
            widths_in = (self.card.dims[view][0], self.card.dims[view][1])  # a list, read from a folder
            grid = view == "image" and not getattr(encoder, "reads_arrays", False)
            export_head(self.method, view, widths_in, tokens, bool(self.dim), hashes, target, grid)


def method_class(key: str) -> type[Method]:
    """Find a method's class by its name in the table, or by `module:Class` for your own.

    Raises:
        ConfigError: there is no such method; the message names the nearest.
    """
    from difflib import get_close_matches

    from crossbit.methods import METHODS

    target = METHODS.get(key, key)
    module, _, name = target.partition(":")
    if not name:
        near = get_close_matches(key, METHODS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"no method {key!r}, there are {sorted(METHODS)}", f"{hint}your own is named `my_module:MyMethod`"
        )
    try:
        found: type[Method] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"method {key!r}: cannot load it ({error})", "is the module on the Python path?") from error
    return found


def _load_method(card: ModelCard, folder: Path | None) -> Method:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from crossbit.methods.joined import joined, peers_in

    cls = method_class(card.method)
    try:
        weights = load_file(folder / "model.safetensors") if folder is not None else {}
        config, dims = cls.Config(**card.config), {view: (width[0], width[1]) for view, width in card.dims.items()}
        method = joined([cls(config, dims) for _ in range(peers_in(weights))])
        if folder is not None:
            method.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"{folder}: the weights do not fit `{card.method}` ({error})", "save the model again"
        ) from error
    return method.eval()


def _picture(item: Media, edge: int | None) -> UInt8[np.ndarray, "H W 3"]:
    if isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3:
        return item
    return load_image(item, size=edge)


def _check_texts(texts: Sequence[str]) -> None:
    """Refuse what is no text; an empty one is read like any other, and a model that knows doubt gives it a low score."""
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"text {place} is {text!r}, expected a string")


def default_model() -> str:
    """Name the model to use when none is named."""
    from crossbit.encoders import default_text

    return "base" if default_text() == "e5-small" else "conse"


def base_model(heads: Path | None = None) -> Model:
    """Give the model `base`, whose heads come with the package; the first use writes its folder into the cache.

    Args:
        heads: a folder that `crossbit train base` wrote, in place of the package's.

    Raises:
        ModelError: the heads are damaged.
        FingerprintError: an encoder is not the one that they were trained on.
    """
    from crossbit.data import base

    card = base.read_card(heads)
    marks = [load_encoder(name).describe().fingerprint for name in card["encoders"].values()]
    place = heads or base.heads_file().parent
    if not (place / base.HEADS).is_file():
        raise ModelError(f"{place / base.HEADS}: missing, expected the heads of the model `base`", "reinstall crossbit")
    known = [*marks, sha256_of(place / base.HEADS), sha256_of(place / base.CARD), _recipe_of("nested")]
    folder = cache_dir() / "models" / f"base-{hashlib.sha256(chr(10).join(known).encode()).hexdigest()[:16]}"
    if not folder.exists():
        method = _base_method(card, base.read_heads(place / base.HEADS))
        made = Model.from_method(
            method, card["method"], card["encoders"], name="base", sees=card["sees"], training=card["training"]
        )
        made.save_pretrained(folder)
    return Model.load(folder)


def _base_method(card: Mapping[str, Any], heads: Mapping[str, np.ndarray]) -> Method:
    """Put the heads together with the classifier, which lies in the image encoder's package."""
    import torch

    from crossbit.encoders.image import classifier
    from crossbit.methods.nested import Nested, NestedConfig

    try:
        dims = {view: (int(width[0]), int(width[1])) for view, width in card["dims"].items()}
        method = Nested(NestedConfig(**card["config"]), dims)
        state = {**heads, **dict(zip(("weight", "bias"), classifier(), strict=True))}
        method.load_state_dict({name: torch.from_numpy(np.array(value, np.float32)) for name, value in state.items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"base: the heads do not fit their card ({error})", "reinstall crossbit") from error
    return method.eval()


CONSE_SEES = (
    "Knows a thousand kinds of things in photographs (animals, vehicles, tools, food, furniture, clothes); "
    "not colours, counts, actions, people, drawings or written words."
)


def _conse() -> Model:
    from crossbit.encoders import default_text

    encoders = {"image": "efficientnet-lite0", "text": default_text()}
    marks = [load_encoder(name).describe().fingerprint for name in encoders.values()]
    key = hashlib.sha256("\n".join([*marks, _recipe_of("conse")]).encode()).hexdigest()[:16]
    folder = cache_dir() / "models" / f"conse-{key}"
    if not folder.exists():
        from crossbit.methods.conse import build

        method = build(load_encoder(encoders["text"]))
        Model.from_method(method, "conse", encoders, name="conse", sees=CONSE_SEES).save_pretrained(folder)
    return Model.load(folder)


def _recipe_of(key: str) -> str:
    """Hash a method's source file: what it makes lies in the cache under a key that follows it."""
    from importlib.util import find_spec

    spec = find_spec(f"crossbit.methods.{key}")
    if spec is None or spec.origin is None:
        raise ModelError(f"{key}: its source file cannot be found, so its cache has no key", "reinstall crossbit")
    return sha256_of(Path(spec.origin))


def _dual(kind: str, name: str) -> Model:
    from crossbit.methods.clip import Clip, ClipConfig

    encoders = {"image": f"{kind}-image:{name}", "text": f"{kind}-text:{name}"}
    cards = {view: load_encoder(encoder).describe() for view, encoder in encoders.items()}
    method = Clip(ClipConfig(), {view: (card.dim, card.pooled_dim) for view, card in cards.items()})
    sees = "A dual encoder trained elsewhere on pictures and their captions; see its own card."
    return Model.from_method(method, "clip", encoders, name=f"{kind}:{name}", sees=sees)
