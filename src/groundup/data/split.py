"""Which text goes to which side: train, validation or test.

The assignment is a pure function of the texts and the seed. It does not depend on the order of the rows, so that
`tokenize` (which trains the vocabulary on the train side only) and `split` (which writes the sides) agree without
passing anything between them. Texts that are alike go to one side together: a test row that stands in the training
rows would measure memory, not understanding.
"""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from groundup.seeding import derive_seed

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = get_args(Side)

ASCII_DIGITS = str.maketrans("123456789", "000000000")


@dataclass(frozen=True, order=True)
class Row:
    """A text as the split sees it: what is compared, the stratum (the label) whose shares are kept, and the rest.

    Rows with the same `group` stay together; how alike their texts are then says nothing.
    """

    text: str
    stratum: str = ""
    rest: str = ""
    group: str = ""


def normalise(text: str) -> str:
    """The text without what makes copies look different: case, the digits' values, the amount of white space."""
    folded = " ".join(text.casefold().split())
    # A table is five times as fast as a pattern, but it would need all the digits of all scripts.
    return folded.translate(ASCII_DIGITS) if folded.isascii() else re.sub(r"\d", "0", folded)


def assign(rows: Sequence[Row], shares: Sequence[float], seed: int, similarity: float = 1.0) -> list[Side | None]:
    """A side for each row; None for a row that is an exact copy of another and is left out.

    Rows that are equal after `normalise`, that name the same group, or (without a group) whose word pairs overlap by
    `similarity` or more, stay together on one side. Within each stratum the groups come in an order given by their
    content and the seed, and each goes to the side that is furthest below its share; so every share is met to within
    one group.

    Args:
        shares: of train, validation and test; they add up to 1.
        similarity: Jaccard similarity of word pairs from which rows are near duplicates; 1.0 compares no pairs.
    Raises: nothing; no rows give no sides.
    """
    first_of = {row: index for index, row in reversed(list(enumerate(rows)))}
    kept = [first_of[row] for row in sorted(first_of)]
    groups = _groups([rows[index] for index in kept], similarity)

    by_stratum: defaultdict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        members = [kept[position] for position in group]
        # A group with several labels (the same text, labelled twice) counts for the most frequent one.
        frequent = Counter(rows[index].stratum for index in members).most_common()
        by_stratum[min(name for name, count in frequent if count == frequent[0][1])].append(members)

    sides: list[Side | None] = [None] * len(rows)
    for stratum in sorted(by_stratum):
        in_order = sorted(by_stratum[stratum], key=lambda members: place_of(rows[members[0]], seed))
        for members, side in zip(in_order, fill([len(group) for group in in_order], shares), strict=True):
            for index in members:
                sides[index] = side
    return sides


def fill(sizes: Sequence[int], shares: Sequence[float]) -> list[Side]:
    """A side for each group in turn: the one that is furthest below its share of the whole."""
    total = sum(sizes)
    missing = {side: share * total for side, share in zip(SIDES, shares, strict=True)}
    chosen = []
    for size in sizes:
        side = max(SIDES, key=lambda name: missing[name])
        missing[side] -= size
        chosen.append(side)
    return chosen


def place_of(row: Row, seed: int) -> bytes:
    """Where a group stands in the order of its stratum: random to the eye, fixed by content and seed."""
    return hashlib.sha256(
        f"{derive_seed(seed, 'split')} {row.stratum} {row.text}".encode("utf-8", "surrogatepass")
    ).digest()


def _groups(rows: Sequence[Row], similarity: float) -> list[list[int]]:
    """Rows that must stay together, as lists of their positions (union-find)."""
    parent = list(range(len(rows)))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    normalised = [normalise(row.text) for row in rows]
    first_with: dict[str, int] = {}
    for position, text in enumerate(normalised):
        parent[root(position)] = root(first_with.setdefault(text, position))
    for position, row in enumerate(rows):
        if row.group:  # no normalised text begins with a line end
            parent[root(position)] = root(first_with.setdefault(f"\n{row.group}", position))
    if similarity < 1.0:
        free = [position for position, row in enumerate(rows) if not row.group]
        for left, right in similar_pairs([normalised[position] for position in free], similarity):
            parent[root(free[left])] = root(free[right])
    members: defaultdict[int, list[int]] = defaultdict(list)
    for position in range(len(rows)):
        members[root(position)].append(position)
    return list(members.values())


def word_pairs(text: str) -> frozenset[tuple[str, str]]:
    """The pairs of neighbouring words of a text, its first and last word paired with nothing."""
    words = re.findall(r"\w+", text)
    return frozenset(zip(["", *words], [*words, ""], strict=True)) if words else frozenset()


def similar_pairs(texts: Sequence[str], similarity: float) -> Iterator[tuple[int, int]]:
    """All pairs of texts whose word pairs have at least this Jaccard similarity, found exactly.

    Two such texts share at least one of their rarest word pairs (the prefix), so only texts that meet there are
    compared.
    Source: Bayardo et al. 2007, "Scaling Up All Pairs Similarity Search".
    """
    features = [word_pairs(text) for text in texts]
    frequency = Counter(feature for each in features for feature in each)
    with_feature: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for index, each in enumerate(features):
        prefix_length = len(each) - math.ceil(similarity * len(each)) + 1
        candidates: set[int] = set()
        for feature in sorted(each, key=lambda feature: (frequency[feature], feature))[:prefix_length]:
            candidates.update(with_feature[feature])
            with_feature[feature].append(index)
        for other in sorted(candidates):
            shared = len(each & features[other])
            if shared >= similarity * (len(each) + len(features[other]) - shared):
                yield other, index


def count_leaks(sides: dict[Side, list[str]], similarity: float = 1.0) -> tuple[int, int]:
    """Texts that stand on more than one side: (exact after `normalise`, near duplicates).

    Worked out from the finished sides alone, so that it checks the assignment and does not repeat it.
    """
    owner: dict[str, Side] = {}
    exact = 0
    for side in SIDES:
        for text in {normalise(text) for text in sides[side]} - {""}:
            exact += owner.setdefault(text, side) != side
    near = 0
    if similarity < 1.0:
        texts = sorted(owner)
        near = sum(owner[texts[left]] != owner[texts[right]] for left, right in similar_pairs(texts, similarity))
    return exact, near
