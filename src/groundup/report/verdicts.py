"""The verdicts on a run: its files read, what they mean said in words, and published figures beside ours."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from groundup.evaluation.diagnosis import Corpus, Finding, Training, diagnose, in_order
from groundup.evaluation.references import compared_with_published
from groundup.files import read_json
from groundup.report.tables import METRICS_FILE, TRAIN_FILE, VALIDATION_FILE, read_table

VERDICTS_FILE = "verdicts.json"
TRAININGS = ("pretrain", "finetune_cls", "finetune_instruct")


def verdicts_of(reports: Path, figures: Mapping[str, Any], params: Any, values: Mapping[str, Any]) -> list[Finding]:
    """What is to be said of a run whose models were measured.

    Args:
        figures: those of `language_model`, `classifier` and `instruct` on the test side.
        params: with the sections of the three trainings.
        values: parameters under dotted keys, as far as the stage declares them.
    Raises: GroundupError if a file of an earlier stage is missing or damaged.
    """

    def read(file: str) -> Any:
        return read_json(reports / file) if file.endswith(".json") else read_table(reports / file)

    trainings = [
        Training(
            name,
            getattr(params, name),
            read(f"{name}/{TRAIN_FILE}"),
            read(f"{name}/{VALIDATION_FILE}"),
            read(f"{name}/{METRICS_FILE}"),
        )
        for name in TRAININGS
    ]
    split = read(f"split/{METRICS_FILE}")
    corpus = corpus_of(read(f"tokenize/{METRICS_FILE}"), split, params.split.add_to_corpus)
    return in_order(diagnose(trainings, figures, split, corpus) + compared_with_published(values, read))


def corpus_of(tokenized: Mapping[str, Any], split: Mapping[str, Any], also_read: Sequence[str] = ()) -> Corpus:
    """How many tokens pretraining reads in one epoch: of each kind of text as many as the train side's share of it.

    Args:
        also_read: `messages` or `instructions`, where they are read as plain text too.
    """
    vocab_size, train_tokens = tokenized.get("vocab_size"), 0.0
    for kind, unit in (("corpus", "bytes"), *((kind, "texts") for kind in also_read)):
        tokens, sizes = tokenized.get(kind, {}).get("tokens"), split.get(kind, {}).get(unit, {})
        if not tokens or not sum(sizes.values()):
            return Corpus(vocab_size)
        train_tokens += tokens * sizes["train"] / sum(sizes.values())
    return Corpus(vocab_size, train_tokens)


def as_rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """The findings as `verdicts.json` holds them."""
    return [asdict(finding) for finding in findings]
