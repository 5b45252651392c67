"""The stages with the comparison that costs a second training: what is written, and that it changes nothing else."""

import json

import numpy as np
import pytest

from groundup.files import read_json
from groundup.train.checkpoint import load_classifier, load_model

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


CLASSIFIER = "models/classifier/"


def classifier_files(project) -> dict[str, bytes]:
    made = project.run("finetune-cls")
    assert made.exit_code == 0, made.output
    return {name: data for name, data in project.results().items() if name.startswith(CLASSIFIER)}


def test_the_second_classifier_stands_beside_the_first_and_leaves_it_as_it_is(pretrained):
    pretrained.set(finetune_cls__language_steps=2, finetune_cls__language_batch_size=1)
    alone = classifier_files(pretrained)
    assert not any("from_random" in name for name in alone)
    pretrained.set(finetune_cls__from_random=True)
    both = classifier_files(pretrained)
    assert {name: data for name, data in both.items() if "from_random" not in name} == alone
    folder = pretrained.folder / CLASSIFIER
    taught, _, _ = load_classifier(folder)
    beginner, _, facts = load_classifier(folder / "from_random")
    assert beginner.config == taught.config
    assert facts["labels"] == ["ham", "spam"]
    assert both[f"{CLASSIFIER}from_random/model.safetensors"] != both[f"{CLASSIFIER}model.safetensors"]
    metrics = read_json(pretrained.folder / "reports" / "finetune_cls" / "metrics.json")
    assert metrics["from_random"]["steps"] == metrics["steps"]
    assert metrics["from_random"]["writing"]["steps"] == metrics["writing"]["steps"] == 2
    assert metrics["from_random"]["best"]["loss_nats"] != metrics["best"]["loss_nats"]
    pretrained.set(finetune_cls__from_random=False)
    assert classifier_files(pretrained) == alone


def test_fewer_labelled_rows_make_another_classifier_and_baselines_see_no_more_of_them(pretrained):
    pretrained.set(finetune_cls__train_rows=4, finetune_cls__from_random=True)
    fewer = classifier_files(pretrained)
    metrics = read_json(pretrained.folder / "reports" / "finetune_cls" / "metrics.json")
    assert metrics["rows"] == 4
    assert pretrained.run("finetune-instruct").exit_code == 0
    figures = []
    for rows in (4, 0):  # the classifiers stay, so that what changes is what the baselines learned from
        pretrained.set(finetune_cls__train_rows=rows)
        made = pretrained.run("evaluate")
        assert made.exit_code == 0, made.output
        figures.append(read_json(pretrained.folder / "reports" / "summary.json")["classifier"])
    assert figures[0]["from_random"] == figures[1]["from_random"]
    assert figures[0]["baselines"]["tfidf_logreg"] != figures[1]["baselines"]["tfidf_logreg"]
    assert set(figures[0]["from_random"]) == {*figures[0]["baselines"]["tfidf_logreg"]}
    assert classifier_files(pretrained) != fewer


def test_a_class_that_would_have_no_row_is_refused(pretrained):
    pretrained.set(finetune_cls__train_rows=1)
    (line,) = pretrained.refuses("finetune-cls")
    assert "finetune_cls.train_rows leaves a class without a row; got 1; allowed: 2 or more" in line


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
