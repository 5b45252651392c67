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
