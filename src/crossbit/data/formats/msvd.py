"""MSVD, the Microsoft Research Video Description Corpus: 1,970 clips of YouTube with about 40 sentences each.

Chen and Dolan, "Collecting Highly Parallel Data for Paraphrase Evaluation", ACL 2011; 1,200 / 100 / 670 clips for training,
validation and test as in Venugopalan and others, "Sequence to Sequence", ICCV 2015. The sentences come as

- `AllVideoDescriptions.txt`, the authors' file: `CLIP SENTENCE` a line, lines with `#` are remarks;
- `raw-captions.json`: an object from clip to a list of sentences, each a text or a list of words;
- `video_corpus.csv`, with `VideoID,Start,End,...,Language,Description`: the only one in many languages.

`raw-captions.pkl`, which many repositories hand on, is a pickle: opening it runs whatever code it holds, so it is not opened.
A clip is called by its video and seconds, `-4wsuPCjDBc_5_15`; `youtube_mapping.txt` gives each a second name, `vid1`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crossbit.data.formats.faults import Notes
from crossbit.data.formats.gather import Gather, Shelf, first_of, json_of, lines, need
from crossbit.data.formats.published import Size, check_sizes, in_lists, mind, records
from crossbit.data.manifest import Caption, Item, Manifest
from crossbit.errors import ManifestError

SIZES = {"train": Size(1_200), "val": Size(100), "test": Size(670)}
_LISTS = {"train": "train_list.txt", "val": "val_list.txt", "test": "test_list.txt"}
_TEXTS = ("AllVideoDescriptions.txt", "raw-captions.json")
_CORPUS = ("video_corpus.csv", "MSR Video Description Corpus.csv")
_MAPPING = "youtube_mapping.txt"
_LAST = {"train": 1200, "val": 1300, "test": 1970}
"""The last `vid` of each split: the lists are these runs."""

_NAMES = """
albanian sq, arabic ar, bosnian bs, bulgarian bg, catalan ca, chinese zh, croatian hr, czech cs, danish da, dutch nl,
english en, estonian et, filipino tl, finnish fi, french fr, georgian ka, german de, greek el, gujarati gu, hebrew he,
hindi hi, hungarian hu, indonesian id, italian it, japanese ja, kannada kn, korean ko, latvian lv, lithuanian lt,
macedonian mk, malay ms, malayalam ml, marathi mr, norwegian no, persian fa, polish pl, portuguese pt, punjabi pa,
romanian ro, russian ru, serbian sr, slovak sk, slovene sl, slovenian sl, spanish es, swahili sw, swedish sv, tagalog
tl, tamil ta, telugu te, thai th, turkish tr, ukrainian uk, urdu ur, vietnamese vi
"""
LANGUAGES = {name: code for name, code in (pair.split() for pair in _NAMES.split(","))}


def read(
    path: Path, notes: Notes, *, languages: str = "en", counts: bool = True, media: Path | None = None
) -> Manifest:
    """Read the corpus.

    Args:
        path: the folder.
        notes: takes the problems.
        languages: of the sentences to keep, with commas between, or `all`; only `video_corpus.csv` has others than English.
        counts: compare with the published numbers.
        media: the folder of the clips; else `path`.
    """
    if path.is_file():
        if path.suffix in (".pkl", ".pickle"):
            _no_pickle(path)
        path = path.parent
    gather = Gather(notes)
    aliases = _aliases(path / _MAPPING, notes)
    found: dict[str, list[Caption]] = {}
    file, sentences = _sentences(path, gather, languages)
    where: dict[str, int | None] = {}
    for name, line, caption in sentences:
        clip = aliases.get(name, name)
        where.setdefault(clip, line)
        found.setdefault(clip, []).append(caption)
    lists = in_lists(path, _LISTS, notes)
    splits = _by_number(aliases) if lists is None else {aliases.get(name, name): s for name, s in lists[0].items()}
    if not splits:
        raise ManifestError(
            f"{path}: neither {', '.join(_LISTS.values())} nor {_MAPPING}, expected one of both to tell the splits"
        )
    shelf = Shelf(media or path)
    short = {clip: name for name, clip in aliases.items()}
    for clip, split in splits.items():
        if clip not in found:
            notes.say(file, None, f"clip {clip!r} of split {split!r} has no sentence", "get the sentences again")
            continue
        names = [clip, short[clip]] if clip in short else [clip]
        gather.add(_item(clip, split, tuple(found[clip]), shelf.path(names, ".avi")), file, where[clip])
    if beyond := len(set(found) - set(splits)):
        mind(notes, file, None, f"{beyond} clips with sentences lie in no split", "add them to a list, or leave them")
    manifest = gather.manifest("msvd", shelf.root, path)
    check_sizes(manifest, path, notes, SIZES, counts)
    return manifest


def _sentences(folder: Path, gather: Gather, languages: str) -> tuple[Path, Iterator[tuple[str, int | None, Caption]]]:
    wanted = {name.strip().lower() for name in languages.split(",")}
    corpus = first_of(folder, _CORPUS)
    if corpus and (wanted != {"en"} or not first_of(folder, _TEXTS)):
        return corpus, _from_corpus(corpus, gather, wanted)
    file = first_of(folder, _TEXTS)
    if file is None:
        for pickle in sorted(folder.glob("*.pkl")):
            _no_pickle(pickle)
        file = need(folder / _TEXTS[0], f"the sentences ({', '.join((*_TEXTS, _CORPUS[0]))})")
    if wanted - {"en", "all"}:
        hint = f"get {_CORPUS[0]}, which has the others"
        raise ManifestError(f"{file}: the sentences are in English, expected {', '.join(sorted(wanted))}", hint)
    return file, _from_text(file, gather) if file.suffix == ".txt" else _from_json(file, gather)


def _no_pickle(path: Path) -> None:
    raise ManifestError(
        f"{path}: is a pickle, which runs the code it holds when it is opened, expected text",
        f"put {_TEXTS[0]} of the authors or {_TEXTS[1]} (an object from clip to a list of sentences) beside it",
    )


def _from_text(file: Path, gather: Gather) -> Iterator[tuple[str, int | None, Caption]]:
    for line, text in lines(file, gather.notes):
        if not text.strip() or text.startswith("#"):
            continue
        clip, _, sentence = text.partition(" ")
        if caption := gather.caption(sentence, file, line, f"clip {clip!r}"):
            yield clip, line, caption


def _from_json(file: Path, gather: Gather) -> Iterator[tuple[str, int | None, Caption]]:
    for clip, sentences in json_of(file, dict, gather.notes).items():
        if not isinstance(sentences, list):
            what = f"clip {clip!r}: a {type(sentences).__name__}, expected a list of sentences"
            gather.notes.say(file, None, what, "correct or remove the record")
            continue
        for number, sentence in enumerate(sentences):
            words = isinstance(sentence, list) and all(isinstance(word, str) for word in sentence)
            text = " ".join(sentence) if words else sentence
            if caption := gather.caption(text, file, None, f"clip {clip!r}, sentence {number}"):
                yield clip, None, caption


def _from_corpus(file: Path, gather: Gather, wanted: set[str]) -> Iterator[tuple[str, int | None, Caption]]:
    unknown: set[str] = set()
    for line, row in records(file, gather.notes, ("VideoID", "Start", "End", "Language", "Description")):
        spoken = row["Language"].strip().lower()
        if spoken not in LANGUAGES:
            if spoken not in unknown:
                what = f"language {row['Language']!r} is not known"
                gather.notes.say(file, line, what, "correct the cell, or tell us of the language")
            unknown.add(spoken)
            continue
        if not wanted & {LANGUAGES[spoken], "all"}:
            continue
        clip = f"{row['VideoID']}_{row['Start']}_{row['End']}"
        if caption := gather.caption(row["Description"], file, line, f"clip {clip!r}", LANGUAGES[spoken]):
            yield clip, line, caption


def _aliases(file: Path, notes: Notes) -> dict[str, str]:
    """Give the clip that each `vid` stands for."""
    found: dict[str, str] = {}
    if not file.is_file():
        return found
    for line, text in lines(file, notes):
        parts = text.split()
        if not parts:
            continue
        if len(parts) != 2 or not parts[1].startswith("vid") or not parts[1][3:].isdigit():
            notes.say(file, line, f"{text[:60]!r}, expected `-4wsuPCjDBc_5_15 vid1`", "correct or remove the line")
        elif parts[1] in found:
            notes.say(file, line, f"{parts[1]!r} stands twice", "remove one of the two lines")
        else:
            found[parts[1]] = parts[0]
    return found


def _by_number(aliases: dict[str, str]) -> dict[str, str]:
    ordered = sorted(aliases, key=lambda name: int(name[3:]))
    return {
        aliases[name]: next(split for split, last in _LAST.items() if int(name[3:]) <= last)
        for name in ordered
        if int(name[3:]) <= _LAST["test"]
    }


def _item(clip: str, split: str, captions: tuple[Caption, ...], path: str) -> Item:
    video, *seconds = clip.rsplit("_", 2)
    known = len(seconds) == 2 and all(part.isdigit() for part in seconds)
    metadata = {"youtube": video, "url_start": int(seconds[0]), "url_end": int(seconds[1])} if known else {}
    return Item(id=clip, path=path, modality="video", captions=captions, split=split, metadata=metadata)
