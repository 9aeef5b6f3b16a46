"""What goes wrong outside: broken files, full and closed disks, damage, two writers, interrupts."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossbit.errors import CollectionError, MediaError
from crossbit.search import Collection
from crossbit.search.durable import told, writing
from search.fakes import FakeModel, paint

HERE = Path(__file__).parent


def reasons(collection: Collection) -> dict[str, str]:
    return {broken.path: broken.reason for broken in collection.quarantine()}


def test_broken_files_are_told_and_the_others_indexed(pictures: Path, model: FakeModel) -> None:
    (pictures / "zero.jpg").write_bytes(b"")
    (pictures / "words.png").write_bytes(b"these are words")
    whole = (pictures / "a" / "green.png").read_bytes()
    (pictures / "half.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "dir.jpg").mkdir()
    paint(pictures / "dir.jpg" / "inside.png", "red", mark=4)
    (pictures / "loop.png").symlink_to("loop.png")
    (pictures / "link.png").symlink_to("nothing")
    (pictures / "a" / "up").symlink_to("..")
    paint(pictures / "tiny.png", "purple", size=(1, 1), mark=0)
    os.mkfifo(pictures / "pipe.png")
    (pictures / "a" / "green.txt").write_bytes(b"\xff\xff")
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    report = collection.sync()
    assert report.added == 10  # eight, the one in dir.jpg, and tiny.png
    told_of = reasons(collection)
    assert report.quarantined == len(told_of) == len(report.broken) == 8
    assert told_of["zero.jpg"] == "the file is empty"
    assert told_of["dir.jpg"] == "a folder with the name of a picture"
    assert told_of["loop.png"] == "a link that leads to itself"
    assert told_of["link.png"] == "a link that leads nowhere"
    assert told_of["pipe.png"] == "not a regular file"
    assert told_of["a/green.txt"] == "a/green.txt:1: byte 0xff is not UTF-8"
    assert told_of["words.png"]
    assert told_of["half.png"]
    assert all("\n" not in reason for reason in told_of.values())
    # what did not change is not read again, and stays on the list
    (pictures / "a" / "yellow.txt").write_text("")
    collection.sync()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossbit.search.reading.load_image", lambda *_, **__: pytest.fail("read again"))
        again = collection.sync()
    assert (again.unchanged, again.quarantined, again.broken) == (10, 8, [])
    # what was mended comes in
    shutil.copy(pictures / "a" / "yellow.png", pictures / "words.png")
    (pictures / "a" / "green.txt").write_text("meadow")
    (pictures / "zero.jpg").unlink()
    report = collection.sync()
    assert (report.added, report.changed, report.quarantined) == (1, 1, 5)
    assert collection.search("meadow", k=1)[0].why == "meadow"


def test_a_picture_that_breaks_is_not_an_answer_any_more(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    (pictures / "a" / "green.png").write_bytes(b"broken")
    report = collection.sync()
    assert (report.removed, report.changed, report.quarantined) == (1, 0, 1)
    assert "green" not in [hit.path.stem for hit in collection.search("green", k=9)]


def test_unreadable_files_and_folders(pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    paint(pictures / "secret.png", "red", mark=8)
    real_open, real_scandir = open, os.scandir

    def no_open(file: Any, *args: Any, **kwargs: Any) -> Any:
        if str(file).endswith("secret.png"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real_open(file, *args, **kwargs)

    def no_scandir(folder: Any) -> Any:
        if str(folder).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return real_scandir(folder)

    monkeypatch.setattr("builtins.open", no_open)
    monkeypatch.setattr("os.scandir", no_scandir)
    report = collection.sync()
    assert reasons(collection) == {
        "b": "the folder cannot be read: no permission to read it",
        "secret.png": "no permission to read it",
    }
    assert report.removed == 0  # what lies in a closed folder is not gone
    assert len(collection) == 8
    monkeypatch.undo()
    report = collection.sync(retry=True)
    assert (report.added, report.unchanged, report.quarantined) == (1, 8, 0)


def test_names_that_are_not_utf8(tmp_path: Path, model: FakeModel) -> None:
    folder = tmp_path / "pictures"
    paint(folder / "x.png", "red")
    name = os.fsencode(folder) + b"/caf\xe9\n.png"
    os.rename(os.fsencode(folder / "x.png"), name)
    collection = Collection.create(folder / ".crossbit", model, root=folder)
    collection.sync()
    hit = collection.search("red")[0]
    assert os.fsencode(hit.path) == name
    assert os.path.exists(hit.path)
    assert json.loads(json.dumps(hit.to_dict()))["path"] == os.fspath(hit.path)
    assert [h.id for h in collection.search("red", where="name like 'caf%'")] == [hit.id]
    assert collection.sync().unchanged == 1
    assert collection.delete(hit.path) == 1


def test_a_picture_that_the_model_refuses(pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = model.encode
    bad = np.asarray((220, 20, 20), dtype=np.uint8)

    def picky(view: str, media: Any, **settings: Any) -> Any:
        if view == "image" and any((one[-1, -1] == bad).all() for one in media):
            raise MediaError("too red")
        rows = encode(view, media, **settings)
        for place, one in enumerate(media if view == "image" else ()):
            if one[-1, -1, 2] == 220:  # the blue one
                rows.embedding[place] = np.nan
        return rows

    monkeypatch.setattr(model, "encode", picky)
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    report = collection.sync()
    assert (report.added, report.quarantined, len(collection)) == (6, 2, 6)
    assert reasons(collection) == {
        "b/c/blue.png": "the model gives no finite embedding for it",
        "b/c/red.png": "too red",
    }


@pytest.fixture
def committed(many: Callable[[int], Path], model: FakeModel) -> Collection:
    """A collection with everything in it: two segments, dead items, captions, a quarantine list."""
    folder = many(12)
    (folder / "1" / "00001.txt").write_text("first words")
    (folder / "bad.png").write_bytes(b"bad")
    collection = Collection.create(folder / ".crossbit", model, root=folder, vectors="int8")
    collection.sync(progress=False)
    paint(folder / "new.png", "red", mark=99)
    (folder / "2" / "00002.png").unlink()
    collection.sync(progress=False)
    return collection


def _files(collection: Collection) -> list[str]:
    paths = (path for path in collection.folder.rglob("*") if path.is_file())
    skipped = {"lock", "latest_version_hint.json"}
    return sorted(path.relative_to(collection.folder).as_posix() for path in paths if path.name not in skipped)


def test_verify_names_every_damaged_file(committed: Collection, tmp_path: Path) -> None:
    assert committed.verify().ok
    assert committed.verify().files == len(_files(committed))
    committed.verify().check()
    whole = tmp_path / "whole"
    shutil.copytree(committed.folder, whole)
    names = _files(committed)
    kinds = {name.split("/")[0].split("-")[0].split(".")[0] + Path(name).suffix for name in names}
    assert {
        "head.json",
        "meta.json",
        "segments.arrow",
        "segments.npy",
        "store.lance",
        "store.manifest",
        "store.txn",
    } <= kinds
    assert {"quarantine.jsonl", "receipts.jsonl"} <= kinds
    for name in names:
        path = committed.folder / name
        for damage in ("flip", "cut", "gone"):
            data = bytearray(path.read_bytes())
            if damage == "flip":
                data[len(data) // 2] ^= 0x10
                path.write_bytes(data)
            elif damage == "cut":
                path.write_bytes(data[:-1])
            else:
                path.unlink()
            report = committed.verify()
            assert [found.file for found in report] == [str(path)], (name, damage)
            with pytest.raises(CollectionError, match=f"(?s)1 of .*{path.name}"):
                report.check()
            json.dumps(report.to_dict())
            shutil.copy(whole / name, path)
    assert committed.verify().ok


def test_damage_is_refused_and_named_when_it_is_met(committed: Collection, tmp_path: Path, model: FakeModel) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(committed.folder, whole)
    segment = committed.snapshot.segments[0].card.name
    for name, damage in (
        ("head.json", "flip"), ("head.json", "cut"), ("meta.json", "flip"),
        (f"segments/{segment}/items.arrow", "flip"), (f"segments/{segment}/items.arrow", "cut"),
        (f"segments/{segment}/vectors.npy", "cut"), (f"segments/{segment}/codes.npy", "gone"),
    ):  # fmt: skip
        path = committed.folder / name
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[len(data) // 2] ^= 0x10
            path.write_bytes(data)
        elif damage == "cut":
            path.write_bytes(data[:-1])
        else:
            path.unlink()
        with pytest.raises(CollectionError, match=path.name):
            Collection.open(committed.folder, model).search("red")
        shutil.copy(whole / name, path)
    assert Collection.open(committed.folder, model).search("red")


def test_two_writers(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    program = (
        "import sys, pathlib\nfrom crossbit.search.durable import writing\n"
        "with writing(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, collection.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for write in (collection.sync, collection.compact, lambda: collection.delete(0)):
            with pytest.raises(CollectionError, match=f"process {other.pid} is writing to this collection"):
                write()
        assert len(collection.search("red")) == 8  # readers do not wait
        other.communicate("")
    assert collection.sync().unchanged == 8
    with writing(collection.folder), pytest.raises(CollectionError, match=f"process {os.getpid()} is writing"):
        collection.sync()


def test_readers_see_each_commit(pictures: Path, model: FakeModel) -> None:
    collection = Collection.create(pictures / ".crossbit", model, root=pictures)
    collection.sync()
    reader = Collection.open(pictures, model)
    assert len(reader) == 8
    held = reader.snapshot
    paint(pictures / "new.png", "red", mark=1)
    collection.sync()
    collection.compact()
    assert len(reader) == 9
    assert len(reader.search("red", k=99)) == 9
    assert len(held.items(range(20))) == 8  # an open snapshot stays whole, though its files are gone


def test_an_interrupted_run_goes_on(
    many: Callable[[int], Path], model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = many(100)
    collection = Collection.create(folder / ".crossbit", model, root=folder)
    encode = model.encode

    def stop(view: str, media: Any, **settings: Any) -> Any:
        if model.count("image") >= 64:
            raise KeyboardInterrupt
        return encode(view, media, **settings)

    monkeypatch.setattr(model, "encode", stop)
    with pytest.raises(KeyboardInterrupt):
        collection.sync(batch_size=16)
    assert len(collection) == 64  # what was encoded is kept
    monkeypatch.undo()
    model.calls.clear()
    report = collection.sync()
    assert (report.added, report.unchanged, report.encoded) == (36, 64, 36)
    assert model.count("image") == 36
    assert collection.verify().ok


def _full(folder: Path, model: FakeModel, pictures: Path) -> Collection:
    collection = Collection.create(folder, model, root=pictures)
    collection.add(sorted(pictures.rglob("*.png"))[:6])
    return collection


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here; test_file_size_limit does the same by another way")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk(small_disk: Path, many: Callable[[int], Path]) -> None:
    pictures, model = many(700), FakeModel(dim=400)
    collection = _full(small_disk / "c", model, pictures)
    before = [(hit.id, hit.score) for hit in collection.search("red", k=99)]
    with pytest.raises(CollectionError, match="no space left on the disk; what was committed before is kept"):
        collection.sync(pictures, progress=False)
    assert [(hit.id, hit.score) for hit in collection.search("red", k=99)][: len(before)] == before or len(
        collection
    ) > 6
    assert collection.verify().ok
    with pytest.raises(CollectionError, match="no space left"):
        collection.sync(progress=False)
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    collection.sync(progress=False)
    assert len(collection) == 700
    assert collection.verify().ok


def test_file_size_limit(many: Callable[[int], Path], tmp_path: Path) -> None:
    """A write that fails in the middle, in whichever file it happens, and for everyone who runs the tests."""
    pictures, model = many(60), FakeModel(dim=400)
    collection = _full(tmp_path / "c", model, pictures)
    before = [(hit.id, hit.score) for hit in collection.search("red", k=99)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (500, 3_000, 9_000, 20_000, 40_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(CollectionError, match="no space left on the disk"):
                collection.sync(pictures, progress=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [(hit.id, hit.score) for hit in collection.search("red", k=99)] == before
        assert collection.verify().ok
    assert collection.sync(progress=False).added == 54
    assert collection.verify().ok


def test_closed_places(pictures: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(
            CollectionError, match=r"(?s)cannot be written here \(read-only file system\).*--collection"
        ):
            Collection.create(pictures / ".crossbit", model, root=pictures)
    with pytest.raises(CollectionError, match="the store failed: something else"), told(tmp_path):
        raise RuntimeError("something else\nat line 5")
    with pytest.raises(CollectionError, match="no space left"), told(tmp_path):
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), /x.rs:258")
    with pytest.raises(CollectionError, match="Is a directory"), told(tmp_path):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")


def test_read_only_folder(pictures: Path, model: FakeModel, tmp_path: Path) -> None:
    """A real read-only mount, where we may make one: it is searched, and writing to it is refused."""
    Collection.create(pictures / ".crossbit", model, root=pictures).sync()
    target = tmp_path / "ro"
    target.mkdir()
    if subprocess.run(["mount", "--bind", pictures, target], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", target], check=True)
        collection = Collection.open(target, model)
        assert collection.search("red", k=1)[0].path.stem == "red"
        assert collection.verify().ok
        with pytest.raises(CollectionError, match=r"(?s)cannot be written here.*--collection"):
            collection.sync()
        with pytest.raises(CollectionError, match=r"(?s)cannot be written here.*--collection"):
            Collection.create(target / "a" / ".crossbit", model)
    finally:
        subprocess.run(["umount", "-l", target], check=True)


def test_searching_needs_neither_store_nor_torch(pictures: Path, model: FakeModel) -> None:
    Collection.create(pictures / ".crossbit", model, root=pictures).sync()
    program = (
        "import sys\nfrom search.fakes import FakeModel\nfrom crossbit.search import Collection\n"
        "collection = Collection.open(sys.argv[1], FakeModel())\n"
        "assert collection.search('red', k=1, where=\"folder = 'b/c'\")[0].path.stem == 'red'\n"
        "assert collection.sync(progress=False).unchanged == 8\n"
        "heavy = {'lancedb', 'torch', 'pandas', 'transformers', 'pydantic', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, "-c", program, pictures], check=True, env=environment)
