"""Cutting a text into passages while it is read: nothing here holds more of a text than a piece and a passage."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from groundup.tokenizer.bpe import BORDER

PARAGRAPH_BORDER = re.compile(r"(?<=\n\n)(?=[^\n])")
# The last place where a pre-token begins, whatever stands behind.
LAST_BORDER = re.compile(f".*(?={BORDER.pattern})", re.DOTALL)
PIECE_CHARACTERS = 1 << 18  # of a long text that are encoded at a time


def paragraphs(pieces: Iterable[str]) -> Iterator[str]:
    """The text of the pieces cut behind each run of blank lines; joined again they are the text."""
    rest = ""
    for piece in pieces:
        *whole, rest = PARAGRAPH_BORDER.split(rest + piece)
        yield from whole
    if rest:
        yield rest


def lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of the text of the pieces, each with its end."""
    rest = ""
    for piece in pieces:
        # The last line is held back: it may go on, or end with one of the two characters of a line end.
        *whole, rest = (rest + piece).splitlines(keepends=True) or [""]
        yield from whole
    if rest:
        yield rest


def has_paragraphs(pieces: Iterable[str], at_least: int) -> bool:
    """Whether the text has so many paragraphs; reads no further than it must."""
    found, before = 1, ""
    for piece in pieces:
        text = before + piece
        found += sum(1 for _ in PARAGRAPH_BORDER.finditer(text))
        if found >= at_least:
            return True
        before = text[-2:]
    return False


def encodable(pieces: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """The text of the pieces, in larger ones whose token ids are those of the whole text; and whether it ends there.

    Oracle:  Tokenizer.encode of the text as one
    """
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size < PIECE_CHARACTERS:
            continue
        text = "".join(held)
        if border := LAST_BORDER.match(text):
            yield border.group(), False
            text = text[border.end() :]
        held, size = [text], len(text)
    yield "".join(held), True


def bounds_of_shares(ends: Sequence[int], shares: Sequence[float]) -> tuple[int, ...]:
    """Where a long document is cut: at the passage ends nearest to the wanted shares of its bytes.

    Args:
        ends: bytes up to the end of each passage.
    Returns: one bound more than there are shares; the passages from bound to bound are a part.
    """
    cuts, reached = [0], 0.0
    for share in shares[:-1]:
        reached += share
        wanted = reached * ends[-1]
        behind = bisect_left(ends, wanted)
        neighbours = range(max(0, behind - 1), min(behind + 1, len(ends)))
        nearest = min(neighbours, key=lambda passage: abs(ends[passage] - wanted))
        cuts.append(max(cuts[-1], nearest + 1))
    return (*cuts, len(ends))
