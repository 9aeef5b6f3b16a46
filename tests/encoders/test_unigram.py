"""Our tokenizer against the `tokenizers` library, which reads the tokenizer.json that we write."""

from __future__ import annotations

import unicodedata
from typing import Any

import emoji
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from crossbit.encoders.text import E5Small
from crossbit.encoders.unigram import UnigramTokenizer


@pytest.fixture(scope="module")
def ours() -> UnigramTokenizer:
    return UnigramTokenizer(E5Small().folder)


@pytest.fixture(scope="module")
def theirs() -> Any:
    return Tokenizer.from_file(str(E5Small().folder / "tokenizer.json"))


def test_same_pieces_on_names_in_fourteen_languages(ours: UnigramTokenizer, theirs: Any) -> None:
    languages = ("en", "es", "ja", "ko", "pt", "it", "fr", "de", "fa", "id", "zh", "ru", "tr", "ar")
    entries = emoji.EMOJI_DATA.values()
    texts = [entry[lang].strip(":").replace("_", " ") for entry in entries for lang in languages if lang in entry]
    assert len(texts) > 5000
    expected = [made.ids for made in theirs.encode_batch(texts, add_special_tokens=False)]
    assert ours.split(texts) == expected


# letters that both Unicode tables know alike, and all that is odd: marks, controls, spaces, emoji, compatibility forms
_LETTERS = st.one_of(
    st.characters(min_codepoint=1, max_codepoint=0x17F),
    st.sampled_from(" \t\n\r\u00a0\u200b\u200d\u3000\u2028\ufeff\ufffd\u2581\x00\x07\x7f\x85"),
    st.sampled_from("\u0301\u0300\u0308\u0323éẹ́ﬁ½①Å™ｶﾞ～〜㍿﷽ﻻ"),
    st.sampled_from("りんご赤い苹果红色사과 قرمز सेब תפוח 🍎👩‍🚀🏳️‍🌈 яблоко μήλο แอปเปิ้ล ແອັບເປີ"),
    st.characters(min_codepoint=0x370, max_codepoint=0x10FF),
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5),
)


@settings(max_examples=1500, deadline=None)
@given(st.text(_LETTERS, max_size=60))
def test_same_pieces_on_anything(ours: UnigramTokenizer, theirs: Any, text: str) -> None:
    # theirs reads the names of special pieces out of plain text; ours on purpose does not (a test below)
    assume(not any(name in text for name in ("<s>", "</s>", "<pad>", "<unk>", "<mask>")))
    assert ours.split([text])[0] == theirs.encode(text, add_special_tokens=False).ids


def test_prefix_is_a_constant(ours: UnigramTokenizer) -> None:
    frame = E5Small.frame
    assert frame.head == (0, *ours.split(["query: "])[0])
    # and cut off from what follows, so that it may be put in front of any text's pieces
    assert ours.split(["query: red apple"])[0] == [*frame.head[1:], *ours.split(["red apple"])[0]]


def test_composed_and_decomposed_letters_are_one(ours: UnigramTokenizer) -> None:
    # file names written on macOS come decomposed
    assert ours.split([unicodedata.normalize("NFD", "pâté de crème brûlée")]) == ours.split(["pâté de crème brûlée"])


def test_special_names_are_plain_text(ours: UnigramTokenizer) -> None:
    pieces = ours.split(["</s> <mask> <s>"])[0]
    assert not set(pieces) & {0, 1, 2, 250001}


def test_long_piece_is_not_cut_to_fit_the_table(ours: UnigramTokenizer) -> None:
    # the table holds 48 bytes a piece; a longer stretch that begins like a piece must not match it
    text = "ที่" * 30
    assert ours.split([text])[0].count(ours.split(["ที่"])[0][0]) < 30
    assert len(ours.split([text])[0]) > 5


def test_half_surrogates_are_spaces() -> None:
    encoder = E5Small()
    assert encoder.prepare(["a\udce9b"])["ids"].tolist() == encoder.prepare(["a b"])["ids"].tolist()


def test_texts_without_spaces_are_split_in_stretches_with_the_same_pieces(
    ours: UnigramTokenizer, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "赤いりんごと青い空、" * 40 + "supercalifragilistic" * 10
    expected = theirs.encode(text, add_special_tokens=False).ids
    assert ours.split([text])[0] == expected
    monkeypatch.setattr("crossbit.encoders.unigram._AT_ONCE", 7)
    fresh = UnigramTokenizer(E5Small().folder)
    assert fresh.split([text, "red apple"]) == [expected, ours.split(["red apple"])[0]]


def test_forgets_when_it_has_seen_too_much(ours: UnigramTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossbit.encoders.unigram._REMEMBERED", 2)
    fresh = UnigramTokenizer(E5Small().folder)
    for text in ("red apple on a table", "a blue apple"):
        assert fresh.split([text]) == ours.split([text])
    assert len(fresh._words) < 8
