"""A tiny data set in every general format, written by hand with other libraries than the readers use where there are any.

Four pictures, the captions of which hold what is hard: commas, quotes, tabs, right-to-left script, an emoji, HTML's own signs.
"""

from __future__ import annotations

import csv
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PICTURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "red": ("train", ("a red square, plain", 'it says "stop"')),
    "green": ("train", ("grass & leaves", "tab\there", "three < four")),
    "blue": ("val", ("مربع أزرق",)),
    "white": ("test", ("snow ❄️ and ice", "ein weißes Feld")),
}
"""Stem of each picture to its split and captions."""

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def png(colour: tuple[int, int, int], edge: int = 4) -> bytes:
    """A PNG of one colour, from the letters of its specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * edge) * edge
    head = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        (folder / f"{name}.png").write_bytes(png(COLOURS[name]))


def manifest(folder: Path) -> Path:
    pictures(folder)
    path = folder / "manifest.jsonl"
    records = [
        {"id": name, "path": f"{name}.png", "split": split, "captions": [{"text": text} for text in texts]}
        for name, (split, texts) in PICTURES.items()
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def karpathy(folder: Path) -> Path:
    pictures(folder)
    images, sentid = [], 0
    for number, (name, (split, texts)) in enumerate(PICTURES.items()):
        sentences = [
            {"raw": text, "tokens": text.split(), "imgid": number, "sentid": sentid + n} for n, text in enumerate(texts)
        ]
        sentids = [sentence["sentid"] for sentence in sentences]
        sentid += len(texts)
        images.append(
            {"filename": f"{name}.png", "imgid": number, "split": split, "sentids": sentids, "sentences": sentences}
        )
    path = folder / "dataset_toy.json"
    path.write_text(json.dumps({"images": images, "dataset": "toy"}))
    return path


def precomp(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, split in (("train", "train"), ("dev", "val"), ("test", "test")):
        names = [name for name, (its, _) in PICTURES.items() if its == split]
        texts = [(name, text) for name in names for text in PICTURES[name][1]]
        rows = {name: np.full((3, 5), number, np.float32) for number, name in enumerate(PICTURES)}
        np.save(folder / f"{part}_ims.npy", np.stack([rows[name] for name in names]))
        (folder / f"{part}_caps.txt").write_text("".join(text + "\n" for _, text in texts))
        (folder / f"{part}_ids.txt").write_text("".join(name + "\n" for name, _ in texts))
    return folder


def folder(folder: Path) -> Path:
    for name, (split, texts) in PICTURES.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / f"{name}.png").write_bytes(png(COLOURS[name]))
        (folder / split / f"{name}.txt").write_text("".join(text + "\n" for text in texts))
    return folder


def table(folder: Path, suffix: str = ".csv") -> Path:
    pictures(folder)
    path = folder / f"toy{suffix}"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writerow(["image_id", "file_name", "split", "caption"])
        for name, (split, texts) in PICTURES.items():
            writer.writerows([name, f"{name}.png", split, text] for text in texts)
    return path


def tsv(folder: Path) -> Path:
    return table(folder, ".tsv")


def _records() -> list[dict[str, Any]]:
    return [
        {"id": name, "image": f"{name}.png", "set": split, "captions": list(texts)}
        for name, (split, texts) in PICTURES.items()
    ]


def jsonl(folder: Path) -> Path:
    pictures(folder)
    path = folder / "toy.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in _records()))
    return path


def parquet(folder: Path) -> Path:
    pictures(folder)
    path = folder / "toy.parquet"
    pq.write_table(pa.Table.from_pylist(_records()), path)
    return path


def tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as opened:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return path


def webdataset(folder: Path) -> Path:
    for split in ("train", "val", "test"):
        members = []
        for name, (its, texts) in PICTURES.items():
            if its == split:
                members += [(f"{name}.png", png(COLOURS[name])), (f"{name}.txt", "\n".join(texts).encode())]
        tar(folder / f"{split}-000.tar", members)
    return folder


def _hf_table(names: list[str]) -> pa.Table:
    features = {
        "image": {"_type": "Image"},
        "caption": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
    }
    table = pa.table(
        {
            "id": pa.array(names),
            "image": pa.array(
                [{"bytes": png(COLOURS[name]), "path": f"{name}.png"} for name in names],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            "caption": pa.array([list(PICTURES[name][1]) for name in names], pa.list_(pa.string())),
        }
    )
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def hf_parquet(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, of in (("train", "train"), ("validation", "val"), ("test", "test")):
        names = [name for name, (its, _) in PICTURES.items() if its == of]
        pq.write_table(_hf_table(names), folder / "data" / f"{split}-00000-of-00001.parquet", row_group_size=1)
    return folder


def hf_saved(folder: Path) -> Path:
    """As `DatasetDict.save_to_disk` lays it out: a folder a split, Arrow streams, their list in state.json."""
    folder.mkdir(parents=True)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation", "test"]}))
    for split, of in (("train", "train"), ("validation", "val"), ("test", "test")):
        (folder / split).mkdir()
        names = [name for name, (its, _) in PICTURES.items() if its == of]
        files = [f"data-{number:05d}-of-{len(names):05d}.arrow" for number in range(len(names))]
        for file, name in zip(files, names, strict=True):
            table = _hf_table([name])
            with pa.ipc.new_stream(folder / split / file, table.schema) as writer:
                writer.write_table(table)
        state = {"_data_files": [{"filename": file} for file in files], "_split": split}
        (folder / split / "state.json").write_text(json.dumps(state))
        (folder / split / "dataset_info.json").write_text(json.dumps({"features": {"image": {"_type": "Image"}}}))
    return folder


MAKERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "manifest": ("manifest", manifest),
    "karpathy": ("karpathy", karpathy),
    "precomp": ("precomp", precomp),
    "folder": ("folder", folder),
    "csv": ("csv", table),
    "tsv": ("tsv", tsv),
    "jsonl": ("jsonl", jsonl),
    "parquet": ("parquet", parquet),
    "webdataset": ("webdataset", webdataset),
    "hf Parquet": ("hf", hf_parquet),
    "hf saved": ("hf", hf_saved),
}
"""Each fixture: the format that it is in, and who writes it."""
