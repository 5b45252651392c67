"""The evaluation of the three models on the test side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.data.split import Side
from groundup.data.token_store import TokenStore
from groundup.generate import Sampling, generate
from groundup.model.gpt import GPT
from groundup.report.baselines import majority_probabilities, tfidf_probabilities
from groundup.report.metrics import choose_threshold, classification_figures, exact_match, token_f1
from groundup.seeding import derive_seed
from groundup.tasks.classify import LabelledRows, class_logits, positive_probability
from groundup.tasks.instruct import InstructionRows, answers, response_loss
from groundup.tasks.language import score_corpus
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_classifier, load_model


@dataclass(frozen=True)
class Evaluated:
    """Figures of one model, and rows to show beside them."""

    figures: dict[str, Any]
    samples: list[dict[str, Any]]


@dataclass(frozen=True)
class ClassifierScores:
    """What each classifier said of each test message. Shapes: labels (N,), probabilities (N,) by name."""

    classes: list[str]
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]


def evaluate_language_model(
    folder: Path, test: TokenStore, settings: EvaluateParams, seed: int, device: torch.device
) -> Evaluated:
    """Loss, perplexity and bits per byte of the test text, and what the model writes."""
    model, tokenizer, _ = load_model(folder, device)
    score = score_corpus(model, test, tokenizer, stride=settings.window_stride, batch_size=settings.batch_size)
    figures = {**score.figures(), "tokens": score.n_targets, "bytes": score.n_bytes}
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    written = write_on(model, tokenizer, settings.prompts, settings.sample_tokens, sampling, seed)
    samples = [{"prompt": prompt, "text": text} for prompt, text in zip(settings.prompts, written, strict=True)]
    return Evaluated(figures, samples)


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
    """The classifier on the test messages, beside the majority class and TF-IDF with logistic regression.

    All three learn from the same train rows, and each has its threshold from the validation rows.
    """
    model, _, facts = load_classifier(folder, device)
    classes = facts["labels"]
    labels: dict[Side, np.ndarray] = {
        side: np.array([classes.index(label) for label in rows.labels]) for side, rows in sides.items()
    }
    test = sides["test"]
    probabilities = positive_probability(class_logits(model, test))
    on_validation, tfidf = tfidf_probabilities(
        (sides["train"].texts, labels["train"]), (sides["validation"].texts, labels["validation"]), test.texts
    )
    majority = majority_probabilities(labels["train"], len(test.labels))

    def figures(scores: np.ndarray, threshold: float) -> dict[str, Any]:
        return classification_figures(labels["test"], scores, threshold, settings.confidence) | {"threshold": threshold}

    result = figures(probabilities, facts["threshold"]) | {
        "rows": len(test.labels),
        "baselines": {
            "majority": figures(majority, 0.5),
            "tfidf_logreg": figures(
                tfidf, choose_threshold(labels["validation"], on_validation, facts["threshold_for"])
            ),
        },
    }
    samples = [
        {
            "text": text,
            "label": label,
            "probability": round(float(probability), 4),
            "right": bool((probability >= facts["threshold"]) == (label == classes[1])),
        }
        for text, label, probability in zip(test.texts, test.labels, probabilities, strict=True)
    ]
    scores = ClassifierScores(classes, labels["test"], {"GPT": probabilities, "TF-IDF + logistic regression": tfidf})
    return Evaluated(result, samples), scores


def evaluate_instructions(
    folder: Path, test: InstructionRows, settings: EvaluateParams, device: torch.device
) -> Evaluated:
    """Loss of the right answers, and how the model's own answers compare with them.

    A row counts as one test item whether or not it fits the context; for one that does not, the end of its prompt is
    read, and it has no part in the loss.
    """
    model, tokenizer, _ = load_model(folder, device)
    given = answers(model, test, list(range(len(test.rows))), tokenizer, settings.response_tokens, settings.batch_size)
    samples = [
        {
            "instruction": row.instruction,
            "input": row.input,
            "wanted": row.output,
            "answer": answer.text,
            "exact_match": exact_match(answer.text, row.output),
            "token_f1": round(token_f1(answer.text, row.output), 4),
            "ended": answer.ended,
        }
        for row, answer in zip(test.rows, given, strict=True)
    ]
    figures = {
        "response_loss_nats": response_loss(model, test, settings.batch_size),
        "exact_match": float(np.mean([row["exact_match"] for row in samples])),
        "token_f1": float(np.mean([row["token_f1"] for row in samples])),
        "ended": float(np.mean([row["ended"] for row in samples])),
        "rows": len(samples),
    }
    return Evaluated(figures, samples)
