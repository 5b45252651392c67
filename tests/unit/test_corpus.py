"""Documents of a corpus file: which there are, and that they are read when they are asked for."""

import json

import pytest

from groundup.data import corpus
from groundup.data.corpus import Document, JoinedCorpus, read_documents
from groundup.errors import GroundupError


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
    assert list(read_documents(path, "mine")) == [Document("mine", "One.\n\nTwo.\n", whole_source=True)]


def test_lines_of_end_of_text_separate_documents(tmp_path):
    path = written(tmp_path, "a.txt", "One.\nStill one.\n<|endoftext|>\nTwo.\n<|endoftext|>\nThree.")
    assert list(read_documents(path, "mine")) == [
        Document("mine", text, whole_source=False) for text in ("One.\nStill one.\n", "Two.\n", "Three.")
    ]


def test_windows_line_ends_separate_too(tmp_path):
    assert texts_of(written(tmp_path, "a.txt", b"One.\r\n<|endoftext|>\r\nTwo.\r\n")) == ["One.\n", "Two.\n"]


def test_separators_at_the_ends_and_in_a_row_make_no_documents(tmp_path):
    separator = "<|endoftext|>\n"
    path = written(tmp_path, "a.txt", f"{separator}{separator}One.\n{separator} \n{separator}")
    assert list(read_documents(path, "mine")) == [Document("mine", "One.\n", whole_source=True)]


@pytest.mark.parametrize("line", ["a <|endoftext|> b\n", "<|endoftext|> and more\n", "see <|endoftext|>\n"])
def test_end_of_text_inside_a_line_separates_nothing(tmp_path, line):
    path = written(tmp_path, "a.txt", f"One.\n{line}Two.\n")
    assert texts_of(path) == [f"One.\n{line}Two.\n"]


def test_end_of_text_behind_a_stretch_of_a_long_line_separates_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LINE_BYTES", 20)
    text = "x" * 40 + "<|endoftext|>\n"
    path = written(tmp_path, "a.txt", f"{text}<|endoftext|>\n{text}")
    assert texts_of(path) == [text, text]


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
    assert list(read_documents(path, "mine")) == [Document("mine", "One.", whole_source=True)]


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


def test_a_mark_that_says_utf8_is_no_text(tmp_path):
    mark = b"\xef\xbb\xbf"
    assert texts_of(written(tmp_path, "a.txt", mark + b"<|endoftext|>\nOne.\n")) == ["One.\n"]
    assert texts_of(written(tmp_path, "a.txt", mark + b"One.\n")) == ["One.\n"]
    assert texts_of(written(tmp_path, "a.jsonl", mark + b'{"text": "One."}')) == ["One."]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_texts_are_read_when_they_are_asked_for(tmp_path, name):
    path = written(
        tmp_path, name, "one\n<|endoftext|>\ntwo\n" if name == "a.txt" else '{"text": "one"}\n{"text": "two"}\n'
    )
    documents = read_documents(path, "mine")
    second = documents[1]
    data = path.read_bytes().replace(b"two", b"six")
    path.write_bytes(data)
    assert second.text.strip() == "six"
    assert [document.text.strip() for document in documents] == ["one", "six"]


def test_documents_of_several_files_are_found_by_their_place(tmp_path):
    files = [written(tmp_path, f"{n}.txt", "\n<|endoftext|>\n".join(f"{n}{m}" for m in range(n))) for n in (3, 1, 2)]
    joined = JoinedCorpus([read_documents(path, path.name) for path in files])
    wanted = ["30\n", "31\n", "32", "10", "20\n", "21"]
    assert len(joined) == 6
    assert [document.text for document in joined] == wanted
    assert [joined[index].text for index in range(6)] == wanted
    assert joined[3].whole_source
    assert list(JoinedCorpus([])) == []
    with pytest.raises(IndexError):
        joined[6]
