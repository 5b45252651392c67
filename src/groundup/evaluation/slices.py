"""How a classifier does on parts of the messages: short and long ones, with and without digits, addresses, capitals."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from groundup.evaluation.calibration import equal_parts
from groundup.evaluation.metrics import accuracy_figures, f1_of_rows
from groundup.tasks.classes import Classes

FEWEST_ROWS = 10  # of fewer an accuracy says next to nothing
QUARTERS = 4
# Of names without http or www; any ending would take the end of a sentence without a space after it for an address.
ENDINGS = "com|net|org|info|biz|edu|gov|mobi|app|shop|xyz|co|uk|us|eu|de|fr|es|nl|ru|cn|jp|au|ca|br|ch|tv|io|ly|cc|gl"
URL = re.compile(rf"\bhttps?://\S|\bwww\.\S|(?<![\w@.-])[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:{ENDINGS})\b", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]{2,}")


def has_digits(text: str) -> bool:
    return any(character.isdigit() for character in text)


def has_url(text: str) -> bool:
    """Whether an address of the web stands in a text, with or without http before it; those of mail are none."""
    return URL.search(text) is not None


def has_capitals(text: str) -> bool:
    """Whether a word of at least two letters is all in capitals."""
    return any(word.isupper() for word in WORD.findall(text))


TRAITS = {"digits": has_digits, "urls": has_url, "capitals": has_capitals}


def slices_of(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Which rows belong to each slice. Quarters are of the rows in order of their length in characters.

    Shapes:  N texts -> bool (N,) by name
    """
    quarter = equal_parts(np.array([len(text) for text in texts]), QUARTERS)
    found = {f"length_quarter_{number + 1}": quarter == number for number in range(QUARTERS)}
    for trait, has_it in TRAITS.items():
        belongs = np.array([has_it(text) for text in texts])
        found |= {f"with_{trait}": belongs, f"without_{trait}": ~belongs}
    return found


def slice_figures(
    texts: Sequence[str], labels: np.ndarray, called: np.ndarray, classes: Classes, confidence: float
) -> dict[str, dict[str, Any]]:
    """Rows, accuracy with its Wilson interval and F1 of each slice with at least `FEWEST_ROWS` rows, but not all rows.

    Of two classes `positive_share` is how many of a slice's rows are positive; where none is, there is no F1. Slices by
    length tell how many characters their texts have.

    Shapes:  N texts, labels (N,), called (N,)
    """
    found: dict[str, dict[str, Any]] = {}
    for name, belongs in slices_of(texts).items():
        n_rows = int(belongs.sum())
        if not FEWEST_ROWS <= n_rows < len(texts):
            continue
        is_it, call = labels[belongs], called[belongs]
        figures: dict[str, Any] = {"rows": n_rows} | accuracy_figures(is_it, call, confidence)
        if classes.has_positive:
            figures["positive_share"] = float(is_it.mean())
        if not classes.has_positive or is_it.any():
            figures["f1" if classes.has_positive else "macro_f1"] = f1_of_rows(is_it, call, classes)
        if name.startswith("length"):
            lengths = [len(text) for text, inside in zip(texts, belongs, strict=True) if inside]
            figures |= {"shortest": min(lengths), "longest": max(lengths)}
        found[name] = figures
    return found
