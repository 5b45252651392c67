"""The summary in a terminal: this run's figures, and texts that stay texts."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from report_helpers import BESIDE_THE_FLOOR, MANY_CLASSES, VERSUS

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
        "rows": 517,
        "baselines": {
            "majority": {"accuracy": 0.6112, "f1": 0.0123},
            "naive_bayes": {"accuracy": 0.7001, "f1": 0.6211},
            "tfidf_logreg": {"accuracy": 0.7239, "f1": 0.6648},
            "svm": {"accuracy": 0.7541, "f1": 0.6953},
        },
    },
    "instruct": {"exact_match": 0.1234, "token_f1": 0.4568, "rows": 113},
    "split": {"leaks": 0, "near_leaks": 0},
}
# As it is where the texts come from the sample world, whose best possible scores are known.
SAMPLE_WORLD: dict[str, Any] = SUMMARY | {
    "language_model": SUMMARY["language_model"] | BESIDE_THE_FLOOR,
    "classifier": SUMMARY["classifier"]
    | {
        "best_possible": 0.9873,
        "from_random": {"accuracy": 0.7012, "f1": 0.4018, "versus": VERSUS | {"mcnemar_p": 0.2345}},
        "confidence": 0.95,
    },
    "instruct": SUMMARY["instruct"]
    | {"facts_exact_match": 0.4242, "from_random": {"exact_match": 0.0517, "facts_exact_match": 0.0102}},
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
        written = [{"prompt": "P:", "text": text, "temperature": 0.7}]
        write_json_atomically(samples / "language_model_samples.json", written)
        write_json_atomically(
            samples / "classifier_samples.json", [{"text": text, "label": label, "called": label, "right": True}]
        )
        write_json_atomically(samples / "instruct_samples.json", [asked("Do", text, "A")])


def asked(instruction: str, about: str, said: str, right: bool = True, kind: str = "") -> dict[str, Any]:
    row = {"instruction": instruction, "input": about, "answer": said, "wanted": "W"}
    return row | {"exact_match": right, "kind": kind}


def sample_lines(out: str) -> list[str]:
    return [line.strip() for line in out.splitlines() if line.startswith("    ")]


def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    print_summary(folder)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_every_headline_figure_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path)
    out = printed(tmp_path, capsys)
    percentages = ["81.2 %", "70.7 %", "89.1 %", "61.1 %", "72.4 %", "75.4 %", "12.3 %"]
    numbers = ["1.988", "31.7", "0.582", "0.012", "0.665", "0.695", "0.457", "113", "517"]
    assert [figure for figure in percentages + numbers if figure not in out] == []


def test_it_is_said_which_simple_ways_the_classifier_beats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better = VERSUS | {"low": 0.0101, "mcnemar_p": 0.0002}
    classifier = SUMMARY["classifier"] | {
        "confidence": 0.95,
        "baselines": {
            name: row | {"versus": better if name == "majority" else VERSUS}
            for name, row in SUMMARY["classifier"]["baselines"].items()
        },
    }
    write_reports(tmp_path, SUMMARY | {"classifier": classifier})
    assert (
        "Beyond the noise it is better than calling all the same. "
        "No difference beyond the noise: naive Bayes, TF-IDF + logistic regression, n-gram SVM."
    ) in printed(tmp_path, capsys)


def leaves(value: dict[str, Any], keys: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        path
        for key, inner in value.items()
        for path in (leaves(inner, (*keys, key)) if isinstance(inner, dict) else [(*keys, key)])
    ]


@pytest.mark.parametrize("keys", leaves(SAMPLE_WORLD), ids=".".join)
def test_no_printed_figure_is_hard_coded(
    keys: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = copy.deepcopy(SAMPLE_WORLD)
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7
    write_reports(tmp_path, SAMPLE_WORLD)
    before = printed(tmp_path, capsys)
    write_reports(tmp_path, changed)
    # Of the difference to random weights one number is printed, McNemar's p; the others decide only what is said of it.
    is_printed = keys[-1] != "confidence" and ("versus" not in keys or keys[-1] == "mcnemar_p")
    assert (printed(tmp_path, capsys) != before) == is_printed


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", "[red", "a [link=file:x]b[/link] c", "\\[bold]y", "end\\"])
def test_markup_in_texts_is_printed_as_it_stands(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path, text=text)
    out = printed(tmp_path, capsys)
    assert sample_lines(out) == [f"· P:{text}", f"✓ called ham, rightly: {text}", f"✓ Do {text} -> A"]


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
    shown = sample_lines(printed(tmp_path, capsys))[0].removeprefix("· ")
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
    assert sample_lines(out) == []
    assert "report.md" not in out


def test_an_unfinished_pipeline_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(GroundupError, match=r"summary\.json: no such file.*dvc repro") as caught:
        print_summary(tmp_path)
    assert "\n" not in str(caught.value)


def write_sample_world(folder: Path) -> None:
    """Reports as the sample world gives them, with texts longer than any line."""
    write_json_atomically(folder / "summary.json", SAMPLE_WORLD)
    long = " and so on" * 40
    stories = [
        {"text": f"Kept one{long}", "ended": True, "copy": False, "keeps_rules": True, "broke_at": ""},
        {"text": f"Kept two{long}", "ended": True, "copy": True, "keeps_rules": True, "broke_at": ""},
        {"text": f"Kept three{long}", "ended": True, "copy": False, "keeps_rules": True, "broke_at": ""},
        {"text": f"Broken{long}", "ended": True, "copy": False, "keeps_rules": False, "broke_at": "lives \n▶ in"},
    ]
    messages = [
        {"text": f"{n}{long}", "label": label, "called": called, "right": label == called}
        for n, (label, called) in enumerate([("ham", "ham")] * 5 + [("spam", "spam"), ("spam", "ham")])
    ]
    answers = [asked(f"{n}{long}", "", "A", True, "sum") for n in range(4)]
    answers += [asked("Add", "1, 2", "A", False, "sum"), asked("Where is Tom?", "", "A", True, "fact")]
    for name, rows in (
        ("stories", stories),
        ("language_model_samples", [{"prompt": "P", "text": "not shown beside stories"}]),
        ("classifier_samples", messages),
        ("instruct_samples", answers),
    ):
        write_json_atomically(folder / "evaluate" / f"{name}.json", rows)


def test_the_sample_world_fits_on_one_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    write_sample_world(tmp_path)
    lines = printed(tmp_path, capsys).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert len([line for line in lines if line.startswith("    ")]) == 9


def test_the_samples_show_what_is_right_what_is_wrong_and_a_fact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sample_world(tmp_path)
    starts = [
        "✓ Kept one and",
        "✗ breaks a rule at ▶ … lives ▶ in …",
        "✓ (a copy) Kept two",
        "✓ called ham, rightly: 0 and",
        "✓ called spam, rightly: 5 and",
        "✗ called ham, but it is spam: 6 and",
        "✓ Where is Tom? -> A",
        "✓ 0 and",
        "✗ Add 1, 2 -> A (right: W)",
    ]
    shown = sample_lines(printed(tmp_path, capsys))
    assert [line[: len(start)] for line, start in zip(shown, starts, strict=True)] == starts


def test_floor_best_possible_and_what_pretraining_buys_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sample_world(tmp_path)
    out = printed(tmp_path, capsys)
    said = [
        "one who knows every rule, by 1.654. model / floor: 1.201",
        "Of 97 documents written from nothing 2.1 % are copies",
        "Every rule and fact is kept by 62.8 %: 72.1 % of 61 (story), 47.2 % of 36 (lesson).",
        "Best possible: 98.7 %",
        "42.4 % of those that ask for a fact",
        "Pretraining buys +7.2 points",
        "it knows 42.4 %, against 1.0 %",
        "sorts messages into ham and spam",
        "make ui",
        str(tmp_path / "evaluate" / "report.md"),
    ]
    assert [phrase for phrase in said if phrase not in out] == []


def test_without_a_sample_world_nothing_is_said_of_floors_and_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path, text="some text")
    out = printed(tmp_path, capsys)
    said = ("floor", "rule", "Best possible", "Pretraining buys", "fact", "None")
    assert [word for word in said if word in out] == []


def test_stories_that_no_rules_judge_have_no_mark_of_right_or_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = SUMMARY["language_model"] | {"stories": {"written": 1, "ended": 1.0, "copies": 0.0}}
    write_reports(tmp_path, SUMMARY | {"language_model": figures}, text="some text")
    write_json_atomically(tmp_path / "evaluate" / "stories.json", [{"text": "Once.", "ended": True, "copy": False}])
    out = printed(tmp_path, capsys)
    assert "· Once." in sample_lines(out)
    assert "keep every rule" not in out


# --- more than two classes

OF_MANY = SUMMARY | {"classifier": MANY_CLASSES}


def test_many_classes_are_counted_and_the_hardest_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path, OF_MANY)
    out = printed(tmp_path, capsys)
    said = [
        "Classifier: sorts messages into 3 classes",
        "It is right for 81.2 % of 51 messages (likely between 70.7 % and 89.1 %); macro F1 0.582.",
        "calling all the same 61.1 % (macro F1 0.211), naive Bayes 70.0 % (macro F1 0.621), TF-IDF + logistic",
        "It finds 26.0 % of bug, 82.2 % of bill.",
        "No test message is praise, so how well that is told is not known.",
    ]
    assert [phrase for phrase in said if phrase not in out] == []


def test_of_twenty_classes_the_five_hardest_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_each = {
        f"class {number}": {"support": 5, "precision": 1.0, "recall": number / 20, "f1": 0.5} for number in range(20)
    }
    of_each["class 3"]["support"] = 0
    write_reports(tmp_path, OF_MANY | {"classifier": MANY_CLASSES | {"per_class": of_each}})
    out = printed(tmp_path, capsys)
    assert "sorts messages into 20 classes" in out
    hardest = "0.0 % of class 0, 5.0 % of class 1, 10.0 % of class 2, 20.0 % of class 4, 25.0 % of class 5"
    assert f"It finds {hardest}, and more of the other 14 classes." in out


def test_control_characters_and_markup_of_a_label_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["[bold]a[/]", "b\x1b[2J" + "long " * 30, "c"]
    of_each = dict(zip(names, MANY_CLASSES["per_class"].values(), strict=True))
    write_reports(tmp_path, OF_MANY | {"classifier": MANY_CLASSES | {"per_class": of_each}})
    out = printed(tmp_path, capsys)
    assert "82.2 % of [bold]a[/]" in out
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out) == []
    assert out.count("long") < 10


def test_among_the_calls_of_many_classes_a_wrong_one_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path, OF_MANY)
    calls = [("bill", "bill"), ("bug", "bug"), ("praise", "praise"), ("way", "way"), ("way", "bug")]
    rows = [{"text": "T", "label": label, "called": called, "right": label == called} for label, called in calls]
    write_json_atomically(tmp_path / "evaluate" / "classifier_samples.json", rows)
    assert sample_lines(printed(tmp_path, capsys)) == [
        "✓ called bill, rightly: T",
        "✓ called bug, rightly: T",
        "✗ called bug, but it is way: T",
    ]


def test_the_first_three_verdicts_are_printed_on_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"level": "warning", "model": "split", "text": "Three [bold]texts\nleak: 0.5. More.", "key": ""},
        {"level": "note", "model": "pretrain", "text": "Still improving.", "key": "raise pretrain.max_steps"},
        {"level": "good", "model": "finetune_cls", "text": "Sound: 0.5.", "key": ""},
        {"level": "good", "model": "finetune_instruct", "text": "Sound: 0.7.", "key": ""},
    ]
    write_reports(tmp_path)
    assert "Still improving" not in printed(tmp_path, capsys)
    write_json_atomically(tmp_path / "evaluate" / "verdicts.json", rows)
    lines = printed(tmp_path, capsys).splitlines()
    first = lines.index("! split: Three [bold]texts leak: 0.5.")
    assert lines[first + 1 : first + 4] == [
        "· pretrain: Still improving. -> raise pretrain.max_steps",
        "✓ finetune_cls: Sound: 0.5.",
        "",
    ]


BESIDE_OTHERS = {
    "ngram": {"bits_per_byte": 2.2345, "order": 5},
    "xz": {"bits_per_byte": 2.31, "read_bytes": 4_567_000},
    "unigram": {"bits_per_byte": 4.1234},
}


def test_simple_ways_to_predict_are_named_where_they_were_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path, SUMMARY | {"language_model": SUMMARY["language_model"] | {"baselines": BESIDE_OTHERS}})
    said = "Simple ways: counting up to 5 tokens 2.235, xz that has read the train text 2.310 bits per byte."
    assert said in printed(tmp_path, capsys)
    without = {"xz": BESIDE_OTHERS["xz"]}
    write_reports(tmp_path, SUMMARY | {"language_model": SUMMARY["language_model"] | {"baselines": without}})
    assert "Simple ways: xz that has read the train text 2.310 bits per byte." in printed(tmp_path, capsys)


def test_one_continuation_of_each_prompt_is_shown_at_the_temperature_in_the_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path)
    rows = [
        {"prompt": prompt, "text": f" at {temperature}", "temperature": temperature}
        for prompt in ("A", "B")
        for temperature in (0.3, 0.7, 1.0)
    ]
    write_json_atomically(tmp_path / "evaluate" / "language_model_samples.json", rows)
    assert sample_lines(printed(tmp_path, capsys)) == ["· A at 0.7", "· B at 0.7"]
