"""A tiny set in the layout of every published benchmark: a few records each, made up by hand, named as in the originals."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def save(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def msrvtt(folder: Path, files: int = 1) -> Path:
    """Six clips of two sentences; video4 and video5 are the test clips of 1k-A, and those and video3 of the full split."""
    splits = ("train", "train", "validate", "test", "test", "test")
    videos: list[dict[str, Any]] = [
        {
            "id": n,
            "video_id": f"video{n}",
            "category": n % 3,
            "url": f"https://example.org/watch?v=clip{n // 2}",
            "start time": 1.5 * n,
            "end time": 1.5 * n + 10,
            "split": split,
        }
        for n, split in enumerate(splits)
    ]
    sentences = [
        {"sen_id": 2 * n + k, "video_id": f"video{n}", "caption": f"sentence {k} of clip {n}"}
        for n in range(6)
        for k in range(2)
    ]
    if files == 1:
        save(folder / "MSRVTT_data.json", {"info": {}, "videos": videos, "sentences": sentences})
    else:
        save(folder / "train_val_videodatainfo.json", {"videos": videos[:3], "sentences": sentences[:6]})
        save(folder / "test_videodatainfo.json", {"videos": videos[3:], "sentences": sentences[6:]})
    text(
        folder / "MSRVTT_JSFUSION_test.csv",
        "key,vid_key,video_id,sentence",
        'ret0,msr4,video4,"a dog, running"',
        "ret1,msr5,video5,a cat sleeps",
    )
    return folder


def msvd(folder: Path) -> Path:
    """Four clips in the authors' text file, lists by their second names."""
    clips = ("-4wsuPCjDBc_5_15", "B_x_0_9", "C_2_4", "D_1_3")
    text(
        folder / "AllVideoDescriptions.txt",
        "# remarks of the authors",
        "",
        f"{clips[0]} a squirrel is eating a nut",
        f"{clips[0]} an animal eats",
        f"{clips[1]} a man sings",
        f"{clips[2]} a woman cooks",
        f"{clips[3]} two boys run",
    )
    text(folder / "youtube_mapping.txt", *(f"{clip} vid{n}" for n, clip in enumerate(clips, start=1)))
    for split, names in (("train", ("vid1", "vid2")), ("val", ("vid3",)), ("test", ("vid4",))):
        text(folder / f"{split}_list.txt", *names)
    return folder


def vatex(folder: Path) -> Path:
    def record(name: str, seconds: str, chinese: bool = True) -> dict[str, Any]:
        found: dict[str, Any] = {"videoID": f"{name}_{seconds}", "enCap": [f"{name} in English {k}" for k in range(10)]}
        return found | ({"chCap": [f"{name} 中文 {k}" for k in range(10)]} if chinese else {})

    save(
        folder / "vatex_training_v1.0.json",
        [record("Ptf_2VRj-V0", "000122_000132"), record("abcdefghijk", "000000_000010")],
    )
    save(folder / "vatex_validation_v1.0.json", [record("lmnopqrstuv", "000005_000015")])
    save(folder / "vatex_public_test_english_v1.1.json", [record("wxyz1234567", "000007_000017", chinese=False)])
    save(folder / "vatex_private_test_without_annotations.json", [{"videoID": "ABCDEFGHIJK_000001_000011"}])
    return folder


def didemo(folder: Path) -> Path:
    def told(number: int, video: str, description: str, times: list[list[int]]) -> dict[str, Any]:
        return {"annotation_id": number, "video": video, "description": description, "times": times, "num_segments": 6}

    records = [
        told(7, "a@N00_1.avi", "the dog sits", [[0, 0], [0, 1], [5, 5], [0, 0]]),
        told(9, "a@N00_1.avi", "the dog leaves", [[2, 3], [2, 4], [2, 4]]),
        told(8, "b@N01_2.mov", "a wave breaks", [[1, 1], [1, 1], [1, 1], [1, 1]]),
    ]
    save(folder / "train_data.json", records)
    save(folder / "val_data.json", [told(1, "c@N02_3.mp4", "rain", [[4, 5]])])
    save(folder / "test_data.json", [told(2, "d@N03_4.avi", "snow", [[0, 5]])])
    return folder


def activitynet(folder: Path) -> Path:
    train = {
        "v_one": {
            "duration": 82.73,
            "timestamps": [[0.83, 19.86], [17.37, 60.81]],
            "sentences": ["A bow.", " He aims. "],
        }
    }
    val = {"v_two": {"duration": 30, "timestamps": [[0, 12.5]], "sentences": ["She skates."]}}
    other = {"v_two": {"duration": 30, "timestamps": [[1, 11]], "sentences": ["A girl on ice."]}}
    save(folder / "train.json", train)
    save(folder / "val_1.json", val)
    save(folder / "val_2.json", other)
    return folder


def audiocaps(folder: Path) -> Path:
    head = "audiocap_id,youtube_id,start_time,caption"
    text(folder / "train.csv", head, "91139,r1nicOVtvkQ,130,A woman talks", '58146,UDGBjjwyaqE,20,"Clangs, and bangs"')
    text(folder / "val.csv", head, *(f"9715{k},vfY_TJq7n_U,130,ducks {k}" for k in range(5)))
    text(folder / "test.csv", head, *(f"10354{k},7fmOlUlwoNg,20,rattle {k}" for k in range(5)))
    return folder


def clotho(folder: Path) -> Path:
    head = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5"
    for part in ("development", "validation", "evaluation"):
        text(folder / f"clotho_captions_{part}.csv", head, f"Rain {part}.wav,one,two,three,four,five")
    # the same file name in two parts is two sounds
    with (folder / "clotho_captions_evaluation.csv").open("a") as file:
        file.write('Rain development.wav,"a, b",c,d,e,f\n')
    return folder


def multi30k(folder: Path) -> Path:
    one, two = folder / "data" / "task1", folder / "data" / "task2"
    for part, names in {"train": ("11.jpg", "12.jpg"), "val": ("21.jpg",), "test_2016_flickr": ("31.jpg",)}.items():
        text(one / "image_splits" / f"{part}.txt", *names)
        for lang in ("en", "de", "fr"):
            text(one / "raw" / f"{part}.{lang}", *(f"{lang} of {name}" for name in names))
    text(one / "image_splits" / "test_2017_mscoco.txt", "COCO_val2014_000000398076.jpg#657409")
    for lang in ("en", "de"):
        (one / "raw" / f"test_2017_mscoco.{lang}.gz").write_bytes(gzip.compress(f"{lang} of coco\n".encode()))
    for part, names in {"train": ("11.jpg", "12.jpg"), "val": ("21.jpg",), "test_2016": ("31.jpg",)}.items():
        text(two / "image_splits" / f"{part}_images.txt", *names)
        for lang in ("en", "de"):
            for number in range(1, 6):
                text(two / "raw" / f"{part}.{number}.{lang}", *(f"{lang} {number} of {name}" for name in names))
    return folder


def xtd10(folder: Path) -> Path:
    names = ("COCO_train2014_000000061844.jpg", "COCO_val2014_000000000042.jpg")
    text(folder / "XTD10" / "test_image_names.txt", *names)
    text(folder / "XTD10" / "test_1kcaptions_en.txt", "a ball game", "a cat at a desk")
    # the originals end without a line break, and with carriage returns
    (folder / "XTD10" / "test_1kcaptions_ko.txt").write_bytes("야구 경기\r\n고양이".encode())
    text(folder / "MIC" / "test_1kcaptions_de.txt", "ein Ballspiel", "eine Katze am Tisch")
    text(folder / "STAIR" / "test_1kcaptions_jp.txt", "野球の試合", "机の上の猫")
    return folder


def xm3600(folder: Path) -> Path:
    def told(*texts: str) -> dict[str, Any]:
        return {"caption": list(texts), "caption/tokenized": list(texts), "caption/tokenized/lowercase": list(texts)}

    records = [
        {"image/key": "00a1", "image/locale": "sw", "en": told("a market", "people buy"), "quz": told("qhatu")},
        {"image/key": "00b2", "image/locale": "fil", "en": told("a church"), "he": told("כנסייה")},
    ]
    return text(folder / "captions.jsonl", *(json.dumps(record, ensure_ascii=False) for record in records))


def coco_cn(folder: Path) -> Path:
    names = {
        "train": "COCO_train2014_000000000101",
        "val": "COCO_train2014_000000000103",
        "test": "COCO_val2014_000000000104",
    }
    for split, name in names.items():
        text(folder / f"coco-cn_{split}.txt", name)
    text(
        folder / "imageid.human-written-caption.txt",
        f"{names['train']}#0\t一只猫坐在沙发上",
        f"{names['val']}#0\t城市夜景",
        f"{names['val']}#1\t夜晚的街道",
        f"{names['test']}#0\t两个人在骑马",
    )
    text(folder / "imageid.manually-translated-caption.txt", *(f"{names['test']}#{k}\t翻译 {k}" for k in range(5)))
    return folder


COCO = {10: (100, 101, 102, 103, 104, 105), 20: (200, 201, 202, 203, 204), 30: (300, 301, 302, 303, 304)}
"""Numbers of pictures of COCO to those of their captions; picture 10 has a sixth, which no protocol looks at."""


def karpathy_coco(path: Path) -> Path:
    images = [
        {
            "filename": f"COCO_val2014_{cocoid:012d}.jpg",
            "filepath": "val2014",
            "cocoid": cocoid,
            "imgid": imgid,
            "split": "test",
            "sentids": list(sentids),
            "sentences": [{"raw": f"caption {sentid}", "sentid": sentid} for sentid in sentids],
        }
        for imgid, (cocoid, sentids) in enumerate(COCO.items())
    ]
    train = images[0] | {"filename": "COCO_train2014_000000000099.jpg", "cocoid": 99, "imgid": 9, "split": "train"}
    return save(path, {"images": [*images, train], "dataset": "coco"})


def eccv(folder: Path) -> Path:
    """Picture 10 asks for two of its own captions and one of 30; caption 200 asks for 20 and 10, caption 304 for 30."""
    karpathy_coco(folder / "dataset_coco.json")
    save(folder / "eccv_image_to_caption.json", {"10": [300, 100, 103]})
    save(folder / "eccv_caption_to_image.json", {"200": [20, 10], "304": [30]})
    return folder


def cxc(folder: Path) -> Path:
    """All captions but 104 are rated right for their own picture, and 200 for picture 10 as well."""
    karpathy_coco(folder / "dataset_coco.json")
    pairs = [(sentid, cocoid, 5.0) for cocoid, sentids in COCO.items() for sentid in sentids[:5] if sentid != 104]
    pairs += [(104, 10, 2.99), (200, 10, 3.0), (301, 20, 1.2)]
    rows = [f"COCO_val2014:sentid:{s},COCO_val2014_{c:012d}.jpg,{score},c2i_original" for s, c, score in pairs]
    text(folder / "data" / "sits_test.csv", "caption,image,agg_score,sampling_method", *rows)
    return folder


PAIRS, WORDS, LABELS = 12, 7, 24


def hashing_arrays() -> dict[str, np.ndarray]:
    """Twelve pairs: pictures (pair, height 4, width 5, 3), tags and labels of zeros and ones; pair 3 has no word."""
    numbers = np.arange(PAIRS * 4 * 5 * 3).reshape(PAIRS, 4, 5, 3) % 251
    tags = np.array([[(pair * 3 + word) % 4 == 0 for word in range(WORDS)] for pair in range(PAIRS)])
    tags[3] = False
    labels = np.array([[(pair + label) % 8 == 0 for label in range(LABELS)] for pair in range(PAIRS)])
    return {"I": numbers.astype(np.uint8), "Y": tags.astype(np.float64), "L": labels.astype(np.float64)}


def version73(path: Path, arrays: Mapping[str, np.ndarray | list[str]]) -> Path:
    """Write arrays as MATLAB does in HDF5: sides in the other order, and texts as references to letters."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            if isinstance(array, list):
                cells = file.create_dataset(name, (1, len(array)), dtype=h5py.ref_dtype)
                for column, letters in enumerate(array):
                    one = file.create_dataset(
                        f"#refs#/{name}{column}", data=np.array([[ord(c)] for c in letters], np.uint16)
                    )
                    cells[0, column] = one.ref
            else:
                file[name] = array.transpose()
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, made by hand".ljust(512))
    return path


def dcmh(folder: Path, stem: str = "mirflickr25k") -> Path:
    """The whole layout: pictures in version 7.3, columns first; tags and labels in version 5."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = hashing_arrays()
    version73(folder / f"{stem}-iall.mat", {"IAll": np.moveaxis(arrays["I"], 0, 3)})
    scipy.io.savemat(folder / f"{stem}-yall.mat", {"YAll": arrays["Y"]}, do_compression=True)
    scipy.io.savemat(folder / f"{stem}-lall.mat", {"LAll": arrays["L"]})
    return folder


def dcmh_one_file(folder: Path) -> Path:
    arrays = hashing_arrays()
    stored = {"images": np.moveaxis(arrays["I"], 0, 3), "YAll": arrays["Y"], "LAll": arrays["L"]}
    return version73(folder / "FLICKR-25K.mat", stored)


def cut(folder: Path, version: int = 5, stem: str = "iapr-tc12") -> Path:
    """The cut layout with deep features: pairs 0 to 2 ask, 3 to 6 are trained on, and 3 to 11 are searched."""
    arrays = hashing_arrays()
    features = np.linspace(-1, 1, PAIRS * 6).reshape(PAIRS, 6)
    parts = {"te": slice(0, 3), "tr": slice(3, 7), "db": slice(3, 12)}
    stored: dict[str, Any] = {}
    for part, rows in parts.items():
        stored |= {f"I_{part}": features[rows], f"T_{part}": arrays["Y"][rows], f"L_{part}": arrays["L"][rows]}
    path = folder / f"{stem}.mat"
    if version == 7:
        return version73(path, stored)
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, stored)
    return path


def raw(folder: Path) -> Path:
    """The raw layout: names of picture files, sentences, labels."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"/somewhere/else/im{n:02}.jpg" for n in range(PAIRS)]
    scipy.io.savemat(folder / "index.mat", {"index": names})
    captions = np.empty(PAIRS, object)
    captions[:] = [
        np.array([f"first of {n}", f"second of {n}"], object) if n % 2 else f"only of {n}" for n in range(PAIRS)
    ]
    scipy.io.savemat(folder / "caption.mat", {"caption": captions})
    scipy.io.savemat(folder / "label.mat", {"category": hashing_arrays()["L"].astype(np.uint8)})
    return folder


Maker = Callable[[Path], Path]
DRAW = {"query": 3, "train": 4}
"""How many of the twelve pairs are drawn."""

MAKERS: Mapping[str, tuple[str, Maker, Mapping[str, Any]]] = {
    "msrvtt": ("msrvtt", msrvtt, {}),
    "msrvtt full": ("msrvtt", lambda folder: msrvtt(folder, files=2), {"cut": "full"}),
    "msvd": ("msvd", msvd, {}),
    "vatex": ("vatex", vatex, {}),
    "didemo": ("didemo", didemo, {}),
    "didemo moments": ("didemo", didemo, {"unit": "moment"}),
    "activitynet": ("activitynet", activitynet, {}),
    "activitynet moments": ("activitynet", activitynet, {"unit": "moment"}),
    "audiocaps": ("audiocaps", audiocaps, {}),
    "clotho": ("clotho", clotho, {}),
    "multi30k": ("multi30k", multi30k, {}),
    "multi30k task 2": ("multi30k", multi30k, {"task": 2}),
    "xtd10": ("xtd10", xtd10, {}),
    "xm3600": ("xm3600", xm3600, {}),
    "coco-cn": ("coco-cn", coco_cn, {"translated": True}),
    "eccv": ("eccv", eccv, {}),
    "cxc": ("cxc", cxc, {}),
    "mirflickr25k": ("mirflickr25k", dcmh, DRAW),
    "mirflickr25k one file": ("mirflickr25k", dcmh_one_file, DRAW),
    "nuswide10": ("nuswide10", lambda folder: dcmh(folder, "nus-wide-tc10"), DRAW),
    "nuswide21": ("nuswide21", lambda folder: cut(folder, stem="nus-wide-tc21"), {}),
    "coco-hashing": ("coco-hashing", lambda folder: raw(folder.parent / "coco"), DRAW),
    "iaprtc12": ("iaprtc12", cut, {}),
    "iaprtc12 7.3": ("iaprtc12", lambda folder: cut(folder, version=7), {}),
    "iaprtc12 whole": ("iaprtc12", lambda folder: dcmh(folder, "iapr-tc12"), DRAW),
}
"""What was made, to the format, the function that makes it, and the options to read it with beside `counts=False`."""
