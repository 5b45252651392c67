"""The evaluation of the instruction follower on the test instructions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.evaluation.answers import exact_match, token_f1
from groundup.evaluation.evaluated import Evaluated
from groundup.model.gpt import GPT
from groundup.tasks.instruct import FROM_RANDOM, InstructionRows, answers, response_loss
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model

FACT = "fact"  # the kind of instruction that asks for what only the corpus tells


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
