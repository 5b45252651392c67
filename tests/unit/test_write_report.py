"""The report as Markdown: this run's figures, and hostile text only where nothing is markup."""

import copy
import json
from collections import Counter
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from report_helpers import BESIDE_THE_FLOOR, MANY_CLASSES

from groundup.evaluation.evaluated import Evaluated
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

CLASSIFIER = {
    "accuracy": 0.8125,
    "accuracy_low": 0.7071,
    "accuracy_high": 0.8912,
    "precision": 0.6301,
    "recall": 0.5402,
    "f1": 0.5817,
    "roc_auc": 0.9034,
    "threshold": 0.4321,
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
    | {
        "rows": 517,
        "baselines": {
            "majority": CLASSIFIER | {"accuracy": 0.6112, "f1": 0.0, "threshold": 0.5},
            "tfidf_logreg": CLASSIFIER | {"accuracy": 0.7239, "f1": 0.6648, "threshold": 0.3877},
            "char_svm": CLASSIFIER | {"accuracy": 0.7541, "f1": 0.6953, "threshold": 0.2911},
        },
    },
    "instruct": {"response_loss_nats": 2.7182, "exact_match": 0.1234, "token_f1": 0.4568, "ended": 0.9012, "rows": 113},
    "split": {"leaks": 0, "near_leaks": 0},
}
FROM_RANDOM = {
    "exact_match": 0.0517,
    "token_f1": 0.2345,
    "facts_exact_match": 0.0102,
    "by_kind": {"fact": {"rows": 41, "exact_match": 0.0102}, "sum": {"rows": 72, "exact_match": 0.0713}},
}
# As it is where the texts come from the sample world, whose best possible scores are known.
SAMPLE_WORLD = SUMMARY | {
    "language_model": SUMMARY["language_model"] | BESIDE_THE_FLOOR,
    "classifier": SUMMARY["classifier"]
    | {"best_possible": 0.9873, "from_random": CLASSIFIER | {"accuracy": 0.6903, "f1": 0.4401, "p_value": 0.0312}},
    "instruct": SUMMARY["instruct"]
    | {
        "facts_exact_match": 0.4242,
        "by_kind": {"fact": {"rows": 41, "exact_match": 0.4242}, "sum": {"rows": 72, "exact_match": 0.3131}},
        "from_random": FROM_RANDOM,
    },
}
SPLIT = {
    "leaks": 0,
    "near_leaks": 0,
    "messages": {"copies_left_out": 403, "shares": {"test": {"ham": 0.8761, "spam": 0.1239}}},
}


def message(text: str, label: str = "ham", probability: float = 0.9, right: bool = False) -> dict[str, Any]:
    return {"text": text, "label": label, "probability": probability, "right": right}


def answer(instruction: str, about: str, wanted: str, said: str) -> dict[str, Any]:
    return {
        "instruction": instruction,
        "input": about,
        "wanted": wanted,
        "answer": said,
        "exact_match": False,
        "token_f1": 0.25,
        "ended": True,
        "kind": "",
    }


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
) -> str:
    return render_report(
        summary,
        Evaluated(summary["language_model"], stories or [], written or []),
        Evaluated(summary["classifier"], messages or []),
        Evaluated(summary["instruct"], answers or []),
        classes,
        split,
        {},
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
    def with_label(name: str) -> str:
        shares = {"messages": {"copies_left_out": 0, "shares": {"test": {"ham": 0.5, name: 0.5}}}}
        return render(messages=[message("text", name)], classes=("ham", name), split=SPLIT | shares)

    assert with_label("word").count("word") == 4
    assert structure(with_label(label)) == structure(with_label("word"))


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
    numbers = ["1.988", "31.7", "0.582", "0.665", "0.9034", "0.432", "0.388", "3.457", "2.718", "0.457"]
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
    changed = copy.deepcopy(SAMPLE_WORLD)
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7
    beside = [("baselines", "majority"), ("baselines", "tfidf_logreg"), ("baselines", "char_svm"), ("from_random",)]
    not_shown = {("classifier", *each, f"accuracy_{end}") for each in beside for end in ("low", "high")} | {
        ("instruct", "from_random", "by_kind", kind, "rows") for kind in ("fact", "sum")
    }
    assert (render(summary=changed) == render(summary=SAMPLE_WORLD)) == (keys in not_shown)


def test_the_most_confident_mistakes_come_first_and_right_calls_are_left_out() -> None:
    messages = [message(f"wrong {n:02d}", probability=0.44 + n / 100) for n in range(15)]
    messages.append(message("a right one", probability=0.99, right=True))
    code = in_code(render(messages=messages))
    shown = [line for line in code.splitlines() if line]
    assert shown == [f"wrong {n:02d}" for n in reversed(range(5, 15))]


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
        "| fact | 41 | 42.4 % | 1.0 % |",
        "| sum | 72 | 31.3 % | 7.1 % |",
    ]
    assert [row for row in rows if row not in report.splitlines()] == []
    phrases = ["best possible 98.7 %", "slightly too high", "Pretraining buys +7.2 points", "Answer 1 (sum), token F1"]
    assert [phrase for phrase in phrases if phrase not in report] == []
    tables = [token for token in parsed(report) if token.type == "table_open"]
    assert len(tables) == 4  # in short, stories, classifier, by kind: none is broken


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
    classifier = copy.deepcopy(SAMPLE_WORLD["classifier"])
    classifier["from_random"]["p_value"] = p_value
    report = render(summary=SAMPLE_WORLD | {"classifier": classifier})
    assert "### What pretraining buys the classifier\n\nPretraining buys +12.2 points of accuracy: 81.2 %" in report
    assert "begins with random weights (F1 0.582 against 0.440)." in report
    assert said in report
    assert f"McNemar's p {p_value:.3f}" in report


def test_kinds_are_shown_without_a_model_from_random_weights() -> None:
    instruct = {key: value for key, value in SAMPLE_WORLD["instruct"].items() if key != "from_random"}
    report = render(summary=SAMPLE_WORLD | {"instruct": instruct, "classifier": SUMMARY["classifier"]})
    assert "| fact | 41 | 42.4 % |" in report.splitlines()
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
        "| | macro F1 of 3 classes | 0.582 | majority class 0.211, TF-IDF + logistic regression 0.665, "
        "character n-gram SVM 0.695 |",
        "| | accuracy | macro precision | macro recall | macro F1 | macro ROC AUC |",
        "|---|---|---|---|---|---|",
        "| GPT | 81.2 % | 63.0 % | 54.0 % | 0.582 | 0.9034 |",
        "| majority class | 61.1 % | 63.0 % | 54.0 % | 0.211 | 0.9034 |",
        "| class | test messages | precision | recall | F1 |",
        "| bill | 30 | 91.1 % | 82.2 % | 0.864 |",
        "| praise | 0 | 0.0 % | not known | not known |",
        "No test message is praise, so how well that is told is not known; the means leave it out.",
        "praise, called bug with probability 0.550:",
        "bug, called bill with probability 0.400:",
    ]
    assert [line for line in wanted if line not in report.splitlines()] == []
    assert "The most probable class is called." in report
    assert not any(word in report for word in ("hreshold", "None", "Undefined", "spam,"))
    assert report.index("second") < report.index("first")  # the surest mistake comes first
    assert len([token for token in parsed(report) if token.type == "table_open"]) == 3


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
    not_shown = of_a_baseline and ("per_class" in keys or keys[-1] in ("accuracy_low", "accuracy_high"))
    same = render(summary=changed, classes=NAMES) == render(summary=OF_MANY, classes=NAMES)
    assert same == not_shown


@pytest.mark.parametrize("text", HOSTILE)
def test_the_turns_before_a_question_are_shown_as_code(text: str) -> None:
    row = answer("Where is it?", "", "there", "here") | {"history": [["Who?", text], [text, "I."]]}
    report = render(answers=[row, answer("Alone?", "", "yes", "no")])
    assert "Answer 1 in turn 3 of a conversation, token F1 0.25:" in report
    assert "Answer 2, token F1 0.25:" in report
    assert "hostile" not in outside_of_code(report)
    assert in_code(report).count("hostile") == 2 * text.count("hostile")
    assert report.count("before: ") == 2
