"""How much of a written text stands word for word in the train text, and where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from groundup.evaluation.lookup import UNSEEN, places_of
from groundup.evaluation.marks import COPY_BEGINS, COPY_ENDS

SHOWN_AROUND = 40  # characters of the train text before and after what was copied
PIECE = 1 << 24  # characters of the train text that are looked through at a time
NO_CHARACTER = 0x110000  # stands between texts; the largest character of Unicode is one less
LARGEST_TABLE = 1 << 24  # pairs that are looked up in a table of all that there could be


@dataclass(frozen=True)
class Overlap:
    """The longest run of characters that a text shares with a known one. Units: characters."""

    length: int
    start: int  # in the text
    known: int  # which known text
    known_start: int  # in that one


@dataclass
class _Windows:
    """Which windows of one length the texts and the known ones share; equal windows have the same number.

    Shapes:  in_texts, in_known: a number for each place at which a window begins, UNSEEN where the other side has none
    """

    length: int
    n: int
    in_texts: np.ndarray
    in_known: np.ndarray


def longest_overlaps(texts: Sequence[str], known: Sequence[str]) -> list[Overlap]:
    """The longest verbatim overlap of each text with all known ones; of equally long ones the first in the text.

    Where that stands several times, the first known place is told.

    Windows of 1, 2, 4, 8 … characters are numbered by the pair of halves they are made of, for all texts at once, and
    only where both sides have them. A text's overlap is at least as long as the last window it shares and less than
    twice that, so two windows of that length, which begin some characters apart, cover it: how far apart they can
    begin is found by bisection. Nothing is hashed, so the result is exact.

    Oracle:  the brute-force search in tests/unit/test_overlap.py
    """
    of_texts, text_starts = _characters(texts)
    of_known, known_starts = _characters(known)
    longest = max(map(len, texts), default=0)
    best = [(0, 0, 0)] * len(texts)
    for start in range(0, len(of_known), PIECE):  # a piece reaches into the next, so that nothing is cut
        for text, found in _overlaps(of_texts, text_starts, of_known[start : start + PIECE + longest]):
            if (found[0], -found[1]) > (best[text][0], -best[text][1]):
                best[text] = (found[0], found[1], start + found[2])
    overlaps = []
    for text, (length, place, known_place) in enumerate(best):
        if not length:
            overlaps.append(Overlap(0, 0, 0, 0))
            continue
        which = int(np.searchsorted(known_starts, known_place, side="right")) - 1
        overlaps.append(Overlap(length, place - int(text_starts[text]), which, known_place - int(known_starts[which])))
    return overlaps


def passage(overlap: Overlap, known: Sequence[str]) -> str:
    """What was copied, between marks, and what stands around it in the known text; empty if nothing was."""
    if not overlap.length:
        return ""
    text, start, end = known[overlap.known], overlap.known_start, overlap.known_start + overlap.length
    before, after = text[max(0, start - SHOWN_AROUND) : start], text[end : end + SHOWN_AROUND]
    return before + COPY_BEGINS + text[start:end] + COPY_ENDS + after


def copied_share(overlap: Overlap, text: str) -> float:
    """Which part of a text its longest overlap is; 0 of an empty one."""
    return overlap.length / len(text) if text else 0.0


def _characters(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """All texts as numbers of characters, NO_CHARACTER after each, and where each text starts."""
    codes = np.frombuffer("\0".join([*texts, ""]).encode("utf-32-le"), dtype=np.uint32).copy()
    ends = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)
    codes[ends - 1] = NO_CHARACTER
    return codes, np.concatenate([[0], ends])[:-1]


def _overlaps(texts: np.ndarray, starts: np.ndarray, known: np.ndarray) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Of each text that shares a character: its number, and length and both places of the longest overlap."""
    windows = _single(texts, known)
    left = _with_windows(windows, starts)
    while len(left):
        longer = _doubled(windows)
        still = _with_windows(longer, starts)
        done = np.setdiff1d(left, still)
        if len(done):
            places = np.flatnonzero(windows.in_known != UNSEEN)
            places = places[np.argsort(windows.in_known[places], kind="stable")]  # all places of a window together
            first = np.searchsorted(windows.in_known[places], np.arange(windows.n + 1))
            for text in done.tolist():
                end = starts[text + 1] if text + 1 < len(starts) else len(texts)
                in_text = starts[text] + np.flatnonzero(windows.in_texts[starts[text] : end] != UNSEEN)
                shared = np.unique(windows.in_texts[in_text]).tolist()
                in_known = np.concatenate([places[first[number] : first[number + 1]] for number in shared])
                yield text, _extended(windows, in_text, in_known)
        windows, left = longer, still


def _single(texts: np.ndarray, known: np.ndarray) -> _Windows:
    """The windows of one character."""
    shared = np.intersect1d(texts, known)
    shared = shared[shared != NO_CHARACTER]
    numbers = np.full(NO_CHARACTER + 1, UNSEEN, np.int32)
    numbers[shared] = np.arange(len(shared), dtype=np.int32)
    return _Windows(1, len(shared), numbers[texts], numbers[known])


def _doubled(windows: _Windows) -> _Windows:
    """The windows of twice the length that both sides have."""
    text_places, text_pairs = _pairs(windows.in_texts, windows.length, windows.n)
    known_places, known_pairs = _pairs(windows.in_known, windows.length, windows.n)
    wanted = np.unique(text_pairs)
    if windows.n**2 <= LARGEST_TABLE:
        table = np.full(windows.n**2, UNSEEN, np.int32)
        table[wanted] = np.arange(len(wanted), dtype=np.int32)
        found = table[known_pairs]
    else:
        found = places_of(known_pairs, wanted)
    has = np.zeros(len(wanted), bool)
    has[found[found != UNSEEN]] = True
    number = np.append(np.where(has, np.cumsum(has, dtype=np.int32) - 1, UNSEEN), UNSEEN)  # UNSEEN stays UNSEEN
    in_texts, in_known = np.full_like(windows.in_texts, UNSEEN), np.full_like(windows.in_known, UNSEEN)
    in_texts[text_places] = number[np.searchsorted(wanted, text_pairs)]
    in_known[known_places] = number[found]
    return _Windows(2 * windows.length, int(has.sum()), in_texts, in_known)


def _pairs(numbers: np.ndarray, apart: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places at which a window begins and another follows so far apart, and the two as one number."""
    places = np.flatnonzero((numbers[:-apart] != UNSEEN) & (numbers[apart:] != UNSEEN))
    return places, numbers[places].astype(np.int64) * n + numbers[places + apart]


def _with_windows(windows: _Windows, starts: np.ndarray) -> np.ndarray:
    """Which texts still share a window."""
    places = np.flatnonzero(windows.in_texts != UNSEEN)
    return np.unique(np.searchsorted(starts, places, side="right") - 1)


def _extended(windows: _Windows, in_text: np.ndarray, in_known: np.ndarray) -> tuple[int, int, int]:
    """Length and both places of the longest overlap that begins with a window and is less than two of them long."""
    low, high = 0, windows.length  # the second window can begin `low` characters after the first, not `high`
    while high - low > 1:
        middle = (low + high) // 2
        text_keys, known_keys = (
            _covered(numbers, places, middle, windows.n)
            for numbers, places in ((windows.in_texts, in_text), (windows.in_known, in_known))
        )
        shared = np.intersect1d(text_keys, known_keys)
        shared = shared[shared != UNSEEN]
        if len(shared):
            low = middle  # what is longer begins at the same places
            in_text, in_known = in_text[np.isin(text_keys, shared)], in_known[np.isin(known_keys, shared)]
        else:
            high = middle
    place = int(in_text.min())
    wanted = _covered(windows.in_texts, np.array([place]), low, windows.n)[0]
    same = _covered(windows.in_known, in_known, low, windows.n) == wanted
    return windows.length + low, place, int(in_known[same].min())


def _covered(numbers: np.ndarray, places: np.ndarray, apart: int, n: int) -> np.ndarray:
    """The windows at some places and those so many characters later as one number; UNSEEN if the later is unknown."""
    later = numbers[np.minimum(places + apart, len(numbers) - 1)]  # the last character stands between texts
    return np.where(later == UNSEEN, UNSEEN, numbers[places].astype(np.int64) * n + later)
