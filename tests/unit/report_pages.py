"""Folders of made-up reports, from the fewest files to all of them, and the page that is made from each."""

from pathlib import Path
from typing import Any

from report_helpers import BESIDE_THE_FLOOR, MANY_CLASSES, TWO_CLASSES

from groundup.config import flatten
from groundup.files import write_json_atomically
from groundup.params_file import load_params
from groundup.report.html import render_html
from groundup.report.tables import write_table

ROOT = Path(__file__).resolve().parents[2]
# It would run if it were markup, and end a tag, an attribute or a style if it were not quoted.
HOSTILE = "<script>document.title='hostile'</script> \"'></style><img src=x onerror=hostile> & 東京 {{ 7 * 7 }}"

SMALL_SUMMARY: dict[str, Any] = {
    "language_model": {
        "loss_nats": 3.4567,
        "perplexity": 31.71,
        "bits_per_byte": 1.9876,
        "tokens": 4321,
        "bytes": 9753,
    },
    "classifier": TWO_CLASSES
    | {
        "rows": 517,
        "baselines": {
            "majority": TWO_CLASSES | {"accuracy": 0.6112, "f1": 0.0},
            "tfidf_logreg": TWO_CLASSES | {"accuracy": 0.7239, "f1": 0.6648},
        },
    },
    "instruct": {"response_loss_nats": 2.7182, "exact_match": 0.1234, "token_f1": 0.4568, "ended": 0.9012, "rows": 113},
    "split": {"leaks": 0, "near_leaks": 0},
}
FULL_SUMMARY: dict[str, Any] = {
    "language_model": SMALL_SUMMARY["language_model"]
    | BESIDE_THE_FLOOR
    | {
        "bits_per_byte_low": 1.9123,
        "bits_per_byte_high": 2.0456,
        "baselines": {"ngram": {"bits_per_byte": 2.3456}, "some_other": {"bits_per_byte": 3.4561}},
    },
    "classifier": SMALL_SUMMARY["classifier"]
    | {
        "best_possible": 0.9873,
        "confidence": 0.95,
        "calibration": {"temperature": 1.3579, "brier": 0.0432, "brier_scaled": 0.0321, "ece": 0.0123},
        "confusion": {"true_negative": 2, "false_positive": 0, "false_negative": 1, "true_positive": 1},
        "slices": {
            "with_digits": {"rows": 31, "accuracy": 0.7742, "accuracy_low": 0.6021, "accuracy_high": 0.8861},
            "length_quarter_1": {"rows": 129, "accuracy": 0.6512, "shortest": 3, "longest": 17},
        },
    },
    "instruct": SMALL_SUMMARY["instruct"]
    | {
        "rouge_l": 0.5123,
        "checkable": {"rows": 57, "exact_match": 0.4737, "low": 0.3499, "high": 0.6009},
        "new_answers": {"rows": 19, "exact_match": 0.2632, "low": 0.1181, "high": 0.4879},
        "facts_exact_match": 0.4242,
        "by_kind": {"fact": {"rows": 41, "exact_match": 0.4242}, HOSTILE: {"rows": 72, "exact_match": 0.3131}},
        "from_random": {
            "exact_match": 0.0517,
            "token_f1": 0.2345,
            "facts_exact_match": 0.0102,
            "by_kind": {"fact": {"rows": 41, "exact_match": 0.0102}, HOSTILE: {"rows": 72, "exact_match": 0.0713}},
        },
    },
    "split": SMALL_SUMMARY["split"],
}
SPLIT: dict[str, Any] = {
    "leaks": 0,
    "near_leaks": 0,
    "corpus": {"leaks": 0, "near_leaks": 0, "texts": {"train": 9322, "validation": 2663, "test": 1332}},
    "messages": {
        "leaks": 0,
        "near_leaks": 0,
        "texts": {"train": 3500, "validation": 1000, "test": 517},
        "copies_left_out": 403,
        "shares": {"test": {"ham": 0.8761, "spam": 0.1239}},
    },
}
TRAININGS = ("pretrain", "finetune_cls", "finetune_instruct")


def settings(**changes: Any) -> dict[str, Any]:
    """The values of the project's params.yaml that stages declare."""
    values = flatten(load_params(ROOT / "params.yaml"))
    return {key: value for key, value in values.items() if not key.startswith("runtime.")} | changes


def write_small(reports: Path, summary: dict[str, Any] | None = None) -> Path:
    """The fewest files that a page can be made from."""
    write_json_atomically(reports / "summary.json", summary or SMALL_SUMMARY)
    write_json_atomically(reports / "split" / "metrics.json", SPLIT)
    return reports


def write_full(reports: Path, summary: dict[str, Any] | None = None, text: str = HOSTILE) -> Path:
    """All files, those of parts that only some runs have included, with a text in every place where one can stand."""
    write_small(reports, summary or FULL_SUMMARY)
    for number, name in enumerate(TRAININGS, start=2):
        losses = [{"step": 10.0 * n, "tokens": 640.0 * n, "loss_nats": number / n} for n in range(1, 9)]
        write_table(reports / name / "train.csv", losses)
        write_table(reports / name / "validation.csv", losses[3::4])
        figures = {"steps": 80, "tokens": 5120, "best": {"step": 80, "loss_nats": 0.25}, "parameters": 1513920}
        write_json_atomically(reports / name / "metrics.json", figures)
    tokenized = {kind: {"tokens": 1234, "bytes_per_token": 3.98} for kind in ("corpus", "messages", "instructions")}
    write_json_atomically(reports / "tokenize" / "metrics.json", {"vocab_size": 1536} | tokenized)
    pairs = [("ham", "ham"), ("ham", "ham"), ("spam", "ham"), ("spam", "spam")]
    write_table(reports / "confusion.csv", [{"is": is_it, "called": called} for is_it, called in pairs])
    write_table(reports / "roc.csv", [{"false_alarms": x, "caught": y} for x, y in ((0, 0), (0, 0.5), (1, 1))])
    folder = reports / "evaluate"
    write_table(
        folder / "precision_recall.csv",
        [
            {"classifier": name, "recall": recall, "precision": 1 - recall / 2, "threshold": 0.5}
            for name in ("GPT", text)
            for recall in (0.25, 0.5, 1.0)
        ],
    )
    write_table(
        folder / "reliability.csv",
        [
            {"scaled": scaled, "mean_probability": p, "observed": p * p, "rows": 9}
            for scaled in (False, True)
            for p in (0.1, 0.5, 0.9)
        ],
    )
    stretches = [{"from": 2**n, "to": 2 ** (n + 1) - 1, "tokens": 50, "loss_nats": 3 - n / 4} for n in range(6)]
    write_json_atomically(folder / "language_detail.json", {"by_position": stretches, "by_frequency": stretches})
    write_json_atomically(
        folder / "verdicts.json",
        [
            {"level": "good", "model": "instruct", "text": text, "key": ""},
            {"level": "warning", "model": "pretrain", "text": "It was still improving.", "key": "pretrain.max_steps"},
        ],
    )
    write_json_atomically(
        folder / "language_model_samples.json",
        [
            {"prompt": text, "text": text, "temperature": t, "overlap": 12, "copied_share": 0.25, "passage": text}
            for t in (0.3, 0.7, 1.0)
        ],
    )
    told = {"ended": True, "copy": False, "kind": "story"}
    write_json_atomically(
        folder / "stories.json",
        [
            told | {"text": text, "keeps_rules": True, "broke_at": ""},
            told | {"text": f"Mira lived. {text}", "keeps_rules": False, "broke_at": f"Mira ▶lived. {text[:20]}"},
        ],
    )
    write_json_atomically(
        folder / "classifier_samples.json",
        [
            {"text": text, "label": "ham", "called": "ham", "probability": 0.1, "right": True},
            {"text": text, "label": "spam", "called": "ham", "probability": 0.2, "right": False},
        ],
    )
    asked = {"instruction": text, "input": text, "wanted": text, "answer": text, "token_f1": 0.5, "ended": True}
    write_json_atomically(
        folder / "instruct_samples.json",
        [
            asked | {"exact_match": True, "kind": "fact"},
            asked | {"exact_match": False, "kind": "", "history": [[text, text]]},
        ],
    )
    weights = [[0.2] * 4 + [1 - 0.2 * n] for n in range(5)]
    rows = [row[4 - n :] if n else [1.0] for n, row in enumerate(weights)]
    write_json_atomically(
        folder / "glimpse.json",
        {
            "loss": [{"token": token, "tokens": 1, "loss_nats": loss} for token, loss in (("A ", 0.1), (text, 6.5))],
            "attention": {"tokens": ["‹start›", text, " b", "\n", "c"], "weights": [[rows, rows], [rows, rows]]},
            "three": [
                {
                    "from": origin,
                    "text": text,
                    "continued": text,
                    "called": "ham",
                    "probability": 0.25,
                    "probability_of": "spam",
                    "answer": text,
                }
                for origin in ("corpus", "messages", "instructions")
            ],
        },
    )
    return reports


def of_many_classes(names: list[str]) -> dict[str, Any]:
    """A summary with a classifier of these classes, none of which is seen but the first."""
    per_class = {name: {"support": 0, "precision": 0.0} for name in names}
    per_class[names[0]] = {"support": 51, "precision": 0.9111, "recall": 0.8222, "f1": 0.8643}
    many = MANY_CLASSES | {"per_class": per_class}
    return SMALL_SUMMARY | {"classifier": many}


def write_many(reports: Path, names: list[str]) -> Path:
    """Reports of a classifier of more than two classes."""
    write_small(reports, of_many_classes(names))
    rows = [{"is": name, "called": names[(n * n) % len(names)]} for n, name in enumerate(names)]
    write_table(reports / "confusion.csv", rows)
    samples = [{"text": HOSTILE, "label": names[0], "called": names[1], "probability": 0.5, "right": False}]
    write_json_atomically(reports / "evaluate" / "classifier_samples.json", samples)
    return reports


def page(reports: Path, pinned: Path = ROOT / "constraints.txt", **changes: Any) -> str:
    return render_html(reports, reports / "evaluate", settings(**changes), pinned)
