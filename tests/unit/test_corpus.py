"""Documents of a corpus file, and the cuts of one long document."""

import json
from itertools import accumulate

import pytest
from data_helpers import seeded, story
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.corpus import Document, cut_at_paragraphs, paragraphs, read_documents
from groundup.errors import GroundupError

# Texts in which line breaks, blank lines and characters of several bytes are common.
texts = st.lists(
    st.sampled_from(["\n", "\n\n", "\n\n\n", " \n", "a", "word and word ", "ü", "漢字", "\u2028", "\t"]), max_size=40
).map("".join)
shares_of_three = st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 0.9), st.floats(0.05, 0.9)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def texts_of(path):
    return [document.text for document in read_documents(path, "source")]


def refused(path):
    with pytest.raises(GroundupError) as caught:
        read_documents(path, "source")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_plain_file_is_one_document_as_it_stands(tmp_path):
    path = written(tmp_path, "a.txt", "One.\n\nTwo.\n")
    assert read_documents(path, "mine") == [Document("mine", "One.\n\nTwo.\n", whole_source=True)]


def test_lines_of_end_of_text_separate_documents(tmp_path):
    path = written(tmp_path, "a.txt", "One.\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\nThree.")
    assert read_documents(path, "mine") == [
        Document("mine", text, whole_source=False) for text in ("One.\nStill one.\n", "Two.\n", "Three.")
    ]


def test_windows_line_ends_separate_too(tmp_path):
    assert texts_of(written(tmp_path, "a.txt", b"One.\r\n<|endoftext|>\r\nTwo.\r\n")) == ["One.\n", "Two.\n"]


def test_separators_at_the_ends_and_in_a_row_make_no_documents(tmp_path):
    separator = "<|endoftext|>\n"
    path = written(tmp_path, "a.txt", f"{separator}{separator}One.\n{separator} \n{separator}")
    assert read_documents(path, "mine") == [Document("mine", "One.\n", whole_source=True)]


@pytest.mark.parametrize("line", ["a <|endoftext|> b\n", "<|endoftext|> and more\n", "see <|endoftext|>\n"])
def test_end_of_text_inside_a_line_separates_nothing(tmp_path, line):
    path = written(tmp_path, "a.txt", f"One.\n{line}Two.\n")
    assert texts_of(path) == [f"One.\n{line}Two.\n"]


@pytest.mark.parametrize("text", ["<|endoftext|>\n", "<|endoftext|>\n \n<|endoftext|>"])
def test_a_file_of_separators_is_refused(tmp_path, text):
    assert "no text between the separators" in refused(written(tmp_path, "a.txt", text))


@pytest.mark.parametrize("text", ["", " \n\t\n\r\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_file_without_text_is_refused(tmp_path, name, text):
    assert "the file is empty" in refused(written(tmp_path, name, text))


def test_bytes_that_are_not_utf8_are_named_by_line_and_value(tmp_path):
    said = refused(written(tmp_path, "a.txt", b"one\ntwo\nthr\xfce\n"))
    assert "line 3 is not UTF-8 text; got byte 0xfc" in said


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refused(tmp_path / "gone.txt")


def test_jsonl_has_a_document_on_each_line(tmp_path):
    lines = [json.dumps({"text": "One.\n\nStill one."}), "", json.dumps({"text": "Two <|endoftext|>", "id": 7})]
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    assert texts_of(path) == ["One.\n\nStill one.", "Two <|endoftext|>"]


def test_one_line_of_jsonl_is_a_whole_source(tmp_path):
    path = written(tmp_path, "a.jsonl", '{"text": "One."}\n{"text": "  "}\n')
    assert read_documents(path, "mine") == [Document("mine", "One.", whole_source=True)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{text: 1}", "line 3 is not JSON"),
        ('{"txt": "a"}', "line 3 has no text"),
        ('{"text": 5}', "line 3 has no text"),
        ('"a text"', "line 3 has no text"),
        ('{"text": "half a character \\ud83d"}', "line 3"),
    ],
)
def test_a_bad_line_of_jsonl_is_named(tmp_path, line, said):
    assert said in refused(written(tmp_path, "a.jsonl", f'{{"text": "One."}}\n\n{line}\n'))


@seeded
@given(texts)
def test_paragraphs_join_back_to_the_text(text):
    assert "".join(paragraphs(text)) == text
    assert all(paragraphs(text))


@seeded
@given(texts)
def test_every_paragraph_but_the_last_ends_with_blank_lines_and_none_begins_with_a_break(text):
    parts = paragraphs(text)
    assert all(part.endswith("\n\n") for part in parts[:-1])
    assert not any(part.startswith("\n") for part in parts[1:])


def test_paragraphs_are_cut_at_blank_lines():
    assert paragraphs("a\nb\n\nc\n\n\n\nd") == ["a\nb\n\n", "c\n\n\n\n", "d"]


@seeded
@given(texts, shares_of_three)
def test_a_cut_document_joins_back_to_the_text_in_order(text, shares):
    if not text:
        return
    parts = cut_at_paragraphs(text, shares)
    assert len(parts) == 3
    assert "".join(passage for part in parts for passage in part) == text
    whole = paragraphs(text)
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
