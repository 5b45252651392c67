"""Stories that the language model writes from nothing: is each new, and does it keep the rules of its world?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from groundup.data.sample.check import StoryChecker
from groundup.data.sample.telling import Reading
from groundup.data.sample.world import World
from groundup.data.split import normalise
from groundup.data.token_store import TokenStore
from groundup.evaluation.marks import BREAK_MARK
from groundup.generate import Sampling, generate
from groundup.model.gpt import GPT
from groundup.seeding import derive_seed
from groundup.tokenizer.encoding import Tokenizer

SAMPLE_STORIES = "sample-stories"  # the text of the catalog whose rules are known
SHOWN_BEFORE, SHOWN_AFTER = 40, 20  # characters around the place where a story breaks the rules
HALF = 0.5


class Checker(Protocol):
    """Knows the rules that the corpus was made by."""

    def read(self, text: str) -> Reading:
        """In how many ways the rules can make the text, and how far they could follow it."""


@dataclass(frozen=True)
class Story:
    """What a model wrote, and whether it ended by itself."""

    text: str
    ended: bool


def story_checker(corpus: Collection[str], seed: int, world_size: int) -> Checker | None:
    """The rules of the sample world, if the corpus has its stories; None if nobody knows how the texts were made."""
    return StoryChecker(World(seed, world_size)) if SAMPLE_STORIES in corpus else None


def write_stories(
    model: GPT, tokenizer: Tokenizer, n_stories: int, sampling: Sampling, seed: int, batch_size: int
) -> list[Story]:
    """Documents from nothing but the end-of-text token, each as long as the context at most."""
    room = model.config.context_length - 1
    stories = []
    for start in range(0, n_stories, batch_size):
        new = generate(
            model,
            [[tokenizer.end_of_text_id]] * min(batch_size, n_stories - start),
            room,
            sampling=sampling,
            stop_id=tokenizer.end_of_text_id,
            seed=derive_seed(seed, "stories", start),
        )
        stories += [Story(tokenizer.decode(tokens), ended=len(tokens) < room) for tokens in new]
    return stories


def documents_of(store: TokenStore, tokenizer: Tokenizer) -> list[str]:
    """The texts of a store, decoded all at once."""
    ends = np.cumsum(np.concatenate([[0], tokenizer.token_lengths[store.tokens]]))[store.offsets]
    data = tokenizer.decode_bytes(store.tokens.tolist())
    return [data[start:end].decode("utf-8", errors="replace") for start, end in pairwise(ends)]


def judge_stories(
    stories: Sequence[Story], known: Collection[str], checker: Checker | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Shares of stories that ended by themselves, that copy a known text, and, with a checker, that keep the rules.

    Returns: the figures, and each story with what was found of it; `broke_at` shows where the rules could follow no
        further.
    """
    known_texts = {normalise(text) for text in known}
    rows: list[dict[str, Any]] = []
    for story in stories:
        row: dict[str, Any] = {
            "text": story.text,
            "ended": story.ended,
            "copy": normalise(story.text) in known_texts,
        }
        if checker is not None:
            reading = checker.read(story.text)
            row["kind"] = reading.kind
            row["keeps_rules"] = reading.ways > 0
            row["broke_at"] = "" if row["keeps_rules"] else around(story.text, reading.reached)
        rows.append(row)
    figures: dict[str, Any] = {
        "written": len(rows),
        "ended": share(rows, "ended"),
        "copies": share(rows, "copy"),
    }
    if checker is not None:
        figures["keep_rules"] = share(rows, "keeps_rules")
        figures["by_kind"] = {
            kind: {"written": len(of_kind), "keep_rules": share(of_kind, "keeps_rules")}
            for kind in sorted({row["kind"] for row in rows})
            if (of_kind := [row for row in rows if row["kind"] == kind])
        }
    return figures, rows


def figures_of_copies(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How long the longest verbatim copies in the stories are, and which share of the stories is half copied or more.

    Units:  `longest_copy_median` and `longest_copy_max` in characters
    """
    lengths = [row["overlap"] for row in rows]
    return {
        "longest_copy_median": float(np.median(lengths)),
        "longest_copy_max": max(lengths),
        "half_copied": sum(row["copied_share"] >= HALF for row in rows) / len(rows),
    }


def around(text: str, place: int) -> str:
    """The text before and after a place, with a mark in it."""
    return text[max(0, place - SHOWN_BEFORE) : place] + BREAK_MARK + text[place : place + SHOWN_AFTER]


def share(rows: Sequence[dict[str, Any]], key: str) -> float:
    """How many of the rows have something, from 0 to 1."""
    return float(np.mean([row[key] for row in rows]))
