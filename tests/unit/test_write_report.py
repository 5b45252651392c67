"""The report as Markdown: this run's figures, and hostile text only where nothing is markup."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from report_helpers import (
    ANSWER,
    BESIDE_THE_FLOOR,
    CALIBRATION,
    INSTRUCT,
    MANY_CLASSES,
    TWO_CLASSES,
    VERSUS,
    bounds,
    of_a_kind,
)

from groundup.evaluation.diagnosis import Finding
from groundup.evaluation.evaluated import Evaluated
from groundup.report.say import versus_words
from groundup.report.write import indented, render_report

# Each holds a word of its own, by which it is found again.
HOSTILE = [
    "<script>alert('hostile0')</script>",
    "`hostile1` ```\n# hostile1\n```",
    "a | hostile2 | b\n|---|---|",
    "# hostile3\n## hostile3",
    "\n\n# hostile4\n\n<img src=x onerror=hostile4>\n",
    "[hostile5](javascript:alert(1)) ![hostile5](x)",
    "hostile6\r<b>hostile6</b>\r\n- hostile6",
    "1. hostile7\n\n- hostile7\n\n> hostile7",
    "{{ 'hostile' ~ 8 }} {% if %} hostile8",
    "   hostile9 \t\n---\nhostile9\n===",
]

CLASSIFIER = TWO_CLASSES | bounds("precision", "recall", "f1", "roc_auc")
BASELINE: dict[str, Any] = CLASSIFIER | {"versus": VERSUS}
LOSS = {"loss_nats": 0.2931, **bounds("loss_nats")}
SLICES = {
    "length_quarter_1": {"rows": 131, "accuracy": 0.7711, "positive_share": 0.1731, "f1": 0.6113, **bounds("accuracy")}
    | {"shortest": 3, "longest": 29},
    "without_urls": {"rows": 501, "accuracy": 0.8331, "positive_share": 0.0, **bounds("accuracy")},
}
SUMMARY: dict[str, Any] = {
    "language_model": {
        "loss_nats": 3.4567,
        "perplexity": 31.71,
        "bits_per_byte": 1.9876,
        "tokens": 4321,
        "bytes": 9753,
    },
    "classifier": CLASSIFIER
    | LOSS
    | {
        "rows": 517,
        "confidence": 0.95,
        "positive_rate": 0.1239,
        "calibration": CALIBRATION,
        "slices": SLICES,
        "baselines": {
            "majority": BASELINE | LOSS | {"accuracy": 0.6112, "f1": 0.0, "threshold": 0.5},
            "naive_bayes": BASELINE | LOSS | {"accuracy": 0.7001, "f1": 0.6211, "threshold": 0.3313},
            "tfidf_logreg": BASELINE | LOSS | {"accuracy": 0.7239, "f1": 0.6648, "threshold": 0.3877},
            "svm": BASELINE | {"accuracy": 0.7541, "f1": 0.6953, "threshold": 0.2911},
        },
    },
    "instruct": INSTRUCT,
    "split": {"leaks": 0, "near_leaks": 0},
}
FROM_RANDOM = {
    "exact_match": 0.0517,
    "token_f1": 0.2718,
    "rouge_l": 0.2244,
    "ended": 0.8833,
    "repeats": 0.2911,
    "facts_exact_match": 0.0102,
    "by_kind": {"fact": {"rows": 41, "exact_match": 0.0102}, "sum": {"rows": 72, "exact_match": 0.0713}},
    "versus": {"exact_match_difference": 0.0717, "low": 0.0209, "high": 0.1231, "mcnemar_p": 0.0123},
}
# As it is where the texts come from the sample world, whose best possible scores are known.
SAMPLE_WORLD = SUMMARY | {
    "language_model": SUMMARY["language_model"] | BESIDE_THE_FLOOR,
    "classifier": SUMMARY["classifier"]
    | {"best_possible": 0.9873, "from_random": CLASSIFIER | {"accuracy": 0.6903, "f1": 0.4401, "versus": VERSUS}},
    "instruct": SUMMARY["instruct"]
    | {
        "facts_exact_match": 0.4242,
        "facts_exact_match_low": 0.3141,
        "facts_exact_match_high": 0.5353,
        "by_kind": {"fact": of_a_kind(41, 0.4242), "sum": of_a_kind(72, 0.3131)},
        "from_random": FROM_RANDOM,
    },
}
SPLIT = {
    "leaks": 0,
    "near_leaks": 0,
    "messages": {"copies_left_out": 403, "shares": {"test": {"ham": 0.8761, "spam": 0.1239}}},
}


def message(text: str, label: str = "ham", probability: float = 0.9, right: bool = False) -> dict[str, Any]:
    called = label if right else {"ham": "spam"}.get(label, "ham")
    return {"text": text, "label": label, "called": called, "probability": probability, "right": right}


def answer(instruction: str, about: str, wanted: str, said: str) -> dict[str, Any]:
    return ANSWER | {"instruction": instruction, "input": about, "wanted": wanted, "answer": said}


def told(text: str, keeps_rules: bool | None = True, broke_at: str = "", copy: bool = False) -> dict[str, Any]:
    judged = {} if keeps_rules is None else {"keeps_rules": keeps_rules, "broke_at": broke_at}
    return {"text": text, "ended": True, "copy": copy} | judged


def render(
    stories: list[dict[str, str]] | None = None,
    messages: list[dict[str, Any]] | None = None,
    answers: list[dict[str, Any]] | None = None,
    summary: dict[str, Any] = SUMMARY,
    classes: tuple[str, ...] = ("ham", "spam"),
    split: dict[str, Any] = SPLIT,
    written: list[dict[str, Any]] | None = None,
    verdicts: Sequence[Finding] = (),
    detail: dict[str, Any] | None = None,
) -> str:
    copied = {"temperature": 0.7, "overlap": 9, "copied_share": 0.4321, "passage": "was ⟦copied⟧."}
    return render_report(
        summary,
        Evaluated(summary["language_model"], [copied | row for row in stories or []], written or [], detail or {}),
        Evaluated(summary["classifier"], messages or []),
        Evaluated(summary["instruct"], answers or []),
        classes,
        split,
        {},
        verdicts,
    )


def parsed(report: str) -> list[Token]:
    """The report as a Markdown reader with tables and raw HTML sees it, GitHub's manner."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(report)


def outside_of_code(report: str) -> str:
    """All that a reader would take for prose or markup."""
    return "\n".join(token.content for token in parsed(report) if token.type != "code_block")


def in_code(report: str) -> str:
    return "\n".join(token.content for token in parsed(report) if token.type == "code_block")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_the_language_model_writes_is_shown_as_code(text: str) -> None:
    report = render(stories=[{"prompt": "He said", "text": text}])
    assert "hostile" not in outside_of_code(report)
    assert "hostile" in in_code(report)


@pytest.mark.parametrize("text", HOSTILE)
def test_messages_are_shown_as_code(text: str) -> None:
    report = render(messages=[message(text)])
    assert "hostile" not in outside_of_code(report)
    assert "hostile" in in_code(report)


@pytest.mark.parametrize("text", HOSTILE)
def test_instructions_and_answers_are_shown_as_code(text: str) -> None:
    plain = ["Name a colour", "of the sky", "blue", "red"]
    rows = [answer(*plain[:place], text, *plain[place + 1 :]) for place in range(4)]
    report = render(answers=rows)
    assert "hostile" not in outside_of_code(report)
    assert in_code(report).count("hostile") == 4 * text.count("hostile")


def structure(report: str) -> Counter[str]:
    """How many of each kind of markup a reader sees: cells, images, headings, tags …, but not plain text."""
    tokens = parsed(report)
    kinds = Counter(token.type for token in tokens)
    kinds.update(child.type for token in tokens for child in token.children or [] if child.type != "text")
    return kinds


@pytest.mark.parametrize("text", HOSTILE)
def test_a_prompt_cannot_become_markup(text: str) -> None:
    plain = render(stories=[{"prompt": "plain", "text": " and so on"}])
    assert structure(render(stories=[{"prompt": text, "text": " and so on"}])) == structure(plain)


@pytest.mark.parametrize("label", ["<b>hostile</b>", "a | hostile | b", "`hostile`", "![hostile](x)", "*hostile*"])
def test_a_label_of_the_users_data_cannot_become_markup(label: str) -> None:
    def rows(name: str) -> list[dict[str, Any]]:
        return [message("text", name), message("text", "ham") | {"called": name}]

    def with_label(name: str) -> str:
        shares = {"messages": {"copies_left_out": 0, "shares": {"test": {"ham": 0.5, name: 0.5}}}}
        return render(messages=rows(name), classes=("ham", name), split=SPLIT | shares)

    assert with_label("werd").count("werd") == 7
    assert structure(with_label(label)) == structure(with_label("werd"))


def test_nothing_stands_in_the_report_that_a_reader_would_take_for_html() -> None:
    stories = [{"prompt": text, "text": text} for text in HOSTILE]
    messages = [message(text) for text in HOSTILE]
    report = render(stories, messages, [answer(text, text, text, text) for text in HOSTILE])
    kinds = {token.type for token in parsed(report)}
    kinds |= {child.type for token in parsed(report) for child in token.children or []}
    assert "html_block" not in kinds
    assert "html_inline" not in kinds


def test_indented_text_is_code_on_every_line() -> None:
    assert indented("one\n\n  two") == "    one\n    \n      two"


def test_every_figure_of_the_run_stands_in_the_report() -> None:
    report = render()
    percentages = ["81.2", "70.7", "89.1", "61.1", "72.4", "63.0", "54.0", "12.3", "90.1"]
    percentages += ["70.0", "31.3", "94.4", "77.1", "17.3", "83.3"]
    numbers = ["0.621", "0.331", "0.293", "1.414", "0.0931", "0.0377", "0.3989"]
    numbers += ["1.988", "31.7", "0.582", "0.665", "0.9034", "0.432", "0.388", "3.457", "2.718", "0.457"]
    phrases = ["9753 bytes", "4321 tokens", "517 test messages", "of 113", "403 exact copies", "F1 of spam"]
    phrases += ["87.6 % ham", "12.4 % spam"]
    wanted = [f"{each} %" for each in percentages] + numbers + phrases
    assert [figure for figure in wanted if figure not in report] == []


def leaves(value: dict[str, Any], keys: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        path
        for key, inner in value.items()
        for path in (leaves(inner, (*keys, key)) if isinstance(inner, dict) else [(*keys, key)])
    ]


@pytest.mark.parametrize("keys", leaves(SAMPLE_WORLD), ids=".".join)
def test_no_figure_in_the_report_is_hard_coded(keys: tuple[str, ...]) -> None:
    """A changed figure changes the report; those that it does not show are named here."""
    changed = json.loads(json.dumps(SAMPLE_WORLD))  # a deep copy that shares nothing between the classifiers
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7
    # The natural rates stand there from the split's report, for each class.
    not_shown = {("classifier", "positive_rate")} | {
        ("instruct", "from_random", "by_kind", kind, "rows") for kind in ("fact", "sum")
    }
    assert (render(summary=changed) == render(summary=SAMPLE_WORLD)) == (keys in not_shown)


def test_the_most_confident_mistakes_come_first_and_right_calls_are_left_out() -> None:
    messages = [message(f"wrong {n:02d}", probability=0.44 + n / 100) for n in range(15)]
    messages.append(message("a right one", probability=0.99, right=True))
    code = in_code(render(messages=messages))
    shown = [line for line in code.splitlines() if line]
    assert shown == [f"wrong {n:02d}" for n in reversed(range(5, 15))]


def test_a_mistake_stands_beside_the_probability_of_what_it_was_called() -> None:
    rows = [message("missed", "spam", 0.0312), message("false alarm", "ham", 0.9213)]
    report = render(messages=rows)
    assert "spam, called ham with probability 0.969:" in report
    assert "ham, called spam with probability 0.921:" in report
    assert report.index("missed") < report.index("false alarm")


def test_each_baseline_is_compared_in_figures_and_in_words() -> None:
    better = VERSUS | {"low": 0.0101, "mcnemar_p": 0.0002}
    baselines = SUMMARY["classifier"]["baselines"]
    changed = baselines | {"naive_bayes": baselines["naive_bayes"] | {"versus": better}}
    lines = render(summary=SUMMARY | {"classifier": SUMMARY["classifier"] | {"baselines": changed}}).splitlines()
    rest = "| -0.083 (-0.211 to +0.042) | 43, 29 |"
    assert f"| naive Bayes | +6.1 points (+1.0 to +13.3) {rest} 0.0002 | better than naive Bayes |" in lines
    assert f"| n-gram SVM | +6.1 points (-1.3 to +13.3) {rest} 0.2379 | no difference beyond the noise |" in lines


def test_parts_of_the_messages_are_named_in_words() -> None:
    lines = render().splitlines()
    quarter = "| shortest quarter (3 to 29 characters) | 131 | 77.1 % (31.3 % to 94.4 %) | 17.3 % | 0.611 |"
    assert quarter in lines
    assert "| without a web address | 501 | 83.3 % (31.3 % to 94.4 %) | 0.0 % | – |" in lines
    without = {key: value for key, value in SUMMARY["classifier"].items() if key != "slices"}
    assert "Parts of the messages" not in render(summary=SUMMARY | {"classifier": without})


def test_a_classifier_without_mistakes_is_said_to_have_none() -> None:
    report = render(messages=[message("rightly called", right=True)])
    assert "No mistakes." in report
    assert "rightly called" not in report
    assert "No mistakes." not in render(messages=[message("wrongly called")])


def test_an_input_is_shown_only_where_there_is_one() -> None:
    report = render(answers=[answer("Name a colour", "", "blue", "red"), answer("Spell it", "sky", "s k y", "sky")])
    assert "asked:  Name a colour\n" in report
    assert "asked:  Spell it | sky\n" in report


def test_without_a_sample_world_nothing_is_said_of_floors_and_rules() -> None:
    report = render(stories=[{"prompt": "He", "text": " said"}], answers=[answer("Name a colour", "", "blue", "red")])
    said = ("floor", "rules", "best possible", "random weights", "By kind", "keep", "None", "Undefined")
    assert [word for word in said if word in report] == []


def test_the_sample_world_s_figures_stand_in_the_report() -> None:
    report = render(summary=SAMPLE_WORLD, answers=[answer("Add", "1, 2", "three", "two") | {"kind": "sum"}])
    rows = [
        "| | model / floor | 1.201 | 1 would be perfect |",
        "| | documents that keep all rules | 62.8 % | of 97 written from nothing; 2.1 % are copies |",
        "| | stories among them | 72.1 % | of 61 |",
        "| lesson | 36 | 47.2 % |",
        "| | exact match on facts | 42.4 % | from random weights 1.0 % |",
        "| fact | 41 | 39 | 42.4 % (35.4 % to 51.4 %) | 0.810 | 0.790 | 1.0 % |",
        "| sum | 72 | 70 | 31.3 % (24.3 % to 40.3 %) | 0.810 | 0.790 | 7.1 % |",
    ]
    assert [row for row in rows if row not in report.splitlines()] == []
    phrases = ["best possible 98.7 %", "slightly too high", "Pretraining buys +7.2 points", "Answer 1 (sum), token F1"]
    assert [phrase for phrase in phrases if phrase not in report] == []
    tables = [token for token in parsed(report) if token.type == "table_open"]
    assert len(tables) == 7  # in short, stories, four of the classifier, by kind: none is broken


@pytest.mark.parametrize(
    ("p_value", "said"),
    [
        (0.0312, "Two equally good classifiers would seldom differ so much"),
        (0.31, "On 517 messages that is no difference beyond chance"),
    ],
)
def test_what_pretraining_buys_the_classifier_is_said_and_whether_chance_can_do_as_much(
    p_value: float, said: str
) -> None:
    versus = VERSUS | {"low": 0.01, "high": 0.2, "mcnemar_p": p_value}
    beginner = SAMPLE_WORLD["classifier"]["from_random"] | {"versus": versus}
    classifier = SAMPLE_WORLD["classifier"] | {"from_random": beginner}
    report = render(summary=SAMPLE_WORLD | {"classifier": classifier})
    assert "### What pretraining buys the classifier\n\nPretraining buys +12.2 points of accuracy: 81.2 %" in report
    assert "begins with random weights (F1 0.582 against 0.440)." in report
    assert said in report
    assert f"McNemar's p {p_value:.3f}" in report


def test_kinds_are_shown_without_a_model_from_random_weights() -> None:
    instruct = {key: value for key, value in SAMPLE_WORLD["instruct"].items() if key != "from_random"}
    report = render(summary=SAMPLE_WORLD | {"instruct": instruct, "classifier": SUMMARY["classifier"]})
    assert "| fact | 41 | 39 | 42.4 % (35.4 % to 51.4 %) | 0.810 | 0.790 |" in report.splitlines()
    assert "| | exact match on facts | 42.4 % | of 41 facts that instruction training never asked for |" in report
    assert "random weights" not in report


@pytest.mark.parametrize("text", HOSTILE)
def test_stories_are_shown_as_code(text: str) -> None:
    written = [told(text), told("plain", keeps_rules=False, broke_at=text)]
    report = render(summary=SAMPLE_WORLD, written=written)
    assert "hostile" not in outside_of_code(report)
    assert in_code(report).count("hostile") == 2 * text.count("hostile")


def test_a_story_is_shown_with_what_was_found_of_it() -> None:
    written = [told("One."), told("Two.", False, "Tw▶o."), told("Three.", copy=True), told("Four.", keeps_rules=None)]
    report = render(summary=SAMPLE_WORLD, written=written)
    headings = ("Story 1, keeps the rules:", "Story 2, breaks a rule:", "Story 3, keeps the rules, a copy:", "Story 4:")
    assert [line for line in report.splitlines() if line.startswith("Story ")] == list(headings)
    assert "    Tw▶o." in report.splitlines()
    assert report.count("up to the mark") == 1


# --- the language model beside simpler ways, and where it is surprised

BESIDE_OTHERS: dict[str, Any] = {
    "loss_nats_low": 3.3211,
    "loss_nats_high": 3.5122,
    "bits_per_byte_low": 1.8765,
    "bits_per_byte_high": 2.0987,
    "baselines": {
        "unigram": {"bits_per_byte": 4.1234},
        "ngram": {"bits_per_byte": 2.2345, "order": 5},
        "xz": {"bits_per_byte": 2.31, "read_bytes": 4_567_000},
        "zstd": {"bits_per_byte": 2.29, "read_bytes": 4_567_000},
        "xz_alone": {"bits_per_byte": 3.12},
        "zstd_alone": {"bits_per_byte": 3.15},
        "bzip2_alone": {"bits_per_byte": 2.81},
    },
    "minus_ngram": {"bits_per_byte": -0.2469, "bits_per_byte_low": -0.3001, "bits_per_byte_high": -0.2002},
}
WITH_BOUNDS = {"ratio_to_floor_low": 1.1901, "ratio_to_floor_high": 1.2203}
COPIED = {"longest_copy_median": 93.0, "longest_copy_max": 162, "half_copied": 0.0321}
MEASURED = SAMPLE_WORLD | {
    "language_model": SAMPLE_WORLD["language_model"]
    | BESIDE_OTHERS
    | WITH_BOUNDS
    | {"stories": SAMPLE_WORLD["language_model"]["stories"] | COPIED}
}
DETAIL: dict[str, Any] = {
    "by_position": [
        {"from": 0, "to": 0, "tokens": 10, "loss_nats": 5.4321},
        {"from": 1, "to": 3, "tokens": 30, "loss_nats": 1.2345},
        {"from": 4, "to": 6, "tokens": 27, "loss_nats": 2.3456},
    ],
    "by_frequency": [
        {"from": 0, "to": 0, "tokens": 4, "loss_nats": 9.8765},
        {"from": 10, "to": 99, "tokens": 63, "loss_nats": 1.0203},
    ],
    "by_document": {
        "documents": 37,
        "quantiles": {"0.05": 0.1111, "0.25": 0.2, "0.5": 0.3333, "0.75": 0.4, "0.95": 0.5555},
        "most_surprising": [
            {"text": "Strange.", "bits_per_byte": 7.6543, "floor_bits_per_byte": 6.5432},
            {"text": "Odd.", "bits_per_byte": 7.1234},
        ],
    },
}


@pytest.mark.parametrize("keys", leaves({"language_model": MEASURED["language_model"]}), ids=".".join)
def test_no_figure_of_the_language_model_is_hard_coded(keys: tuple[str, ...]) -> None:
    changed = json.loads(json.dumps(MEASURED))
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7
    assert render(summary=changed) != render(summary=MEASURED)


def test_the_ways_to_predict_stand_from_worst_to_best() -> None:
    report = render(summary=MEASURED)
    rows = report.split("| what predicts |")[1].split("\n\n")[0].splitlines()[2:]
    assert rows == [
        "| plain bytes | 8.000 |  |",
        "| how frequent each token is | 4.123 |  |",
        "| zstd, on its own | 3.150 |  |",
        "| xz, on its own | 3.120 |  |",
        "| bzip2, on its own | 2.810 |  |",
        "| xz, after 4567000 bytes of the train text | 2.310 |  |",
        "| zstd, after 4567000 bytes of the train text | 2.290 |  |",
        "| counts of up to 5 tokens (Kneser-Ney) | 2.235 |  |",
        "| **GPT** | 1.988 | 1.877 to 2.099 |",
        "| one who knows the rules and the world | 1.654 |  |",
    ]
    assert "The GPT needs 0.247 bits per byte fewer than counting (difference -0.300 to -0.200)." in report
    assert len([token for token in parsed(report) if token.type == "table_open"]) == 8


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ((0.2, 0.1, 0.3), "The GPT needs 0.200 bits per byte more than counting (difference 0.100 to 0.300)."),
        ((-0.1, -0.2, 0.1), "the difference is 0.100 bits per byte (-0.200 to 0.100): inside the noise."),
        ((-0.1,), "The GPT needs 0.100 bits per byte fewer than counting; the text is too short to tell how sure"),
    ],
)
def test_a_difference_is_told_in_words(difference: tuple[float, ...], said: str) -> None:
    keys = ("bits_per_byte", "bits_per_byte_low", "bits_per_byte_high")
    changed = MEASURED["language_model"] | {"minus_ngram": dict(zip(keys, difference, strict=False))}
    assert said in render(summary=MEASURED | {"language_model": changed})


def test_without_an_n_gram_model_nothing_is_said_of_it() -> None:
    language = {key: value for key, value in MEASURED["language_model"].items() if key != "minus_ngram"}
    language["baselines"] = {key: value for key, value in language["baselines"].items() if key != "ngram"}
    report = render(summary=MEASURED | {"language_model": language})
    assert "| xz, on its own | 3.120 |  |" in report
    assert not any(word in report for word in ("Kneser", "than counting", "Undefined"))


def test_where_the_model_is_surprised_stands_in_the_report() -> None:
    report = render(summary=MEASURED, detail=DETAIL)
    wanted = [
        "The first token of a document costs 5.432 nats; one with 4 to 6 tokens before it costs 2.346, and 1.234 with "
        "1 to 3, the lowest. By",
        "| 0 | 4 | 9.877 |",
        "| 10 to 99 | 63 | 1.020 |",
        "Of 37 documents the middle one needs 0.333 bits per byte, and nine of ten between 0.111 and 0.555.",
        "7.654 bits per byte, the floor is 6.543:\n\n    Strange.\n",
        "7.123 bits per byte:\n\n    Odd.\n",
        "![Loss by position in the document](loss_by_position.png)",
    ]
    assert [each for each in wanted if each not in report] == []
    assert "surprised" not in render(summary=MEASURED)


@pytest.mark.parametrize("text", HOSTILE)
def test_passages_and_surprising_documents_are_shown_as_code(text: str) -> None:
    of_documents = DETAIL["by_document"] | {"most_surprising": [{"text": text, "bits_per_byte": 7.0}]}
    row = {"prompt": "He", "text": "said", "passage": text}
    report = render(stories=[row], summary=MEASURED, detail=DETAIL | {"by_document": of_documents})
    assert "hostile" not in outside_of_code(report)
    assert in_code(report).count("hostile") == 2 * text.count("hostile")


def test_each_continuation_stands_with_its_temperature_and_the_passage_it_copies() -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "He", "text": " sat.", "temperature": 0.3, "overlap": 5, "copied_share": 1.0, "passage": "x⟦ sat.⟧"},
        {"prompt": "He", "text": "@@", "temperature": 1.0, "overlap": 0, "copied_share": 0.0, "passage": ""},
        {"prompt": "She", "text": "!", "temperature": 0.3},
    ]
    report = render(stories=rows)
    assert report.count("After the prompt “He”:") == 1
    assert report.count("After the prompt “She”:") == 1
    assert "Temperature 0.3:\n\n    He sat.\n" in report
    assert "In the train text, 5 characters, 100.0 % of it:\n\n    x⟦ sat.⟧\n" in report
    assert "Temperature 1.0:\n\n    He@@\n\nNothing of it stands in the train text." in report


# --- more than two classes

OF_MANY = SUMMARY | {"classifier": MANY_CLASSES}
NAMES = ("bill", "bug", "praise")


def of_many(text: str, label: str, called: str, probability: float = 0.9) -> dict[str, Any]:
    return message(text, label, probability, right=label == called) | {"called": called}


def test_the_figures_of_many_classes_stand_in_the_report() -> None:
    rows = [
        of_many("first", "bug", "bill", 0.4),
        of_many("second", "praise", "bug", 0.55),
        of_many("third", "bug", "bug"),
    ]
    report = render(messages=rows, summary=OF_MANY, classes=NAMES)
    wanted = [
        "| | macro F1 of 3 classes | 0.582 | majority class 0.211, naive Bayes 0.621, "
        "TF-IDF + logistic regression 0.665, n-gram SVM 0.695 |",
        "| | accuracy | macro precision | macro recall | macro F1 | macro ROC AUC | log loss |",
        "|---|---|---|---|---|---|---|",
        "| GPT | 81.2 % (70.7 % to 89.1 %) | 63.0 % | 54.0 % | 0.582 (0.313 to 0.944) | 0.9034 (0.3127 to 0.9437) "
        "| 0.717 (0.313 to 0.944) |",
        "| majority class | 61.1 % (70.7 % to 89.1 %) | 63.0 % | 54.0 % | 0.211 (0.313 to 0.944) "
        "| 0.9034 (0.3127 to 0.9437) | – |",
        "| class | test messages | precision | recall | F1 |",
        "| bill | 30 | 91.1 % (31.3 % to 94.4 %) | 82.2 % (31.3 % to 94.4 %) | 0.864 |",
        "| praise | 0 | 0.0 % | not known | not known |",
        "| with a digit | 19 | 63.2 % (31.3 % to 94.4 %) | 0.551 |",
        "No test message is praise, so how well that is told is not known; the means leave it out.",
        "praise, called bug with probability 0.550:",
        "bug, called bill with probability 0.400:",
    ]
    assert [line for line in wanted if line not in report.splitlines()] == []
    assert "The most probable class is called." in report
    assert not any(word in report for word in ("hresholds were", "None", "Undefined", "spam,"))
    assert report.index("second") < report.index("first")  # the surest mistake comes first
    assert len([token for token in parsed(report) if token.type == "table_open"]) == 6


def test_where_every_class_was_met_nothing_is_said_of_missing_ones() -> None:
    met = MANY_CLASSES["per_class"] | {"praise": {"support": 1, "precision": 1.0, "recall": 1.0, "f1": 1.0}}
    report = render(summary=OF_MANY | {"classifier": MANY_CLASSES | {"per_class": met}}, classes=NAMES)
    assert "not known" not in report


@pytest.mark.parametrize("label", ["<b>hostile</b>", "a | hostile | b", "`hostile`", "![hostile](x)", "*hostile*"])
def test_a_label_of_many_cannot_become_markup(label: str) -> None:
    def with_label(name: str) -> str:
        of_each = MANY_CLASSES["per_class"]
        per_class = {"bill": of_each["bill"], name: of_each["bug"], f"{name} 2": of_each["praise"]}
        return render(
            messages=[of_many("text", "bill", name), of_many("text", name, "bill")],
            summary=OF_MANY | {"classifier": MANY_CLASSES | {"per_class": per_class}},
            classes=tuple(per_class),
        )

    assert with_label("werd").count("werd") == 5
    assert structure(with_label(label)) == structure(with_label("werd"))


@pytest.mark.parametrize("keys", leaves({"classifier": MANY_CLASSES}), ids=".".join)
def test_no_figure_of_many_classes_is_hard_coded(keys: tuple[str, ...]) -> None:
    changed = json.loads(json.dumps(OF_MANY))  # a deep copy that shares nothing between the four classifiers
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7
    if inner.get("support") == 7:
        inner |= {"recall": 0.5, "f1": 0.5}
    of_a_baseline = "baselines" in keys
    not_shown = of_a_baseline and "per_class" in keys
    same = render(summary=changed, classes=NAMES) == render(summary=OF_MANY, classes=NAMES)
    assert same == not_shown


@pytest.mark.parametrize("text", HOSTILE)
def test_the_turns_before_a_question_are_shown_as_code(text: str) -> None:
    row = answer("Where is it?", "", "there", "here") | {"history": [["Who?", text], [text, "I."]]}
    report = render(answers=[row, answer("Alone?", "", "yes", "no")])
    assert "Answer 1 in turn 3 of a conversation, token F1 0.25, ROUGE-L 0.12:" in report
    assert "Answer 2, token F1 0.25, ROUGE-L 0.12:" in report
    assert "hostile" not in outside_of_code(report)
    assert in_code(report).count("hostile") == 2 * text.count("hostile")
    assert report.count("before: ") == 2


def test_verdicts_stand_first_and_cannot_become_markup() -> None:
    said = Finding("warning", "pretrain", "Word **hostile** <b>x</b> | `y`. More.", "raise pretrain.max_steps")
    report = render(verdicts=[said, Finding("good", "split", "No leaks.")])
    assert report.index("## Verdicts") < report.index("## In short")
    kinds = structure(report) - structure(render(verdicts=[]))
    assert not kinds.keys() & {"html_inline", "html_block", "table_open"}
    assert kinds["list_item_open"] == 2
    assert kinds["strong_open"] == 2
    assert kinds["code_inline"] == 1  # params.yaml
    assert "## Verdicts" not in render()


# --- answers


def wrong(said: str, rouge_l: float, **changes: Any) -> dict[str, Any]:
    return ANSWER | {"answer": said, "rouge_l": rouge_l} | changes


def test_the_weakest_answers_come_first_and_are_not_shown_twice() -> None:
    scores = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6, 0.0]
    rows = [wrong(f"said {score}", score) for score in scores]
    rows.insert(4, ANSWER | {"answer": "right", "exact_match": True, "rouge_l": 1.0, "token_f1": 1.0})
    report = render(answers=rows)
    said = [line.removeprefix("    said:   ") for line in report.splitlines() if line.startswith("    said:")]
    assert said == [f"said 0.{n}" for n in range(8)] + ["said 0.9", "right", "said 0.8"]
    assert report.index("### The weakest answers") < report.index("said 0.0")
    assert report.index("said 0.7") < report.index("### Other answers") < report.index("said 0.9")


def test_where_every_answer_is_right_none_is_called_weak() -> None:
    report = render(answers=[ANSWER | {"exact_match": True}])
    assert "weakest" not in report
    assert "### Answers" in report.splitlines()
    assert "### Answers" not in render(answers=[ANSWER])


def test_an_answer_says_what_is_wrong_with_it() -> None:
    report = render(answers=[wrong("said", 0.5, repeats=True, memorised=True, ended=False)])
    assert "Answer 1, token F1 0.25, ROUGE-L 0.50, repeats itself, by heart, did not end:" in report.splitlines()


def test_nothing_is_said_of_rows_that_there_are_not() -> None:
    none = {"checkable": {"rows": 0}, "new_answers": {"rows": 0}}
    instruct = {key: value for key, value in (INSTRUCT | none).items() if "loss" not in key}
    report = render(summary=SUMMARY | {"instruct": instruct})
    for said in ("no instruction has one right answer only", "Training has had every right answer", "is not known"):
        assert said in report


def test_a_difference_inside_the_noise_is_called_that() -> None:
    versus = SAMPLE_WORLD["instruct"]["from_random"]["versus"]
    sure = "The difference of +7.2 points lies between +2.1 and +12.3 (McNemar's test: p = 0.012)."
    assert versus_words(versus) == sure
    assert sure in render(summary=SAMPLE_WORLD)
    for low, high in ((-0.01, 0.1), (-0.1, 0.0)):
        assert "inside the noise (McNemar's test: p = 0.012)" in versus_words(versus | {"low": low, "high": high})
    assert versus_words(versus | {"mcnemar_p": 1e-9}).endswith("p < 0.001).")
