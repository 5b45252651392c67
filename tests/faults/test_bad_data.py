"""Stages with wrong own files: the file and the row are named, and earlier results stay as they are."""

import json

import pytest
from data_helpers import story

LABELLED = "ham\tsee you\nspam\twin now\n"

OWN_FILES = {
    "corpus empty": ("corpus", "bad.txt", b"", "data/own/bad.txt: the file is empty"),
    "corpus white space": ("corpus", "bad.txt", b" \n\n\t\n", "data/own/bad.txt: the file is empty"),
    "corpus only separators": ("corpus", "bad.txt", b"<|endoftext|>\n\n", "no text between the separators"),
    "corpus latin-1": ("corpus", "bad.txt", b"one\ncaf\xe9\n", "line 2 is not UTF-8 text; got byte 0xe9"),
    "corpus cut inside a character": ("corpus", "bad.txt", "one\nü".encode()[:-1], "line 2 is not UTF-8 text"),
    "corpus bad line": ("corpus", "bad.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "line 2 has no text"),
    "corpus half a character": ("corpus", "bad.jsonl", b'{"text": "a"}\n{"text": "\\ud83d"}\n', "line 2"),
    "messages empty": ("messages", "bad.tsv", b"", "the file is empty"),
    "messages without label": ("messages", "bad.tsv", LABELLED.encode() + b"hello\n", "line 3 has no label; got hello"),
    "messages without text": ("messages", "bad.tsv", LABELLED.encode() + b"ham\t\n", "line 3 has no text"),
    "messages of one class": ("messages", "bad.tsv", b"ham\ta\nham\tb\n", "at least two labels; got ham"),
    "messages with a label for each row": (
        "messages",
        "bad.tsv",
        b"see you\tham\nhello\tham\nwin now\tspam\n",
        "too many labels for so few rows; got 3 labels in 3 rows, such as hello",
    ),
    "messages latin-1": ("messages", "bad.tsv", LABELLED.encode() + b"ham\t\xe9\n", "line 3 is not UTF-8"),
    "csv without columns": ("messages", "bad.csv", b"ham,a\nspam,b\n", "no column label and no column text"),
    "csv without label": ("messages", "bad.csv", b"label,text\nham,a\n,b\n", "line 3 has no label"),
    "csv with loose commas": ("messages", "bad.csv", b"label,text\nham,a, b\nspam,c, d\n", "data/own/bad.csv"),
    "csv broken": ("messages", "bad.csv", b'label,text\nham,"a\nspam,b\n', "data/own/bad.csv"),
    "instructions truncated": ("instructions", "bad.json", b'[{"instruction": "a", "outp', "not valid JSON at line 1"),
    "instructions no list": ("instructions", "bad.json", b'{"a": 1}', "not a list of instructions; got dict"),
    "instructions empty": ("instructions", "bad.json", b"[]", "no instructions in it"),
    "instructions row": (
        "instructions",
        "bad.json",
        b'[{"instruction": "a", "output": "b"}, {"instruction": "c"}]',
        "row 2 has no text under output",
    ),
    "instructions line": ("instructions", "bad.jsonl", b'{"instruction": "a", "output": "b"}\nno\n', "line 2 is not"),
    "chat out of turn": (
        "instructions",
        "bad.jsonl",
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"},'
        b' {"role": "assistant", "content": "c"}]}\n',
        "line 1, turn 2 is not the assistant's; got user",
    ),
    "chat without an answer": (
        "instructions",
        "bad.jsonl",
        b'{"conversations": [{"from": "human", "value": "a"}]}\n',
        "line 1 has no turn of the assistant",
    ),
    "chat of a tool": (
        "instructions",
        "bad.jsonl",
        b'{"instruction": "a", "output": "b"}\n{"messages": [{"role": "tool", "content": "a"}]}\n',
        "line 2, turn 1 has no known role under role; got tool",
    ),
    "chat with a picture": (
        "instructions",
        "bad.jsonl",
        b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}\n',
        "line 1, turn 1 has no text under content",
    ),
    "instructions half a character": (
        "instructions",
        "bad.json",
        b'[{"instruction": "\\ud83d", "output": "b"}]',
        "row 1",
    ),
}


@pytest.mark.parametrize("case", OWN_FILES)
@pytest.mark.parametrize("before", ["nothing", "everything"])
def test_a_bad_own_file_is_refused_and_leaves_what_was_there(request, before, case):
    project = request.getfixturevalue("project" if before == "nothing" else "finished")
    kind, name, data, said = OWN_FILES[case]
    path = project.own(name, data)
    project.set(**{f"data__{kind}": [path] if kind == "corpus" else path})
    (line,) = project.refuses("download")
    assert said in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data/own/gone.txt", "data.corpus: no such file; got data/own/gone.txt"),
        ("elsewhere.txt", "data.corpus: your own files must lie in data/own/"),
        ("data/own/../../elsewhere.txt", "data.corpus: your own files must lie in data/own/"),
        ("/etc/hostname", "data.corpus: your own files must lie in data/own/"),
        (
            "tinyshakespear",
            "data.corpus: no such data set; got tinyshakespear; allowed: sample-stories, the-verdict, tinyshakespeare",
        ),
    ],
)
def test_a_name_that_leads_to_no_own_file_is_refused(finished, name, said):
    (finished.folder / "elsewhere.txt").write_text("text", encoding="utf-8")
    finished.set(data__corpus=[name])
    assert said in finished.refuses("download")[0]


def test_a_corpus_too_short_for_one_batch_is_refused_before_training(finished):
    finished.set(pretrain__batch_size=500)
    (line,) = finished.refuses("pretrain")
    assert "pretrain: the corpus is too short for one batch" in line
    assert "16033 tokens or more" in line


def test_a_corpus_too_short_for_three_sides_is_refused(project):
    project.set(data__corpus=[project.own("short.txt", story(2))], tokenize__vocab_size=257)
    for name in ("download", "tokenize"):
        assert project.run(name).exit_code == 0
    (line,) = project.refuses("split")
    assert "split: corpus has too little text for its " in line


def test_instructions_too_long_for_the_context_are_refused(finished):
    """The fixed words of the prompt alone are more than 32 tokens."""
    (line,) = finished.refuses("finetune-instruct")
    assert "finetune_instruct: no instruction fits into model.context_length" in line


DAMAGED = {
    "raw file cut": ("tokenize", "data/raw/instructions/instructions.json", lambda data: data[:-9], "not valid JSON"),
    "raw file gone": ("tokenize", "data/raw/corpus/story.txt", None, "no such file"),
    "manifest cut": ("tokenize", "data/raw/manifest.json", lambda data: data[:30], "not valid JSON"),
    "manifest of another shape": ("tokenize", "data/raw/manifest.json", lambda data: b"{}", "manifest.json"),
    "tokens cut": ("split", "data/tokens/corpus/tokens.npy", lambda data: data[:-7], "damaged token arrays"),
    "tokens empty": ("split", "data/tokens/messages/tokens.npy", lambda data: b"", "damaged token arrays"),
    "rows cut": ("split", "data/tokens/messages/rows.jsonl", lambda data: data[:-9], "rows.jsonl"),
    "merges cut": ("split", "data/tokens/tokenizer/vocab.bpe", lambda data: data[:-9], "vocab.bpe"),
    "offsets of others": ("pretrain", "data/splits/corpus/train/offsets.npy", lambda data: data[:-8], "damaged"),
    "weights cut": ("finetune-cls", "models/pretrained/model.safetensors", lambda data: data[:-9], "damaged"),
    "weights no weights": ("finetune-cls", "models/pretrained/model.safetensors", lambda data: b"x" * 99, "damaged"),
    "model of another kind": (
        "finetune-instruct",
        "models/pretrained/model.json",
        lambda data: json.dumps({**json.loads(data), "kind": "classifier"}).encode(),
        "not a language model; got classifier",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_result_of_an_earlier_stage_is_named(finished, case):
    stage, name, damage, said = DAMAGED[case]
    path = finished.folder / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert said in finished.refuses(stage)[0]
