"""The verdicts of a run from its files."""

import json
from pathlib import Path

import pytest

from groundup.config import flatten
from groundup.errors import GroundupError
from groundup.evaluation.references import load_references
from groundup.params_file import load_params
from groundup.report.tables import write_metrics, write_table
from groundup.report.verdicts import TRAININGS, as_rows, corpus_of, verdicts_of

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
TOKENIZED = {"vocab_size": 300, "corpus": {"tokens": 1000}, "messages": {"tokens": 500}}
SPLIT = {
    "leaks": 2,
    "near_leaks": 0,
    "corpus": {"bytes": {"train": 700, "validation": 200, "test": 100}},
    "messages": {"texts": {"train": 60, "validation": 20, "test": 20}},
}


def write_reports(reports: Path) -> None:
    for name in TRAININGS:
        train = [
            {"step": 10 * n, "tokens": 100 * n, "loss_nats": 5 / n, "learning_rate": 0.01, "grad_norm": 0.5}
            for n in range(1, 9)
        ]
        write_table(reports / name / "train.csv", train)
        write_table(
            reports / name / "validation.csv",
            [{"step": 40, "tokens": 400, "loss_nats": 1.3}, {"step": 80, "tokens": 800, "loss_nats": 1.8}],
        )
        metrics = {"steps": 80, "tokens": 80_000, "parameters": 1000, "best": {"loss_nats": 1.3, "bits_per_byte": 2.0}}
        write_metrics(reports / name / "metrics.json", metrics)
    write_metrics(reports / "tokenize" / "metrics.json", TOKENIZED)
    write_metrics(reports / "split" / "metrics.json", SPLIT)


def test_the_files_of_a_run_become_verdicts(tmp_path: Path) -> None:
    write_reports(tmp_path)
    figures = {"language_model": {"bits_per_byte": 2.0}, "classifier": {}, "instruct": {"ended": 0.8}}
    rows = as_rows(verdicts_of(tmp_path, figures, PARAMS, flatten(PARAMS)))
    assert [(row["level"], row["model"], row["text"].split(":")[0].split(".")[0]) for row in rows] == [
        ("warning", "pretrain", "Over-fitting since step 40"),
        ("warning", "pretrain", "It read its text about 114 times"),
        ("warning", "finetune_cls", "Over-fitting since step 40"),
        ("warning", "finetune_instruct", "Over-fitting since step 40"),
        ("warning", "split", "2 texts stand word for word on two sides of the split, 0 more nearly so"),
        ("note", "finetune_instruct", "20"),
    ]
    assert all(list(row) == ["level", "model", "text", "key"] for row in rows)
    assert json.dumps(rows) == json.dumps(as_rows(verdicts_of(tmp_path, figures, PARAMS, flatten(PARAMS))))


def test_published_figures_stand_among_them(tmp_path: Path) -> None:
    write_reports(tmp_path)
    write_metrics(tmp_path / "pretrain" / "metrics.json", {"steps": 80, "tokens": 80, "best": {"bits_per_byte": 3.0}})
    figures = {"instruct": {"ended": 0.8}}
    rows = as_rows(verdicts_of(tmp_path, figures, PARAMS, flatten(PARAMS) | load_references()[-1].setup))
    at = next(n for n, row in enumerate(rows) if "published" in row["text"])
    assert "2.08, published 1.88: worse by 0.20" in rows[at]["text"]
    assert [row["level"] for row in rows[at:]] == ["warning", "note"]  # before what is only worth a word


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    write_reports(tmp_path)
    (tmp_path / "pretrain" / "metrics.json").unlink()
    with pytest.raises(GroundupError, match="pretrain/metrics"):
        verdicts_of(tmp_path, {}, PARAMS, flatten(PARAMS))


def test_the_tokens_of_an_epoch_are_those_of_the_train_side() -> None:
    assert corpus_of(TOKENIZED, SPLIT).train_tokens == pytest.approx(700)
    assert corpus_of(TOKENIZED, SPLIT, ["messages"]).train_tokens == pytest.approx(700 + 300)
    assert corpus_of(TOKENIZED, SPLIT, ["instructions"]).train_tokens is None
    assert corpus_of({"vocab_size": 300}, {}).vocab_size == 300
