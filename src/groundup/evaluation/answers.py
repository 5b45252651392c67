"""How good an answer is, beside the one that was wanted."""

import re
import string
from collections import Counter


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
