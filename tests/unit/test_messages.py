"""Labelled messages: tab-separated without quoting, or comma-separated with columns."""

import pytest

from groundup.data.messages import Message, read_messages
from groundup.errors import GroundupError


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path):
    with pytest.raises(GroundupError) as caught:
        read_messages(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_rows_come_in_order_with_label_and_text(tmp_path):
    path = written(tmp_path, "sms", "ham\tsee you at six\nspam\tWIN now!\nham\tok\n")
    assert read_messages(path) == [
        Message("ham", "see you at six"),
        Message("spam", "WIN now!"),
        Message("ham", "ok"),
    ]


def test_an_unbalanced_quotation_mark_swallows_no_row(tmp_path):
    path = written(tmp_path, "sms", 'ham\t"so he said\nspam\tCall "now\nham\tdone" he said\n')
    assert [row.text for row in read_messages(path)] == ['"so he said', 'Call "now', 'done" he said']


def test_a_text_in_quotation_marks_keeps_them(tmp_path):
    path = written(tmp_path, "sms", 'ham\t"hello"\nspam\t""\n')
    assert [row.text for row in read_messages(path)] == ['"hello"', '""']


def test_windows_line_ends_are_no_part_of_the_text(tmp_path):
    path = written(tmp_path, "sms", b"\xef\xbb\xbfham\tone\r\nspam\ttwo\r\n")
    assert read_messages(path) == [Message("ham", "one"), Message("spam", "two")]


def test_a_second_tab_belongs_to_the_text(tmp_path):
    path = written(tmp_path, "sms", "ham\ta\tb\nspam\tc\n")
    assert read_messages(path)[0].text == "a\tb"


def test_unusual_line_separators_do_not_cut_a_row(tmp_path):
    path = written(tmp_path, "sms", "ham\tone\u2028still one\x0bstill\x85one\nspam\ttwo\n")
    assert [row.text for row in read_messages(path)] == ["one\u2028still one\x0bstill\x85one", "two"]


def test_blank_lines_are_passed_over_and_labels_are_stripped(tmp_path):
    path = written(tmp_path, "sms", "\nham \ta\n\n spam\tb\n   \n")
    assert read_messages(path) == [Message("ham", "a"), Message("spam", "b")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no tab in this row", "line 4 has no label; got no tab in this row"),
        ("\tonly a text", "line 4 has no label; got only a text"),
        ("  \tonly a text", "line 4 has no label"),
        ("ham\t", "line 4 has no text; got ham"),
        ("ham\t   ", "line 4 has no text"),
    ],
)
def test_a_row_without_label_or_text_is_named_by_its_line(tmp_path, line, said):
    path = written(tmp_path, "sms", f"ham\ta\n\nspam\tb\n{line}\nham\tc\n")
    assert said in refused(path)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("ham\ta\nham\tb\n", "at least two labels; got ham; allowed"),
        ("ham\ta\nspam\tb\neggs\tc\n", "too many labels for so few rows; got 3 labels in 3 rows, such as eggs"),
        ("ham\ta\nham\tb\nspam\tc\neggs\td\neggs\te\n", "too many labels for so few rows; got 3 labels in 5 rows"),
        ("how are you?\tham\nwin now\tspam\nsee you\tham\n", "see whether text stands in place of labels"),
    ],
)
def test_one_class_or_as_many_as_rows_are_refused(tmp_path, text, got):
    assert got in refused(written(tmp_path, "sms", text))


@pytest.mark.parametrize("n", [2, 3, 20])
def test_any_number_of_labels_is_read(tmp_path, n):
    rows = "".join(f"label {number % n}\ttext {number}\n" for number in range(2 * n))
    assert {row.label for row in read_messages(written(tmp_path, "sms", rows))} == {f"label {at}" for at in range(n)}


@pytest.mark.parametrize("name", ["sms", "sms.csv"])
def test_an_empty_file_is_refused(tmp_path, name):
    assert "the file is empty" in refused(written(tmp_path, name, ""))


@pytest.mark.parametrize("name", ["sms", "sms.csv"])
def test_a_file_with_a_byte_order_mark_and_nothing_else_is_refused(tmp_path, name):
    refused(written(tmp_path, name, b"\xef\xbb\xbf"))


@pytest.mark.parametrize("name", ["sms", "sms.csv"])
def test_a_file_that_is_not_utf8_is_refused_by_line(tmp_path, name):
    assert "line 2 is not UTF-8" in refused(written(tmp_path, name, b"label,text\nham\tcaf\xe9\n"))


def test_csv_is_read_by_its_columns_in_any_order(tmp_path):
    path = written(tmp_path, "sms.csv", 'id,text,label\n1,"hi, you",ham\n2,"say ""win""",spam\n')
    assert read_messages(path) == [Message("ham", "hi, you"), Message("spam", 'say "win"')]


def test_csv_keeps_words_that_look_like_missing_values(tmp_path):
    path = written(tmp_path, "sms.csv", "label,text\nham,NA\nspam,null\nham,007\n")
    assert [row.text for row in read_messages(path)] == ["NA", "null", "007"]


def test_csv_texts_may_have_line_breaks(tmp_path):
    path = written(tmp_path, "sms.csv", 'label,text\nham,"one\ntwo"\nspam,three\n')
    assert [row.text for row in read_messages(path)] == ["one\ntwo", "three"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("class,text", "no column label; got class, text"),
        ("label,message", "no column text"),
        ("a,b", "no column label and no column text"),
        ("ham,hello", "no column label and no column text; got ham, hello"),
    ],
)
def test_csv_without_its_columns_is_refused(tmp_path, header, said):
    assert said in refused(written(tmp_path, "sms.csv", f"{header}\nham,a\nspam,b\n"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("ham,a\nspam,\n", "line 3 has no text"),
        ("ham,a\n,b\n", "line 3 has no label; got b"),
        ("ham,a\nspam\n", "line 3 has no text"),
        ('ham,"a\nb"\nspam,\n', "line 4 has no text"),
        ("ham,a\n\nspam,\n", "line 4 has no text"),
    ],
    ids=["no text", "no label", "one field", "after a line break", "after a blank line"],
)
def test_csv_rows_that_lack_something_are_named_by_line(tmp_path, rows, said):
    assert said in refused(written(tmp_path, "sms.csv", f"label,text\n{rows}"))


@pytest.mark.parametrize(
    "rows",
    ["ham,Hi, you\nspam,Win, now\n", "ham,Hi\nspam,Win, now\n"],
    ids=["in every row", "in one row"],
)
def test_csv_rows_with_a_comma_that_is_not_quoted_are_refused_and_never_misread(tmp_path, rows):
    refused(written(tmp_path, "sms.csv", f"label,text\n{rows}"))


def test_csv_with_one_class_is_refused(tmp_path):
    assert "at least two labels; got ham" in refused(written(tmp_path, "sms.csv", "label,text\nham,a\nham,b\n"))


def test_csv_with_a_header_only_is_refused(tmp_path):
    assert "at least two labels; got no rows" in refused(written(tmp_path, "sms.csv", "label,text\n"))


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refused(tmp_path / "gone")
