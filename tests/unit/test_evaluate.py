"""The figures of the three models, on tiny models and sides whose right figures can be worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import CPU, byte_tokenizer, tiny_gpt

from groundup.config import EvaluateParams
from groundup.data.instructions import PROMPT_LENGTHS_FILE
from groundup.data.rows import ROWS_FILE, write_rows
from groundup.data.token_store import write_token_store
from groundup.errors import GroundupError
from groundup.evaluation.baselines import char_svm_scores
from groundup.evaluation.classifier import evaluate_classifier
from groundup.evaluation.instructions import evaluate_instructions
from groundup.evaluation.language import SURPRISAL_FILE, evaluate_language_model
from groundup.evaluation.metrics import many_class_figures
from groundup.model.gpt import GPTClassifier
from groundup.tasks.classify import LabelledRows
from groundup.tasks.instruct import FROM_RANDOM, InstructionRows, answers
from groundup.tasks.threshold import choose_threshold
from groundup.train.checkpoint import save_model

CONTEXT = 12
DOCUMENTS = ["Mira lived.", "Tom has a red fox.", "naïve"]
N_BYTES = sum(len(text.encode()) for text in DOCUMENTS)


def settings(**changes: Any) -> EvaluateParams:
    values: dict[str, Any] = {
        "batch_size": 4,
        "window_stride": 6,
        "prompts": ("The",),
        "sample_tokens": 4,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "stories": 0,
        "response_tokens": 4,
        "confidence": 0.95,
    }
    return EvaluateParams(**(values | changes))


def model_of_bytes(seed: int = 0):
    return tiny_gpt(seed, vocab_size=257, context_length=CONTEXT)


def save(folder, model, facts=None):
    folder.mkdir(parents=True)
    save_model(folder, model, byte_tokenizer(), facts or {})
    return folder


def write_documents(folder, texts) -> None:
    tokenizer = byte_tokenizer()
    write_token_store(folder, [[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in texts], 257)


@pytest.fixture
def corpus(tmp_path):
    for side in ("train", "test"):
        write_documents(tmp_path / "corpus" / side, DOCUMENTS)
    return tmp_path / "corpus"


@pytest.fixture
def pretrained(tmp_path):
    return save(tmp_path / "pretrained", model_of_bytes())


def test_the_floor_is_counted_over_the_bytes_that_the_model_is_scored_on(corpus, pretrained):
    np.save(corpus / "test" / SURPRISAL_FILE, np.array([20.0, 30.0, 5.5]))
    figures = evaluate_language_model(pretrained, corpus, settings(), 0, CPU).figures
    assert figures["bytes"] == N_BYTES
    assert figures["floor_bits_per_byte"] == pytest.approx(55.5 / N_BYTES, rel=1e-12)
    bits = figures["loss_nats"] * figures["tokens"] / math.log(2)
    assert figures["ratio_to_floor"] == pytest.approx(bits / 55.5, rel=1e-12)


def test_without_known_surprisals_there_is_no_floor(corpus, pretrained):
    figures = evaluate_language_model(pretrained, corpus, settings(), 0, CPU).figures
    assert not {"floor_bits_per_byte", "ratio_to_floor", "stories"} & set(figures)


@pytest.mark.parametrize("bits", [[1.0, 2.0], [1.0, 2.0, math.inf], [0.0, 0.0, 0.0], [[1.0, 2.0, 3.0]]])
def test_surprisals_that_do_not_fit_the_documents_are_refused(corpus, pretrained, bits):
    np.save(corpus / "test" / SURPRISAL_FILE, np.array(bits))
    with pytest.raises(GroundupError, match=f"{SURPRISAL_FILE}: does not fit the tokens.*allowed: 3") as caught:
        evaluate_language_model(pretrained, corpus, settings(), 0, CPU)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_of_surprisals_is_refused(corpus, pretrained):
    (corpus / "test" / SURPRISAL_FILE).write_bytes(b"no array")
    with pytest.raises(GroundupError, match=f"{SURPRISAL_FILE}: damaged"):
        evaluate_language_model(pretrained, corpus, settings(), 0, CPU)


def test_as_many_stories_are_written_as_asked_for_and_compared_with_the_train_side(corpus, pretrained):
    first = evaluate_language_model(pretrained, corpus, settings(stories=6), 0, CPU)
    assert first.figures["stories"]["written"] == len(first.stories) == 6
    assert first.figures["stories"]["copies"] == 0.0
    assert "keep_rules" not in first.figures["stories"]
    write_documents(corpus / "train", [*DOCUMENTS, first.stories[2]["text"]])
    again = evaluate_language_model(pretrained, corpus, settings(stories=6), 0, CPU)
    assert [row["copy"] for row in again.stories] == [False, False, True, False, False, False]
    assert again.figures["stories"]["copies"] == pytest.approx(1 / 6)


TRAIN = ["free prize", "cash prize now", "free cash", "see you at noon", "lunch at home", "home at noon"]
HELD_OUT = ["prize cash", "you see a prize", "home now"]
TEST = ["prize now", "free lunch", "at noon", "see home"]


def labelled(folder, texts, labels, best_guesses=None) -> LabelledRows:
    write_documents(folder, texts)
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    if best_guesses is not None:
        rows = [row | {"best_guess": guess} for row, guess in zip(rows, best_guesses, strict=True)]
    write_rows(folder / ROWS_FILE, rows)
    return LabelledRows.load(folder)


@pytest.fixture
def classifier(tmp_path):
    facts = {"labels": ["ham", "spam"], "threshold": 0.5, "threshold_for": "accuracy"}
    return save(tmp_path / "classifier", GPTClassifier(model_of_bytes(), 2), facts)


def sides_of(folder, best_guesses=None):
    labels = ["spam"] * 3 + ["ham"] * 3
    return {
        "train": labelled(folder / "train", TRAIN, labels),
        "validation": labelled(folder / "validation", HELD_OUT, ["spam", "spam", "ham"]),
        "test": labelled(folder / "test", TEST, ["spam", "ham", "ham", "ham"], best_guesses),
    }


def test_the_best_possible_is_how_often_the_best_guess_is_right(classifier, tmp_path):
    sides = sides_of(tmp_path, ["spam", "spam", "ham", "ham"])
    assert evaluate_classifier(classifier, sides, settings(), CPU)[0].figures["best_possible"] == 0.75


@pytest.mark.parametrize("guesses", [None, ["spam", "", "ham", "ham"], ["", "", "", ""]])
def test_without_a_best_guess_for_every_test_message_there_is_no_best_possible(classifier, tmp_path, guesses):
    evaluated, _ = evaluate_classifier(classifier, sides_of(tmp_path, guesses), settings(), CPU)
    assert "best_possible" not in evaluated.figures


def test_every_baseline_is_measured_on_the_test_rows_and_drawn(classifier, tmp_path):
    evaluated, scores = evaluate_classifier(classifier, sides_of(tmp_path), settings(), CPU)
    baselines = evaluated.figures["baselines"]
    assert list(baselines) == ["majority", "tfidf_logreg", "char_svm"]
    assert {sum(row["confusion"].values()) for row in baselines.values()} == {len(TEST)}
    assert list(scores.probabilities) == ["GPT", "TF-IDF + logistic regression", "character n-gram SVM"]
    svm = scores.probabilities["character n-gram SVM"][:, 1]
    called = svm >= baselines["char_svm"]["threshold"]
    assert baselines["char_svm"]["accuracy"] == np.mean(called == scores.labels)
    train, validation = ((TRAIN, np.array([1, 1, 1, 0, 0, 0])), (HELD_OUT, np.array([1, 1, 0])))
    on_validation, _ = char_svm_scores(train, validation, TEST)
    assert baselines["char_svm"]["threshold"] == choose_threshold(validation[1], on_validation[:, 1], "accuracy")
    assert baselines["char_svm"]["roc_auc"] > 0.5  # these words part the classes


def test_what_a_message_was_called_stands_beside_it(classifier, tmp_path):
    evaluated, _ = evaluate_classifier(classifier, sides_of(tmp_path), settings(), CPU)
    for row in evaluated.samples:
        assert row["right"] == (row["called"] == row["label"])
        assert row["called"] == ("spam" if row["probability"] >= 0.5 else "ham")


# --- more than two classes

MANY_TRAIN = {"bill": ["pay now", "the bill"], "bug": ["it broke", "no sound"], "praise": ["so good", "well done"]}


@pytest.fixture
def many_classifier(tmp_path):
    facts = {"labels": ["bill", "bug", "praise"], "threshold": None, "threshold_for": "accuracy"}
    return save(tmp_path / "classifier", GPTClassifier(model_of_bytes(), 3), facts)


def many_sides(folder, test_labels=("bug", "bill", "praise", "bug")):
    train = [(text, label) for label, texts in MANY_TRAIN.items() for text in texts]
    return {
        "train": labelled(folder / "train", *map(list, zip(*train, strict=True))),
        "validation": labelled(folder / "validation", ["a bill", "broke", "done"], ["bill", "bug", "praise"]),
        "test": labelled(folder / "test", ["no bill", "payd it", "goood", "itt brok so"], list(test_labels)),
    }


def test_a_classifier_of_many_classes_and_its_baselines_call_the_most_probable_one(many_classifier, tmp_path):
    evaluated, scores = evaluate_classifier(many_classifier, many_sides(tmp_path), settings(), CPU)
    figures = evaluated.figures
    names = scores.classes.names
    assert scores.labels.tolist() == [1, 0, 2, 1]
    assert list(figures["baselines"]) == ["majority", "tfidf_logreg", "char_svm"]
    assert figures["rows"] == 4
    for row in (figures, *figures["baselines"].values()):
        assert sum(sum(each.values()) for each in row["confusion"].values()) == 4
        assert set(row["per_class"]) == set(names)
        assert "threshold" not in row
    assert {probabilities.shape for probabilities in scores.probabilities.values()} == {(4, 3)}
    for name, key in (("TF-IDF + logistic regression", "tfidf_logreg"), ("character n-gram SVM", "char_svm")):
        own = many_class_figures(scores.labels, scores.probabilities[name], names, 0.95)
        assert figures["baselines"][key] == own
    assert figures["baselines"]["tfidf_logreg"] != figures["baselines"]["char_svm"]
    assert figures["baselines"]["majority"]["accuracy"] == 0.25  # all are called the first of three equal classes
    gpt = scores.probabilities["GPT"]
    assert [row["called"] for row in evaluated.samples] == [names[number] for number in gpt.argmax(axis=1)]
    assert [row["probability"] for row in evaluated.samples] == pytest.approx(gpt.max(axis=1).tolist(), abs=1e-4)
    assert all(row["right"] == (row["called"] == row["label"]) for row in evaluated.samples)


def test_a_test_label_that_no_train_message_has_is_refused(many_classifier, tmp_path):
    sides = many_sides(tmp_path, ("bug", "bill", "praise", "noise"))
    with pytest.raises(GroundupError, match="the test messages have a label that no train message has; got noise"):
        evaluate_classifier(many_classifier, sides, settings(), CPU)


def instruction_rows(folder, rows) -> InstructionRows:
    tokenizer = byte_tokenizer()
    prompts = [tokenizer.encode(row["instruction"]) for row in rows]
    pairs = [
        [*prompt, *tokenizer.encode(row["output"]), tokenizer.end_of_text_id]
        for prompt, row in zip(prompts, rows, strict=True)
    ]
    write_token_store(folder, pairs, 257)
    np.save(folder / PROMPT_LENGTHS_FILE, np.array([len(prompt) for prompt in prompts]))
    write_rows(folder / ROWS_FILE, rows)
    return InstructionRows.load(folder)


def asked(n: int, **values: str) -> list[dict[str, str]]:
    return [{"instruction": f"q{number}", "input": "", "output": "ab", **values} for number in range(n)]


def test_the_model_from_random_weights_is_measured_on_the_same_rows(tmp_path):
    """Every answer of the one model is wanted, so that it is right and the other is not."""
    beginner = model_of_bytes(seed=1)
    rows = instruction_rows(tmp_path / "rows", [*asked(3, kind="fact"), *asked(2, kind="sum")])
    said = answers(beginner, rows, list(range(5)), byte_tokenizer(), settings().response_tokens, 4)
    rows = replace(rows, rows=[replace(row, output=each.text) for row, each in zip(rows.rows, said, strict=True)])
    folder = save(tmp_path / "instructed", model_of_bytes())
    save(folder / FROM_RANDOM, beginner)
    figures = evaluate_instructions(folder, rows, [], settings(), 0, CPU).figures
    assert figures["exact_match"] == 0.0
    assert figures[FROM_RANDOM] == {
        "exact_match": 1.0,
        "token_f1": 1.0,
        "rouge_l": 1.0,
        "ended": 0.0,
        "repeats": 0.0,
        "facts_exact_match": 1.0,
        "by_kind": {"fact": {"rows": 3, "exact_match": 1.0}, "sum": {"rows": 2, "exact_match": 1.0}},
        "versus": {"exact_match_difference": -1.0, "low": -1.0, "high": -1.0, "mcnemar_p": 0.0625},
    }
