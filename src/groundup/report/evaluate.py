"""The evaluation of the three models on the test side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.data.split import Side
from groundup.data.token_store import SURPRISAL_FILE, TokenStore
from groundup.errors import GroundupError
from groundup.generate import Sampling, generate
from groundup.model.gpt import GPT
from groundup.report.baselines import char_svm_scores, majority_probabilities, tfidf_probabilities
from groundup.report.metrics import classifier_figures, exact_match, token_f1, with_best_threshold
from groundup.report.stories import Checker, documents_of, judge_stories, write_stories
from groundup.seeding import derive_seed
from groundup.tasks.classes import Classes, label_numbers
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.tasks.instruct import FROM_RANDOM, InstructionRows, answers, response_loss
from groundup.tasks.language import score_corpus
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_classifier, load_model

FACT = "fact"  # the kind of instruction that asks for what only the corpus tells


@dataclass(frozen=True)
class Evaluated:
    """Figures of one model, and rows to show beside them; of the language model also the stories it wrote."""

    figures: dict[str, Any]
    samples: list[dict[str, Any]]
    stories: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ClassifierScores:
    """What each classifier said of each test message. Shapes: labels (N,), probabilities (N, K) by name.

    Args:
        classes: with the threshold of the GPT.
    """

    classes: Classes
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]


def evaluate_language_model(
    folder: Path,
    corpus: Path,
    settings: EvaluateParams,
    seed: int,
    device: torch.device,
    checker: Checker | None = None,
) -> Evaluated:
    """Loss, perplexity and bits per byte of the test text, how near that is to the floor, and what the model writes.

    Args:
        corpus: the folder with the sides of the corpus.
        checker: reads the stories by the rules of their world, where there are rules.
    """
    test = TokenStore.load(corpus / "test")
    model, tokenizer, _ = load_model(folder, device)
    score = score_corpus(model, test, tokenizer, stride=settings.window_stride, batch_size=settings.batch_size)
    figures: dict[str, Any] = {**score.figures(), "tokens": score.n_targets, "bytes": score.n_bytes}
    bits = floor_bits(corpus / "test", len(test))
    if bits is not None:
        figures["floor_bits_per_byte"] = bits / score.n_bytes
        figures["ratio_to_floor"] = figures["bits_per_byte"] / figures["floor_bits_per_byte"]
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    written = write_on(model, tokenizer, settings.prompts, settings.sample_tokens, sampling, seed)
    samples = [{"prompt": prompt, "text": text} for prompt, text in zip(settings.prompts, written, strict=True)]
    stories: list[dict[str, Any]] = []
    if settings.stories:
        written_stories = write_stories(model, tokenizer, settings.stories, sampling, seed, settings.batch_size)
        known = documents_of(TokenStore.load(corpus / "train"), tokenizer)
        figures["stories"], stories = judge_stories(written_stories, known, checker)
    return Evaluated(figures, samples, stories)


def floor_bits(side: Path, n_documents: int) -> float | None:
    """The bits that one who knows how the documents were made still needs for them; None where that is not known.

    Units:  bits, summed over all documents
    Raises: GroundupError if the file is not one positive number a document.
    """
    path = side / SURPRISAL_FILE
    if not path.is_file():
        return None
    try:
        bits = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise GroundupError(f"{path}: damaged", got=str(error), do="remove the folder and run `dvc repro`") from None
    if bits.shape != (n_documents,) or not np.isfinite(bits).all() or bits.sum() <= 0:
        raise GroundupError(
            f"{path}: does not fit the tokens beside it",
            got=f"{bits.size} numbers, {float(bits.sum()):g} bits",
            allowed=f"{n_documents} finite numbers",
            do="remove the folder and run `dvc repro`",
        )
    return float(bits.sum())


def write_on(
    model: GPT, tokenizer: Tokenizer, prompts: Sequence[str], max_new_tokens: int, sampling: Sampling, seed: int
) -> list[str]:
    """How the model goes on after each prompt, up to the end-of-text token."""
    tokens = [[tokenizer.end_of_text_id, *tokenizer.encode(prompt)] for prompt in prompts]
    new = generate(
        model,
        tokens,
        max_new_tokens,
        sampling=sampling,
        stop_id=tokenizer.end_of_text_id,
        seed=derive_seed(seed, "evaluate"),
    )
    return [tokenizer.decode(each) for each in new]


def evaluate_classifier(
    folder: Path, sides: Mapping[Side, LabelledRows], settings: EvaluateParams, device: torch.device
) -> tuple[Evaluated, ClassifierScores]:
    """The classifier on the test messages, beside the majority class and two classical classifiers.

    All learn from the same train rows, and of two classes each has its threshold from the validation rows. Where it is
    known how each message was made, `best_possible` is the accuracy of one who knows.
    """
    model, _, facts = load_classifier(folder, device)
    classes = Classes.of(facts)
    labels = {side: label_numbers(rows.labels, classes.names, side) for side, rows in sides.items()}
    test = sides["test"]
    probabilities = class_probabilities(class_logits(model, test))
    train, validation = ((sides[side].texts, labels[side]) for side in ("train", "validation"))
    tfidf_on_validation, tfidf = tfidf_probabilities(train, validation, test.texts)
    svm_on_validation, svm = char_svm_scores(train, validation, test.texts)
    majority = majority_probabilities(labels["train"], len(test.labels), len(classes.names))

    def figures(scores: np.ndarray, rule: Classes) -> dict[str, Any]:
        return classifier_figures(labels["test"], scores, rule, settings.confidence)

    def tuned(on_validation: np.ndarray) -> Classes:
        return with_best_threshold(classes, labels["validation"], on_validation, facts["threshold_for"])

    result = figures(probabilities, classes) | {
        "rows": len(test.labels),
        "baselines": {
            "majority": figures(majority, classes.with_threshold(0.5)),
            "tfidf_logreg": figures(tfidf, tuned(tfidf_on_validation)),
            "char_svm": figures(svm, tuned(svm_on_validation)),
        },
    }
    if test.best_guesses and all(test.best_guesses):
        right = [guess == label for guess, label in zip(test.best_guesses, test.labels, strict=True)]
        result["best_possible"] = float(np.mean(right))
    called = [classes.names[number] for number in classes.called(probabilities)]
    samples = [
        {
            "text": text,
            "label": label,
            "called": call,
            "probability": round(float(probability), 4),
            "right": call == label,
        }
        for text, label, call, probability in zip(
            test.texts, test.labels, called, classes.told(probabilities), strict=True
        )
    ]
    by_name = {"GPT": probabilities, "TF-IDF + logistic regression": tfidf, "character n-gram SVM": svm}
    return Evaluated(result, samples), ClassifierScores(classes, labels["test"], by_name)


def evaluate_instructions(
    folder: Path, test: InstructionRows, settings: EvaluateParams, device: torch.device
) -> Evaluated:
    """Loss of the right answers, and how the model's own answers compare with them.

    A row counts as one test item whether or not it fits the context; for one that does not, the end of its prompt is
    read, and it has no part in the loss. Where the stage before trained a model from random weights too, its figures
    stand beside: the difference is what pretraining buys.
    """
    model, tokenizer, _ = load_model(folder, device)
    test = test.within(model.config.context_length)
    samples = answered(model, test, tokenizer, settings)
    figures = {"response_loss_nats": response_loss(model, test, settings.batch_size)} | answer_figures(samples)
    if (folder / FROM_RANDOM).is_dir():
        beginner, tokenizer, _ = load_model(folder / FROM_RANDOM, device)
        compared = answer_figures(answered(beginner, test, tokenizer, settings))
        figures[FROM_RANDOM] = {key: value for key, value in compared.items() if key not in ("rows", "ended")}
    return Evaluated(figures, samples)


def answered(model: GPT, test: InstructionRows, tokenizer: Tokenizer, settings: EvaluateParams) -> list[dict[str, Any]]:
    """Each instruction with the model's answer and how good that is."""
    given = answers(model, test, list(range(len(test.rows))), tokenizer, settings.response_tokens, settings.batch_size)
    return [
        {
            "instruction": row.instruction,
            "input": row.input,
            "wanted": row.output,
            "answer": answer.text,
            "exact_match": exact_match(answer.text, row.output),
            "token_f1": round(token_f1(answer.text, row.output), 4),
            "ended": answer.ended,
            "kind": row.kind,
        }
        | ({"history": row.as_row()["history"]} if row.history else {})
        for row, answer in zip(test.rows, given, strict=True)
    ]


def answer_figures(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over all answers and, where the instructions have kinds, over those of each kind.

    `facts_exact_match` is over the questions for facts. All wordings of one fact are on the same side, so instruction
    training has asked for none of these: who answers them has them from the corpus.
    """

    def mean(key: str, rows: Sequence[Mapping[str, Any]] = samples) -> float:
        return float(np.mean([row[key] for row in rows]))

    figures: dict[str, Any] = {key: mean(key) for key in ("exact_match", "token_f1", "ended")} | {"rows": len(samples)}
    kinds = sorted({row["kind"] for row in samples} - {""})
    if kinds:
        of_kind = {kind: [row for row in samples if row["kind"] == kind] for kind in kinds}
        figures["by_kind"] = {
            kind: {"rows": len(rows), "exact_match": mean("exact_match", rows)} for kind, rows in of_kind.items()
        }
        if FACT in kinds:
            figures["facts_exact_match"] = figures["by_kind"][FACT]["exact_match"]
    return figures
