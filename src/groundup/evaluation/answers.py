"""How good an answer is, beside the one that was wanted."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from groundup.data.sample.skills import SKILLS

RUN, TOO_OFTEN = 4, 3  # words in a row, and how many times they make a repetition
FEW_WORDS = 3  # an answer of so few names a thing, a number, yes or no


def answer_words(text: str) -> list[str]:
    """The words of an answer as they are compared: without case, punctuation and articles.

    Source: the SQuAD evaluation script's rules (Rajpurkar et al. 2016).
    """
    text = "".join(" " if character in string.punctuation else character for character in text.casefold())
    return [word for word in text.split() if not re.fullmatch(r"a|an|the", word)]


def exact_match(answer: str, wanted: str) -> bool:
    """Whether two answers have the same words in the same order."""
    return answer_words(answer) == answer_words(wanted)


def token_f1(answer: str, wanted: str) -> float:
    """Harmonic mean of the shares of words that two answers have in common."""
    got, expected = answer_words(answer), answer_words(wanted)
    if not got or not expected:
        return float(got == expected)
    shared = sum((Counter(got) & Counter(expected)).values())
    return 2 * shared / (len(got) + len(expected))


def rouge_l(answer: str, wanted: str) -> float:
    """F1 of the words that two answers have in common in the same order, others between them or not.

    Words are compared as in `token_f1`, which knows no order and so is never smaller.

    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"; precision and recall weigh the same.
    """
    got, expected = answer_words(answer), answer_words(wanted)
    if not got or not expected:
        return float(got == expected)
    return 2 * longest_common_subsequence(got, expected) / (len(got) + len(expected))


def longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words stand in both in the same order, at most."""
    longest = [0] * (len(other) + 1)  # of what was read of `one` so far, with each beginning of `other`
    for word in one:
        before = 0  # the entry to the left, as it was without this word
        for place, each in enumerate(other, start=1):
            above = longest[place]
            longest[place] = before + 1 if word == each else max(above, longest[place - 1])
            before = above
    return longest[-1]


def repeats_itself(answer: str) -> bool:
    """Whether some four words in a row stand in the answer three times or more, next to each other or apart.

    One word seven times over counts too: its first four, the four from the second on, and so forth, are the same.
    """
    words = answer.casefold().split()
    runs = Counter(tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1))
    return max(runs.values(), default=0) >= TOO_OFTEN


def length_ratio(answer: str, wanted: str) -> float:
    """Words of the answer for each word of the one that was wanted."""
    return len(answer.split()) / max(1, len(wanted.split()))


def is_checkable(wanted: str, kind: str) -> bool:
    """Whether only one answer is right, so that other words are a mistake and no matter of taste.

    That is so for every kind of the sample world; of other instructions for those that want very few words.
    """
    return kind in SKILLS or len(wanted.split()) <= FEW_WORDS
