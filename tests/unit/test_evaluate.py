"""The figures of the three models, on tiny models and sides whose right figures can be worked out by hand."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from helpers import CPU, byte_tokenizer, instruction_rows, tiny_gpt

from groundup.config import FROM_RANDOM, EvaluateParams
from groundup.data.rows import ROWS_FILE, write_rows
from groundup.data.token_store import TokenStore, write_token_store
from groundup.errors import GroundupError
from groundup.evaluation.baselines import svm_scores
from groundup.evaluation.calibration import fit_temperature, with_temperature
from groundup.evaluation.classifier import evaluate_classifier
from groundup.evaluation.instructions import evaluate_instructions
from groundup.evaluation.intervals import bootstrap, interval_of, ratio_of_sums
from groundup.evaluation.language import SURPRISAL_FILE, evaluate_language_model
from groundup.evaluation.metrics import many_class_figures
from groundup.evaluation.ngram import NgramModel
from groundup.evaluation.surprise import token_losses
from groundup.model.gpt import GPTClassifier
from groundup.report.classifier_files import curves_of
from groundup.tasks.classify import LabelledRows, class_logits
from groundup.tasks.instruct import answers
from groundup.tasks.threshold import choose_threshold
from groundup.train.checkpoint import load_classifier, save_model

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
        "sample_temperatures": (0.0, 1.0),
        "ngram_order": 3,
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


def test_each_prompt_is_continued_at_each_temperature_with_the_nearest_passage_beside_it(corpus, pretrained):
    asked = settings(prompts=("The", "Tom"), sample_temperatures=(0.0, 2.0))
    evaluated = evaluate_language_model(pretrained, corpus, asked, 0, CPU)
    rows = evaluated.samples
    wanted = [("The", 0.0), ("The", 2.0), ("Tom", 0.0), ("Tom", 2.0)]
    assert [(row["prompt"], row["temperature"]) for row in rows] == wanted
    assert rows[0]["text"] != rows[1]["text"]
    write_documents(corpus / "train", [*DOCUMENTS, f"so {rows[3]['text']} it was"])
    row = evaluate_language_model(pretrained, corpus, asked, 0, CPU).samples[3]
    assert row["overlap"] == len(row["text"])
    assert row["copied_share"] == 1.0
    assert row["passage"] == f"so ⟦{row['text']}⟧ it was"
    assert evaluate_language_model(pretrained, corpus, settings(sample_temperatures=()), 0, CPU).samples == []


def test_how_much_of_the_stories_is_copied_is_measured(corpus, pretrained):
    evaluated = evaluate_language_model(pretrained, corpus, settings(stories=6), 0, CPU)
    lengths = sorted(row["overlap"] for row in evaluated.stories)
    figures = evaluated.figures["stories"]
    assert figures["longest_copy_median"] == (lengths[2] + lengths[3]) / 2
    assert figures["longest_copy_max"] == lengths[5]
    assert figures["half_copied"] == np.mean([row["copied_share"] >= 0.5 for row in evaluated.stories])
    write_documents(corpus / "train", [evaluated.stories[0]["text"]])
    again = evaluate_language_model(pretrained, corpus, settings(stories=6), 0, CPU).figures["stories"]
    assert again["half_copied"] >= 1 / 6
    assert again["longest_copy_max"] >= len(evaluated.stories[0]["text"])


TEXTS_OF_MANY = [f"Mira has {number} plums and {number + 1} nuts." for number in range(40)]


@pytest.fixture
def many(tmp_path):
    for side in ("train", "test"):
        write_documents(tmp_path / "many" / side, TEXTS_OF_MANY)
    return tmp_path / "many"


def test_simple_ways_to_predict_are_measured_on_the_same_bytes(many, pretrained):
    figures = evaluate_language_model(pretrained, many, settings(), 0, CPU).figures
    baselines = figures["baselines"]
    assert set(baselines) == {"unigram", "ngram", "xz", "zstd", "xz_alone", "zstd_alone", "bzip2_alone"}
    train, test = TokenStore.load(many / "train"), TokenStore.load(many / "test")
    for name, order in (("unigram", 1), ("ngram", 3)):
        bits = NgramModel(train, order, 257).losses(test).sum() / math.log(2)
        assert baselines[name]["bits_per_byte"] == pytest.approx(bits / figures["bytes"], rel=1e-12)
    assert baselines["ngram"]["order"] == 3
    difference = figures["minus_ngram"]
    assert difference["bits_per_byte"] == figures["bits_per_byte"] - baselines["ngram"]["bits_per_byte"]
    assert difference["bits_per_byte_low"] < difference["bits_per_byte"] < difference["bits_per_byte_high"]
    for name in ("xz", "zstd"):
        assert baselines[name]["bits_per_byte"] < baselines[f"{name}_alone"]["bits_per_byte"]
    without = evaluate_language_model(pretrained, many, settings(ngram_order=0), 0, CPU).figures
    assert not {"ngram"} & set(without["baselines"])
    assert "minus_ngram" not in without


def test_bounds_are_those_of_drawing_documents_anew(many, pretrained):
    floor = np.linspace(50, 90, len(TEXTS_OF_MANY))
    np.save(many / "test" / SURPRISAL_FILE, floor)
    figures = evaluate_language_model(pretrained, many, settings(), 0, CPU).figures
    test = TokenStore.load(many / "test")
    losses = token_losses(model_of_bytes(), test, 256, stride=6, batch_size=4)
    nats = np.array([losses[a:b].sum(dtype=float) for a, b in pairwise(test.offsets)])
    n_bytes = np.array([len(text) for text in TEXTS_OF_MANY])
    for name, numerator, denominator in (
        ("loss_nats", nats, n_bytes + 1),
        ("bits_per_byte", nats / math.log(2), n_bytes),
        ("ratio_to_floor", nats / math.log(2), floor),
    ):
        found = interval_of(bootstrap(ratio_of_sums(numerator, denominator), len(nats), 0), 0.95)
        assert (figures[f"{name}_low"], figures[f"{name}_high"]) == pytest.approx(found, rel=1e-6)
        assert figures[f"{name}_low"] < figures[name] < figures[f"{name}_high"]


def test_of_a_few_documents_pieces_are_drawn_and_of_one_piece_nothing(tmp_path, pretrained):
    write_documents(tmp_path / "a" / "train", DOCUMENTS)
    write_documents(tmp_path / "a" / "test", ["x" * 5 * CONTEXT + "yz" * CONTEXT])
    assert "bits_per_byte_low" in evaluate_language_model(pretrained, tmp_path / "a", settings(), 0, CPU).figures
    write_documents(tmp_path / "a" / "test", ["Mira"])
    figures = evaluate_language_model(pretrained, tmp_path / "a", settings(), 0, CPU).figures
    assert not [key for key in figures if key.endswith("_low")]


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
    assert evaluate_classifier(classifier, sides, settings(), 0, CPU)[0].figures["best_possible"] == 0.75


@pytest.mark.parametrize("guesses", [None, ["spam", "", "ham", "ham"], ["", "", "", ""]])
def test_without_a_best_guess_for_every_test_message_there_is_no_best_possible(classifier, tmp_path, guesses):
    evaluated, _ = evaluate_classifier(classifier, sides_of(tmp_path, guesses), settings(), 0, CPU)
    assert "best_possible" not in evaluated.figures


def test_every_baseline_is_measured_on_the_test_rows_and_drawn(classifier, tmp_path):
    evaluated, scores = evaluate_classifier(classifier, sides_of(tmp_path), settings(), 0, CPU)
    baselines = evaluated.figures["baselines"]
    assert list(baselines) == ["majority", "naive_bayes", "tfidf_logreg", "svm"]
    assert {sum(row["confusion"].values()) for row in baselines.values()} == {len(TEST)}
    assert list(scores.probabilities) == list(scores.called) == ["GPT", *baselines]
    svm = scores.probabilities["svm"][:, 1]
    called = svm >= baselines["svm"]["threshold"]
    assert baselines["svm"]["accuracy"] == np.mean(called == scores.labels)
    train, validation = ((TRAIN, np.array([1, 1, 1, 0, 0, 0])), (HELD_OUT, np.array([1, 1, 0])))
    on_validation, _ = svm_scores(train, validation, TEST)
    assert baselines["svm"]["threshold"] == choose_threshold(validation[1], on_validation[:, 1], "accuracy")
    assert baselines["svm"]["roc_auc"] > 0.5  # these words part the classes


def numbers_of(value: dict[str, Any]) -> list[Any]:
    return [each for inner in value.values() for each in (numbers_of(inner) if isinstance(inner, dict) else [inner])]


def test_each_classifier_has_its_intervals_and_each_baseline_a_comparison(classifier, tmp_path):
    figures = evaluate_classifier(classifier, sides_of(tmp_path), settings(), 0, CPU)[0].figures
    for name, row in {"GPT": figures, **figures["baselines"]}.items():
        for key in ("accuracy", "precision", "recall", "f1", "roc_auc", *(["loss_nats"] if name != "svm" else [])):
            assert 0 <= row[f"{key}_low"] <= row[f"{key}_high"], (name, key)
        assert ("loss_nats" in row) == (name != "svm")  # distances have no log loss
        assert ("versus" in row) == (name != "GPT")
        if name != "GPT":
            assert row["versus"]["accuracy_difference"] == pytest.approx(figures["accuracy"] - row["accuracy"])
            assert row["versus"]["f1_difference"] == pytest.approx(figures["f1"] - row["f1"])
    assert figures["positive_rate"] == 0.25
    assert figures["confidence"] == 0.95
    assert "slices" not in figures  # no part of four messages has ten
    assert all(isinstance(each, int | float) for each in numbers_of(figures))


def test_the_same_seed_gives_the_same_figures(classifier, tmp_path):
    sides = sides_of(tmp_path) | {"test": labelled(tmp_path / "more", TEST * 10, ["spam", "ham", "ham", "ham"] * 10)}
    first, again, other = (
        evaluate_classifier(classifier, sides, settings(), seed, CPU)[0].figures for seed in (0, 0, 1)
    )
    assert first == again
    assert first["loss_nats_low"] != other["loss_nats_low"]


def test_the_temperature_is_fitted_on_validation_and_changes_no_call(classifier, tmp_path):
    sides = sides_of(tmp_path)
    evaluated, scores = evaluate_classifier(classifier, sides, settings(), 0, CPU)
    temperature = evaluated.figures["calibration"]["temperature"]
    model, _, _ = load_classifier(classifier, CPU)
    logits = {side: class_logits(model, sides[side]).double().numpy() for side in ("validation", "test")}
    assert temperature == fit_temperature(np.array([1, 1, 0]), logits["validation"])
    assert temperature != fit_temperature(np.array([1, 0, 0, 0]), logits["test"])
    np.testing.assert_allclose(scores.scaled, with_temperature(logits["test"], temperature))
    assert evaluated.figures["accuracy"] == np.mean((scores.probabilities["GPT"][:, 1] >= 0.5) == scores.labels)
    assert evaluated.figures["calibration"]["loss_nats"] == evaluated.figures["loss_nats"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", ["ham", "spam"])
def test_test_messages_of_one_class_are_evaluated_without_a_warning(classifier, tmp_path, label):
    sides = sides_of(tmp_path) | {"test": labelled(tmp_path / "one", TEST, [label] * 4)}
    evaluated, scores = evaluate_classifier(classifier, sides, settings(), 0, CPU)
    assert evaluated.figures["positive_rate"] == float(label == "spam")
    assert evaluated.figures["roc_auc"] == 0.5
    assert (evaluated.figures["roc_auc_low"], evaluated.figures["roc_auc_high"]) == (0.0, 1.0)  # nothing is known
    assert curves_of(scores) == {}


def test_what_a_message_was_called_stands_beside_it(classifier, tmp_path):
    evaluated, _ = evaluate_classifier(classifier, sides_of(tmp_path), settings(), 0, CPU)
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
    evaluated, scores = evaluate_classifier(many_classifier, many_sides(tmp_path), settings(), 0, CPU)
    figures = evaluated.figures
    names = scores.classes.names
    assert scores.labels.tolist() == [1, 0, 2, 1]
    assert list(figures["baselines"]) == ["majority", "naive_bayes", "tfidf_logreg", "svm"]
    assert figures["rows"] == 4
    for row in (figures, *figures["baselines"].values()):
        assert sum(sum(each.values()) for each in row["confusion"].values()) == 4
        assert set(row["per_class"]) == set(names)
        assert "threshold" not in row
    assert {probabilities.shape for probabilities in scores.probabilities.values()} == {(4, 3)}
    for key in ("tfidf_logreg", "svm"):
        own = many_class_figures(scores.labels, scores.probabilities[key], names, 0.95)
        assert {name: figures["baselines"][key][name] for name in own} == own
    assert figures["baselines"]["tfidf_logreg"] != figures["baselines"]["svm"]
    assert figures["baselines"]["majority"]["accuracy"] == 0.25  # all are called the first of three equal classes
    gpt = scores.probabilities["GPT"]
    assert [row["called"] for row in evaluated.samples] == [names[number] for number in gpt.argmax(axis=1)]
    assert [row["probability"] for row in evaluated.samples] == pytest.approx(gpt.max(axis=1).tolist(), abs=1e-4)
    assert all(row["right"] == (row["called"] == row["label"]) for row in evaluated.samples)


def test_a_test_label_that_no_train_message_has_is_refused(many_classifier, tmp_path):
    sides = many_sides(tmp_path, ("bug", "bill", "praise", "noise"))
    with pytest.raises(GroundupError, match="the test messages have a label that no train message has; got noise"):
        evaluate_classifier(many_classifier, sides, settings(), 0, CPU)


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
