"""Rows of text on disk, one JSON object a line."""

import pytest
from data_helpers import seeded
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.rows import read_rows, write_rows
from groundup.errors import GroundupError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@seeded
@given(rows=st.lists(st.dictionaries(st.sampled_from(["label", "text"]), texts), max_size=5))
def test_rows_come_back_as_they_were_written(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows(path, rows)
    assert read_rows(path) == rows


def test_a_row_is_one_line_whatever_its_text_holds(tmp_path):
    rows = [{"text": "one\ntwo\r\nthree\u2028four\x85five"}, {"text": "ünd"}]
    write_rows(tmp_path / "rows.jsonl", rows)
    lines = (tmp_path / "rows.jsonl").read_bytes().decode().split("\n")
    assert len(lines) == 3
    assert lines[1] == '{"text": "ünd"}'
    assert lines[2] == ""
    assert read_rows(tmp_path / "rows.jsonl") == rows


def test_no_rows_are_an_empty_file(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [])
    assert (tmp_path / "rows.jsonl").read_bytes() == b""
    assert read_rows(tmp_path / "rows.jsonl") == []


def test_missing_rows_are_named(tmp_path):
    with pytest.raises(GroundupError, match=r"rows\.jsonl: no such file.*dvc repro"):
        read_rows(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("data", [b'{"text": "a"}\n{"text": "b', b'{"text": "caf\xe9"}\n', b"\x00\n"])
def test_damaged_rows_are_named(tmp_path, data):
    (tmp_path / "rows.jsonl").write_bytes(data)
    with pytest.raises(GroundupError, match=r"rows\.jsonl") as caught:
        read_rows(tmp_path / "rows.jsonl")
    assert "\n" not in str(caught.value)
