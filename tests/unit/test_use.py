"""What people do with trained models: text as it comes, conversations, files of texts."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import tiny_gpt, trained_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.data.instructions import format_prompt
from groundup.errors import GroundupError
from groundup.generate import PreparedGPT, Sampling
from groundup.model.gpt import GPTClassifier
from groundup.tasks.classes import Classes
from groundup.use import labelling
from groundup.use.chat import Chat
from groundup.use.labelling import Labeller, label_file
from groundup.use.writing import TextSoFar, prompt_tokens, written_text, written_texts

TOKENIZER = trained_tokenizer()
usual = settings(max_examples=150, deadline=None, derandomize=True, database=None)


# --- text as it comes


@usual
@given(text=st.text(max_size=30), stops=st.lists(st.text(max_size=4), max_size=3))
def test_the_pieces_are_the_text_up_to_the_first_stop(text, stops):
    for ids in (TOKENIZER.encode(text), [TOKENIZER.encode_bytes(bytes([byte]))[0] for byte in text.encode()]):
        so_far = TextSoFar(TOKENIZER, stops)
        pieces = []
        for token_id in ids:
            if so_far.stopped:
                break
            pieces.append(so_far.add(token_id))
        pieces.append(so_far.end())
        ends = [(at + len(stop), at) for stop in stops if stop and (at := text.find(stop)) >= 0]
        assert "".join(pieces) == (text[: min(ends)[1]] if ends else text)


def test_a_character_of_several_tokens_comes_whole():
    so_far = TextSoFar(TOKENIZER)
    ids = [TOKENIZER.encode_bytes(bytes([byte]))[0] for byte in "é".encode()]
    assert [so_far.add(token_id) for token_id in ids] == ["", "é"]


def test_half_a_character_at_the_end_is_shown_as_such():
    so_far = TextSoFar(TOKENIZER)
    assert so_far.add(TOKENIZER.encode_bytes("é".encode()[:1])[0]) == ""
    assert so_far.end() == "\ufffd"


def test_what_may_become_a_stop_is_held_back():
    so_far = TextSoFar(TOKENIZER, ["###"])
    said = [so_far.add(token_id) for token_id in TOKENIZER.encode_bytes(b"a##b")]
    assert "".join(said) == "a##b"
    so_far = TextSoFar(TOKENIZER, ["###"])
    assert "".join(so_far.add(token_id) for token_id in TOKENIZER.encode_bytes(b"a##")) == "a"
    assert so_far.end() == "##"


def model():
    return PreparedGPT(tiny_gpt(vocab_size=TOKENIZER.vocab_size, context_length=200))


def test_a_streamed_text_is_what_generate_writes():
    prompt = prompt_tokens(TOKENIZER, "The cat", 200)
    assert prompt == [TOKENIZER.end_of_text_id, *TOKENIZER.encode("The cat")]
    sampling = Sampling(temperature=1.0)
    ids = model().generate([prompt] * 2, 20, sampling=sampling, stop_id=TOKENIZER.end_of_text_id, seed=3)
    texts = [TOKENIZER.decode(each) for each in ids]
    assert "".join(written_text(model(), TOKENIZER, prompt, 20, sampling=sampling, seed=3)) == texts[0]
    assert written_texts(model(), TOKENIZER, prompt, 2, 20, sampling=sampling, seed=3) == texts
    assert texts[0] != texts[1]


def test_a_text_ends_before_its_stop():
    prompt, sampling = prompt_tokens(TOKENIZER, "The cat", 200), Sampling(temperature=1.0)
    whole = "".join(written_text(model(), TOKENIZER, prompt, 20, sampling=sampling, seed=3))
    stop = whole[5:8]
    expected = whole[: whole.find(stop)]
    assert "".join(written_text(model(), TOKENIZER, prompt, 20, sampling=sampling, seed=3, stops=[stop])) == expected
    assert written_texts(model(), TOKENIZER, prompt, 1, 20, sampling=sampling, seed=3, stops=[stop]) == [expected]


def test_of_a_long_prompt_the_end_is_read():
    assert prompt_tokens(TOKENIZER, "a" * 300, 10) == TOKENIZER.encode("a" * 300)[-10:]


# --- conversations


def chat(**changes):
    large = tiny_gpt(vocab_size=TOKENIZER.vocab_size, context_length=600)
    return Chat(large, TOKENIZER, max_new_tokens=8, **changes)


def test_an_answer_is_what_follows_the_alpaca_form():
    talk = chat()
    answer = "".join(talk.answer("What is red?"))
    prompt = TOKENIZER.encode(format_prompt("What is red?"))
    (ids,) = PreparedGPT(talk.model).generate([prompt], 8, stop_id=TOKENIZER.end_of_text_id)
    assert answer == TOKENIZER.decode(ids)
    assert talk.said == [("What is red?", answer)]


def test_earlier_turns_stand_before_the_question_as_far_as_there_is_room():
    talk = chat(turns=2)
    talk.said = [("one", "1"), ("two", "2"), ("three", "3")]
    end = [TOKENIZER.end_of_text_id]
    turns = [[*TOKENIZER.encode(format_prompt(asked) + said), *end] for asked, said in talk.said]
    question = TOKENIZER.encode(format_prompt("four"))
    assert talk.prompt("four") == turns[1] + turns[2] + question
    talk.max_new_tokens = 599 - len(question) - len(turns[2])
    assert talk.prompt("four") == turns[2] + question
    talk.max_new_tokens += 1
    assert talk.prompt("four") == question
    talk.turns = 0
    assert talk.prompt("four") == question


def test_a_question_without_room_is_refused_and_not_remembered():
    talk = chat()
    with pytest.raises(GroundupError, match=r"too long for the model; got \d+ tokens"):
        list(talk.answer("why " * 600))
    assert talk.said == []


def test_commands_change_the_conversation():
    talk = chat()
    talk.said = [("one", "1")]
    assert "forgotten" in talk.command("/reset")
    assert talk.said == []
    assert "0.7" in talk.command("/temperature 0.7")
    assert talk.sampling.temperature == 0.7
    assert "3 earlier turns" in talk.command("/turns 3")
    assert talk.turns == 3


@pytest.mark.parametrize(
    "line",
    [
        "/temperature",
        "/temperature hot",
        "/temperature -1",
        "/temperature nan",
        "/temperature inf",
        "/turns -2",
        "/turns x",
        "/go",
    ],
)
def test_a_wrong_command_changes_nothing(line):
    talk = chat(turns=1)
    with pytest.raises(GroundupError, match="to mend it"):
        talk.command(line)
    assert (talk.turns, talk.sampling.temperature) == (1, 0.0)


# --- files of texts


@pytest.fixture(scope="module")
def labeller():
    torch.manual_seed(0)
    classifier = GPTClassifier(tiny_gpt(vocab_size=TOKENIZER.vocab_size, context_length=40), 2).eval()
    with torch.no_grad():
        classifier.class_head.weight.normal_()
    return Labeller(classifier, TOKENIZER, Classes(["ham", "spam"], 0.5))


@pytest.fixture(scope="module")
def many_labeller():
    torch.manual_seed(1)
    classifier = GPTClassifier(tiny_gpt(vocab_size=TOKENIZER.vocab_size, context_length=40), 4).eval()
    with torch.no_grad():
        classifier.class_head.weight.normal_()
    return Labeller(classifier, TOKENIZER, Classes(["bill", "bug", "praise", "question"]))


def labelled(labeller, path, column="text"):
    out, told = io.StringIO(), []
    counts = label_file(labeller, path, out, column, told.append)
    return out.getvalue(), told, counts


def write(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("rows_at_once", [1, 3, 4096])
def test_every_row_keeps_its_place_and_its_other_columns(labeller, tmp_path, monkeypatch, rows_at_once):
    monkeypatch.setattr(labelling, "ROWS_AT_ONCE", rows_at_once)
    texts = [f'{"the cat " * (number % 7 + 1)}sat, on "{number}"\nmats' for number in range(10)]
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["id", "text"], *([number, text] for number, text in enumerate(texts))])
    out, told, counts = labelled(labeller, write(tmp_path, "a.csv", buffer.getvalue()))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["id"], row["text"]) for row in rows] == [(str(number), text) for number, text in enumerate(texts)]
    alone = [float(labeller.probabilities([text])[0, 1]) for text in texts]
    assert [float(row["probability"]) for row in rows] == pytest.approx(alone, abs=1e-4)
    assert [row["predicted"] for row in rows] == ["spam" if each >= 0.5 else "ham" for each in alone]
    assert told == []
    assert (counts.rows, counts.bad) == (10, 0)


def test_bad_rows_are_told_and_kept(labeller, tmp_path):
    data = b"id,text\n1,the cat\n2,\n3,a,b,c\n4\n\n6,caf\xe9\n7,a\0b\n8,the end\n"
    out, told, counts = labelled(labeller, write(tmp_path, "a.csv", data))
    rows = list(csv.reader(io.StringIO(out)))[1:]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "", "6", "7", "8"]
    assert rows[6][1] == "a\0b"
    assert rows[2][1] == "a,b,c"  # nothing of a row with too many fields is lost
    problems = [row[4] for row in rows]
    assert problems == [
        "",
        "has no text",
        "has 4 fields, not 2",
        "has 1 fields, not 2",
        "is empty",
        "is not UTF-8",
        "",
        "",
    ]
    assert all(bool(row[2]) != bool(row[4]) for row in rows)
    assert [line.split(": ")[1].split(" ")[1] for line in told] == ["3", "4", "5", "6", "7"]
    assert (counts.rows, counts.bad) == (8, 5)


def test_a_tab_separated_file_keeps_its_quotation_marks(labeller, tmp_path):
    data = 'label\ttext\nham\t"the" cat"\nham\tone\ttwo\n'
    out, told, _ = labelled(labeller, write(tmp_path, "a.tsv", data))
    lines = out.splitlines()
    assert lines[0] == "label\ttext\tpredicted\tprobability\tproblem"
    assert lines[1].startswith('ham\t"the" cat"\t')
    assert lines[2] == "ham\tone two\t\t\thas 3 fields, not 2"
    assert len(told) == 1


def test_a_file_of_lines_has_one_text_a_line(labeller, tmp_path):
    out, told, counts = labelled(labeller, write(tmp_path, "a.txt", "the cat\r\n\nthe mat"))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["text"] for row in rows] == ["the cat", "", "the mat"]
    assert (counts.rows, counts.bad, len(told)) == (3, 1, 1)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "no column text; got an empty file"),
        ("a.csv", b"id,message\n1,a\n", "no column text; got id, message"),
        ("a.csv", b"text,predicted\na,b\n", "there is a column predicted already"),
        ("gone.csv", None, "no such file"),
        (".", None, "this is a folder"),
    ],
)
def test_a_file_that_cannot_be_labelled_is_refused(labeller, tmp_path, name, data, said):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(GroundupError, match=said):
        labelled(labeller, path)


def test_a_text_longer_than_the_context_is_labelled_by_its_beginning(labeller):
    probabilities = labeller.probabilities(["the cat " * 100, "the cat " * 200])
    assert probabilities[0].tolist() == pytest.approx(probabilities[1].tolist(), abs=1e-6)
    assert np.isfinite(probabilities).all()


def test_a_text_alone_has_a_label_and_nothing_has_none(labeller):
    label, probability = labeller.say("the cat")
    assert label == ("spam" if probability >= 0.5 else "ham")
    with pytest.raises(GroundupError, match="no text to classify"):
        labeller.say("  ")


def test_the_threshold_decides(labeller):
    probability = labeller.say("the cat")[1]
    for threshold, label in ((probability, "spam"), (probability + 1e-9, "ham"), (0.0, "spam"), (1.0, "ham")):
        decided = replace(labeller, classes=labeller.classes.with_threshold(threshold))
        assert decided.say("the cat") == (label, probability)


def test_of_many_labels_the_most_probable_one_is_said_with_its_probability(many_labeller, tmp_path):
    texts = ["the cat", "the mat " * 5, "sat 1234", "and"]
    probabilities = many_labeller.probabilities(texts)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(4))
    expected = [(many_labeller.classes.names[row.argmax()], row.max()) for row in probabilities]
    assert len({label for label, _ in expected}) > 1
    for text, (label, probability) in zip(texts, expected, strict=True):
        assert many_labeller.say(text) == (label, pytest.approx(probability, abs=1e-6))
    out, _, _ = labelled(many_labeller, write(tmp_path, "a.txt", "\n".join([*texts[:2], "", *texts[2:]])))
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["predicted"] for row in rows if row["text"]] == [label for label, _ in expected]
    shown = [float(row["probability"]) for row in rows if row["text"]]
    assert shown == pytest.approx([probability for _, probability in expected], abs=1e-4)
    assert (rows[2]["predicted"], rows[2]["probability"], rows[2]["problem"]) == ("", "", "has no text")
