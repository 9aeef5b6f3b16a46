"""Collection: a folder that can be searched. Create, add, sync, delete, search, verify, compact."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from crossbit import __version__
from crossbit.errors import AbilityError, CollectionError, NothingFound, UsageError
from crossbit.search.calibrate import BEST, FILE, Calibration
from crossbit.search.care import FOLDER, Care
from crossbit.search.durable import told, writing
from crossbit.search.engines.choice import Wanted
from crossbit.search.engines.flat import Precision
from crossbit.search.engines.milvus import is_address
from crossbit.search.exchange import Source, read
from crossbit.search.exchange.server_tables import read_server
from crossbit.search.fitting import fit, fit_questions
from crossbit.search.given import Addable, Given, beside, items_of, pictures_of, texts_given
from crossbit.search.head import Head, Meta, is_collection, root_for_head, write_head, write_meta
from crossbit.search.importing import stand_in, take_in
from crossbit.search.ingest import Ingest, Settings
from crossbit.search.mirror import mirror_of
from crossbit.search.moving import check_engine_name, drop_tables, switch
from crossbit.search.place import check_place, clear, load_model, reference_of
from crossbit.search.plan import Known, Plan, plan
from crossbit.search.query import Query, answer
from crossbit.search.records import Hit, SyncReport
from crossbit.search.reranking import CANDIDATES, Reranking, rerank_hits, reranker
from crossbit.search.shards import Shard, embed, merge
from crossbit.search.sidecars import Sidecars
from crossbit.search.snapshot import Snapshot
from crossbit.search.tokens import KeptTokens, complete, keep, kept_precision
from crossbit.search.walk import walk
from crossbit.search.writer import writer

log = logging.getLogger("crossbit")


__all__ = ["FOLDER", "Collection"]


class Collection(Care):
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

    reranking: Reranking | None = None
    """How the last search with `rerank` went."""

    @classmethod
    def create(
        cls,
        folder: str | Path,
        model: Any,
        *,
        root: str | Path | None = None,
        vectors: Precision = "float16",
        engine: Wanted | str = "auto",
        replace: bool = False,
    ) -> Self:
        """Make an empty collection.

        Args:
            folder: where; must be new, empty, or with `replace` a collection.
            model: what items and queries are encoded with, or its name or folder.
            root: the folder of the pictures. Item paths are kept relative to it, so that both can be moved.
            vectors: how embeddings are held: float16, int8 at half the size and a cosine that is off by up to 0.01, or float32.
            engine: what searches the codes: "scan" and "mih" find all of the nearest, "hnsw" most of them; "auto" chooses by
                their number and width, see `crossbit.search.engines.choice`. `milvus://HOST:PORT/NAME` keeps the rows on that
                server as well and searches there; see docs/guides/milvus.md.
            replace: drop the collection that is there.

        Raises:
            CollectionError: the folder holds something else, or cannot be written.
            AbilityError: the model neither embeds nor hashes, so nothing can be indexed with it.
        """
        folder, reference = Path(folder), reference_of(model)
        if vectors not in get_args(Precision):
            raise UsageError(f"vectors {vectors!r}, expected one of {', '.join(get_args(Precision))}")
        engine = check_engine_name(engine)
        check_place(folder, replace)
        model = load_model(model)
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
            engine=engine,
        )
        with told(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with writing(folder), told(folder):
            if is_collection(folder):
                drop_tables(folder)
            clear(folder)
            if (mirror := mirror_of(folder, meta)) is not None:
                mirror.create()
            write_meta(folder, meta)
            write_head(folder, Head(root="" if root is None else root_for_head(Path(root), folder)))
        return cls(folder, model)

    @classmethod
    def open(cls, folder: str | Path, model: Any = None, *, wait: float = 0.0) -> Self:
        """Open a collection, or the one of a folder of pictures.

        Args:
            folder: a collection, or a folder with one in `.crossbit`.
            model: what queries are encoded with; None loads the one that the collection was made with, when it is needed.
            wait: seconds that writing waits for another writer, before it is an error.

        Raises:
            CollectionError: there is none, it is damaged, or a newer crossbit wrote it.
            FingerprintError: it was made with another model.
        """
        folder = Path(folder)
        inside = folder / FOLDER
        return cls(inside if not is_collection(folder) and is_collection(inside) else folder, model, wait)

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
        at: str | int | None = None,
        rerank: Any = None,
        budget_ms: float | None = None,
        min_probability: float | None = None,
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
            candidates: how many items the short list by codes has; None chooses, and gives none where none is needed. With
                `rerank`, how many items that orders anew, 200 by default.
            threshold: leave out items with a lower score.
            on_long_text: what to do with text longer than the model reads.
            at: search a commit of the past, see `Opened.at`; None searches the last one.
            rerank: order the best candidates anew by this model, which scores words and picture together: a model, its folder,
                or a method's key for its newest model below `runs`. `reranking` then tells how it went.
            budget_ms: milliseconds for that; what is not reached stands behind what is. None scores all candidates.
            min_probability: leave out answers that are less likely what was asked for; no hit then means "no good match". Needs
                words and a calibration, see `calibrate`; with one, every hit of a search by words has its probability.

        Raises:
            UsageError: not exactly one of text, image and embedding; an empty text; k below 1; a condition that cannot be read;
                a probability is asked for and there is none.
            FingerprintError: the model is not the one that the collection was made with.
        """
        snapshot = self.snapshot if at is None else self.at(at)
        calibration = self._calibration_for(text, rerank, min_probability)
        if snapshot.meta.fingerprint != self.meta.fingerprint:  # it was made for today's model
            calibration = None
        if calibration is not None:  # a margin needs the ten best, whatever k and threshold are
            query = Query(text, image, embedding, BEST if 0 < k < BEST else k, where, candidates, None, on_long_text)
            hits = calibration.annotate(answer(query, snapshot, lambda: self._model_of(snapshot)))
            return [
                hit
                for hit in hits[:k]
                if (threshold is None or hit.score >= threshold)
                and (hit.probability or 0.0) >= (min_probability or 0.0)
            ]
        if rerank is None:
            query = Query(text, image, embedding, k, where, candidates, threshold, on_long_text)
            return answer(query, snapshot, lambda: self._model_of(snapshot))
        short = max(k, candidates or CANDIDATES)
        query = Query(text, image, embedding, short, where, None, threshold, on_long_text)
        hits = answer(query, snapshot, lambda: self._model_of(snapshot))
        found = reranker(rerank, self.model)
        sha256 = [bytes.fromhex(item.sha256) for item in snapshot.items([hit.id for hit in hits])]
        kept = self._kept(found)
        hits, self.reranking = rerank_hits(
            hits, text, found, kept, sha256, k=k, budget_ms=budget_ms, on_long_text=on_long_text
        )
        return hits

    def _calibration_for(self, text: str | None, rerank: Any, least: float | None) -> Calibration | None:
        """Give the calibration of a search; None where its answers have no probability.

        Raises:
            UsageError: a probability is asked for, and there is none.
        """
        if least is not None and not 0 <= least <= 1:
            raise UsageError(f"search: min_probability is {least}, expected 0 to 1")
        found = self.calibration if text is not None and rerank is None else None
        if least is not None and found is None:
            what = "a probability is given for words that are searched without `rerank`"
            if text is not None and rerank is None:
                what = f"{self.folder}: not calibrated for its model, so answers have no probability"
            raise UsageError(f"search: {what}", "`crossbit collection calibrate` fits it on the captions")
        return found

    # writing

    def calibrate(
        self, *, queries: int = 500, seed: int = 0, questions: Sequence[tuple[str, Iterable[int]]] | None = None
    ) -> Calibration:
        """Fit on the collection's own captions how likely an answer is right; from then on hits have a probability.

        Args:
            queries: captions to ask.
            seed: of their draw.
            questions: texts, each with the ids of the items that answer it, to be asked instead of captions.

        Raises:
            CollectionError: there are too few captions, another process writes, or the disk is full.
        """
        with writing(self.folder, self.wait), told(self.folder):
            if questions is None:
                found = fit(self.snapshot, queries=queries, seed=seed)
            else:
                asked = self.model.encode("text", [text for text, _ in questions])
                rows = asked.embedding if self.meta.dim else asked.code
                found = fit_questions(self.snapshot, np.asarray(rows), [list(ids) for _, ids in questions])
            found.save(self.folder / FILE)
        return found

    def keep_tokens(self, precision: Literal["int8", "float16", "none"], *, progress: bool = False) -> int:
        """Keep what the image encoder says of every picture from now on, so that re-ranking encodes nothing.

        Args:
            precision: int8 takes a byte a number, float16 two; "none" drops what is kept.
            progress: show a bar on stderr while tokens are made that are missing.

        Returns:
            The bytes that they take on the disk.

        Raises:
            CollectionError: another process writes, or the disk is full.
        """
        with writing(self.folder, self.wait):
            keep(self.folder, precision)
            return self._complete(progress)

    def _kept(self, model: Any) -> KeptTokens | None:
        """Open the kept tokens of a model's image encoder, if any are kept."""
        if kept_precision(self.folder) is None or "image" not in getattr(model, "views", ()):
            return None
        return KeptTokens(self.folder, model.encoder("image").describe().fingerprint)

    def _kept_while_writing(self, ingest: Ingest) -> KeptTokens | None:
        """Let a run add the tokens of what it encodes; the model is asked for only where tokens are kept."""
        if kept_precision(self.folder) is not None:
            ingest.encoder.kept = self._kept(self.model)
        return ingest.encoder.kept

    def _complete(self, progress: bool, kept: KeptTokens | None = None) -> int:
        """Make the tokens that are missing, and give the size of all."""
        kept = kept if kept is not None or kept_precision(self.folder) is None else self._kept(self.model)
        if kept is None:
            return 0
        pictures = [(bytes.fromhex(item.sha256), item.path) for item in self.snapshot.all_items()]
        lost = complete(kept, pictures, lambda paths: self.model.features("image", paths), progress)
        for path, reason in lost:
            log.warning("%s: no tokens are kept of it: %s", path, reason)
        return kept.size

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
        with writer(self.folder, self.meta, self.wait) as committing:
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
            kept = self._kept_while_writing(ingest)
            named = root_for_head(root, self.folder)
            ingest.run(todo, root=named if named != committing.head.root else None)
            report.token_bytes = self._complete(progress, kept)
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
        with writer(self.folder, self.meta, self.wait) as committing:
            snapshot = committing.snapshot
            pictures = pictures_of(listed, base, snapshot.root)
            given = texts_given(listed, pictures, captions, metadata)
            sayings: Given | Sidecars = given or Sidecars(beside(pictures, snapshot.root))
            todo = Plan(quarantine=snapshot.quarantine())
            todo.fresh = list({picture.key: picture for picture in pictures}.values())
            settings = Settings(batch_size, max_pixels, progress, from_folder=False)
            known, ids = Known(snapshot), dict[bytes, int]()
            ready = _ready(rows, [picture.key for picture in pictures])
            ingest = Ingest(committing, lambda: self.model, known, sayings, settings, report, ready)
            kept = self._kept_while_writing(ingest)
            ingest.run(todo, ids=ids)
            report.token_bytes = self._complete(progress, kept)
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
        with writer(self.folder, self.meta, self.wait) as committing:
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
        with writer(self.folder, self.meta, self.wait) as committing:
            committing.compact()
            if kept_precision(self.folder) is not None and (kept := self._kept(self.model)) is not None:
                kept.retain(bytes.fromhex(item.sha256) for item in self.snapshot.all_items())

    @classmethod
    def import_from(
        cls,
        source: str | Path | Source,
        folder: str | Path,
        *,
        model: Any = None,
        name: str = "",
        vectors: Precision = "float16",
        wait: float = 0.0,
    ) -> Self:
        """Make a collection of rows that were made elsewhere, or put them into one that is there.

        Args:
            source: a file or folder in one of `exchange.FORMATS`, what `exchange.read` gave, or the address of a server that
                has the rows of a collection whose folder is lost.
            folder: where the collection lies, or is to lie.
            model: what made the rows, or its name or folder; it encodes queries then. None takes what the source tells.
            name: what to call the model when neither is known; such a collection is searched by embedding.
            vectors: how a new collection holds embeddings.
            wait: seconds to wait for another writer.

        Raises:
            CollectionError: the source is damaged or of no known format, or its rows are not those of the model or collection.
        """
        if isinstance(source, str) and is_address(source):
            source = read_server(source)
        found = source if isinstance(source, Source) else read(Path(source))
        folder = Path(folder)
        if is_collection(folder):
            collection = cls(folder, wait=wait)
        else:
            made = stand_in(found, None if model is None else load_model(model), name)
            root = found.root or None
            collection = cls.create(folder, made, root=root, vectors=vectors)
            collection.close()  # the stand-in gives way to the model itself
        with writer(folder, collection.meta, wait) as committing:
            take_in(committing, found, SyncReport())
        return collection

    @classmethod
    def embed_shard(
        cls,
        folder: str | Path,
        out: str | Path,
        shard: str | Shard,
        model: Any,
        *,
        vectors: Precision = "float16",
        batch_size: int = 32,
        max_pixels: int = 200_000_000,
        progress: bool = True,
        retry: bool = False,
        wait: float = 0.0,
    ) -> tuple[Self, SyncReport]:
        """Encode one part of a folder; any number of processes or machines take the others. What is done is left alone.

        Args:
            folder: of the pictures.
            out: where all shards lie, each in a folder of its own.
            shard: such as "2/8".
            model: what encodes, or its name or folder.
            vectors: how embeddings are held.
            batch_size: pictures encoded at a time.
            max_pixels: larger pictures are broken.
            progress: show a bar on stderr.
            retry: read broken files again though they did not change.
            wait: seconds to wait for another writer of the same shard.

        Raises:
            UsageError: there is no such shard.
            CollectionError: another process works on it, or the disk is full.
        """
        part = shard if isinstance(shard, Shard) else Shard.parse(shard)
        place, pictures = Path(out) / part.name, Path(os.path.abspath(folder))
        opened = (
            cls.open(place, model, wait=wait)
            if is_collection(place)
            else cls.create(place, model, root=pictures, vectors=vectors)
        )
        began = time.monotonic()
        settings = Settings(batch_size, max_pixels, progress)
        report = embed(place, opened.meta, lambda: opened.model, pictures, part, settings, retry=retry)
        report.seconds = time.monotonic() - began
        return opened, report

    @classmethod
    def from_shards(
        cls, out: str | Path, folder: str | Path, root: str | Path, model: Any = None, *, replace: bool = False
    ) -> Self:
        """Put the shards of a folder together, by links to their files: nothing is copied or encoded.

        Args:
            out: where the shards lie.
            folder: where the collection goes.
            root: the folder of the pictures.
            model: what queries are encoded with; None loads the one that the shards were made with.
            replace: drop the collection that is there.

        Raises:
            CollectionError: shards are missing, not done, damaged, or not of one folder and model.
        """
        merge(Path(out), Path(folder), Path(root), replace_old=replace)
        return cls(Path(folder), model)

    def use_engine(self, engine: Wanted | str, *, keep: bool = False) -> None:
        """Search with another engine from now on; `milvus://HOST:PORT/NAME` brings all rows to that server.

        The collection stays whole in its folder, so this can be taken back at any time, also when the server is gone.

        Args:
            engine: as in `create`.
            keep: leave the tables that the collection has on a server now.

        Raises:
            EngineError: the server does not answer, or other tables have that name; the engine stays as it was.
            CollectionError: another process writes.
        """
        with writer(self.folder, self.meta, self.wait) as committing:
            switch(committing, check_engine_name(engine), keep=keep)
        self.meta = self.snapshot.meta

    def check_engine(self) -> tuple[int, int]:
        """Compare all rows on the server with those here and mend what differs there.

        Returns:
            How many rows were brought, and how many removed.

        Raises:
            UsageError: the rows are on no server.
            EngineError: the server does not answer.
            CollectionError: another process writes.
        """
        with writer(self.folder, self.meta, self.wait) as committing:
            if committing.mirror is None:
                raise UsageError(
                    f"{self.folder}: searched by the engine {self.meta.engine!r}, expected one on a server",
                    "`crossbit collection engine milvus://HOST:PORT` brings the rows to one",
                )
            return committing.mirror.compare(committing.snapshot)

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
