"""The classes of a classifier, and the rule by which their probabilities become a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from groundup.errors import GroundupError

NAMES_LISTED = 8  # in one line of an error


@dataclass(frozen=True)
class Classes:
    """The labels in the order of their numbers, and how one of them is called.

    Of two classes the last is the positive one: it is called from a threshold of its probability on. More than two have
    no positive one and no threshold: the most probable class is called.
    """

    names: list[str]
    threshold: float | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Classes":
        """The classes that a saved classifier tells of."""
        return cls(facts["labels"], facts["threshold"])

    @property
    def has_positive(self) -> bool:
        return len(self.names) == 2

    def with_threshold(self, threshold: float) -> "Classes":
        """The same classes with another threshold, if they have one."""
        return replace(self, threshold=threshold) if self.has_positive else self

    def called(self, probabilities: np.ndarray) -> np.ndarray:
        """The number of the class that each row is called.

        Shapes:  (N, K) -> (N,)
        """
        if self.threshold is None:
            return probabilities.argmax(axis=1)
        return (probabilities[:, 1] >= self.threshold).astype(int)

    def told(self, probabilities: np.ndarray) -> np.ndarray:
        """The probability that stands beside a call: of two classes the positive one's, of more the called one's.

        Shapes:  (N, K) -> (N,)
        """
        return probabilities[:, 1] if self.has_positive else probabilities.max(axis=1)


def class_names(labels: Sequence[str], positive_label: str) -> list[str]:
    """The labels of the train rows, in order; of two the positive one last, so that its number is 1.

    Raises: GroundupError if there are fewer than two labels, if the positive one is not one of two, or if a
        positive one is named for more, which have none.
    """
    found = sorted(set(labels))
    if len(found) < 2:
        raise GroundupError(
            "finetune_cls: the train messages do not have two classes",
            got=", ".join(found) or "none",
            allowed="rows of at least two labels",
            do="add messages of another class",
        )
    if len(found) > 2:
        if positive_label:
            raise GroundupError(
                f"finetune_cls.positive_label is for two labels, and these messages have {len(found)}",
                got=positive_label,
                allowed='"", as the most probable of more than two is called',
                do=f'set finetune_cls.positive_label to "", or keep two labels of {listed(found)}',
            )
        return found
    if positive_label not in found:
        raise GroundupError(
            "finetune_cls.positive_label is not a label of the messages",
            got=positive_label or '""',
            allowed=" or ".join(found),
            do="set finetune_cls.positive_label to one of them",
        )
    return [name for name in found if name != positive_label] + [positive_label]


def label_numbers(labels: Sequence[str], names: Sequence[str], side: str) -> np.ndarray:
    """The numbers of the classes of some rows.

    Args:
        side: whose rows they are.
    Shapes:  N labels -> (N,)
    Raises: GroundupError if a label is none of the names, which are those of the train rows.
    """
    number_of = {name: number for number, name in enumerate(names)}
    unknown = sorted({label for label in labels if label not in number_of})
    if unknown:
        raise GroundupError(
            f"the {side} messages have a label that no train message has",
            got=listed(unknown),
            allowed=listed(names),
            do="add messages of that label, of which most come to the train side, or remove it from data.messages",
        )
    return np.array([number_of[label] for label in labels], dtype=np.int64)


def listed(names: Sequence[str]) -> str:
    """Names for one line, of many the first."""
    more = len(names) - NAMES_LISTED
    return ", ".join(names[:NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")
