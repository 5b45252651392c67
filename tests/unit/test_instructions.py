"""Instructions: good rows come as they stand, a bad row is named, and there is one form of prompt."""

import json

import pytest

from groundup.data.instructions import Instruction, format_prompt, read_instructions
from groundup.errors import GroundupError

GOOD = [
    {"instruction": "Name a river.", "input": "", "output": "The Ebro."},
    {"instruction": "Shorten the text.", "input": "A long\ntext.", "output": "A text."},
    {"instruction": "Say hello.", "output": "Hello."},
]
READ = [
    Instruction("Name a river.", "", "The Ebro."),
    Instruction("Shorten the text.", "A long\ntext.", "A text."),
    Instruction("Say hello.", "", "Hello."),
]


def written(tmp_path, form, rows):
    path = tmp_path / f"rows.{form}"
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    path.write_text(json.dumps(rows, indent=1) if form == "json" else lines, encoding="utf-8")
    return path


def refused(path):
    with pytest.raises(GroundupError) as caught:
        read_instructions(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_good_rows_come_in_order_and_the_input_may_be_left_out(tmp_path, form):
    assert read_instructions(written(tmp_path, form, GOOD)) == READ


def test_further_keys_are_passed_over(tmp_path):
    assert read_instructions(written(tmp_path, "json", [{**GOOD[0], "id": 5}])) == READ[:1]


def test_blank_lines_and_windows_line_ends_are_fine_in_jsonl(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\r\n".join([b"", *(json.dumps(row).encode() for row in GOOD), b"", b""]))
    assert read_instructions(path) == READ


def test_a_byte_order_mark_is_fine(tmp_path):
    for form in ("json", "jsonl"):
        path = written(tmp_path, form, GOOD)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert read_instructions(path) == READ


BAD_ROWS = [
    ({"input": "x", "output": "y"}, "has no text under instruction"),
    ({"instruction": "x", "input": ""}, "has no text under output"),
    ({"instruction": " ", "output": ""}, "has no text under instruction and output"),
    ({"instruction": "x", "input": None, "output": "y"}, "has no text under input"),
    ({"instruction": "x", "input": 3, "output": "y"}, "has no text under input"),
    ({"instruction": ["x"], "output": "y"}, "has no text under instruction"),
    ("just a text", "is not an object"),
    (None, "is not an object"),
    ([], "is not an object"),
]


@pytest.mark.parametrize(("row", "said"), BAD_ROWS)
@pytest.mark.parametrize(("form", "where"), [("json", "row 3"), ("jsonl", "line 3")])
def test_a_bad_row_is_named_by_its_place(tmp_path, form, where, row, said):
    assert f"{where} {said}" in refused(written(tmp_path, form, [GOOD[0], GOOD[1], row]))


def test_the_bad_row_is_shown(tmp_path):
    assert '; got {"instruction": "Grüße"}' in refused(written(tmp_path, "json", [{"instruction": "Grüße"}]))


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("key", ["instruction", "input", "output"])
def test_half_a_character_is_refused_by_its_row(tmp_path, form, key):
    """JSON can spell one half of a pair such as \\ud83d; that is no text, and UTF-8 cannot hold it."""
    path = written(tmp_path, form, [GOOD[0], {**GOOD[1], key: "broken \ud83d"}])
    assert ("row 2" if form == "json" else "line 2") in refused(path)


def test_a_line_of_jsonl_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD[0]) + "\n\n{'instruction': 1}\n", encoding="utf-8")
    assert "line 3 is not JSON" in refused(path)


def test_json_that_breaks_off_is_named_by_line(tmp_path):
    path = written(tmp_path, "json", GOOD)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not valid JSON at line" in refused(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"instruction": "x", "output": "y"}', "not a list of instructions; got dict"),
        ("[]", "no instructions in it"),
        ("", "the file is empty"),
        ("null", "not a list"),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_refused(tmp_path, text, said):
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    assert said in refused(path)


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_file_that_is_not_utf8_is_refused(tmp_path, form):
    path = tmp_path / f"rows.{form}"
    path.write_bytes(b'[\n{"instruction": "caf\xe9", "output": "y"}]')
    assert "line 2 is not UTF-8" in refused(path)


def test_a_missing_file_is_named(tmp_path):
    assert "no such file" in refused(tmp_path / "gone.json")


def test_the_prompt_ends_where_the_answer_begins():
    prompt = format_prompt("Name a river.")
    assert prompt.endswith("\n\n### Instruction:\nName a river.\n\n### Response:\n")
    assert "### Input" not in prompt


def test_the_input_stands_between_instruction_and_response():
    prompt = format_prompt("Shorten.", "A long text.")
    assert prompt.endswith("### Instruction:\nShorten.\n\n### Input:\nA long text.\n\n### Response:\n")
    assert prompt.startswith(format_prompt("Shorten.").split("###")[0])
