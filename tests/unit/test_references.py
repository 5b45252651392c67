"""Published figures: compared with ours where the set-up is the same, and nowhere else."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.config import flatten
from groundup.data.catalog import entries
from groundup.evaluation.references import (
    PublishedFigure,
    Reference,
    beside_published,
    compared_with_published,
    differing_keys,
    figure_at,
    load_references,
)
from groundup.params_file import known_keys, load_params, parse_params, read_yaml
from groundup.presets import compose

ROOT = Path(__file__).resolve().parents[2]
REFERENCES = {each.name: each for each in load_references()}
VERDICT, ON_GPU, ON_CPU = REFERENCES.values()
# What the preset `book` has otherwise than the book's chapter 5, where the model is trained from random weights.
CHAPTER_5 = {
    "model.context_length": 256,
    "pretrain.init": "scratch",
    "pretrain.max_steps": 90,
    "pretrain.log_interval": 1,
    "model.dropout": 0.1,
    "evaluate.window_stride": 128,
    "evaluate.response_tokens": 128,
}


def preset(name: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Any]:
    """The parameters of a preset under dotted keys, with some changed, checked as a run's are."""
    from ruamel.yaml import YAML

    monkeypatch.chdir(ROOT)
    nested = YAML(typ="safe").load(compose(name))
    for key, value in changes.items():
        section, _, name = key.partition(".")
        nested[section][name] = value
    return flatten(parse_params(nested))


def reports(first: float = 10.97, best: float = 6.2, last: float = 0.6, bits: float = 2.0) -> dict[str, Any]:
    """What the files of a run hold."""
    return {
        "pretrain/train.csv": [{"step": 1.0, "loss_nats": first}, {"step": 2.0, "loss_nats": last}],
        "pretrain/metrics.json": {
            "best": {"loss_nats": best, "bits_per_byte": bits},
            "final": {"train_loss_nats": last, "loss_nats": best + 1},
        },
    }


def test_the_book_preset_with_random_weights_is_the_set_up_of_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    values = preset("book", monkeypatch, **CHAPTER_5)
    assert differing_keys(VERDICT, values) == []
    found = compared_with_published(values, reports().__getitem__)
    assert [(each.level, each.model, each.key) for each in found] == [("good", "pretrain", "")] * 3
    assert [each.text.split(". ")[0] for each in found] == [
        "The Verdict at GPT-2 124M, loss at the start: 10.97, published 10.98: within 0.1 of it",
        "The Verdict at GPT-2 124M, best validation loss: 6.20, published 6.10: within 0.3 of it",
        "The Verdict at GPT-2 124M, training loss after ten epochs: 0.60, published 0.57: within 0.35 of it",
    ]
    assert all("Raschka 2024" in each.text for each in found)


def test_the_keys_that_differ_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    values = preset("book", monkeypatch)
    assert differing_keys(VERDICT, values) == ["model.context_length", "pretrain.init", "pretrain.max_steps"]
    assert compared_with_published(values, reports().__getitem__) == []


@pytest.mark.parametrize("name", ["sample", "small", "micro", "gpt2-124m"])
def test_no_other_preset_is_compared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(file: str) -> Any:
        raise AssertionError(f"{file} is read though nothing is to be compared")

    assert compared_with_published(preset(name, monkeypatch), read) == []


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_one_other_value_is_another_set_up(reference: Reference) -> None:
    same = reference.setup | {key: high for key, (_, high) in reference.between.items()}
    assert differing_keys(reference, same) == []
    for key in same:
        assert differing_keys(reference, same | {key: "something else" if key in reference.setup else 10**9}) == [key]
        assert differing_keys(reference, {other: value for other, value in same.items() if other != key}) == [key]


def test_steps_may_lie_between_two_numbers() -> None:
    low, high = VERDICT.between["pretrain.max_steps"]
    for steps, differs in ((low - 1, True), (low, False), (high, False), (high + 1, True)):
        assert bool(differing_keys(VERDICT, VERDICT.setup | {"pretrain.max_steps": steps})) == differs


def test_the_loss_at_the_start_is_compared_only_where_the_first_row_is_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = preset("book", monkeypatch, **CHAPTER_5 | {"pretrain.log_interval": 2})
    found = compared_with_published(values, reports().__getitem__)
    assert [each.text.split(":")[0].split(", ")[1] for each in found] == [
        "best validation loss",
        "training loss after ten epochs",
    ]


def test_the_published_start_is_what_gpt2_s_weights_give() -> None:
    """Logits of a normal distribution: d_model features of length one, weights with a deviation of 0.02."""
    d_model, vocab_size = VERDICT.setup["model.d_model"], 50257
    (start,) = [each for each in VERDICT.figures if each.what == "loss at the start"]
    assert start.published == pytest.approx(math.log(vocab_size) + d_model * 0.02**2 / 2, abs=0.01)


def test_bits_per_byte_of_ascii_text_become_nats_per_character() -> None:
    """1.88 nats for each of 1000 characters, counted over bytes in bits."""
    nats_of_text, n_characters = 1880.0, 1000
    bits_per_byte = nats_of_text / math.log(2) / n_characters
    (found,) = compared_with_published(ON_CPU.setup, reports(bits=bits_per_byte).__getitem__)
    assert ": 1.88, published 1.88: within 0.05 of it. In nats per character, by nanoGPT's README" in found.text


def test_the_text_of_the_characters_is_ascii_in_the_catalog() -> None:
    """So that a byte is a character: the published count of characters is the size in bytes."""
    (name,) = ON_GPU.setup["data.corpus"]
    assert entries("corpus")[name].size_bytes == 1_115_394


FIGURE = PublishedFigure("loss", "f.json", ["a"], 2.0, 0.125, "nats", "lower")


@pytest.mark.parametrize(
    ("ours", "better", "level", "verdict"),
    [
        (2.125, "lower", "good", "within 0.125 of it"),
        (1.875, "lower", "good", "within 0.125 of it"),
        (2.25, "lower", "warning", "worse by 0.25"),
        (1.75, "lower", "good", "better by 0.25"),
        (2.25, "same", "warning", "0.25 too high"),
        (1.75, "same", "warning", "0.25 too low"),
    ],
)
def test_the_verdict_says_by_how_much(ours: float, better: Any, level: str, verdict: str) -> None:
    found = beside_published(VERDICT, replace(FIGURE, better=better, about="and so on"), ours)
    assert (found.level, found.model) == (level, "pretrain")
    assert found.text == (
        f"The Verdict at GPT-2 124M, loss: {ours:.2f}, published 2.00: {verdict}. "
        f"In nats, by {VERDICT.source}; and so on."
    )


def test_a_figure_that_a_run_does_not_have_is_left_out() -> None:
    reference = Reference("r", "s", "pretrain", {}, [FIGURE])
    assert compared_with_published({}, lambda file: {"b": 1.0}, [reference]) == []
    assert len(compared_with_published({}, lambda file: {"a": 1.0}, [reference])) == 1
    assert figure_at([{"x": 1.0}, {"x": 3.0}], [-1, "x"]) == 3.0
    assert figure_at([], [0, "x"]) is None


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_the_table_names_keys_values_and_files_that_there_are(reference: Reference) -> None:
    values = flatten(load_params(ROOT / "params.yaml"))
    setup = reference.setup | {key: value for figure in reference.figures for key, value in figure.setup.items()}
    assert {*setup, *reference.between} <= set(known_keys())
    assert [key for key, value in setup.items() if type(value) is not type(values[key])] == []
    assert set(setup["data.corpus"]) <= set(entries("corpus"))
    pretrain = read_yaml(ROOT / "dvc.yaml")["stages"]["pretrain"]
    made = {path for kind in ("metrics", "plots") for each in pretrain[kind] for path in each}
    deps = set(read_yaml(ROOT / "dvc.yaml")["stages"]["evaluate"]["deps"])
    for figure in reference.figures:
        assert f"reports/{figure.file}" in made & deps
        assert figure.tolerance > 0
        assert figure.better in ("lower", "same")
