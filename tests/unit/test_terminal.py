"""The summary in a terminal: this run's figures, and texts that stay texts."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import GroundupError
from groundup.files import write_json_atomically
from groundup.report.terminal import print_summary

SUMMARY: dict[str, Any] = {
    "language_model": {"bits_per_byte": 1.98765, "perplexity": 31.74},
    "classifier": {
        "accuracy": 0.8125,
        "accuracy_low": 0.7071,
        "accuracy_high": 0.8912,
        "f1": 0.5817,
        "baselines": {
            "majority": {"accuracy": 0.6112, "f1": 0.0123},
            "tfidf_logreg": {"accuracy": 0.7239, "f1": 0.6648},
        },
    },
    "instruct": {"exact_match": 0.1234, "token_f1": 0.4568, "rows": 113},
    "split": {"leaks": 0, "near_leaks": 0},
}


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is broken, and no colours: rich reads both from the environment."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "dumb")


def write_reports(folder: Path, summary: dict[str, Any] = SUMMARY, text: str = "", label: str = "ham") -> None:
    write_json_atomically(folder / "summary.json", summary)
    if text:
        samples = folder / "evaluate"
        write_json_atomically(samples / "language_model_samples.json", [{"prompt": "P:", "text": text}])
        write_json_atomically(
            samples / "classifier_samples.json", [{"text": text, "label": label, "probability": 0.875, "right": True}]
        )
        write_json_atomically(
            samples / "instruct_samples.json", [{"instruction": "Do", "input": text, "answer": "A", "wanted": "W"}]
        )


def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    print_summary(folder)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_every_headline_figure_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path)
    out = printed(tmp_path, capsys)
    percentages = ["81.2%", "70.7%", "89.1%", "61.1%", "72.4%", "12.3%"]
    numbers = ["1.988", "31.7", "0.582", "0.012", "0.665", "0.457", "113"]
    assert [figure for figure in percentages + numbers if figure not in out] == []


def leaves(value: dict[str, Any], keys: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        path
        for key, inner in value.items()
        for path in (leaves(inner, (*keys, key)) if isinstance(inner, dict) else [(*keys, key)])
    ]


@pytest.mark.parametrize("keys", [keys for keys in leaves(SUMMARY) if keys != ("split", "near_leaks")], ids=".".join)
def test_no_printed_figure_is_hard_coded(
    keys: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = copy.deepcopy(SUMMARY)
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7
    write_reports(tmp_path)
    before = printed(tmp_path, capsys)
    write_reports(tmp_path, changed)
    assert printed(tmp_path, capsys) != before


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", "[red", "a [link=file:x]b[/link] c", "\\[bold]y", "end\\"])
def test_markup_in_texts_is_printed_as_it_stands(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path, text=text)
    out = printed(tmp_path, capsys)
    assert f"P:{text}" in out
    assert f"{text} -> rightly sorted; it is ham" in out
    assert f"Do {text} -> A" in out


def test_samples_stay_on_one_line_and_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path, text="first\nsecond\t\tthird " + "word " * 500)
    out = printed(tmp_path, capsys)
    assert "P:first second third word" in out
    assert max(map(len, out.splitlines())) < 400


@pytest.mark.parametrize("length", range(286, 302))
def test_a_text_cut_within_markup_is_printed_as_it_stands(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "x" * length + "[b]"
    write_reports(tmp_path, text=text)
    (line,) = [line for line in printed(tmp_path, capsys).splitlines() if "writes on" in line]
    shown = line.split("writes on")[1].strip()
    assert f"P:{text}".startswith(shown)
    assert len(shown) >= 280


def test_control_characters_of_a_text_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path, text="before\x1b[2J\x1b]0;title\x07after\x9b31m")
    out = printed(tmp_path, capsys)
    assert "before" in out
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out) == []


def test_labels_of_the_users_own_are_not_called_spam(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path, text="some text", label="urgent")
    out = printed(tmp_path, capsys)
    assert "urgent" in out
    assert "spam" not in out


def test_without_samples_the_figures_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path)
    out = printed(tmp_path, capsys)
    assert "bits per byte" in out
    assert "writes on" not in out


def test_an_unfinished_pipeline_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(GroundupError, match=r"summary\.json: no such file.*dvc repro") as caught:
        print_summary(tmp_path)
    assert "\n" not in str(caught.value)
