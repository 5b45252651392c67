"""Figures that the tests of both reports show."""

from typing import Any

# What a language model has besides where it is known how the corpus was made.
BESIDE_THE_FLOOR: dict[str, Any] = {
    "floor_bits_per_byte": 1.6543,
    "ratio_to_floor": 1.2014,
    "stories": {
        "written": 97,
        "ended": 0.9457,
        "copies": 0.0211,
        "keep_rules": 0.6281,
        "by_kind": {
            "story": {"written": 61, "keep_rules": 0.7213},
            "lesson": {"written": 36, "keep_rules": 0.4717},
        },
    },
}

_MANY: dict[str, Any] = {
    "accuracy": 0.8125,
    "accuracy_low": 0.7071,
    "accuracy_high": 0.8912,
    "macro_precision": 0.6301,
    "macro_recall": 0.5402,
    "macro_f1": 0.5817,
    "macro_roc_auc": 0.9034,
    "per_class": {
        "bill": {"support": 30, "precision": 0.9111, "recall": 0.8222, "f1": 0.8643},
        "bug": {"support": 21, "precision": 0.3502, "recall": 0.2601, "f1": 0.2987},
        "praise": {"support": 0, "precision": 0.0},
    },
}
# A classifier of three classes, one of which no test message has.
MANY_CLASSES: dict[str, Any] = _MANY | {
    "rows": 51,
    "baselines": {
        "majority": _MANY | {"accuracy": 0.6112, "macro_f1": 0.2113},
        "tfidf_logreg": _MANY | {"accuracy": 0.7239, "macro_f1": 0.6648},
        "char_svm": _MANY | {"accuracy": 0.7541, "macro_f1": 0.6953},
    },
}

# An instruction follower's figures as they always are, whatever the instructions; no two are the same.
INSTRUCT: dict[str, Any] = {
    "response_loss_nats": 2.7182,
    "response_loss_nats_low": 2.6011,
    "response_loss_nats_high": 2.8311,
    "rows": 113,
    "contents": 71,
    "exact_match": 0.1234,
    "exact_match_low": 0.0777,
    "exact_match_high": 0.1951,
    "token_f1": 0.4568,
    "token_f1_low": 0.4011,
    "token_f1_high": 0.5022,
    "rouge_l": 0.4233,
    "rouge_l_low": 0.3877,
    "rouge_l_high": 0.4799,
    "ended": 0.9012,
    "repeats": 0.0361,
    "memorised": 0.0459,
    "length_ratio_mean": 1.3149,
    "length_ratio_median": 1.0449,
    "checkable": {"rows": 59, "exact_match": 0.2219, "low": 0.1318, "high": 0.3447},
    "new_answers": {"rows": 83, "exact_match": 0.0966, "low": 0.0523, "high": 0.1811},
}
# One answer, as the file of samples holds it.
ANSWER: dict[str, Any] = {
    "instruction": "Name a colour",
    "input": "",
    "wanted": "blue",
    "answer": "red",
    "exact_match": False,
    "token_f1": 0.25,
    "rouge_l": 0.125,
    "ended": True,
    "repeats": False,
    "length_ratio": 1.0,
    "memorised": False,
    "new_answer": True,
    "checkable": True,
    "kind": "",
    "group": "",
}


def of_a_kind(rows: int, exact_match: float) -> dict[str, Any]:
    """A line of the table by kind."""
    more = {"exact_match_low": exact_match - 0.07, "exact_match_high": exact_match + 0.09}
    return {"rows": rows, "contents": rows - 2, "exact_match": exact_match, "token_f1": 0.81, "rouge_l": 0.79} | more
