"""Stages with wrong parameters: one line for each problem, exit code 1, and nothing done."""

import math

import pytest
from data_helpers import without_key
from fault_helpers import STAGES, small_params

from groundup.config import flatten
from groundup.params_file import parse_params


def test_the_small_project_runs_when_nothing_is_wrong(finished):
    assert set(finished.results()) >= {
        "data/raw/manifest.json",
        "data/tokens/corpus/tokens.npy",
        "data/splits/messages/test/rows.jsonl",
        "models/pretrained/model.safetensors",
        "reports/pretrain/metrics.json",
        "reports/split/metrics.json",
    }
    assert not any(path.startswith(".") for result in finished.results() for path in result.split("/"))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_refuses_an_unknown_parameter(project, stage):
    project.params["pretrain"]["learning_rat"] = 0.1
    project.write_params(project.params)
    (line,) = project.refuses(stage)
    assert line.startswith("params.yaml: pretrain.learning_rat is not a known key")
    assert "did you mean pretrain.learning_rate?" in line


@pytest.mark.parametrize("stage", ["download", "split", "evaluate"])
def test_a_missing_parameter_is_named(project, stage):
    project.write_params(without_key(project.params, "model.n_heads"))
    assert project.refuses(stage)[0].startswith("params.yaml: model.n_heads is missing")


CASES = {
    "mistyped": ({"model__d_model": "16"}, "model.d_model has a wrong value; got 16; allowed: a valid integer"),
    "not a number": ({"pretrain__learning_rate": math.nan}, "pretrain.learning_rate has a wrong value; got nan"),
    "out of range": ({"finetune_cls__batch_size": 0}, "finetune_cls.batch_size has a wrong value; got 0"),
    "fewer rows than none": ({"finetune_cls__train_rows": -1}, "finetune_cls.train_rows has a wrong value; got -1"),
    "not divisible": ({"model__n_heads": 3}, "model.d_model is not divisible by model.n_heads"),
    "stride": ({"evaluate__window_stride": 33}, "evaluate.window_stride is longer than model.context_length"),
    "context": ({"evaluate__response_tokens": 32}, "evaluate.response_tokens does not fit into model.context_length"),
    "vocabulary": ({"tokenize__vocab_size": 200}, "tokenize.vocab_size has a wrong value; got 200"),
    "shares": ({"split__train": 0.7}, "do not add up to 1; got 1.1"),
    "device": ({"runtime__device": "gpu"}, "runtime.device is unknown; got gpu"),
    "device number": ({"runtime__device": "cuda:first"}, "runtime.device is unknown; got cuda:first"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stage", ["tokenize", "pretrain"])
def test_a_wrong_parameter_stops_a_stage_before_it_touches_anything(finished, stage, case):
    changes, said = CASES[case]
    finished.set(**changes)
    (line,) = finished.refuses(stage)
    assert line.startswith("params.yaml: ")
    assert said in line


VALID = flatten(parse_params(small_params()))
# What people type where something else is wanted.
MISTYPED = {"a section": {"a": 1}, "words": "as many as it takes", "a negative number": -3, "nothing": None}


@pytest.mark.parametrize(
    ("key", "mistake"),
    [
        (key, mistake)
        for key in sorted(VALID)
        for mistake, value in MISTYPED.items()
        if not (isinstance(value, str) and isinstance(VALID[key], str))  # other words where words are wanted
    ],
)
def test_every_key_with_a_value_of_another_sort_is_named(project, key, mistake):
    project.set(**{key.replace(".", "__"): MISTYPED[mistake]})
    (line,) = project.refuses("tokenize")
    assert line.startswith(f"params.yaml: {key}")
    assert "; got " in line
    assert "; allowed: " in line
    assert f"change {key}" in line


def test_each_problem_has_its_own_line(project):
    project.set(model__d_model="16", pretrain__batch_size=0, split__test=2.0)
    lines = project.refuses("download", problems=3)
    keys = ["model.d_model", "pretrain.batch_size", "split.test"]
    assert sorted(line.split(" ")[1] for line in lines) == sorted(keys)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "params.yaml: the whole file has a wrong value"),
        (b"seed: [1\n", "params.yaml: not valid YAML at line 2"),
        (b"seed: 1\nseed: 2\n", "params.yaml: not valid YAML at line 2"),
        (b"# caf\xe9\n", "params.yaml: not UTF-8 text at byte 5"),
        (None, "params.yaml: no such file"),
    ],
    ids=["empty", "broken", "key twice", "latin-1", "missing"],
)
def test_a_params_file_that_cannot_be_read_is_said_in_one_line(project, data, said):
    path = project.folder / "params.yaml"
    path.unlink() if data is None else path.write_bytes(data)
    assert said in project.refuses("tokenize")[0]


def test_a_vocabulary_larger_than_the_text_is_refused_and_the_old_tokens_stay(finished):
    finished.set(tokenize__vocab_size=40_000)
    assert "tokenize.vocab_size is larger than the train texts can fill" in finished.refuses("tokenize")[0]


def test_a_label_that_no_message_has_is_refused(finished):
    finished.set(finetune_cls__positive_label="eggs")
    (line,) = finished.refuses("finetune-cls")
    assert "finetune_cls.positive_label is not a label of the messages; got eggs; allowed: ham or spam" in line


def test_a_device_that_is_not_there_is_refused(finished, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finished.set(runtime__device="cuda:1")
    assert "runtime.device is not on this machine; got cuda:1" in finished.refuses("pretrain")[0]


def test_a_learning_rate_that_ruins_the_training_keeps_the_old_model(finished):
    finished.set(pretrain__learning_rate=1e30, pretrain__max_steps=6, pretrain__warmup_steps=0)
    assert "the training loss is no number at step" in finished.refuses("pretrain")[0]
