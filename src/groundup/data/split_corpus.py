"""Which side each document of the corpus goes to, and how one long document is cut into sides.

A corpus may be larger than memory: its texts are read one after the other, and what is held of each is a digest.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice, pairwise

import numpy as np

from groundup.data.corpus import Document, Documents
from groundup.data.passages import bounds_of_shares, has_paragraphs, lines, paragraphs
from groundup.data.split import SIDES, Row, Side, fill, normalise, place_of

# A passage that stands again on another side of one long document counts as a leak from this many words on; shorter
# ones ("Enter a Messenger.") recur by nature and teach nothing.
PASSAGE_WORDS = 8
DIGEST_BYTES = 16  # of a document: no two that differ will ever share one
NUMBER_BYTES = 8  # of the digest of a passage, of which there are many more than documents


@dataclass(frozen=True)
class Cut:
    """How one long document is cut into contiguous parts, one for each side.

    Args:
        by_lines: whether its passages are lines; paragraphs if not.
        bounds: a side has the passages from one bound to the next.
        kept: for each passage 1, or 0 if it stands on an earlier side too and is left out.
    """

    by_lines: bool
    bounds: tuple[int, ...]
    kept: bytes

    def passages(self, document: Document, side: Side) -> Iterator[str]:
        """The passages of one side."""
        start, end = self._part(side)
        return compress(islice(self.split(document.pieces()), start, end), self.kept[start:end])

    def has(self, side: Side) -> bool:
        """Whether the side has any passage."""
        start, end = self._part(side)
        return any(self.kept[start:end])

    def split(self, pieces: Iterable[str]) -> Iterator[str]:
        """A text of this document as passages."""
        return lines(pieces) if self.by_lines else paragraphs(pieces)

    def _part(self, side: Side) -> tuple[int, int]:
        number = SIDES.index(side)
        return self.bounds[number], self.bounds[number + 1]


# The side of a whole document, None for a copy that is left out, or how a long document is cut into sides.
Placing = Side | Cut | None


def passages_on_side(document: Document, placing: Placing, side: Side) -> Iterator[str]:
    """What a side has of a document."""
    if isinstance(placing, Cut):
        yield from placing.passages(document, side)
    elif placing == side:
        yield document.text


def assign_documents(documents: Documents, shares: Sequence[float], seed: int) -> list[Placing]:
    """For each document of the corpus, where it goes.

    A document that is all of its file is cut into contiguous parts at paragraph ends; a passage of its later parts
    that stands in an earlier part is left out. Other documents go to one side whole, exact copies once.
    """
    long = [index for index, document in enumerate(documents) if document.whole_source]
    placings, seen = _assign_whole(documents, shares, seed)
    for index in long:
        placings[index], seen = _cut(documents[index], shares, seen)
    return placings


def _assign_whole(documents: Documents, shares: Sequence[float], seed: int) -> tuple[list[Placing], np.ndarray]:
    """Sides of the documents that are not to be cut, None for the others; and the numbers of their texts, sorted.

    Oracle:  split.assign of their texts
    """
    read = _read_through(documents, seed)
    # A place is a digest of a text as it stands, so that exact copies have one place; the first of them is kept.
    _, kept = np.unique(read.places, return_index=True)
    _, group_of, sizes = np.unique(read.digests[kept], return_inverse=True, return_counts=True)
    in_order = _places_of_groups(documents, read, kept, group_of, sizes).argsort()
    chosen = np.empty(len(sizes), np.int8)
    chosen[in_order] = [SIDES.index(side) for side in fill(sizes[in_order].tolist(), shares)]
    sides: list[Placing] = [None] * len(documents)
    for index, side in zip(read.indices[kept], chosen[group_of], strict=True):
        sides[index] = SIDES[side]
    return sides, np.unique(read.numbers[read.numbers > 0])


@dataclass(frozen=True)
class _Read:
    """What is held of each document that is not to be cut.

    Shapes:  all (n_documents,): where it stands among all, its place in the order, the digest of its normalised
        text, and its number as a passage
    """

    indices: np.ndarray
    places: np.ndarray
    digests: np.ndarray
    numbers: np.ndarray


def _read_through(documents: Documents, seed: int) -> _Read:
    indices, numbers = array("q"), array("Q")
    places, digests = bytearray(), bytearray()
    for index, document in enumerate(documents):
        if not document.whole_source:
            text = document.text
            normal = normalise(text)
            indices.append(index)
            places += place_of(Row(text), seed)[:DIGEST_BYTES]
            digests += _digest(normal)
            numbers.append(text_number(normal) if _is_long_enough(normal) else 0)
    return _Read(
        np.frombuffer(indices, np.int64),
        np.frombuffer(places, f"S{DIGEST_BYTES}"),
        np.frombuffer(digests, f"S{DIGEST_BYTES}"),
        np.frombuffer(numbers, np.uint64),
    )


def _places_of_groups(
    documents: Documents, read: _Read, kept: np.ndarray, group_of: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """The place of each group of documents that are equal after `normalise`: that of its smallest text.

    Shapes:  kept, group_of (n_kept,), sizes (n_groups,) -> (n_groups,)
    """
    places = np.empty(len(sizes), read.places.dtype)
    places[group_of] = read.places[kept]
    by_group = kept[group_of.argsort(kind="stable")]
    ends = sizes.cumsum()
    for group in np.flatnonzero(sizes > 1):
        members = by_group[ends[group] - sizes[group] : ends[group]].tolist()
        smallest = min(members, key=lambda member: documents[int(read.indices[member])].text)
        places[group] = read.places[smallest]
    return places


def _cut(document: Document, shares: Sequence[float], seen: np.ndarray) -> tuple[Cut, np.ndarray]:
    """How a long document is cut, and the numbers of the passages seen up to its end, sorted.

    Args:
        seen: numbers of the passages of documents before it, sorted.
    """
    by_lines = not has_paragraphs(document.pieces(), at_least=len(shares))
    bounds, numbers = _read_passages(lines(document.pieces()) if by_lines else paragraphs(document.pieces()), shares)
    kept = np.ones(len(numbers), dtype=bool)
    for start, end in pairwise(bounds):
        part = numbers[start:end]
        kept[start:end] = ~_stand_in(seen, part)
        seen = np.union1d(seen, part[part > 0])
    return Cut(by_lines, bounds, kept.tobytes()), seen


def _read_passages(passages: Iterable[str], shares: Sequence[float]) -> tuple[tuple[int, ...], np.ndarray]:
    """The bounds of the parts, and the number of each passage.

    Shapes:  -> (n_shares + 1,), (n_passages,)
    """
    ends, numbers = array("q"), array("Q")
    size_bytes = 0
    for passage in passages:
        size_bytes += len(passage.encode())
        ends.append(size_bytes)
        numbers.append(passage_number(passage))
    return bounds_of_shares(ends, shares), np.frombuffer(numbers, np.uint64)


def _stand_in(ordered: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Which numbers stand in an array that is sorted.

    Shapes:  ordered (M,), numbers (N,) -> (N,)
    """
    if not len(ordered):
        return np.zeros(len(numbers), dtype=bool)
    return ordered[np.minimum(ordered.searchsorted(numbers), len(ordered) - 1)] == numbers


def passage_key(passage: str) -> str:
    """What two passages are compared by; empty for one too short to be compared."""
    text = normalise(passage)
    return text if _is_long_enough(text) else ""


def passage_number(passage: str) -> int:
    """A number that two passages share if their keys are equal; 0 for one too short to be compared."""
    return text_number(passage_key(passage))


def text_number(normal: str) -> int:
    """A number that two texts share if they are equal after `normalise`; 0 for one with nothing in it.

    Of ten million passages two that differ share a number once in 400,000 corpora.
    """
    return int.from_bytes(_digest(normal)[:NUMBER_BYTES], "big") if normal else 0


def _digest(normal: str) -> bytes:
    return hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def _is_long_enough(normal: str) -> bool:
    return normal.count(" ") >= PASSAGE_WORDS - 1
