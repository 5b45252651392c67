"""The tokenizer: any bytes come back, ties are broken by content, files hold all of it."""

import json
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import regex
from helpers import TEXTS, trained_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import gpt2_vocabulary

from groundup.errors import GroundupError
from groundup.tokenizer import bpe, encoding
from groundup.tokenizer.bpe import END_OF_TEXT, byte_alphabet, train_bpe
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE, Tokenizer, in_order_on_all_cores, stretches

ALWAYS_THE_SAME = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@cache
def tokenizer() -> Tokenizer:
    return trained_tokenizer()


@ALWAYS_THE_SAME
@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_any_bytes_come_back(data):
    ids = tokenizer().encode_bytes(data)
    assert tokenizer().decode_bytes(ids) == data
    assert all(0 <= token_id < tokenizer().end_of_text_id for token_id in ids)


@cache
def gpt2_tokenizer() -> Tokenizer:
    return Tokenizer.load(gpt2_vocabulary())


@ALWAYS_THE_SAME
@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_any_bytes_come_back_through_gpt2_s_vocabulary_too(data):
    ids = gpt2_tokenizer().encode_bytes(data)
    assert gpt2_tokenizer().decode_bytes(ids) == data
    assert all(0 <= token_id < 50256 for token_id in ids)


@ALWAYS_THE_SAME
@given(st.text(max_size=60))
def test_any_text_comes_back_and_its_bytes_are_encoded_alike(text):
    ids = tokenizer().encode(text)
    assert tokenizer().decode(ids) == text
    assert tokenizer().encode_bytes(text.encode()) == ids
    assert tokenizer().token_lengths[ids].sum() == len(text.encode())


@ALWAYS_THE_SAME
@given(st.lists(st.integers(0, 289), max_size=30))
def test_any_token_ids_have_bytes_and_readable_text(ids):
    spelled = b"".join(tokenizer().decode_bytes([token_id]) for token_id in ids)
    assert tokenizer().decode_bytes(ids) == spelled
    assert tokenizer().decode(ids) == spelled.decode("utf-8", errors="replace")


def test_bytes_that_are_no_text_stand_between_text_that_keeps_its_merges():
    ids = tokenizer().encode_bytes(b" the\xff\xfe the")
    the = tokenizer().encode(" the")
    assert ids == [*the, byte_alphabet().index(0xFF), byte_alphabet().index(0xFE), *the]
    assert tokenizer().decode(ids) == " the�� the"


def test_the_end_of_text_is_the_last_id_and_never_comes_from_text():
    assert tokenizer().end_of_text_id == tokenizer().vocab_size - 1 == len(tokenizer().vocabulary)
    ids = tokenizer().encode(f"a{END_OF_TEXT}b")
    assert tokenizer().end_of_text_id not in ids
    assert tokenizer().decode(ids) == f"a{END_OF_TEXT}b"


# White space of all kinds, also what only Python or only the pattern takes for it; contractions; text that looks like
# the end of a text, whole and in parts; half a character.
PARTS = [*"tha1é東'!", *" \n\t\r\v\x1c\x1f\x85\xa0\u2003\u2028\u180e\u200b", "'s", "'ll", " the", "  "]
PARTS += [END_OF_TEXT, END_OF_TEXT[:-1], END_OF_TEXT[1:], END_OF_TEXT[:4], "\ud83d", "\ude00"]


@cache
def all_pairs_tokenizer() -> Tokenizer:
    """A vocabulary in which any two of the parts are one token where they can be, so that each cut shows."""
    return Tokenizer(train_bpe([2 * f"{a}{b} {a}{b}" for a in PARTS[:-2] for b in PARTS[:-2]], 3000))


any_texts = st.lists(st.lists(st.sampled_from(PARTS), max_size=30).map("".join) | st.text(max_size=40), max_size=6)


@ALWAYS_THE_SAME
@given(any_texts, st.integers(1, 20), st.booleans())
def test_joined_and_cut_texts_have_the_ids_that_each_has_alone(texts, stretch, with_end):
    end = [all_pairs_tokenizer().end_of_text_id] if with_end else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "STRETCH_CHARACTERS", stretch)
        found = list(all_pairs_tokenizer().encode_arrays(texts, with_end))
    assert [ids.tolist() for ids in found] == [all_pairs_tokenizer().encode(text) + end for text in texts]
    assert {ids.dtype for ids in found} <= {np.dtype(np.uint32)}


@settings(ALWAYS_THE_SAME, max_examples=300)
@given(st.lists(st.sampled_from(PARTS[:-2]), max_size=12).map("".join) | st.text(max_size=20))
def test_a_text_may_be_cut_at_every_border(text):
    places = [0, *(border.start() for border in bpe.BORDER.finditer(text)), len(text)]
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert [
        token_id for piece in pieces for token_id in all_pairs_tokenizer().encode(piece)
    ] == all_pairs_tokenizer().encode(text)


@settings(ALWAYS_THE_SAME, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PARTS[:-2]), max_size=12).map("".join), max_size=4), st.integers(1, 5))
def test_pre_tokens_are_counted_as_the_pattern_cuts_the_whole_texts(texts, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe, "CHUNKS_AT_ONCE", at_once)
        words, counts = bpe.distinct_words(iter(texts))
    expected = Counter(word for text in texts for word in regex.findall(bpe.GPT2_PATTERN, text))
    spelled = [bytes(byte_alphabet()[ord(token)] for token in word).decode() for word in words]
    assert len(set(spelled)) == len(spelled)
    assert dict(zip(spelled, counts, strict=True)) == expected


def test_long_texts_are_cut_and_short_ones_joined(monkeypatch):
    monkeypatch.setattr(encoding, "STRETCH_CHARACTERS", 30)
    found = list(stretches(["the cat " * 20, "a", "b", "c", f"an {END_OF_TEXT}", "d"]))
    assert [text for text, is_joined in found if not is_joined] == [f"an {END_OF_TEXT}"]
    joined = [text for text, is_joined in found if is_joined]
    assert "".join(joined) == END_OF_TEXT.join(["the cat " * 20, "a", "b", "c", "d", ""])
    assert all(len(text) < 30 + len(f"a{END_OF_TEXT} the") for text in joined)
    assert len(joined) <= 2 + len("".join(joined)) / 30


def test_texts_are_read_only_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(encoding, "STRETCH_CHARACTERS", 100)
    monkeypatch.setattr(encoding.os, "cpu_count", lambda: 2)
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield "the cat sat " * 9

    found = tokenizer().encode_arrays(endless())
    for given_out in range(1, 50):
        assert next(found).tolist() == tokenizer().encode("the cat sat " * 9)
        assert read <= given_out + 5
    found.close()


def test_an_error_among_the_texts_or_in_the_work_ends_the_encoding():
    def broken():
        yield "the"
        raise GroundupError("row 2 is no text", do="mend it")

    with pytest.raises(GroundupError, match="row 2"):
        list(tokenizer().encode_arrays(broken()))
    with pytest.raises(ZeroDivisionError):
        list(in_order_on_all_cores(lambda number: 1 // number, [1, 0, 1]))


def test_the_end_of_text_spells_nothing():
    end = tokenizer().end_of_text_id
    assert tokenizer().decode([end, *tokenizer().encode("the"), end]) == "the"
    assert tokenizer().token_lengths[end] == 0
    assert len(tokenizer().token_lengths) == tokenizer().vocab_size


def test_equally_frequent_pairs_are_learned_by_the_smaller_ids():
    # Twice each: z y, x w, space x, space a, a b. The printable bytes have the smaller ids, so a b comes first; then
    # x w and z y; then the space with what has become ab (256) and xw (257).
    text = "zy zy xw xw ab ab"
    assert train_bpe([text], 300)[256:] == [b"ab", b"xw", b"zy", b" ab", b" xw"]


def test_the_order_of_documents_plays_no_part():
    vocabulary = train_bpe(TEXTS, 320)
    assert train_bpe(TEXTS[::-1], 320) == vocabulary
    assert train_bpe(iter(sorted(TEXTS)), 320) == vocabulary
    words = ["zy", "zy", "xw", "xw", "ab", "ab", ""]
    assert train_bpe([" " + word for word in words], 300) == train_bpe([" " + word for word in words[::-1]], 300)


def test_training_stops_when_no_pair_stands_twice():
    assert train_bpe(["abc"], 1000) == [bytes([byte]) for byte in byte_alphabet()]
    assert train_bpe([], 300) == [bytes([byte]) for byte in byte_alphabet()]
    assert train_bpe(["abab"], 1000)[256:] == [b"ab"]


def test_the_vocabulary_has_the_size_asked_for():
    assert len(train_bpe(TEXTS, 257)) == 256
    assert len(train_bpe(TEXTS, 281)) == 280


def test_no_token_crosses_a_word():
    assert all(b" " not in token.lstrip(b" ") for token in train_bpe(["a b a b a b a b"], 300))


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(GroundupError, match=r"vocab_size .* got 256; allowed: 257 or more"):
        train_bpe(TEXTS, 256)


def test_a_pair_is_merged_from_left_to_right():
    # Of three in a row the first two are joined: aa a, not a aa; after that aa b stands nowhere, and a b in each word.
    assert train_bpe(["aaab aaab aaab"], 259)[256:] == [b"aa", b"ab"]


def test_merges_are_the_two_parts_of_each_token():
    assert [left + right for left, right in tokenizer().merges] == tokenizer().vocabulary[256:]
    learned = Tokenizer(train_bpe(["abab abab abab"], 300))
    assert learned.merges == [(b"a", b"b"), (b"ab", b"ab"), (b" ", b"abab")]


def test_a_saved_tokenizer_is_the_same_when_loaded(tmp_path):
    tokenizer().save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.vocabulary == tokenizer().vocabulary
    assert loaded.encode(TEXTS[2]) == tokenizer().encode(TEXTS[2])
    loaded.save(tmp_path / "again")
    for name in (ENCODER_FILE, MERGES_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def damage(folder, what):
    encoder, merges = folder / ENCODER_FILE, folder / MERGES_FILE
    if what == "no encoder":
        encoder.unlink()
    elif what == "no merges":
        merges.unlink()
    elif what == "encoder is no JSON":
        encoder.write_text("{")
    elif what == "encoder is a list":
        encoder.write_text("[1, 2]")
    elif what == "encoder has an unknown character":
        encoder.write_text(json.dumps({"\u2603": 0}))
    elif what == "encoder lacks the end of text":
        encoder.write_text(json.dumps({k: v for k, v in json.loads(encoder.read_text()).items() if k != END_OF_TEXT}))
    elif what == "ids are swapped":
        ids = json.loads(encoder.read_text())
        ids["a"], ids["b"] = ids["b"], ids["a"]
        encoder.write_text(json.dumps(ids))
    elif what == "a merge of three":
        merges.write_text(merges.read_text() + "a b c\n")
    elif what == "a merge is lost":
        merges.write_text("\n".join(merges.read_text().split("\n")[:-2]) + "\n")
    elif what == "merges are no text":
        merges.write_bytes(b"#version\n\xff\xfe")
    else:
        merges.write_text("")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no encoder", "no such file"),
        ("no merges", "no such file"),
        ("encoder is no JSON", "not valid JSON at line 1"),
        ("encoder is a list", "do not describe one vocabulary"),
        ("encoder has an unknown character", "do not describe one vocabulary"),
        ("encoder lacks the end of text", "do not describe one vocabulary"),
        ("ids are swapped", "do not describe one vocabulary"),
        ("a merge of three", "is not a merge; got a b c"),
        ("a merge is lost", "do not describe one vocabulary"),
        ("merges are no text", "line 2 is not UTF-8"),
        ("merges are empty", "the file is empty"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, what, message):
    tokenizer().save(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(GroundupError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert "\n" not in str(error.value)
