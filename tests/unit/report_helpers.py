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

# How the GPT compares with one baseline.
VERSUS: dict[str, Any] = {
    "accuracy_difference": 0.0613,
    "low": -0.0127,
    "high": 0.1331,
    "f1_difference": -0.0831,
    "f1_low": -0.2113,
    "f1_high": 0.0419,
    "mcnemar_p": 0.2379,
    "only_gpt_right": 43,
    "only_baseline_right": 29,
}
CALIBRATION: dict[str, Any] = {
    "temperature": 1.4141,
    "brier": 0.0931,
    "ece": 0.0713,
    "loss_nats": 0.4151,
    "brier_scaled": 0.0911,
    "ece_scaled": 0.0377,
    "loss_nats_scaled": 0.3989,
}


def bounds(*keys: str, low: float = 0.3127, high: float = 0.9437) -> dict[str, float]:
    return {f"{key}_{end}": value for key in keys for end, value in (("low", low), ("high", high))}


_MANY: dict[str, Any] = {
    "accuracy": 0.8125,
    "accuracy_low": 0.7071,
    "accuracy_high": 0.8912,
    "macro_precision": 0.6301,
    "macro_recall": 0.5402,
    "macro_f1": 0.5817,
    "macro_roc_auc": 0.9034,
    **bounds("macro_f1", "macro_roc_auc"),
    "per_class": {
        "bill": {"support": 30, "precision": 0.9111, "recall": 0.8222, "f1": 0.8643} | bounds("precision", "recall"),
        "bug": {"support": 21, "precision": 0.3502, "recall": 0.2601, "f1": 0.2987} | bounds("precision", "recall"),
        "praise": {"support": 0, "precision": 0.0},
    },
}
# A classifier of three classes, one of which no test message has.
MANY_CLASSES: dict[str, Any] = (
    _MANY
    | {"loss_nats": 0.7171, **bounds("loss_nats")}
    | {
        "rows": 51,
        "confidence": 0.95,
        "baselines": {
            "majority": _MANY | {"accuracy": 0.6112, "macro_f1": 0.2113, "versus": VERSUS},
            "naive_bayes": _MANY | {"accuracy": 0.7001, "macro_f1": 0.6211, "versus": VERSUS},
            "tfidf_logreg": _MANY | {"accuracy": 0.7239, "macro_f1": 0.6648, "versus": VERSUS},
            "svm": _MANY | {"accuracy": 0.7541, "macro_f1": 0.6953, "versus": VERSUS},
        },
        "calibration": CALIBRATION,
        "slices": {"with_digits": {"rows": 19, "accuracy": 0.6316, "macro_f1": 0.5513, **bounds("accuracy")}},
    }
)

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


# A classifier of two classes; no two figures are the same.
TWO_CLASSES: dict[str, Any] = {
    "accuracy": 0.8125,
    "accuracy_low": 0.7071,
    "accuracy_high": 0.8912,
    "precision": 0.6301,
    "recall": 0.5402,
    "f1": 0.5817,
    "roc_auc": 0.9034,
    "threshold": 0.4321,
}
