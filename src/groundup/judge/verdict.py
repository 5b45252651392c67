"""What the judge is told and what its reply says; the words of the rubric are in `rubric.md`."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUBRIC_FILE = Path(__file__).with_name("rubric.md")
LOWEST, HIGHEST, GOOD = 1, 5, 4
THINKING_ENDS = "</think>"  # what models of some families write before it is no reply yet

MOST_READ = 10_000  # characters at the end of a reply, which is two lines if all is well


@dataclass(frozen=True)
class Verdict:
    """A score from `LOWEST` to `HIGHEST`, and why."""

    score: int
    reason: str


def case_of(sample: Mapping[str, Any]) -> str:
    """One answer to be graded, as JSON, so that no text in it can end it early."""
    case = {"instruction": sample["instruction"], "input": sample["input"]}
    if sample.get("history"):
        case["before"] = sample["history"]
    case |= {"reference": sample["wanted"], "answer": sample["answer"]}
    return json.dumps(case, indent=2, ensure_ascii=False)


def read_verdict(reply: str) -> Verdict | None:
    """The verdict in a reply, whatever prose stands around it; None if there is none, or if two scores stand there.

    A score that is no whole number of the scale is none.
    """
    found = [
        verdict for value in _objects(reply.rpartition(THINKING_ENDS)[2][-MOST_READ:]) if (verdict := _verdict(value))
    ]
    return found[-1] if len({verdict.score for verdict in found}) == 1 else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """All JSON objects that stand in a text, each as far as it can be read."""
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            yield value
        place = text.find("{", end)


def _verdict(value: dict[str, Any]) -> Verdict | None:
    score, reason = value.get("score"), value.get("reason", "")
    if isinstance(score, str) and re.fullmatch(r"\s*[0-9]\s*", score):
        score = int(score)
    if isinstance(score, bool) or not isinstance(score, int | float) or score not in range(LOWEST, HIGHEST + 1):
        return None
    return Verdict(int(score), reason if isinstance(reason, str) else json.dumps(reason, ensure_ascii=False))
