"""`crossbit collection engine`, `index --engine` and `collection import` with a server, which is a dictionary here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crossbit.cli.main import app
from crossbit.search import Collection
from crossbit.search.engines import milvus
from crossbit.search.moving import same_engine
from search.fakes import FakeModel, paint
from search.milvus_fake import FakeServer

pytest.importorskip("pymilvus")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    made = FakeServer()
    monkeypatch.setattr(milvus, "open_client", made.client)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, colour in enumerate(["red", "green", "blue"]):
        paint(tmp_path / "pictures" / f"{colour}.png", colour, mark=number)
    Collection.create(tmp_path / "c", FakeModel()).sync(tmp_path / "pictures")
    return tmp_path / "c"


def said(*words: Any, code: int = 0) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == code, found.output
    return found.stdout if code == 0 else found.stderr


def test_there_and_back(server: FakeServer, folder: Path, tmp_path: Path) -> None:
    engine = ("collection", "engine", "--collection", folder)
    assert said(*engine) == "auto\n"
    assert said(*engine, "milvus://db/shop") == "milvus://db:19530/shop, which has all of them\n"
    assert len(server.tables) == 2
    assert "rows on:        milvus://db:19530/shop, which has all of them" in said("collection", "info", folder)
    assert json.loads(said("collection", "info", folder, "--json"))["server"]["waiting"] == 0
    for table in server.tables.values():
        table["rows"].pop(0)
    told = json.loads(said(*engine, "--check", "--json"))
    assert told == {
        "engine": "milvus://db:19530/shop",
        "address": "milvus://db:19530/shop",
        "waiting": 0,
        "brought": 2,
        "removed": 0,
    }
    assert said(*engine, "--check").endswith("0 rows brought, 0 rows removed\n")
    (folder / "milvus.json").rename(tmp_path / "aside")
    assert "which lacks everything" in said(*engine)
    (tmp_path / "aside").rename(folder / "milvus.json")
    said("collection", "import", "milvus://db/shop", "--collection", tmp_path / "again")
    assert len(Collection.open(tmp_path / "again", FakeModel())) == 3
    assert said(*engine, "auto") == "auto\n"
    assert not server.tables


def test_wrong_use(server: FakeServer, folder: Path) -> None:
    engine = ("collection", "engine", "--collection", folder)
    assert "expected one of auto, scan, mih, hnsw or milvus://HOST:PORT" in said(*engine, "faiss", code=2)
    assert "expected one of them" in said(*engine, "auto", "--check", code=2)
    assert "expected one on a server" in said(*engine, "--check", code=2)
    asked = ("index", folder.parent / "pictures", "--collection", folder, "--model", "x")
    assert said(*asked, "--engine", "milvus://db", code=2)


def test_an_engine_that_is_asked_for_again() -> None:
    assert same_engine("milvus://db", "milvus://db:19530/crossbit_1")
    assert same_engine("milvus://db/a", "milvus://db:19530/a")
    assert not same_engine("milvus://db/a", "milvus://db:19530/b")
    assert not same_engine("milvus://other", "milvus://db:19530/b")
    assert not same_engine("auto", "milvus://db:19530/b")
    assert same_engine("scan", "scan")
