"""`groundup generate`, `chat`, `classify` and `export`: clean output, one line for a mistake, and pipes."""

import csv
import io
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from helpers import tiny_gpt, trained_tokenizer

from groundup.cli import main
from groundup.generate import PreparedGPT
from groundup.model.gpt import GPTClassifier
from groundup.train.checkpoint import save_model

TOKENIZER = trained_tokenizer()


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with the three models where the pipeline leaves them."""
    monkeypatch.chdir(tmp_path)
    language_model = tiny_gpt(vocab_size=TOKENIZER.vocab_size, context_length=150)
    torch.manual_seed(0)
    classifier = GPTClassifier(language_model, 2)
    for name, model, facts in (
        ("pretrained", language_model, {}),
        ("instructed", language_model, {}),
        ("classifier", classifier, {"labels": ["ham", "spam"], "threshold": 0.5}),
    ):
        (tmp_path / "models" / name).mkdir(parents=True)
        save_model(tmp_path / "models" / name, model, TOKENIZER, facts)
    return tmp_path


def call(*arguments, given=""):
    return CliRunner().invoke(main, list(arguments), input=given)


def output(*arguments, given=""):
    result = call(*arguments, given=given)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refusal(*arguments, given=""):
    result = call(*arguments, given=given)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def test_generate_writes_on_after_an_argument_or_after_standard_input():
    written = output("generate", "The cat", "--tokens", "12", "--seed", "5")
    assert written.startswith("The cat")
    assert written.endswith("\n")
    assert len(written) > len("The cat\n")
    assert output("generate", "--tokens", "12", "--seed", "5", given="The cat\n") == written
    assert output("generate", "-", "--tokens", "12", "--seed", "5", given="The cat\n") == written
    assert output("generate", "The cat", "--tokens", "12", "--seed", "6") != written


def test_several_samples_stand_as_the_documents_of_a_corpus_do():
    texts = output("generate", "The", "--tokens", "9", "--samples", "3").removesuffix("\n").split("\n<|endoftext|>\n")
    assert len(texts) == 3
    assert all(text.startswith("The") for text in texts)
    assert texts[0] == output("generate", "The", "--tokens", "9").removesuffix("\n")


def test_generate_stops_before_a_text():
    whole = output("generate", "The cat", "--tokens", "12")
    stop = whole[9:11]
    assert output("generate", "The cat", "--tokens", "12", "--stop", stop) == whole[: whole.find(stop, 7)] + "\n"


@pytest.mark.parametrize("command", [["generate", "a"], ["generate", "a", "--samples", "2"], ["chat"]])
def test_the_precision_of_the_weights_can_be_chosen(command, monkeypatch):
    seen = []

    def spy(model, precision, **how):
        seen.append(precision)
        return PreparedGPT(model, precision, **how)

    monkeypatch.setattr("groundup.generate.PreparedGPT", spy)
    monkeypatch.setattr("groundup.use.chat.PreparedGPT", spy)
    for has_bf16 in (True, False):
        monkeypatch.setattr("groundup.train.precision.computes_bf16", lambda device, has=has_bf16: has)
        for precision in ([], ["--precision", "fp32"], ["--precision", "bf16"], ["--precision", "auto"]):
            assert output(*command, "--tokens", "3", *precision, given="one\n")
    assert seen == ["fp32", "fp32", "bf16", "bf16", "fp32", "fp32", "bf16", "fp32"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "a", "--precision", "fp8"], "Invalid value for '--precision'"),
        (["generate", "a", "--temperature", "-1"], "temperature must be 0 or more, and finite, got -1.0; to mend it"),
        (["generate", "a", "--temperature", "nan"], "temperature must be 0 or more, and finite, got nan"),
        (["generate", "a", "--top-p", "0"], "top_p must be above 0 and at most 1, got 0.0"),
        (["generate", "a", "--tokens", "0"], "Invalid value for '--tokens'"),
        (["generate", "a", "--model", "nowhere"], "nowhere/model.json: no such file"),
        (["generate", "a", "--model", "models/classifier"], "not a language model; got classifier"),
        (["generate", "a", "--size", "3"], "No such option"),
        (["classify", "a", "--model", "models/pretrained"], "not a classifier; got language_model"),
        (["classify", " "], "there is no text to classify"),
        (["classify", "--file", "gone.csv"], "gone.csv: no such file"),
        (["classify", "a", "--out", "b.csv"], "--out goes with --file"),
        (["chat", "--turns", "x"], "Invalid value for '--turns'"),
        (["export", "nowhere"], "nowhere/model.json: no such file"),
        (["export", "models/pretrained", "--format", "onnx"], "Invalid value for '--format'"),
    ],
)
def test_a_mistake_is_one_line(arguments, said):
    assert said in refusal(*arguments)


def test_chat_answers_line_by_line_and_goes_on_after_a_mistake():
    result = call("chat", "--tokens", "5", given="one\n\n/temperature hot\n/turns 1\ntwo\n/quit\nthree\n")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2
    told = result.stderr.splitlines()
    assert told[0].startswith("groundup: /temperature needs a number")
    assert told[1] == "1 earlier turns are read again"


def test_classify_says_the_label_of_an_argument_and_of_each_line():
    label, probability, text = output("classify", "the cat").removesuffix("\n").split("\t")
    assert label in ("ham", "spam")
    assert 0 <= float(probability) <= 1
    assert text == "the cat"
    lines = output("classify", given="the cat\n\nthe mat\n").splitlines()
    assert lines[:2] == [f"{label}\t{probability}\tthe cat", "\t\t"]
    assert lines[2].endswith("\tthe mat")


@pytest.mark.parametrize("command", ["generate", "classify"])
def test_standard_input_that_is_no_text_is_one_line(command):
    assert "standard input: not UTF-8 text at byte 3" in refusal(command, given=b"caf\xe9\n")


def test_classify_writes_a_labelled_file(project):
    (project / "a.csv").write_text("id,text\n1,the cat\n2,\n3,the mat\n")
    result = call("classify", "--file", "a.csv", "--out", "b.csv")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "groundup: a.csv: line 3 has no text; it is kept without a label",
        "3 rows written to b.csv, 1 of them without a label",
    ]
    rows = list(csv.DictReader(io.StringIO((project / "b.csv").read_text())))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [bool(row["predicted"]) for row in rows] == [True, False, True]
    assert output("classify", "--file", "a.csv") == (project / "b.csv").read_text()


def test_a_file_that_cannot_be_labelled_leaves_the_old_result(project):
    (project / "a.csv").write_text("id,message\n1,the cat\n")
    (project / "b.csv").write_text("earlier")
    assert "no column text" in refusal("classify", "--file", "a.csv", "--out", "b.csv")
    assert (project / "b.csv").read_text() == "earlier"
    assert not list(project.glob(".b.csv*"))


def test_export_writes_a_folder_once(project):
    assert "exports/pretrained loads with transformers" in output("export", "models/pretrained")
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (project / "exports" / "pretrained").iterdir()} == names
    assert "there is something already" in refusal("export", "models/pretrained")
    output("export", "models/classifier", "--out", "other")
    assert (project / "other" / "config.json").exists()


def test_export_writes_a_gguf_file_once(project):
    pytest.importorskip("gguf")
    assert output("export", "models/pretrained", "--format", "gguf") == "exports/pretrained.gguf opens in llama.cpp\n"
    assert [path.name for path in (project / "exports").iterdir()] == ["pretrained.gguf"]
    assert "there is something already" in refusal("export", "models/pretrained", "--format", "gguf")
    assert "got classifier" in refusal("export", "models/classifier", "--format", "gguf", "--out", "other.gguf")
    output("export", "models/instructed", "--format", "gguf", "--out", "other.gguf")
    assert (project / "other.gguf").read_bytes().startswith(b"GGUF")


def test_export_names_the_command_that_installs_what_it_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    line = refusal("export", "models/pretrained", "--format", "gguf")
    assert line.endswith(f"not installed; to mend it: run `{sys.executable} -m pip install gguf`")


def test_an_export_of_this_folder_has_its_name(project, monkeypatch):
    monkeypatch.chdir(project / "models" / "pretrained")
    assert output("export", ".").startswith("exports/pretrained ")


def test_a_reader_that_hangs_up_ends_the_writing_quietly(project):
    writer = subprocess.Popen(
        [sys.executable, "-m", "groundup.cli", "generate", "The", "--tokens", "140"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.read(3) == b"The"
    writer.stdout.close()
    assert writer.stderr is not None
    said = writer.stderr.read()
    writer.stderr.close()
    assert writer.wait(timeout=60) == 0
    assert said == b""


def test_classify_says_the_most_probable_of_many_labels(project):
    torch.manual_seed(0)
    classifier = GPTClassifier(tiny_gpt(vocab_size=TOKENIZER.vocab_size, context_length=150), 3)
    (project / "many").mkdir()
    save_model(project / "many", classifier, TOKENIZER, {"labels": ["bill", "bug", "praise"], "threshold": None})
    label, probability, text = output("classify", "the cat", "--model", "many").removesuffix("\n").split("\t")
    assert label in ("bill", "bug", "praise")
    assert 1 / 3 <= float(probability) <= 1  # of the label that is said, which is the likeliest
    assert text == "the cat"
    output("export", "many", "--out", "exported")
    assert (project / "exported" / "config.json").exists()
