"""Files of figures: six digits, no numbers that JSON lacks, and back again."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.files import read_json, write_json_atomically
from groundup.report.tables import (
    read_table,
    rounded,
    training_samples,
    write_metrics,
    write_table,
    write_training_report,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456789, 0.123457),
        (123456789.0, 123457000.0),
        (1.0000001, 1.0),
        (-2.5e-12, -2.5e-12),
        (0.0, 0.0),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (np.float64(1 / 3), 0.333333),
        (123456789, 123456789),  # whole numbers are exact
        (True, True),
        ("0.123456789", "0.123456789"),
        (None, None),
        ({"a": {"b": 2 / 3, "c": math.nan}}, {"a": {"b": 0.666667, "c": None}}),
    ],
)
def test_figures_are_rounded_to_six_digits_and_numbers_without_a_json_form_become_null(value: Any, shown: Any) -> None:
    assert rounded(value) == shown
    assert type(rounded(value)) is not np.float64


@settings(deadline=None, max_examples=200, derandomize=True)
@given(NUMBERS)
def test_rounding_keeps_six_digits_and_is_done_once(value: float) -> None:
    once = rounded(value)
    assert once == pytest.approx(value, rel=5.1e-6, abs=1e-320)
    assert rounded(once) == once


def test_a_metrics_file_is_valid_json_whatever_the_figures(tmp_path: Path) -> None:
    write_metrics(tmp_path / "deep" / "metrics.json", {"loss_nats": math.nan, "best": {"loss_nats": 1 / 3}})
    text = (tmp_path / "deep" / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {"loss_nats": None, "best": {"loss_nats": 0.333333}}
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [1.0, -math.inf]}])
def test_json_without_rounding_refuses_what_json_has_no_form_for(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomically(tmp_path / "file.json", value)
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=50, derandomize=True)
@given(rows=st.lists(st.tuples(st.integers(0, 10**9), NUMBERS), min_size=1, max_size=5))
def test_a_table_comes_back_as_it_was_but_for_rounding(
    rows: list[tuple[int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    table = [{"step": step, "loss_nats": loss} for step, loss in rows]
    write_table(path, table)
    assert read_table(path) == [{"step": float(step), "loss_nats": rounded(loss)} for step, loss in rows]
    assert path.read_bytes().startswith(b"step,loss_nats\n")
    assert b"\r" not in path.read_bytes()


def test_a_number_without_a_form_is_an_empty_cell(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", [{"step": 1, "loss_nats": math.nan}, {"step": 2, "loss_nats": 0.5}])
    assert (tmp_path / "table.csv").read_text() == "step,loss_nats\n1,\n2,0.5\n"


def test_words_with_commas_and_quotes_stay_one_cell(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", [{"is": 'a,"b"', "called": "c\nd"}])
    assert (tmp_path / "table.csv").read_text() == 'is,called\n"a,""b""","c\nd"\n'


def test_a_missing_table_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(GroundupError, match=r"train\.csv: no such file.*dvc repro"):
        read_table(tmp_path / "train.csv")


@pytest.mark.parametrize("content", ["step,loss\n1,two\n", "step,loss\n1\n", "step\n1,2\n"])
def test_a_damaged_table_is_told_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(GroundupError, match=r"train\.csv: not a table of numbers"):
        read_table(tmp_path / "train.csv")


@dataclass
class Row:
    step: int
    tokens: int
    loss_nats: float


@dataclass
class Outcome:
    """What a training hands over, as far as its report reads it."""

    train_rows: list[Row] = field(default_factory=lambda: [Row(1, 10, 2.123456789), Row(2, 20, 1.987654321)])
    validation_rows: list[dict[str, float]] = field(
        default_factory=lambda: [{"step": 2, "tokens": 20, "loss_nats": 1.55555555}]
    )
    samples: list[tuple[int, str]] = field(default_factory=lambda: [(1, "one\ntwo"), (2, "three")])

    @property
    def train_columns(self) -> list[str]:
        return ["step", "tokens", "loss_nats"]

    def metrics(self) -> dict[str, Any]:
        return {"steps": 2, "best": {"loss_nats": 1.55555555}}


def test_a_training_report_is_two_curves_and_a_metrics_file(tmp_path: Path) -> None:
    write_training_report(tmp_path, Outcome(), {"threshold": 1 / 3})  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "train.csv", "validation.csv"]
    assert read_table(tmp_path / "train.csv")[1] == {"step": 2.0, "tokens": 20.0, "loss_nats": 1.98765}
    assert read_table(tmp_path / "validation.csv") == [{"step": 2.0, "tokens": 20.0, "loss_nats": 1.55556}]
    assert read_json(tmp_path / "metrics.json") == {"steps": 2, "best": {"loss_nats": 1.55556}, "threshold": 0.333333}


def test_a_training_without_steps_has_a_table_without_rows(tmp_path: Path) -> None:
    write_training_report(tmp_path, Outcome(train_rows=[]), {})  # type: ignore[arg-type]
    assert (tmp_path / "train.csv").read_text() == "step,tokens,loss_nats\n"
    assert read_table(tmp_path / "train.csv") == []


def test_a_training_report_returns_the_metrics_that_stand_in_the_file(tmp_path: Path) -> None:
    """What is returned goes to MLflow, whose figures are to equal DVC's."""
    returned = write_training_report(tmp_path, Outcome(), {"threshold": 1 / 3})  # type: ignore[arg-type]
    assert returned == read_json(tmp_path / "metrics.json")


def test_samples_of_a_training_are_one_text_with_their_steps() -> None:
    assert training_samples(Outcome()) == "--- step 1\none\ntwo\n\n--- step 2\nthree\n"  # type: ignore[arg-type]
