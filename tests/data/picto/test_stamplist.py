"""The texts of the stamps, hand-made: sentences, tags, faults and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossbit.data.picto.stamplist import name_of, read_sentences, read_stamps, tag, voices_without_a_stamp
from crossbit.errors import ManifestError
from data.picto.fakes import written

TEXT = """A duck &amp; a pond.
de.utf8=Eine  Ente &amp; ein Teich.
en_GB.utf8=A duck & a pond
en_AU.utf8=A duck and a billabong.
sr@latin.utf8=Patka.
zh_TW.utf8=鴨
zh_CN.utf8=鸭
hi.utf8=एक बत्तख|
km.utf8=A duck & a pond.
fr.utf8=
pt.utf8=Um pato.
pt_BR.utf8=Um pato
""".encode()


def sentences(path: Path, data: bytes) -> tuple[dict[str, str], tuple[str, ...]]:
    path.write_bytes(data)
    captions, faults = read_sentences(path)
    assert all(caption.kind == "sentence" for caption in captions)
    return {caption.lang: caption.text for caption in captions}, faults


def test_sentences(tmp_path: Path) -> None:
    found, faults = sentences(tmp_path / "x.txt", TEXT)
    assert found == {
        "en": "A duck & a pond.",
        "de": "Eine Ente & ein Teich.",
        "en-AU": "A duck and a billabong.",  # en-GB says what en says, but for the stop
        "sr-Latn": "Patka.",
        "zh-Hant": "鴨",
        "zh": "鸭",
        "hi": "एक बत्तख।",
        "pt": "Um pato.",
    }
    assert next(iter(found)) == "en"
    assert faults == ("the sentence in km is the English one",)


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, lead: bytes, end: bytes) -> None:
    found, faults = sentences(tmp_path / "x.txt", lead + b"A dog." + end + b"de.utf8=Ein Hund." + end + end)
    assert found == {"en": "A dog.", "de": "Ein Hund."}
    assert faults == ()


def test_one_bad_line_costs_one_caption(tmp_path: Path) -> None:
    found, faults = sentences(tmp_path / "x.txt", b"A dog.\nde.utf8=Ein H\xfcnd.\nwords\nes.utf8=Un perro.\n")
    assert found == {"en": "A dog.", "es": "Un perro."}
    assert faults == ("the sentence in de is not UTF-8", "a line that is no `language.utf8=sentence`")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the English sentence is empty"),
        (b"\nde.utf8=Ein Hund.", "the English sentence is empty"),
        (b"A d\xf6g.\nde.utf8=Ein Hund.", "the English sentence is not UTF-8"),
        (b"A dog." + b" " * (1 << 20), "a text of more than 1,048,576 bytes"),
    ],
)
def test_without_an_english_sentence_there_is_none(tmp_path: Path, data: bytes, says: str) -> None:
    assert sentences(tmp_path / "x.txt", data) == ({}, (says,))


def test_names_are_the_same_in_many_languages(tmp_path: Path) -> None:
    found, faults = sentences(tmp_path / "x.txt", b"Uranus.\nde.utf8=Uranus.\n")
    assert found == {"en": "Uranus.", "de": "Uranus."}
    assert faults == ()


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [("pt_BR", "pt-BR"), ("ca@valencia", "ca-valencia"), ("sr@latin", "sr-Latn"), ("zh_CN", "zh"), ("ast", "ast")],
)
def test_tags(written_as: str, expected: str) -> None:
    assert tag(written_as) == expected


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("A red apple.", "red apple"),
        ("An “old” car!", "“old” car"),
        ("Some cherries.", "cherries"),
        ("The Sun.", "Sun"),
        ("Saturn—the second largest planet.", "Saturn"),
        ("Knight. The only piece that can jump.", "Knight"),
        ("A baby sheep (a lamb).", "baby sheep"),
        ("“Arrow”.", "Arrow"),
        ("An apple core.", "apple core"),
        ("A ripe, red tomato!", "ripe red tomato"),
        ("Bread, sliced, and shared by everyone.", "Bread"),
        ("A ginger 'root'.", "ginger 'root'"),
        ("A clover is said to bring good luck!", None),  # a statement
        ("Eat your broccoli!", None),
        ("A very long name of one thing.", None),
        ("…", None),
    ],
)
def test_names(sentence: str, name: str | None) -> None:
    assert name_of(sentence) == name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return written(
        tmp_path / "stamps",
        {
            "animals/duck.txt": "A duck.\nfr.utf8=Un canard.\n",
            "animals/duck.png": b"png",
            "animals/duck.svg": b"svg",
            "animals/duck.ogg": b"quack",
            "animals/duck_desc.ogg": b"a duck",
            "animals/duck_desc_fr.ogg": b"un canard",
            "animals/duck_desc_pt_BR.ogg": b"um pato",
            "animals/duck.dat": "noflip",
            "animals/duckling.txt": "A duckling.\n",
            "animals/duckling.png": b"png",
            "animals/duckling_desc_fr.ogg": b"un caneton",
            "animals/goose_mirror.png": b"png",
            "animals/lonely.png": b"png",
            "animals/swan.txt": "A swan.\n",
            "animals/swan_desc_fr.ogg": b"un cygne",
            "animals/swan.ogg": b"honk",
            "animals/nameless.txt": "\n",
            "animals/nameless.png": b"png",
            "symbols/alphabets/a.txt": "A.\n",
            "symbols/alphabets/a.png": b"png",
        },
    )


def test_tree(tree: Path) -> None:
    (duck, duckling), quarantine = read_stamps(tree, "stamps")
    assert (duck.key, duck.concept) == ("animals/duck", "stamp:animals/duck")
    assert [path.name for path in duck.pictures] == ["duck.svg", "duck.png"]
    assert {language: path.name for language, path in duck.voices.items()} == {
        "en": "duck_desc.ogg",
        "fr": "duck_desc_fr.ogg",
        "pt-BR": "duck_desc_pt_BR.ogg",
    }
    assert duck.sound == tree / "animals/duck.ogg"
    assert (duckling.key, list(duckling.voices), duckling.sound) == ("animals/duckling", ["fr"], None)
    assert {(record.record, record.reason) for record in quarantine} == {
        ("animals/goose_mirror", "the mirrored picture of another stamp"),
        ("animals/lonely", "a picture without a text"),
        ("animals/swan", "a text without a picture"),
        ("animals/nameless", "the English sentence is empty"),
    }


def test_recordings_that_nobody_claims_are_named(tree: Path) -> None:
    stamps, _ = read_stamps(tree, "speech")
    spoken = voices_without_a_stamp(tree, stamps, "speech")
    assert [record.record for record in spoken] == ["animals/swan_desc_fr.ogg"]
    assert [record.record for record in voices_without_a_stamp(tree, stamps, "sounds")] == ["animals/swan.ogg"]


def test_no_stamps(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no stamps, expected texts with pictures"):
        read_stamps(tmp_path, "stamps")
