"""On from a model that was trained before, with its vocabulary, and what is said where they do not fit."""

import shutil

import pytest
import torch

from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model

MINE = "data/own/mine"


@pytest.fixture
def again(finished):
    """A project whose model has become its user's own, to go on from with other text."""
    shutil.copytree(finished.folder / "models" / "pretrained", finished.folder / MINE)
    finished.set(
        pretrain__init=MINE,
        tokenize__tokenizer="given",
        tokenize__vocab_size=Tokenizer.load(finished.folder / MINE).vocab_size,
        data__corpus=["data/own/letters.txt"],
    )
    letters = "".join(f"Dear {name}, the river is high and we wait.\n\n" for name in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    (finished.folder / "data/own/letters.txt").write_text(letters)
    return finished


def run(project, *stages):
    for stage in stages:
        result = project.run(stage)
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("form", ["ours", "theirs"])
def test_its_words_and_weights_go_on(again, form):
    if form == "theirs":
        for name, theirs in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
            (again.folder / MINE / name).rename(again.folder / MINE / theirs)
    again.set(pretrain__max_steps=0, pretrain__warmup_steps=0)
    run(again, "download", "tokenize", "split", "pretrain")
    before, _, _ = load_model(again.folder / "models" / "pretrained")
    assert Tokenizer.load(again.folder / "data/tokens/tokenizer").vocab_size == before.config.vocab_size
    again.set(pretrain__max_steps=3)
    run(again, "pretrain")
    after, _, _ = load_model(again.folder / "models" / "pretrained")
    assert not torch.equal(after.head_weight, before.head_weight)
    drift = max((a - b).abs().max().item() for a, b in zip(after.parameters(), before.parameters(), strict=True))
    assert drift < 0.1  # it went on from there, and not from random weights


def test_fine_tuning_alone_may_begin_with_them(again):
    again.set(pretrain__init="scratch", tokenize__tokenizer="bpe", tokenize__vocab_size=300)
    again.set(data__corpus=["data/own/story.txt"], finetune_instruct__init=MINE, model__context_length=256)
    again.set(pretrain__batch_size=1, pretrain__max_steps=4)
    run(again, "download", "tokenize", "split", "pretrain")
    said = again.refuses("finetune-instruct")
    assert said[0].startswith("finetune_instruct: no instruction fits into model.context_length")
    shutil.rmtree(again.folder / MINE)
    shutil.copytree(again.folder / "models" / "pretrained", again.folder / MINE)
    run(again, "download", "finetune-instruct")


def test_a_shape_that_is_not_the_weights_is_refused_with_the_keys_to_set(again):
    run(again, "download", "tokenize", "split")
    again.set(model__d_model=32, model__n_layers=2)
    (said,) = again.refuses("pretrain")
    assert "of its tensors do not fit the model" in said


def test_a_vocabulary_that_is_not_there_or_of_another_size_is_refused(again):
    again.set(tokenize__vocab_size=999)
    run(again, "download")
    (said,) = again.refuses("tokenize")
    assert said.startswith("tokenize.vocab_size is not that of the given vocabulary; got 999; allowed: 300")
    (again.folder / MINE / "encoder.json").unlink()
    run(again, "download")
    (said,) = again.refuses("tokenize")
    assert said.startswith("tokenize.tokenizer given: there is no vocabulary beside the weights of pretrain.init")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pretrain__max_steps": 0, "pretrain__warmup_steps": 0}, "pretrain.max_steps 0 would leave random weights"),
        ({"pretrain__init": "gpt3"}, "pretrain.init is unknown; got gpt3; allowed: scratch, gpt2, gpt2-medium"),
        ({"finetune_instruct__init": "scratch"}, "finetune_instruct.init is unknown; got scratch; allowed: pretrained"),
        ({"finetune_instruct__init": "gpt2"}, "finetune_instruct.init gpt2 does not fit tokenize.tokenizer"),
        ({"tokenize__tokenizer": "given"}, "tokenize.tokenizer given asks for a folder of weights"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(project, changes, said):
    project.set(**changes)
    (line,) = project.refuses("download")
    assert line.removeprefix("params.yaml: ").startswith(said)


def test_all_that_does_not_fit_gpt2s_weights_is_told_at_once(project):
    project.set(pretrain__init="gpt2", model__context_length=2048, model__bias=False)
    project.set(evaluate__window_stride=512)
    lines = project.refuses("download", problems=6)
    keys = [line.removeprefix("params.yaml: ").split(" ")[0] for line in lines]
    shape = ["model.n_layers", "model.d_model", "model.n_heads"]
    assert keys == ["pretrain.init", *shape, "model.context_length", "model.bias"]
