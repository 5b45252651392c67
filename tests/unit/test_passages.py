"""Passages of a text that comes in pieces: the same whatever the pieces are, and as they would be of the whole."""

import re
from itertools import accumulate, pairwise

import pytest
from data_helpers import seeded, story
from hypothesis import given
from hypothesis import strategies as st

from groundup.data import passages
from groundup.data.corpus_tokens import encoded
from groundup.data.passages import bounds_of_shares, has_paragraphs, lines, paragraphs
from groundup.tokenizer.bpe import train_bpe
from groundup.tokenizer.encoding import Tokenizer

# Texts in which line breaks, blank lines and characters of several bytes are common.
texts = st.lists(
    st.sampled_from(["\n", "\n\n", "\n\n\n", " \n", "a", "word and word ", "ü", "漢字", "\u2028", "\t"]), max_size=40
).map("".join)
shares_of_three = st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 0.9), st.floats(0.05, 0.9)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


@st.composite
def in_pieces(draw, text):
    """A text, cut anywhere."""
    places = draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=12))
    return [text[start:end] for start, end in pairwise([0, *sorted(places), len(text)])]


texts_in_pieces = texts.flatmap(in_pieces)


def paragraphs_of_all(text):
    """The paragraphs of a text that is held as a whole."""
    return [part for part in re.split(r"(?<=\n\n)(?!\n)", text) if part]


def cut_at_paragraphs(text, shares):
    """The passages of each part of a text."""
    found = list(paragraphs([text]) if has_paragraphs([text], len(shares)) else lines([text]))
    ends = list(accumulate(len(passage.encode()) for passage in found))
    return [found[start:end] for start, end in pairwise(bounds_of_shares(ends, shares))]


@seeded
@given(texts_in_pieces)
def test_the_passages_do_not_depend_on_the_pieces(pieces):
    text = "".join(pieces)
    assert list(paragraphs(pieces)) == paragraphs_of_all(text)
    for number in range(2, 5):
        assert has_paragraphs(pieces, number) == (len(paragraphs_of_all(text)) >= number)


@seeded
@given(st.text("a\r\n\x85\u2028\x0c ", min_size=2, max_size=60).flatmap(in_pieces))
def test_the_lines_do_not_depend_on_the_pieces(pieces):
    assert list(lines(pieces)) == "".join(pieces).splitlines(keepends=True)


def test_a_text_is_read_no_further_than_to_its_third_paragraph():
    pieces = iter(["a\n\nb\n", "\nc\n\n", "d\n\n"])
    assert has_paragraphs(pieces, 3)
    assert list(pieces) == ["d\n\n"]


def white_space_tokenizer():
    """One that has learned runs of white space, which a cut in the wrong place would break."""
    return Tokenizer(train_bpe(["a\n\n\n\nb\n\nc  d   e \n \n f\t\t\n the the 's 's" * 3], 300))


@seeded
@given(
    st.lists(
        st.text("ab 's\n\t\r\x1c\u2028\xa0ü漢1!", max_size=60).flatmap(in_pieces)
        | st.just(["see <|endoftext|>", "\n\n", "in a text  "]),
        max_size=4,
    ),
    st.integers(1, 8),
)
def test_a_text_in_pieces_has_the_token_ids_of_the_whole(texts, size):
    tokenizer = white_space_tokenizer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "PIECE_CHARACTERS", size)
        blocks = list(encoded(texts, tokenizer))
    wanted = [token for text in texts for token in [*tokenizer.encode("".join(text)), tokenizer.end_of_text_id]]
    assert [token for block in blocks for token in block.tolist()] == wanted
    assert sum(block[-1] == tokenizer.end_of_text_id for block in blocks) == len(texts)


def test_a_long_text_is_encoded_in_pieces():
    text = story(60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "PIECE_CHARACTERS", 100)
        pieces = [piece for piece, _ in passages.encodable(paragraphs([text]))]
    assert "".join(pieces) == text
    assert len(pieces) == pytest.approx(60, abs=2)


@seeded
@given(texts)
def test_paragraphs_join_back_to_the_text(text):
    assert "".join(paragraphs([text])) == text
    assert all(paragraphs([text]))


@seeded
@given(texts)
def test_every_paragraph_but_the_last_ends_with_blank_lines_and_none_begins_with_a_break(text):
    parts = list(paragraphs([text]))
    assert all(part.endswith("\n\n") for part in parts[:-1])
    assert not any(part.startswith("\n") for part in parts[1:])


def test_paragraphs_are_cut_at_blank_lines():
    assert list(paragraphs(["a\nb\n\nc\n\n\n\nd"])) == ["a\nb\n\n", "c\n\n\n\n", "d"]


@seeded
@given(texts, shares_of_three)
def test_a_cut_document_joins_back_to_the_text_in_order(text, shares):
    if not text:
        return
    parts = cut_at_paragraphs(text, shares)
    assert len(parts) == 3
    assert "".join(passage for part in parts for passage in part) == text
    whole = paragraphs_of_all(text)
    units = whole if len(whole) >= len(shares) else text.splitlines(keepends=True)
    assert [passage for part in parts for passage in part] == units


def test_a_text_without_blank_lines_is_cut_at_line_ends():
    text = "".join(f"line {number} of a song\n" for number in range(10))
    parts = cut_at_paragraphs(text, (0.7, 0.2, 0.1))
    assert [len(part) for part in parts] == [7, 2, 1]
    assert all(line.endswith("\n") for part in parts for line in part)


@seeded
@given(st.lists(st.integers(1, 60), min_size=3, max_size=40), shares_of_three)
def test_every_cut_is_at_the_paragraph_end_nearest_to_its_share(lengths, shares):
    text = "\n\n".join("x" * length for length in lengths)
    parts = cut_at_paragraphs(text, shares)
    sizes = [len("".join(part)) for part in parts]
    ends = list(accumulate(len(part) for part in paragraphs(text)))
    # The first cut is free to be the nearest; the second too, unless the first already lies behind its place.
    wanted = shares[0] * len(text)
    assert abs(sizes[0] - wanted) == pytest.approx(min(abs(end - wanted) for end in ends))
    wanted = (shares[0] + shares[1]) * len(text)
    reached = sizes[0] + sizes[1]
    assert abs(reached - wanted) == pytest.approx(min(abs(end - wanted) for end in ends if end >= sizes[0]))


def test_shares_of_a_long_document_are_near():
    text = story(200)
    sizes = [len("".join(part).encode()) for part in cut_at_paragraphs(text, (0.7, 0.2, 0.1))]
    for size, share in zip(sizes, (0.7, 0.2, 0.1), strict=True):
        assert abs(size / len(text) - share) < 0.005


def test_shares_are_of_bytes_not_of_characters():
    text = "ü" * 100 + "\n\n" + "x" * 100 + "\n\n" + "x" * 100 + "\n\n"
    first, second, third = cut_at_paragraphs(text, (0.5, 0.25, 0.25))
    assert [len(first), len(second), len(third)] == [1, 1, 1]


def test_one_paragraph_goes_to_the_first_side_whole():
    assert cut_at_paragraphs("no blank line here\n", (0.7, 0.2, 0.1)) == [["no blank line here\n"], [], []]
