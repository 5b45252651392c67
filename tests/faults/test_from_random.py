"""The stages with the comparison that costs a second training: what is written, and that it changes nothing else."""

import json

import numpy as np
import pytest

from groundup.files import read_json
from groundup.train.checkpoint import load_model

INSTRUCTED = "models/instructed/"


@pytest.fixture
def pretrained(finished):
    """A project with a pretrained model whose context holds an instruction."""
    finished.set(model__context_length=256, pretrain__batch_size=1)
    made = finished.run("pretrain")
    assert made.exit_code == 0, made.output
    return finished


def instructed_files(project) -> dict[str, bytes]:
    made = project.run("finetune-instruct")
    assert made.exit_code == 0, made.output
    return {name: data for name, data in project.results().items() if name.startswith(INSTRUCTED)}


def test_the_second_training_stands_beside_the_first_and_leaves_it_as_it_is(pretrained):
    alone = instructed_files(pretrained)
    assert not any("from_random" in name for name in alone)
    pretrained.set(finetune_instruct__from_random=True)
    both = instructed_files(pretrained)
    assert {name: data for name, data in both.items() if "from_random" not in name} == alone
    folder = pretrained.folder / INSTRUCTED / "from_random"
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "model.json"}
    taught, _, _ = load_model(folder.parent)
    beginner, _, _ = load_model(folder)
    assert beginner.config == taught.config
    assert both[f"{INSTRUCTED}from_random/model.safetensors"] != both[f"{INSTRUCTED}model.safetensors"]
    metrics = read_json(pretrained.folder / "reports" / "finetune_instruct" / "metrics.json")
    assert metrics["from_random"]["steps"] == metrics["steps"]
    assert metrics["from_random"]["best"]["loss_nats"] != metrics["best"]["loss_nats"]
    pretrained.set(finetune_instruct__from_random=False)
    assert instructed_files(pretrained) == alone  # nothing stays of a comparison that is no longer asked for


@pytest.fixture
def before_evaluate(pretrained):
    pretrained.set(finetune_instruct__from_random=True, evaluate__stories=3)
    for name in ("finetune-cls", "finetune-instruct"):
        made = pretrained.run(name)
        assert made.exit_code == 0, made.output
    return pretrained


def test_the_evaluation_measures_all_that_there_is_to_measure(before_evaluate):
    test = before_evaluate.folder / "data" / "splits" / "corpus" / "test"
    n_documents = len(np.load(test / "offsets.npy")) - 1
    np.save(test / "surprisal_bits.npy", np.full(n_documents, 100.0))
    made = before_evaluate.run("evaluate")
    assert made.exit_code == 0, made.output
    reports = before_evaluate.folder / "reports"
    summary = read_json(reports / "summary.json")
    language = summary["language_model"]
    assert language["ratio_to_floor"] == pytest.approx(
        language["bits_per_byte"] / language["floor_bits_per_byte"], rel=1e-4
    )
    assert language["stories"]["written"] == 3
    compared = {"exact_match", "token_f1", "rouge_l", "ended", "repeats", "versus"}
    assert set(summary["instruct"]["from_random"]) == compared
    assert len(json.loads((reports / "evaluate" / "stories.json").read_text(encoding="utf-8"))) == 3
    report = (reports / "evaluate" / "report.md").read_text(encoding="utf-8")
    assert "What pretraining buys" in report
    assert "model / floor" in report


def test_surprisals_of_other_documents_are_refused(before_evaluate):
    np.save(before_evaluate.folder / "data" / "splits" / "corpus" / "test" / "surprisal_bits.npy", np.ones(999))
    (line,) = before_evaluate.refuses("evaluate")
    assert "surprisal_bits.npy: does not fit the tokens beside it" in line
