"""Collection: a folder that can be searched. Create, add, sync, delete, search, verify, compact."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from crossbit import __version__
from crossbit.cachedir import cache_dir
from crossbit.errors import AbilityError, CollectionError, FingerprintError, NothingFound, UsageError
from crossbit.search.durable import told, writing
from crossbit.search.given import Addable, Given, beside, items_of, pictures_of, texts_given
from crossbit.search.head import Head, Meta, is_collection, read_head, read_meta, root_for_head, write_head, write_meta
from crossbit.search.ingest import Ingest, Settings
from crossbit.search.plan import Known, Plan, plan
from crossbit.search.query import Query, answer
from crossbit.search.records import Hit, Item, Stats, SyncReport, VerifyReport
from crossbit.search.sidecars import Sidecars
from crossbit.search.snapshot import Snapshot, open_snapshot
from crossbit.search.verify import verify
from crossbit.search.walk import Broken, walk
from crossbit.search.writer import writer

FOLDER = ".crossbit"
"""Where the collection of a folder of pictures lies, unless another place is named."""

OURS = frozenset({"meta.json", "head.json", "segments", "store", "lock"})


class Collection:
    """Pictures with their captions and metadata, searchable by words, picture or embedding.

    Make one with `create`, open one with `open`. Reading needs no lock and sees the last commit, also of other processes;
    writing holds a lock, one process at a time.

    Example:
        >>> from crossbit import Collection
        >>> Collection.open("no such folder")
        Traceback (most recent call last):
        ...
        crossbit.errors.CollectionError: no such folder: no collection here, expected `meta.json`
        <BLANKLINE>
        hint: make one with `crossbit index FOLDER`
    """

    def __init__(self, folder: Path, model: Any = None) -> None:
        """Use `open` or `create`."""
        self.folder = folder
        self.meta = read_meta(folder)
        read_head(folder)
        self._model: Any = None
        self._snapshot: Snapshot | None = None
        self._state: tuple[int, ...] = ()
        if model is not None:
            self._model = self._checked(_load(model))

    @classmethod
    def create(
        cls,
        folder: str | Path,
        model: Any,
        *,
        root: str | Path | None = None,
        vectors: Literal["float16", "int8"] = "float16",
        replace: bool = False,
    ) -> Self:
        """Make an empty collection.

        Args:
            folder: where; must be new, empty, or with `replace` a collection.
            model: what items and queries are encoded with, or its name or folder.
            root: the folder of the pictures. Item paths are kept relative to it, so that both can be moved.
            vectors: how embeddings are held: float16, or int8 at half the size and a cosine that is off by up to 0.01.
            replace: drop the collection that is there.

        Raises:
            CollectionError: the folder holds something else, or cannot be written.
            AbilityError: the model neither embeds nor hashes, so nothing can be indexed with it.
        """
        folder, reference = Path(folder), _reference(model)
        if vectors not in ("float16", "int8"):
            raise UsageError(f"vectors {vectors!r}, expected 'float16' or 'int8'")
        _check_place(folder, replace)
        model = _load(model)
        if not model.dim and not model.bits:
            raise AbilityError(
                f"`{model.name}` scores pairs jointly, so it has no embedding or code to index",
                f"index with a model that embeds (see `crossbit methods`) and add `--rerank {model.name}`",
            )
        meta = Meta(
            model=model.name,
            reference=reference,
            fingerprint=model.fingerprint,
            dim=model.dim,
            bits=model.bits,
            vectors=vectors,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        with told(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with writing(folder), told(folder):
            _clear(folder)
            write_meta(folder, meta)
            write_head(folder, Head(root="" if root is None else root_for_head(Path(root), folder)))
        return cls(folder, model)

    @classmethod
    def open(cls, folder: str | Path, model: Any = None) -> Self:
        """Open a collection, or the one of a folder of pictures.

        Args:
            folder: a collection, or a folder with one in `.crossbit`.
            model: what queries are encoded with; None loads the one that the collection was made with, when it is needed.

        Raises:
            CollectionError: there is none, it is damaged, or a newer crossbit wrote it.
            FingerprintError: it was made with another model.
        """
        folder = Path(folder)
        inside = folder / FOLDER
        return cls(inside if not is_collection(folder) and is_collection(inside) else folder, model)

    # reading

    @property
    def snapshot(self) -> Snapshot:
        """Give the last commit; a newer one, made by whichever process, is opened when there is one."""
        try:
            info = os.stat(self.folder / "head.json")
            state: tuple[int, ...] = (info.st_ino, info.st_mtime_ns, info.st_size)
        except FileNotFoundError:
            state = ()
        if self._snapshot is None or state != self._state:
            self._snapshot, self._state = open_snapshot(self.folder, self.meta, self._snapshot), state
        return self._snapshot

    @property
    def root(self) -> Path | None:
        """Give the folder that item paths are relative to."""
        return self.snapshot.root

    @property
    def model(self) -> Any:
        """Give the model, loading it when it is first asked for.

        Raises:
            FingerprintError: the model of that name is not the one any more that the collection was made with.
        """
        if self._model is None:
            self._model = self._checked(_load(self.meta.reference))
        return self._model

    def __len__(self) -> int:
        return len(self.snapshot)

    def __bool__(self) -> bool:
        return True  # an empty collection is a collection

    def __iter__(self) -> Iterator[Item]:
        return self.snapshot.all_items()

    def __getitem__(self, item: int) -> Item:
        """Give an item by id.

        Raises:
            KeyError: there is none.
        """
        found = self.snapshot.items([item])
        if not found:
            raise KeyError(item)
        return found[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files and the model."""
        self._snapshot, self._model = None, None

    def search(
        self,
        text: str | None = None,
        *,
        image: Any = None,
        embedding: np.ndarray | None = None,
        k: int = 10,
        where: str | None = None,
        candidates: int | None = None,
        threshold: float | None = None,
        on_long_text: Literal["error", "truncate", "chunk"] = "truncate",
    ) -> list[Hit]:
        """Find the k best items for words, a picture or an embedding.

        An item is as good as the best of its rows: the picture, or one of its captions. Where the model gives codes and there
        are more than 20,000 rows, codes make a short list first and embeddings decide in it.

        Args:
            text: words, in any language that the model reads.
            image: a path, bytes, a PIL picture or an array.
            embedding: a row of the model's, made before.
            k: how many; more than there are gives all.
            where: a condition on metadata, such as `year > 2020 and author = 'Ann'`; it is applied before ranking.
            candidates: how many items the short list by codes has; None chooses, and gives none where none is needed.
            threshold: leave out items with a lower score.
            on_long_text: what to do with text longer than the model reads.

        Raises:
            UsageError: not exactly one of text, image and embedding; an empty text; k below 1; a condition that cannot be read.
            FingerprintError: the model is not the one that the collection was made with.
        """
        query = Query(text, image, embedding, k, where, candidates, threshold, on_long_text)
        return answer(query, self.snapshot, lambda: self.model)

    def quarantine(self) -> list[Broken]:
        """Give the files that could not be used, with reasons."""
        return sorted(self.snapshot.quarantine().values(), key=lambda broken: broken.key)

    def verify(self) -> VerifyReport:
        """Compare every file with the checksum that it was committed with; `.check()` of the report raises on damage."""
        return verify(self.folder)

    def stats(self) -> Stats:
        """Give counts, sizes and what the collection was made with."""
        snapshot, meta = self.snapshot, self.meta
        sizes: dict[str, int] = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(self.folder).as_posix()
                name = "store" if name.startswith("store/") else name
                sizes[name] = sizes.get(name, 0) + path.stat().st_size
        return Stats(
            folder=self.folder,
            root=snapshot.root,
            model=meta.model,
            fingerprint=meta.fingerprint,
            dim=meta.dim,
            bits=meta.bits,
            vectors=meta.vectors,
            items=len(snapshot),
            rows=snapshot.rows,
            captions=snapshot.rows - len(snapshot),
            dead=sum(card.dead for card in snapshot.head.segments),
            quarantined=len(snapshot.quarantine()),
            fields={name: sorted(kinds) for name, kinds in sorted(snapshot.fields.items())},
            bytes=sizes,
        )

    # writing

    def sync(
        self,
        folder: str | Path | None = None,
        *,
        batch_size: int = 32,
        max_pixels: int = 200_000_000,
        progress: bool = True,
        retry: bool = False,
    ) -> SyncReport:
        """Bring the collection up to date with its folder of pictures; only what changed is read.

        A file of the same content under a new path, while the old one is gone, keeps its id. What is broken goes to the
        quarantine list and is read again when it changes. A run that was stopped goes on where it was.

        Args:
            folder: the pictures; None takes the folder of the last time.
            batch_size: pictures encoded at a time.
            max_pixels: larger pictures are broken.
            progress: show a bar on stderr.
            retry: read broken files again though they did not change.

        Raises:
            NothingFound: there are no pictures below the folder, and never were.
            CollectionError: all pictures are gone, which is more likely a disk that is not there; the folder is not the
                collection's; another process writes; the disk is full.
        """
        began = time.monotonic()
        report = SyncReport()
        with writer(self.folder, self.meta) as committing:
            root = self._folder(folder, committing.snapshot)
            walked = walk(root, skip=[self.folder])
            known = Known(committing.snapshot)
            mine = sum(entry.from_folder for entry in known.by_key.values())
            if not walked.pictures and mine:
                why = f" ({walked.broken[0].reason})" if walked.closed else ""
                raise CollectionError(
                    f"{root}: has no pictures{why}, the collection knows {mine:,} there; nothing was removed",
                    "is the disk mounted? To empty the collection on purpose, delete its folder",
                )
            sidecars = Sidecars(walked)
            todo = plan(walked, sidecars, known, committing.snapshot.quarantine(), retry=retry)
            settings = Settings(batch_size, max_pixels, progress)
            ingest = Ingest(committing, lambda: self.model, known, sidecars, settings, report)
            kept = root_for_head(root, self.folder)
            ingest.run(todo, root=kept if kept != committing.head.root else None)
        report.seconds = time.monotonic() - began
        if not walked.pictures:
            raise _nothing(root, report)
        return report

    def add(
        self,
        items: Iterable[Addable] | Any,
        *,
        captions: Sequence[Sequence[str]] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        rows: Any = None,
        files: str | Path | None = None,
        batch_size: int = 32,
        max_pixels: int = 200_000_000,
        progress: bool = False,
    ) -> SyncReport:
        """Add single pictures. A path that is known already is brought up to date.

        What is added by hand stays when its file goes, and `sync` leaves its captions alone.

        Args:
            items: paths, items of a manifest, or a manifest.
            captions: texts of each item; None takes those of the manifest, or of the files beside the picture.
            metadata: of each item, likewise.
            rows: what the model gives for the items (`Model.encode`), where that is known: then nothing is encoded.
            files: what relative paths are relative to; None for the working directory, or a manifest's own folder.
            batch_size: pictures encoded at a time.
            max_pixels: larger pictures are broken.
            progress: show a bar on stderr.

        Returns:
            Counts, and in `ids` the item of each path, -1 where the file is broken.

        Raises:
            MediaError: a path does not exist; nothing was added.
            CollectionError: another process writes, or the disk is full.
        """
        began = time.monotonic()
        report = SyncReport()
        listed, base = items_of(items, None if files is None else Path(files))
        with writer(self.folder, self.meta) as committing:
            snapshot = committing.snapshot
            pictures = pictures_of(listed, base, snapshot.root)
            given = texts_given(listed, pictures, captions, metadata)
            sayings: Given | Sidecars = given or Sidecars(beside(pictures, snapshot.root))
            todo = Plan(quarantine=snapshot.quarantine())
            todo.fresh = list({picture.key: picture for picture in pictures}.values())
            settings = Settings(batch_size, max_pixels, progress, from_folder=False)
            known, ids = Known(snapshot), dict[bytes, int]()
            ready = _ready(rows, [picture.key for picture in pictures])
            Ingest(committing, lambda: self.model, known, sayings, settings, report, ready).run(todo, ids=ids)
        report.ids = [ids.get(picture.key, -1) for picture in pictures]
        report.seconds = time.monotonic() - began
        return report

    def delete(self, items: int | str | Path | Iterable[int | str | Path]) -> int:
        """Remove items by id or path and say how many there were; unknown ones are ignored.

        The files stay where they are, and `sync` finds them again.
        """
        wanted = [items] if isinstance(items, (int, np.integer, str, Path)) else list(items)
        numbers = {int(item) for item in wanted if isinstance(item, (int, np.integer))}
        paths = {os.path.abspath(item) for item in wanted if isinstance(item, (str, Path))}
        with writer(self.folder, self.meta) as committing:
            snapshot = committing.snapshot
            living = np.concatenate([np.empty(0, np.int64), *(s.ids[s.alive] for s in snapshot.segments)])
            gone = numbers & set(living.tolist())
            if paths:
                known = Known(snapshot).by_key.values()
                gone |= {entry.id for entry in known if os.path.abspath(snapshot.path(entry.key)) in paths}
            if gone:
                committing.commit(removed=gone)
        return len(gone)

    def compact(self) -> None:
        """Drop removed items and old versions for good, and join the files. Needs room for a second copy while it runs.

        Raises:
            CollectionError: another process writes, or the disk is full; the collection stays as it is.
        """
        with writer(self.folder, self.meta) as committing:
            committing.compact()

    def _folder(self, folder: str | Path | None, snapshot: Snapshot) -> Path:
        """Say which folder to synchronise.

        Raises:
            UsageError: none is known, it is not there, or the collection belongs to another one.
        """
        before = snapshot.root
        if folder is None:
            if before is None:
                raise UsageError(
                    f"{self.folder}: the collection has no folder of pictures yet, expected one", "name it"
                )
            folder = before
        path = Path(os.path.abspath(folder))
        if not path.is_dir():
            raise UsageError(
                f"{path}: {'not a folder' if path.exists() else 'no such folder'}, expected one with pictures"
            )
        if before is not None and before.is_dir() and os.path.realpath(path) != os.path.realpath(before):
            raise CollectionError(
                f"{self.folder}: holds the pictures of {before}, asked to synchronise {path}",
                "name another collection with `--collection FOLDER`",
            )
        return path

    def _checked(self, model: Any) -> Any:
        """Refuse a model that did not make the collection; of one with nested codes take as many bits as it keeps."""
        if model.fingerprint != self.meta.fingerprint and 0 < self.meta.bits < model.bits:
            model = model.with_bits(self.meta.bits)
        if model.fingerprint != self.meta.fingerprint:
            raise FingerprintError(
                f"{self.folder}: made with model `{self.meta.model}` (fingerprint {self.meta.fingerprint}), asked with "
                f"`{model.name}` ({model.fingerprint})",
                f"index again: `crossbit index FOLDER --model {_reference(model)} --rebuild`, "
                f"or search with `--model {self.meta.reference}`",
            )
        return model


def _load(model: Any) -> Any:
    """Load a model by name or folder; a model is given back as it is."""
    if not isinstance(model, (str, Path)):
        return model
    from crossbit.model import Model

    return Model.from_pretrained(os.fspath(model))


def _reference(model: Any) -> str:
    """Say what loads a model again: a name, or an absolute folder."""
    if not isinstance(model, (str, Path)):
        folder = getattr(model, "folder", None)
        # a folder in the cache is made from the name, and made again when the cache is emptied
        cached = folder is not None and Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(cache_dir()))
        model = model.name if folder is None or cached else folder
    text = str(os.fspath(model))
    return os.path.abspath(text) if os.path.isdir(text) else text


def _check_place(folder: Path, replace: bool) -> None:
    """Refuse a place that a collection must not take.

    Raises:
        CollectionError: it is a file, a folder of something else, or a collection that is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise CollectionError(f"{folder}: a file, expected a new or empty folder")
    if is_collection(folder):
        if not replace:
            raise CollectionError(f"{folder}: there is a collection already", "open it, or replace it with `--rebuild`")
        return
    names = set(os.listdir(folder)) if folder.is_dir() else set()
    unfinished = "meta.json" in names and all(name in OURS or name.endswith(".partial") for name in names)
    if names - {"lock"} and not unfinished:
        raise CollectionError(
            f"{folder}: holds {sorted(names)[0]!r}, expected a new or empty folder for the collection",
            "name another place with `--collection FOLDER`",
        )


def _clear(folder: Path) -> None:
    """Remove an old collection, its head first: from then on there is none, whatever happens."""
    for name in ("head.json", *sorted(os.listdir(folder))):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif name != "lock":
            path.unlink(missing_ok=True)


def _ready(rows: Any, keys: Sequence[bytes]) -> dict[bytes, tuple[Any, Any]]:
    """Lay rows that were made before out by key.

    Raises:
        UsageError: there are more or fewer rows than items.
    """
    if rows is None:
        return {}
    for part in (rows.embedding, rows.code):
        if part is not None and len(part) != len(keys):
            raise UsageError(f"add: {len(part)} rows for {len(keys)} items, expected one for each")
    pairs = [(None if part is None else list(part)) or [None] * len(keys) for part in (rows.embedding, rows.code)]
    return {key: (embedding, code) for key, embedding, code in zip(keys, *pairs, strict=True)}


def _nothing(root: Path, report: SyncReport) -> NothingFound:
    from crossbit.media.image import IMAGE_SUFFIXES

    first = f"; {report.broken[0].path}: {report.broken[0].reason}" if report.broken else ""
    return NothingFound(
        f"{root}: no pictures found, expected files ending in {' '.join(sorted(IMAGE_SUFFIXES))}{first}"
    )
