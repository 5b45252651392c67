"""Whatever an own file holds, it is read, or refused in one line that names it, and its line where a row is wrong."""

import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data.corpus import read_documents
from groundup.data.instructions import read_instructions
from groundup.data.messages import read_messages
from groundup.errors import GroundupError

usual = settings(max_examples=300, deadline=None, derandomize=True, database=None)

# What all of a file has wrong, where no line is to blame.
OF_THE_WHOLE = (
    r"the file is empty",
    r"a classifier needs rows of at least two labels",
    r"too many labels for so few rows",
    r"no column (label|text)",
    r"no instructions in it",
    r"not a list of instructions",
    r"no text between the separators",
    r"no documents",
)
OF_A_LINE = r"\b(line|row|document) \d+"

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.text("ab,\t\"'\n\r\\{}[]:", max_size=12)
labels = st.sampled_from(["ham", "spam", "", "eggs"]) | texts
rows = st.lists(st.tuples(labels, texts), max_size=6)


@st.composite
def lines(draw, separator):
    made = [draw(st.sampled_from([separator, separator, separator, "", " "])).join(row) for row in draw(rows)]
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(made).encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["instruction", "output", "input", "text", "surprisal_bits"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
turns = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool"]) | values,
        "from": st.sampled_from(["human", "gpt", "system", "bard"]) | values,
        "content": texts | values,
        "value": texts | values,
    },
)
talks = st.dictionaries(
    st.sampled_from(["messages", "conversations", "group", "kind"]), st.lists(turns, max_size=4) | values, max_size=2
)
json_lines = st.lists((values | talks).map(json.dumps) | texts, max_size=5).map(lambda each: "\n".join(each).encode())


def refusal(read, name, data):
    """What is said of the file; "" if it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            assert len(read(path)) > 0
        except GroundupError as error:
            said = str(error)
        else:
            return ""
    assert str(path) in said
    assert "\n" not in said
    return said


def assert_named(said):
    assert not said or re.search(OF_A_LINE, said) or any(re.search(each, said) for each in OF_THE_WHOLE), said


@usual
@given(data=lines("\t") | st.binary(max_size=40))
def test_a_tab_separated_file(data):
    assert_named(refusal(read_messages, "any.tsv", data))


@usual
@given(data=lines(",").map(lambda data: b"label,text\n" + data) | lines(",") | st.binary(max_size=40))
def test_a_comma_separated_file(data):
    assert_named(refusal(read_messages, "any.csv", data))


@usual
@given(data=json_lines | st.binary(max_size=40))
@pytest.mark.parametrize("name", ["any.jsonl", "any.json"])
def test_a_file_of_instructions(name, data):
    assert_named(refusal(read_instructions, name, data))


@usual
@given(data=st.lists(values, max_size=4).map(lambda each: json.dumps(each).encode()))
def test_a_list_of_instructions(data):
    assert_named(refusal(read_instructions, "any.json", data))


@usual
@given(data=json_lines | st.binary(max_size=40))
@pytest.mark.parametrize("name", ["any.jsonl", "any.txt"])
def test_a_file_of_documents(name, data):
    assert_named(refusal(lambda path: read_documents(path, "any"), name, data))


@pytest.mark.parametrize(
    ("read", "name", "data"),
    [
        (read_messages, "a.tsv", b"ham\tsee you\nspam\twin\n"),
        (read_messages, "a.csv", b'label,text\nham,"see, you"\nspam,win\n'),
        (read_instructions, "a.json", b'[{"instruction": "a", "output": "b"}]'),
        (read_instructions, "a.jsonl", b'{"instruction": "a", "output": "b"}\n'),
        (
            read_instructions,
            "a.jsonl",
            b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
        ),
        (lambda path: read_documents(path, "a"), "a.txt", b"One day.\n"),
        (lambda path: read_documents(path, "a"), "a.jsonl", b'{"text": "One day."}\n'),
    ],
)
def test_a_right_file_is_read(read, name, data):
    assert refusal(read, name, data) == ""
