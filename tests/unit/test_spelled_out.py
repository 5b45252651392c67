"""A classifier that reads each message a second time, letter by letter: in training, measuring and use alike."""

from typing import Any

import pytest
import torch
from helpers import CPU, classifier_settings, labelled_rows, tiny_gpt, trained_tokenizer
from test_evaluate import settings, sides_of
from test_glimpse import sides as texts_of_all_kinds

from groundup.data.token_store import TokenStore
from groundup.evaluation.classifier import evaluate_classifier
from groundup.evaluation.glimpse import glimpse
from groundup.model.gpt import GPT, GPTClassifier
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities, spelled
from groundup.tasks.fine_tune_classifier import fine_tune_classifier
from groundup.train.checkpoint import save_model
from groundup.use.labelling import load_labeller

TOKENIZER = trained_tokenizer()
CONTEXT = 48


def trunk(seed: int = 0) -> GPT:
    return tiny_gpt(seed, vocab_size=TOKENIZER.vocab_size, context_length=CONTEXT)


def saved(folder, *, spelled_out: bool | None):
    """A classifier whose class head tells texts apart; None: of before the key."""
    classifier = GPTClassifier(trunk(1), 2)
    with torch.no_grad():
        classifier.class_head.weight.normal_(generator=torch.Generator().manual_seed(2))
    facts: dict[str, Any] = {"labels": ["ham", "spam"], "threshold": 0.5, "threshold_for": "accuracy"}
    folder.mkdir()
    save_model(folder, classifier, TOKENIZER, facts | ({} if spelled_out is None else {"spelled_out": spelled_out}))
    return folder


def test_the_second_time_each_letter_is_a_token_of_its_own():
    assert len(TOKENIZER.encode("the cat")) < 7
    assert spelled("the cat") == "the cat\nt h e   c a t"
    pieces = [TOKENIZER.decode([each]) for each in TOKENIZER.encode(spelled("the cat"))]
    after = pieces[pieces.index("\n") + 1 :]
    assert [piece.strip() for piece in after if piece.strip()] == list("thecat")


@pytest.mark.parametrize("text", ["x", "a b", "£1,000 → 東京!", "two\nlines", "👍🏽"])
def test_both_times_the_text_is_whole(text):
    assert spelled(text)[: len(text)] == text
    assert spelled(text)[len(text)] == "\n"
    assert spelled(text)[len(text) + 1 :: 2] == text


def test_rows_keep_all_but_their_tokens(tmp_path):
    rows = labelled_rows(tmp_path)
    read = rows.as_read(TOKENIZER, spelled_out=True)
    assert (read.texts, read.labels, read.best_guesses) == (rows.texts, rows.labels, rows.best_guesses)
    for number, text in enumerate(rows.texts):
        tokens = read.store[number].tolist()
        assert tokens == [*TOKENIZER.encode(spelled(text)), TOKENIZER.end_of_text_id]
    assert rows.as_read(TOKENIZER, spelled_out=False) is rows


def test_texts_are_read_as_rows_are(tmp_path):
    rows = labelled_rows(tmp_path)
    for spelled_out in (False, True):
        read = LabelledRows.without_labels(rows.texts, TOKENIZER, spelled_out=spelled_out)
        again = read.as_read(TOKENIZER, spelled_out=spelled_out)
        assert read.store.tokens.tolist() == again.store.tokens.tolist()
        assert read.store.offsets.tolist() == again.store.offsets.tolist()
        assert read.labels == [""] * len(rows.texts)


def rows_of(texts: list[str], labels: list[str]) -> LabelledRows:
    store = TokenStore.of(list(TOKENIZER.encode_arrays(texts, with_end=True)))
    return LabelledRows(store, texts, labels)


def tuned_on(rows: LabelledRows, validation: LabelledRows, **changes: Any):
    changed = classifier_settings(epochs=2, batch_size=2, language_weight=0.5, **changes)
    return fine_tune_classifier(
        trunk(),
        TOKENIZER,
        changed,
        rows=rows,
        unlabelled=rows,
        validation=validation,
        seed=0,
        keeper_of=lambda name: None,  # type: ignore[arg-type, return-value]
    )


def test_a_classifier_learns_from_what_it_reads():
    """As it would from texts that had been spelled out before; the text of the messages stays as it is."""
    texts, labels = ["the cat", "a rat sat", "the mat", "cat on mat"], ["ham", "spam", "ham", "spam"]
    rows, validation = rows_of(texts, labels), rows_of(["a cat", "the rat on the mat"], ["ham", "spam"])
    before = [rows_of([spelled(text) for text in each.texts], each.labels) for each in (rows, validation)]
    ours, theirs = tuned_on(rows, validation, spelled_out=True), tuned_on(*before)
    assert ours.facts["spelled_out"] is True
    assert theirs.facts["spelled_out"] is False
    assert ours.outcome.train_rows == theirs.outcome.train_rows
    assert ours.outcome.validation_rows == theirs.outcome.validation_rows
    assert ours.facts["threshold"] == theirs.facts["threshold"]
    own = torch.nn.functional.cross_entropy(class_logits(ours.model, before[1]), torch.tensor([0, 1])).item()
    assert ours.outcome.best_loss_nats == pytest.approx(own, rel=1e-4)
    weights = theirs.model.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in ours.model.state_dict().items())


def test_what_is_written_before_sorting_is_the_messages_alone():
    texts, labels = ["the cat sat on the mat", "a rat sat on the cat"] * 4, ["ham", "spam"] * 4
    rows = rows_of(texts, labels)
    changes = {"language_steps": 2, "language_batch_size": 1}
    plain, letters = (tuned_on(rows, rows, spelled_out=each, **changes) for each in (False, True))
    assert plain.figures["writing"] == letters.figures["writing"]
    assert plain.outcome.tokens < letters.outcome.tokens


def sides(folder):
    return {name: rows_of(rows.texts, rows.labels) for name, rows in sides_of(folder).items()}


@pytest.mark.parametrize("spelled_out", [None, False, True])
def test_a_classifier_is_measured_and_used_as_it_was_trained(tmp_path, spelled_out):
    folder = saved(tmp_path / "classifier", spelled_out=spelled_out)
    given = sides(tmp_path)
    scores = evaluate_classifier(folder, given, settings(), 0, CPU)[1]
    labeller = load_labeller(folder)
    assert scores.probabilities["GPT"] == pytest.approx(labeller.probabilities(given["test"].texts), abs=1e-6)
    texts = [spelled(text) if spelled_out else text for text in given["test"].texts]
    wanted = class_probabilities(class_logits(labeller.classifier, rows_of(texts, ["ham"] * len(texts))))
    assert scores.probabilities["GPT"] == pytest.approx(wanted, abs=1e-6)


def test_the_beginner_beside_it_reads_the_same(tmp_path):
    folder = saved(tmp_path / "classifier", spelled_out=True)
    saved(folder / "from_random", spelled_out=True)
    figures = evaluate_classifier(folder, sides(tmp_path), settings(), 0, CPU)[0].figures
    assert figures["from_random"]["loss_nats"] == pytest.approx(figures["loss_nats"], abs=1e-6)


def test_the_report_asks_it_as_it_was_trained(tmp_path):
    for number, name in enumerate(("pretrained", "instructed")):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, trunk(number), TOKENIZER, {})
    folder = saved(tmp_path / "classifier", spelled_out=True)
    models = (tmp_path / "pretrained", folder, tmp_path / "instructed")
    seen = glimpse(models, *texts_of_all_kinds(tmp_path), settings(), 1, CPU)["three"]
    labeller = load_labeller(folder)
    assert [row["probability"] for row in seen] == pytest.approx(
        [labeller.label([row["text"]])[0][1] for row in seen], abs=1e-3
    )


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_the_class_head_is_trained_on_what_the_key_names(pooling):
    rows = rows_of(["the cat", "a rat sat"], ["ham", "spam"])
    assert tuned_on(rows, rows, spelled_out=True, pooling=pooling).model.pooling == pooling
