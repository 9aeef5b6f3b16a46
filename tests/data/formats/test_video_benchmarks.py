"""MSR-VTT, MSVD, VATEX, DiDeMo and ActivityNet: values worked out by hand, and what is wrong named with its record."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossbit.data import formats
from crossbit.data.formats.moments import agreed
from crossbit.data.manifest import Item, Manifest
from crossbit.errors import ManifestError
from data.formats import made_benchmarks as made


def read(name: str, path: Path, **options: Any) -> Manifest:
    return formats.read(name, path, counts=False, **options)


def splits(manifest: Manifest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in manifest:
        found.setdefault(item.split, []).append(item.id)
    return found


def texts(item: Item, lang: str | None = None) -> list[str]:
    return [caption.text for caption in item.captions if lang in (None, caption.lang)]


def problems(name: str, path: Path, **options: Any) -> list[tuple[str, str]]:
    found = formats.validate(name, path, media_files=False, counts=False, **options).problems
    assert all(problem.remedy for problem in found)
    return [(Path(problem.where).name, problem.message) for problem in found]


# MSR-VTT


def test_msrvtt_9k_trains_on_all_but_the_test_clips(tmp_path: Path) -> None:
    manifest = read("msrvtt", made.msrvtt(tmp_path))
    assert manifest.name == "msrvtt-9k"
    assert splits(manifest) == {"train": ["video0", "video1", "video2", "video3"], "test": ["video4", "video5"]}
    by_id = {item.id: item for item in manifest}
    assert texts(by_id["video1"]) == ["sentence 0 of clip 1", "sentence 1 of clip 1"]
    assert texts(by_id["video4"]) == ["a dog, running"]  # the one of the table, not the two of the annotations
    assert by_id["video1"].modality == "video"
    assert by_id["video1"].path == "video1.mp4"
    assert by_id["video1"].labels == ("category:1",)
    assert by_id["video1"].start is None  # the clip is cut out already
    expected = {"category": 1, "url": "https://example.org/watch?v=clip0", "url_start": 1.5, "url_end": 11.5}
    assert by_id["video1"].metadata == expected


def test_msrvtt_7k_trains_on_the_first_two_parts(tmp_path: Path) -> None:
    manifest = read("msrvtt", made.msrvtt(tmp_path), cut="7k")
    assert splits(manifest) == {"train": ["video0", "video1", "video2"], "test": ["video4", "video5"]}


def test_msrvtt_training_list_decides_where_there_is_one(tmp_path: Path) -> None:
    path = made.msrvtt(tmp_path)
    made.text(path / "MSRVTT_train.7k.csv", "video_id", "video2", "video0")
    assert splits(read("msrvtt", path, cut="7k"))["train"] == ["video2", "video0"]


@pytest.mark.parametrize("files", [1, 2])
def test_msrvtt_full_keeps_every_sentence(tmp_path: Path, files: int) -> None:
    manifest = read("msrvtt", made.msrvtt(tmp_path, files), cut="full")
    assert splits(manifest) == {
        "train": ["video0", "video1"],
        "val": ["video2"],
        "test": ["video3", "video4", "video5"],
    }
    assert {len(item.captions) for item in manifest} == {2}


def test_msrvtt_test_clips_need_no_annotations(tmp_path: Path) -> None:
    path = made.msrvtt(tmp_path)
    (path / "MSRVTT_data.json").unlink()
    assert [texts(item) for item in read("msrvtt", path, cut="1k-A")] == [["a dog, running"], ["a cat sleeps"]]
    with pytest.raises(ManifestError, match=r"MSRVTT_data\.json: no such file"):
        read("msrvtt", path)


def test_msrvtt_clips_are_found_whatever_their_suffix(tmp_path: Path) -> None:
    path = made.msrvtt(tmp_path / "lists")
    clip = tmp_path / "clips" / "all" / "video0.webm"
    clip.parent.mkdir(parents=True)
    clip.touch()
    manifest = read("msrvtt", path, media=tmp_path / "clips")
    assert manifest.file(manifest.items[0]) == clip


def test_msrvtt_faults_are_named(tmp_path: Path) -> None:
    path = made.msrvtt(tmp_path)
    data = json.loads((path / "MSRVTT_data.json").read_text())
    data["sentences"][3]["caption"] = " "
    data["sentences"][4]["video_id"] = "video77"
    data["videos"].append(data["videos"][0])
    del data["videos"][2]["video_id"]
    made.save(path / "MSRVTT_data.json", data)
    made.text(path / "MSRVTT_train.9k.csv", "video_id", "video0", "video4", "video99")
    assert problems("msrvtt", path) == [
        ("MSRVTT_data.json", "videos[2]: field 'video_id' is missing"),
        ("MSRVTT_data.json", "videos[6]: 'video0' stands twice, first in MSRVTT_data.json"),
        ("MSRVTT_data.json", "sentences[3] (video1): caption is empty, expected text"),
        ("MSRVTT_data.json", "sentences[4] is of 'video77', which is not among the videos"),
        ("MSRVTT_data.json", "sentences[5] is of 'video2', which is not among the videos"),
        ("MSRVTT_train.9k.csv:3", "'video4' is a test clip of 1k-A"),
        ("MSRVTT_train.9k.csv:4", "'video99' is not among the videos of the annotations"),
    ]


# MSVD


def check_msvd(manifest: Manifest) -> None:
    assert splits(manifest) == {"train": ["-4wsuPCjDBc_5_15", "B_x_0_9"], "val": ["C_2_4"], "test": ["D_1_3"]}
    first = manifest.items[0]
    assert texts(first) == ["a squirrel is eating a nut", "an animal eats"]
    assert first.metadata == {"youtube": "-4wsuPCjDBc", "url_start": 5, "url_end": 15}
    assert first.path == "-4wsuPCjDBc_5_15.avi"
    assert manifest.items[1].metadata["youtube"] == "B_x"


def test_msvd_sentences_of_the_authors(tmp_path: Path) -> None:
    check_msvd(read("msvd", made.msvd(tmp_path)))


def as_json(path: Path) -> None:
    found: dict[str, list[Any]] = {}
    for line in (path / "AllVideoDescriptions.txt").read_text().splitlines()[2:]:
        clip, _, sentence = line.partition(" ")
        found.setdefault(clip, []).append(sentence.split() if clip == "C_2_4" else sentence)
    made.save(path / "raw-captions.json", found)


def as_corpus(path: Path) -> None:
    rows = ["VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description"]
    for line in (path / "AllVideoDescriptions.txt").read_text().splitlines()[2:]:
        clip, _, sentence = line.partition(" ")
        rows.append(f'{",".join(clip.rsplit("_", 2))},1,clean,9,English,"{sentence}"')
    rows.append('D,1,3,2,clean,9,German,"zwei Jungen rennen"')
    made.text(path / "video_corpus.csv", *rows)


@pytest.mark.parametrize("rewrite", [as_json, as_corpus])
def test_msvd_sentences_in_other_files_are_the_same(tmp_path: Path, rewrite: Callable[[Path], None]) -> None:
    path = made.msvd(tmp_path)
    rewrite(path)
    (path / "AllVideoDescriptions.txt").unlink()
    check_msvd(read("msvd", path))


def test_msvd_corpus_has_other_languages(tmp_path: Path) -> None:
    path = made.msvd(tmp_path)
    as_corpus(path)
    last = read("msvd", path, languages="all").items[-1]
    assert texts(last, "en") == ["two boys run"]
    assert texts(last, "de") == ["zwei Jungen rennen"]
    (path / "video_corpus.csv").unlink()
    with pytest.raises(ManifestError, match="sentences are in English, expected de"):
        read("msvd", path, languages="de")


def test_msvd_without_lists_is_cut_by_number(tmp_path: Path) -> None:
    path = made.msvd(tmp_path)
    for split in ("train", "val", "test"):
        (path / f"{split}_list.txt").unlink()
    clips = [line.split() for line in (path / "youtube_mapping.txt").read_text().splitlines()]
    numbers = ("vid1200", "vid1201", "vid1300", "vid1301")
    made.text(path / "youtube_mapping.txt", *(f"{clip} {n}" for (clip, _), n in zip(clips, numbers, strict=True)))
    assert {item.id: item.split for item in read("msvd", path)} == {
        "-4wsuPCjDBc_5_15": "train",
        "B_x_0_9": "val",
        "C_2_4": "val",
        "D_1_3": "test",
    }
    (path / "youtube_mapping.txt").unlink()
    with pytest.raises(ManifestError, match="expected one of both to tell the splits"):
        read("msvd", path)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('the pickle was opened')",)


@pytest.mark.parametrize("named", ["the file", "its folder"])
def test_msvd_pickles_are_not_opened(tmp_path: Path, named: str) -> None:
    path = made.msvd(tmp_path)
    (path / "AllVideoDescriptions.txt").unlink()
    file = path / "raw-captions.pkl"
    file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ManifestError, match=r"raw-captions\.pkl: is a pickle") as raised:
        read("msvd", file if named == "the file" else path)
    assert "AllVideoDescriptions.txt" in raised.value.hint


def test_msvd_media_may_have_either_name(tmp_path: Path) -> None:
    path = made.msvd(tmp_path)
    (path / "vid2.mp4").touch()
    (path / "C_2_4.avi").touch()
    paths = [item.path for item in read("msvd", path)]
    assert paths == ["-4wsuPCjDBc_5_15.avi", "vid2.mp4", "C_2_4.avi", "D_1_3.avi"]


def test_msvd_faults_are_named(tmp_path: Path) -> None:
    path = made.msvd(tmp_path)
    made.text(path / "test_list.txt", "vid4", "vid3", "vid5")
    with (path / "AllVideoDescriptions.txt").open("a") as file:
        file.write("D_1_3 \nE_1_2 a clip of no list\n")
    with (path / "youtube_mapping.txt").open("a") as file:
        file.write("F_1_2 clip5\n")
    assert problems("msvd", path) == [
        ("youtube_mapping.txt:5", "'F_1_2 clip5', expected `-4wsuPCjDBc_5_15 vid1`"),
        ("AllVideoDescriptions.txt:8", "clip 'D_1_3': caption is empty, expected text"),
        ("test_list.txt:2", "'vid3' lies in split 'val' too (val_list.txt:1)"),
        ("AllVideoDescriptions.txt", "clip 'vid5' of split 'test' has no sentence"),
        ("AllVideoDescriptions.txt", "1 clips with sentences lie in no split"),
    ]


# VATEX


def test_vatex_both_languages_and_three_parts(tmp_path: Path) -> None:
    manifest = read("vatex", made.vatex(tmp_path))
    assert {split: len(ids) for split, ids in splits(manifest).items()} == {"train": 2, "val": 1, "test": 1}
    first = next(item for item in manifest if item.id == "Ptf_2VRj-V0_000122_000132")
    assert texts(first, "en")[9] == "Ptf_2VRj-V0 in English 9"
    assert texts(first, "zh")[0] == "Ptf_2VRj-V0 中文 0"
    assert first.metadata == {"youtube": "Ptf_2VRj-V0", "url_start": 122, "url_end": 132, "translated": 5}
    assert first.start is None
    assert "translated" not in manifest.items[0].metadata  # the public test set has English alone
    assert {len(item.captions) for item in read("vatex", tmp_path, languages="en")} == {10}


def test_vatex_whole_videos_begin_where_the_name_says(tmp_path: Path) -> None:
    path = made.vatex(tmp_path)
    (path / "Ptf_2VRj-V0.mp4").touch()
    (path / "abcdefghijk_000000_000010.mp4").touch()
    by_id = {item.id: item for item in read("vatex", path)}
    whole, clip = by_id["Ptf_2VRj-V0_000122_000132"], by_id["abcdefghijk_000000_000010"]
    assert (whole.path, whole.start, whole.end) == ("Ptf_2VRj-V0.mp4", 122.0, 132.0)
    assert (clip.path, clip.start, clip.end) == ("abcdefghijk_000000_000010.mp4", None, None)


def test_vatex_lists_cut_the_validation_clips(tmp_path: Path) -> None:
    path = made.vatex(tmp_path)
    made.text(path / "train_list.txt", "Ptf_2VRj-V0_000122_000132")
    made.text(path / "test_list.txt", "lmnopqrstuv_000005_000015", "gone1234567_000001_000011")
    assert problems("vatex", path) == [("test_list.txt:2", "'gone1234567_000001_000011' is not among the annotations")]
    made.text(path / "test_list.txt", "lmnopqrstuv_000005_000015")
    assert splits(read("vatex", path)) == {
        "train": ["Ptf_2VRj-V0_000122_000132"],
        "test": ["lmnopqrstuv_000005_000015"],
    }


def test_vatex_faults_are_named(tmp_path: Path) -> None:
    path = made.vatex(tmp_path)
    data = json.loads((path / "vatex_training_v1.0.json").read_text())
    data[0]["enCap"][3] = 7
    data[1]["videoID"] = "short"
    data.append({"videoID": "mnopqrstuvw_000001_000011"})
    made.save(path / "vatex_training_v1.0.json", data)
    assert problems("vatex", path) == [
        ("vatex_training_v1.0.json", "video 'Ptf_2VRj-V0_000122_000132', enCap: caption is '7' (int), expected text"),
        ("vatex_training_v1.0.json", "video 'short' names no seconds, expected VIDEO_000122_000132"),
        ("vatex_training_v1.0.json", "video 'mnopqrstuvw_000001_000011': no enCap or chCap, so no captions"),
    ]
    file = path / "vatex_private_test_without_annotations.json"
    with pytest.raises(ManifestError, match="the name says no split"):
        read("vatex", file)


# DiDeMo


def test_didemo_paragraphs_join_the_descriptions(tmp_path: Path) -> None:
    manifest = read("didemo", made.didemo(tmp_path))
    assert splits(manifest) == {
        "train": ["a@N00_1.avi", "b@N01_2.mov"],
        "val": ["c@N02_3.mp4"],
        "test": ["d@N03_4.avi"],
    }
    (caption,) = manifest.items[0].captions
    assert (caption.text, caption.kind) == ("the dog sits the dog leaves", "paragraph")
    assert manifest.items[0].metadata == {"sentences": 2}


def test_didemo_moments_are_those_that_people_agree_on(tmp_path: Path) -> None:
    items = {item.id: item for item in read("didemo", made.didemo(tmp_path), unit="moment")}
    sits, leaves = items["a@N00_1.avi#7"], items["a@N00_1.avi#9"]
    assert (sits.start, sits.end) == (0.0, 5.0)  # piece 0, as two of four say
    assert (leaves.start, leaves.end) == (10.0, 25.0)  # pieces 2 to 4, as two of three say
    assert texts(leaves) == ["the dog leaves"]
    assert leaves.metadata == {"video": "a@N00_1.avi", "times": [[2, 3], [2, 4], [2, 4]]}
    assert sits.path == leaves.path == "a@N00_1.avi"
    assert (items["d@N03_4.avi#2"].start, items["d@N03_4.avi#2"].end) == (0.0, 30.0)


def test_agreement_is_the_sum_of_overlaps() -> None:
    # [0,1] overlaps 1/2 with [0,0], 1/3 with [1,2]: 11/6 with itself; [0,0]: 1 + 1/2; [1,2]: 1 + 1/3
    assert agreed([(0, 0), (1, 2), (0, 1)]) == (0, 1)
    assert agreed([(3, 3), (1, 1)]) == (3, 3)


def test_didemo_lists_leave_out_videos(tmp_path: Path) -> None:
    path = made.didemo(tmp_path)
    made.text(path / "train_list.txt", "b@N01_2.mov")
    made.text(path / "test_list.txt", "d@N03_4.avi", "e@N04_5.avi")
    assert problems("didemo", path) == [("test_list.txt:2", "'e@N04_5.avi' has no description")]
    made.text(path / "test_list.txt", "d@N03_4.avi")
    assert splits(read("didemo", path)) == {"train": ["b@N01_2.mov"], "test": ["d@N03_4.avi"]}


@pytest.mark.parametrize("name", ["b@N01_2.mov", "b@N01_2.mp4", "b@N01_2.mov.mp4"])
def test_didemo_videos_are_found_under_their_later_names(tmp_path: Path, name: str) -> None:
    path = made.didemo(tmp_path)
    (path / name).touch()
    assert read("didemo", path).items[1].path == name


def test_didemo_faults_are_named(tmp_path: Path) -> None:
    path = made.didemo(tmp_path)
    data = json.loads((path / "train_data.json").read_text())
    data[0]["times"] = [[0, 9]]
    data[1]["description"] = None
    del data[2]["times"]
    made.save(path / "train_data.json", data)
    file = "train_data.json"
    assert problems("didemo", path, unit="moment") == [
        (file, "record 1: field 'description' is 'None', expected str"),
        (file, "record 2: field 'times' is missing"),
        (file, "description 7 of 'a@N00_1.avi': times are [[0, 9]], expected pairs of pieces from 0 to 5"),
    ]


# ActivityNet Captions


def test_activitynet_paragraphs_and_moments(tmp_path: Path) -> None:
    path = made.activitynet(tmp_path)
    one, two = read("activitynet", path)
    assert (one.id, one.split, texts(one)) == ("v_one", "train", ["A bow. He aims."])
    assert one.metadata == {"duration": 82.73, "sentences": 2}
    assert (two.id, two.split, two.path) == ("v_two", "val", "v_two.mp4")
    moments = read("activitynet", path, unit="moment").items
    assert [(item.id, item.start, item.end, texts(item)) for item in moments] == [
        ("v_one#0", 0.83, 19.86, ["A bow."]),
        ("v_one#1", 17.37, 60.81, ["He aims."]),
        ("v_two#0", 0.0, 12.5, ["She skates."]),
    ]


def test_activitynet_has_two_tellings_of_the_validation_videos(tmp_path: Path) -> None:
    path = made.activitynet(tmp_path)
    assert texts(read("activitynet", path, val="val_2").items[1]) == ["A girl on ice."]
    (only,) = read("activitynet", path / "val_2.json")
    assert (only.split, texts(only)) == ("val", ["A girl on ice."])


def test_activitynet_faults_are_named(tmp_path: Path) -> None:
    path = made.activitynet(tmp_path)
    made.save(
        path / "train.json",
        {
            "v_a": {"duration": 9, "timestamps": [[5, 2], [10, 12], [1, "x"]], "sentences": ["turned", "late", "text"]},
            "v_b": {"duration": 9, "timestamps": [[5, 6]], "sentences": ["one", "two"]},
            "v_c": {"timestamps": [], "sentences": []},
        },
    )
    assert problems("activitynet", path, unit="moment") == [
        ("train.json", "video 'v_a', timestamps[0]: begins at 5 and ends at 2, taken the other way round"),
        ("train.json", "video 'v_a', timestamps[1]: begins at 10, after the end of the video at 9"),
        ("train.json", "video 'v_a', timestamps[2]: [1, 'x'], expected two numbers of seconds"),
        ("train.json", "video 'v_b': 2 sentences and 1 timestamps, expected one each"),
        ("train.json", "video 'v_c': field 'duration' is missing"),
    ]
