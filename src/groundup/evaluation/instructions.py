"""The evaluation of the instruction follower on the test instructions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from groundup.config import FROM_RANDOM, EvaluateParams
from groundup.data.instructions import Instruction
from groundup.evaluation.answer_figures import answer_figures, interval_of_mean, versus
from groundup.evaluation.answers import (
    exact_match,
    is_checkable,
    length_ratio,
    repeats_itself,
    rouge_l,
    token_f1,
)
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.response_loss import response_losses
from groundup.model.gpt import GPT
from groundup.tasks.instruct import InstructionRows, answers
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model

COMPARED = ("exact_match", "facts_exact_match", "token_f1", "rouge_l", "ended", "repeats")

# What training has seen: the questions that each answer was given to.
Seen = Mapping[str, set[tuple[Any, ...]]]


def evaluate_instructions(
    folder: Path,
    test: InstructionRows,
    train: Iterable[Instruction],
    settings: EvaluateParams,
    seed: int,
    device: torch.device,
) -> Evaluated:
    """Loss of the right answers, and how the model's own answers compare with them.

    A row counts as one test item whether or not it fits the context; for one that does not, the end of its prompt is
    read, and it has no part in the loss. Where the stage before trained a model from random weights too, its figures
    stand beside: the difference is what pretraining buys.

    Args:
        train: what the model was trained on, to tell what it knows by heart.
    """
    model, tokenizer, _ = load_model(folder, device)
    test = test.within(model.config.context_length)
    seen = training_answers(train)
    samples = answered(model, test, tokenizer, settings, seen)
    figures = loss_figures(model, test, settings, seed) | answer_figures(samples, settings.confidence, seed)
    if (folder / FROM_RANDOM).is_dir():
        beginner, tokenizer, _ = load_model(folder / FROM_RANDOM, device)
        others = answered(beginner, test, tokenizer, settings, seen)
        compared = answer_figures(others, settings.confidence, seed)
        figures[FROM_RANDOM] = {key: compared[key] for key in COMPARED if key in compared}
        if "by_kind" in compared:
            figures[FROM_RANDOM]["by_kind"] = {
                kind: {"rows": row["rows"], "exact_match": row["exact_match"]}
                for kind, row in compared["by_kind"].items()
            }
        figures[FROM_RANDOM]["versus"] = versus(samples, others, settings.confidence, seed)
    return Evaluated(figures, samples)


def loss_figures(model: GPT, test: InstructionRows, settings: EvaluateParams, seed: int) -> dict[str, float]:
    """Loss of the right answers with its interval; nothing where no row fits the context.

    Units:  nats per token of an answer
    """
    losses, n_targets = response_losses(model, test, settings.batch_size)
    if not len(losses):
        return {}
    fitting = test.fitting(model.config.context_length)
    contents = [test.rows[row].group or row for row in fitting.tolist()]
    low, high = interval_of_mean(losses, n_targets, contents, settings.confidence, seed)
    return {
        "response_loss_nats": float(losses.sum() / n_targets.sum()),
        "response_loss_nats_low": low,
        "response_loss_nats_high": high,
    }


def training_answers(rows: Iterable[Instruction]) -> Seen:
    """Which questions each answer of the training rows was given to."""
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for row in rows:
        seen.setdefault(row.output.strip(), set()).add(_question(row))
    return seen


def _question(row: Instruction) -> tuple[Any, ...]:
    return row.instruction, row.input, row.history


def is_memorised(answer: str, row: Instruction, seen: Seen) -> bool:
    """Whether a wrong answer is, to the letter, what training gave to another question.

    Where there are few answers to choose from, such as yes and no, this is how any mistake looks.
    """
    return not exact_match(answer, row.output) and bool(seen.get(answer, set()) - {_question(row)})


def answered(
    model: GPT, test: InstructionRows, tokenizer: Tokenizer, settings: EvaluateParams, seen: Seen
) -> list[dict[str, Any]]:
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
            "rouge_l": round(rouge_l(answer.text, row.output), 4),
            "ended": answer.ended,
            "repeats": repeats_itself(answer.text),
            "length_ratio": round(length_ratio(answer.text, row.output), 4),
            "memorised": is_memorised(answer.text, row, seen),
            "new_answer": row.output.strip() not in seen,
            "checkable": is_checkable(row.output, row.kind),
            "kind": row.kind,
            "group": row.group,
        }
        | ({"history": row.as_row()["history"]} if row.history else {})
        for row, answer in zip(test.rows, given, strict=True)
    ]
