"""A stage that is run before its inputs exist says which one is missing and how to make it."""

import shutil

import pytest
from fault_helpers import STAGES

# What each stage looks for first.
FIRST_INPUT = {
    "tokenize": "data/raw/manifest.json",
    "split": "data/tokens/tokenizer/encoder.json",
    "pretrain": "data/tokens/tokenizer/encoder.json",
    "finetune-cls": "models/pretrained/model.json",
    "finetune-instruct": "models/pretrained/model.json",
    "evaluate": "data/splits/corpus/train/tokens.npy",
}


@pytest.fixture
def empty(project):
    """A project with nothing but params.yaml."""
    shutil.rmtree(project.folder / "data")
    assert project.everything() == ["params.yaml"]
    return project


def test_all_seven_stages_are_tried():
    assert set(STAGES) == {*FIRST_INPUT, "download"}
    assert len(STAGES) == 7


@pytest.mark.parametrize("stage", FIRST_INPUT)
def test_a_stage_before_its_inputs_names_the_first_that_is_missing(empty, stage):
    (line,) = empty.refuses(stage)
    assert line.startswith(f"{FIRST_INPUT[stage]}: no such file or folder")
    assert "dvc repro" in line


def test_download_in_an_empty_folder_names_the_missing_own_file(empty):
    (line,) = empty.refuses("download")
    assert line.startswith("data.corpus: no such file; got data/own/story.txt")


@pytest.mark.parametrize(
    ("stage", "removed", "said"),
    [
        ("tokenize", "data/raw", "data/raw/manifest.json: no such file"),
        ("split", "data/tokens", "data/tokens/tokenizer/encoder.json: no such file"),
        ("split", "data/tokens/messages", "data/tokens/messages/rows.jsonl: no such file"),
        ("pretrain", "data/splits", "data/splits/corpus/train/tokens.npy: no such file"),
        ("pretrain", "data/splits/corpus/validation", "data/splits/corpus/validation/tokens.npy: no such file"),
        ("finetune-cls", "models/pretrained", "models/pretrained/model.json: no such file"),
        ("finetune-cls", "data/splits/messages", "data/splits/messages/train/rows.jsonl: no such file"),
        ("finetune-instruct", "data/splits/instructions", "data/splits/instructions/train/prompt_lengths.npy: no such"),
        ("evaluate", "models/pretrained", "models/pretrained/model.json: no such file"),
    ],
)
def test_one_missing_input_is_named_and_the_others_stay(finished, stage, removed, said):
    shutil.rmtree(finished.folder / removed)
    assert finished.refuses(stage)[0].startswith(said)


def test_evaluate_without_a_classifier_names_it(finished):
    assert finished.refuses("evaluate")[0].startswith("models/classifier/model.json: no such file")
