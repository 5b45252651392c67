"""The presets that need GPT-2's weights or a GPU, run whole with tiny random weights in files of the same form.

Only sizes are changed, and what is fetched comes from a mirror: all else is the preset's own.
"""

import contextlib
import dataclasses
import json

import pytest
import torch
from data_helpers import ROOT, entry_for, instructions, messages, story, with_values
from helpers import trained_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from groundup import config, params_file
from groundup.config import Gpt2Shape
from groundup.data import catalog
from groundup.params_file import read_yaml
from groundup.presets import compose
from groundup.train.checkpoint import load_classifier, load_model

SHAPES = {"gpt2": Gpt2Shape(2, 16, 2), "gpt2-medium": Gpt2Shape(3, 32, 4)}
STAGES = ("download", "tokenize", "split", "pretrain", "finetune-cls", "finetune-instruct", "evaluate")

with contextlib.chdir(ROOT):
    COMPOSED = {name: compose(name) for name in ("book", "gpt2-124m")}


def write_weights(folder, name, vocab_size):
    torch.manual_seed(3)
    of = SHAPES[name]
    sizes = {"n_layer": of.n_layers, "n_embd": of.d_model, "n_head": of.n_heads}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, **sizes, **ends)).save_pretrained(folder)


@pytest.fixture
def offline(project, monkeypatch):
    """A project whose catalog, of the same names and forms, is tiny and lies in a mirror."""
    mirror = project.folder / "mirror"
    mirror.mkdir()
    tokenizer = trained_tokenizer()
    (mirror / "gpt2").mkdir()
    tokenizer.save(mirror / "gpt2")
    for name in SHAPES:
        write_weights(mirror / name, name, tokenizer.vocab_size)
    (mirror / "the-verdict.txt").write_text(story(40))
    (mirror / "SMSSpamCollection").write_text("".join(f"{row.label}\t{row.text}\n" for row in messages(60)))
    (mirror / "instruction-data.json").write_text(json.dumps([vars(row) for row in instructions(20)]))
    rows = {"the-verdict": 1, "sms-spam": 60, "instruction-data": 20}

    def tiny(entry):
        path = mirror / entry.file
        if not path.exists():
            return entry
        made = entry_for(path.read_bytes())
        pinned = {"size_bytes": made.size_bytes, "sha256": made.sha256 if entry.sha256 else None}
        return dataclasses.replace(entry, rows=rows.get(entry.name), **pinned)

    monkeypatch.setattr(catalog, "CATALOG", tuple(map(tiny, catalog.CATALOG)))
    for name, of in SHAPES.items():
        monkeypatch.setitem(config.GPT2_SHAPES, name, of)
    monkeypatch.setattr(params_file, "GPT2_VOCAB_SIZE", tokenizer.vocab_size)
    monkeypatch.setenv("GROUNDUP_MIRROR", str(mirror))
    return project


def run_all(project, preset, **changes):
    (project.folder / "composed.yaml").write_text(COMPOSED[preset])
    tiny = SHAPES["gpt2"]
    sizes = {f"model__{field.name}": getattr(tiny, field.name) for field in dataclasses.fields(tiny)}
    values = with_values(
        read_yaml(project.folder / "composed.yaml"),
        tokenize__vocab_size=params_file.GPT2_VOCAB_SIZE,
        **sizes,
        **changes,
    )
    project.write_params(values)
    said = []
    for stage in STAGES:
        result = project.run(stage)
        assert result.exit_code == 0, f"{stage}: {result.output}"
        said.append(result.output)
    return "".join(said)


def test_the_book_from_gpt2s_weights_to_three_models(offline):
    said = run_all(offline, "book", evaluate__response_tokens=8)
    assert "gpt2-medium was trusted on first use" in said
    pretrained, _, _ = load_model(offline.folder / "models" / "pretrained")
    given = GPT2LMHeadModel.from_pretrained(offline.folder / "mirror" / "gpt2").eval()
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(pretrained(tokens), given(tokens).logits, rtol=0, atol=1e-5)
    classifier, _, _ = load_classifier(offline.folder / "models" / "classifier")
    changed = {
        name.split(".")[1]
        for name, tensor in classifier.trunk.state_dict().items()
        if not torch.equal(tensor, pretrained.state_dict()[name])
    }
    assert changed == {"1", "weight", "bias"}  # the last block, and the final norm
    instructed, _, _ = load_model(offline.folder / "models" / "instructed")
    assert (instructed.config.n_layers, instructed.config.d_model) == (3, 32)
    metrics = json.loads((offline.folder / "reports" / "pretrain" / "metrics.json").read_text())
    assert metrics["steps"] == 0
    assert metrics["best"]["loss_nats"] > 0
    assert (offline.folder / "reports" / "evaluate" / "pretrain_losses.png").exists()


def test_gpt2_from_random_weights(offline):
    run_all(
        offline,
        "gpt2-124m",
        data__sample={"seed": 1, "world_size": 8, "corpus_mb": 0.05, "messages": 100, "instructions": 500},
        pretrain__max_steps=2,
        pretrain__warmup_steps=1,
        pretrain__batch_size=2,
        finetune_cls__epochs=1,
        finetune_instruct__epochs=1,
        evaluate__stories=0,
        evaluate__response_tokens=4,
    )
    model, _, facts = load_model(offline.folder / "models" / "pretrained")
    assert model.config.context_length == 1024
    assert facts["initial_weights"] == "gpt2"
