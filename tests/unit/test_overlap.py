"""The longest verbatim overlap, against trying every part of a text."""

import numpy as np
import pytest

from groundup.evaluation import overlap
from groundup.evaluation.overlap import Overlap, copied_share, longest_overlaps, passage


def brute_force(text: str, known: list[str]) -> tuple[int, int]:
    """Length and place in the text."""
    for length in range(len(text), 0, -1):
        for start in range(len(text) - length + 1):
            if any(text[start : start + length] in each for each in known):
                return length, start
    return 0, 0


def some_texts(seed: int, n: int, longest: int, letters: str) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list(letters), generator.integers(0, longest))) for _ in range(n)]


@pytest.mark.parametrize("letters", ["ab", "abcdefgh é東😀"])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("piece", [1 << 24, 7])
def test_the_longest_overlap_is_that_of_trying_every_part(letters, seed, piece, monkeypatch):
    monkeypatch.setattr(overlap, "PIECE", piece)
    monkeypatch.setattr(overlap, "LARGEST_TABLE", 1 << 24 if seed else 4)  # with and without a table
    known = some_texts(seed, 30, 60, letters)
    texts = [*some_texts(seed + 100, 25, 40, letters), known[3] + "b", "a" + known[7][2:50], "xyz", "", known[5]]
    found = longest_overlaps(texts, known)
    assert [each.length for each in found] == [brute_force(text, known)[0] for text in texts]
    for text, each in zip(texts, found, strict=True):
        there = known[each.known][each.known_start : each.known_start + each.length]
        assert there == text[each.start : each.start + each.length]
        assert len(there) == each.length
    assert [each.start for each in found] == [brute_force(text, known)[1] for text in texts]
    first = [
        next((n for n, other in enumerate(known) if text[each.start : each.start + each.length] in other), 0)
        for text, each in zip(texts, found, strict=True)
    ]
    assert [each.known for each in found] == [n if each.length else 0 for n, each in zip(first, found, strict=True)]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 63, 64, 65, 127, 200])
def test_overlaps_of_every_length_are_found_whole(length):
    letters = "".join(chr(1000 + n) for n in range(300))
    known = ["other", "before " + letters[:length] + " after", letters[:length]]
    assert longest_overlaps(["<" + letters[:length] + ">"], known) == [Overlap(length, 1, 1, 7)]


def test_an_overlap_does_not_reach_from_one_text_into_the_next():
    assert [each.length for each in longest_overlaps(["abcd", "ab\0cd"], ["ab", "cd"])] == [2, 2]
    assert longest_overlaps(["ab\0cd"], ["x", "ab\0cd"])[0].length == 5


def test_no_texts_and_nothing_known_are_no_fault():
    assert longest_overlaps([], ["abc"]) == []
    assert longest_overlaps(["abc", ""], []) == [Overlap(0, 0, 0, 0)] * 2
    assert passage(Overlap(0, 0, 0, 0), []) == ""
    assert copied_share(Overlap(0, 0, 0, 0), "") == 0.0


def test_a_passage_shows_what_stands_around_the_copy():
    known = ["a" * 50 + "the copy" + "b" * 50, "the copy"]
    (found,) = longest_overlaps([">>the copy<<"], known)
    assert passage(found, known) == "a" * 40 + "⟦the copy⟧" + "b" * 40
    assert passage(longest_overlaps(["the copy"], known[1:])[0], known[1:]) == "⟦the copy⟧"
    assert copied_share(found, ">>the copy<<") == pytest.approx(8 / 12)
