"""Which text goes to which side: leak-free, complete, stratified, exact, and the same in any order of the rows."""

import random
import re
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import combinations, pairwise

import pytest
from data_helpers import messages, seeded
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.split import (
    SIDES,
    Row,
    assign,
    count_leaks,
    fill,
    normalise,
    similar_pairs,
    word_pairs,
)

SHARES = (0.7, 0.2, 0.1)
WORDS = ("tea", "lamp", "river", "Oak", "seven", "7", "12", "stone", "bird", "ü")


def planted_rows(draw):
    """Random rows with exact copies, copies that only look different, and near duplicates among them."""
    rows = draw(
        st.lists(
            st.builds(
                Row,
                st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join),
                st.sampled_from(["ham", "spam"]),
                st.sampled_from(["", "rest"]),
            ),
            max_size=30,
        )
    )
    for row in draw(st.lists(st.sampled_from(rows), max_size=10)) if rows else []:
        how = draw(st.integers(0, 3))
        text = (row.text, row.text.upper().replace("7", "4"), f"  {row.text}\t", f"{row.text} indeed")[how]
        rows.append(Row(text, row.stratum if how else draw(st.sampled_from(["ham", "spam"])), row.rest))
    return draw(st.permutations(rows))


rows_with_duplicates = st.composite(planted_rows)()
similarities = st.sampled_from([0.5, 0.6, 0.75, 1.0])
shares_of_three = st.sampled_from([SHARES, (0.5, 0.25, 0.25), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01)])


def jaccard(left: str, right: str) -> Fraction:
    """Overlap of the neighbouring words of two texts, worked out without the code under test."""

    def pairs(text: str) -> set[tuple[str, str]]:
        words = "".join(character if character.isalnum() else " " for character in text).split()
        return {(a, b) for a, b in zip(["", *words], [*words, ""], strict=True)} if words else set()

    union = pairs(left) | pairs(right)
    return Fraction(len(pairs(left) & pairs(right)), len(union)) if union else Fraction(0)


def groups_by_brute_force(rows, similarity):
    """Positions of the distinct rows, joined as long as any two rows are alike."""
    distinct = sorted(set(rows))
    groups = [{row} for row in distinct]

    def alike(left, right):
        a, b = normalise(left.text), normalise(right.text)
        return a == b or (similarity < 1.0 and jaccard(a, b) >= Fraction(str(similarity)))

    joined = True
    while joined:
        joined = False
        for left, right in combinations(groups, 2):
            if any(alike(a, b) for a in left for b in right):
                left |= right
                groups.remove(right)
                joined = True
                break
    return groups


@seeded
@given(rows_with_duplicates, similarities, shares_of_three, st.integers(0, 5))
def test_every_distinct_row_is_on_one_side_and_copies_are_left_out(rows, similarity, shares, seed):
    sides = assign(rows, shares, seed, similarity)
    assert len(sides) == len(rows)
    given_side = defaultdict(list)
    for row, side in zip(rows, sides, strict=True):
        given_side[row].append(side)
    for found in given_side.values():
        assert sum(side is not None for side in found) == 1
        assert set(found) <= {*SIDES, None}


@seeded
@given(rows_with_duplicates, similarities, shares_of_three, st.integers(0, 5))
def test_no_text_and_no_near_duplicate_stands_on_two_sides(rows, similarity, shares, seed):
    sides = assign(rows, shares, seed, similarity)
    placed = [(normalise(row.text), side) for row, side in zip(rows, sides, strict=True) if side]
    for (left, left_side), (right, right_side) in combinations(placed, 2):
        if left == right or (similarity < 1.0 and jaccard(left, right) >= Fraction(str(similarity))):
            assert left_side == right_side


@seeded
@given(rows_with_duplicates, similarities, shares_of_three, st.integers(0, 5))
def test_every_share_is_met_to_within_one_group_of_its_stratum(rows, similarity, shares, seed):
    sides = {
        row: side for row, side in zip(rows, assign(rows, shares, seed, similarity), strict=True) if side is not None
    }
    strata = defaultdict(list)
    for group in groups_by_brute_force(rows, similarity):
        labels = Counter(row.stratum for row in group)
        strata[min(labels, key=lambda label: (-labels[label], label))].append(group)
    for groups in strata.values():
        total, largest = sum(map(len, groups)), max(map(len, groups))
        for side, share in zip(SIDES, shares, strict=True):
            found = sum(len(group) for group in groups if sides[next(iter(group))] == side)
            assert abs(found - share * total) <= largest + 1e-9


@seeded
@given(rows_with_duplicates, similarities, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_text_s_side(rows, similarity, generator):
    shuffled = list(rows)
    generator.shuffle(shuffled)

    def by_row(order):
        return {row: side for row, side in zip(order, assign(order, SHARES, 1, similarity), strict=True) if side}

    assert by_row(rows) == by_row(shuffled)


@seeded
@given(st.lists(st.integers(1, 9), max_size=40), shares_of_three)
def test_fill_misses_no_share_by_more_than_the_largest_group(sizes, shares):
    sides = fill(sizes, shares)
    assert len(sides) == len(sizes)
    for side, share in zip(SIDES, shares, strict=True):
        found = sum(size for size, given_side in zip(sizes, sides, strict=True) if given_side == side)
        assert abs(found - share * sum(sizes)) <= max(sizes, default=0) + 1e-9


def test_groups_of_one_row_meet_the_shares_exactly():
    rows = [Row(f"{row.text} {number}x", row.label) for number, row in enumerate(messages(100))]
    counts = Counter(zip((row.stratum for row in rows), assign(rows, SHARES, 3), strict=True))
    assert [counts["ham", side] for side in SIDES] == pytest.approx([52.5, 15, 7.5], abs=1)
    assert [counts["spam", side] for side in SIDES] == pytest.approx([17.5, 5, 2.5], abs=1)


def test_each_label_is_stratified_even_when_rare():
    rows = [Row(f"text {chr(97 + n % 26)}{chr(97 + n // 26)}", "rare" if n < 10 else "common") for n in range(200)]
    sides = assign(rows, SHARES, 1)
    assert Counter(sides[:10]) == {"train": 7, "validation": 2, "test": 1}
    assert Counter(sides[10:]) == {"train": 133, "validation": 38, "test": 19}


def test_the_seed_changes_the_split_and_nothing_else_does():
    rows = [Row(row.text, row.label) for row in messages(60)]
    first, again, other = assign(rows, SHARES, 1), assign(rows, SHARES, 1), assign(rows, SHARES, 2)
    assert first == again
    assert first != other
    assert Counter(first) == Counter(other)


def test_the_sides_are_not_runs_of_the_input_order():
    sides = assign([Row(f"text {chr(97 + n % 26)}{chr(97 + n // 26)}") for n in range(200)], SHARES, 1)
    assert 30 < sum(left != right for left, right in pairwise(sides)) < 150


def test_copies_that_differ_in_case_digits_or_space_stay_together():
    copies = ["Call 0800 now", "call  0911\tNOW ", "CALL 1234 now"]
    for seed in range(10):
        rows = [Row(row.text, row.label) for row in messages(30)] + [Row(text, "spam") for text in copies]
        assert len(set(assign(rows, SHARES, seed)[-3:])) == 1


def test_the_first_of_exact_copies_is_kept():
    sides = assign([Row("a"), Row("b"), Row("a"), Row("a")], SHARES, 1)
    assert [side is None for side in sides] == [False, False, True, True]


def test_a_text_with_two_labels_is_kept_twice_on_one_side():
    for seed in range(10):
        sides = assign([Row("same text", "ham"), Row("same text", "spam"), Row("b", "ham")], SHARES, seed)
        assert sides[0] is not None
        assert sides[0] == sides[1]


def test_a_chain_of_near_duplicates_stays_together():
    words = [f"w{chr(97 + n)}" for n in range(26)]
    chain = [" ".join(words[start : start + 12]) for start in range(8)]
    assert jaccard(chain[0], chain[1]) >= Fraction(3, 5) > jaccard(chain[0], chain[-1])
    for seed in range(5):
        assert len(set(assign([Row(text) for text in chain], (0.34, 0.33, 0.33), seed, 0.6))) == 1


def test_no_rows_give_no_sides():
    assert assign([], SHARES, 1) == []


def test_characters_that_utf8_cannot_hold_do_not_stop_the_split():
    assert assign([Row("half \ud83d")], SHARES, 1) == ["train"]


@seeded
@given(
    st.lists(st.lists(st.sampled_from([*WORDS, "!!", "-"]), max_size=7).map(" ".join), max_size=25),
    st.sampled_from([0.2, 0.5, 0.6, 0.75, 0.9]),
)
def test_similar_pairs_are_all_pairs_of_that_similarity(texts, similarity):
    found = list(similar_pairs(texts, similarity))
    wanted = {
        (left, right)
        for left, right in combinations(range(len(texts)), 2)
        if jaccard(texts[left], texts[right]) >= Fraction(str(similarity))
    }
    assert set(found) == wanted
    assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("similarity", "shared", "union"), [(0.5, 5, 10), (0.6, 12, 20), (0.55, 11, 20), (0.55, 22, 40), (0.7, 21, 30)]
)
def test_texts_that_are_alike_to_exactly_the_limit_count_as_similar(similarity, shared, union):
    words = [chr(97 + n % 26) * (2 + n // 26) for n in range(union)]
    # A text of n words and its first m words share m pairs; together they have n + 2.
    pair = [" ".join(words[: union - 2]), " ".join(words[:shared])]
    assert jaccard(*pair) == Fraction(shared, union) == Fraction(str(similarity))
    assert list(similar_pairs(pair, similarity)) == [(0, 1)]
    assert list(similar_pairs(pair, similarity + 1e-6)) == []


def test_word_pairs_mark_the_ends_and_ignore_punctuation():
    assert word_pairs("go, now!") == {("", "go"), ("go", "now"), ("now", "")}
    assert word_pairs("?!") == frozenset()


def test_normalise_takes_away_case_digits_and_space_only():
    assert normalise("  Call 0800\n\tNOW, Straße ") == "call 0000 now, strasse"
    assert normalise("  Call 1234567890\n\tNOW ") == "call 0000000000 now"


def test_normalise_knows_the_digits_and_spaces_of_all_scripts():
    every = [chr(code) for code in range(0x110000)]
    for text in (*every, "".join(f"a{character}b " for character in every)):
        assert normalise(text) == re.sub(r"\s+", " ", re.sub(r"\d", "0", text.casefold())).strip()


def test_a_planted_exact_leak_is_counted():
    sides = {"train": ["one two three", "four"], "validation": ["five"], "test": ["ONE  two\nthree", "six"]}
    assert count_leaks(sides) == (1, 0)
    sides["validation"].append("Four")
    assert count_leaks(sides) == (2, 0)


def test_a_planted_near_leak_is_counted():
    left = "win a free prize today if you call this number soon"
    right = "win a free prize today if you call this number now"
    sides = {"train": [left], "validation": ["see you at lunch"], "test": [right]}
    assert count_leaks(sides, 0.6) == (0, 1)
    assert count_leaks(sides, 1.0) == (0, 0)


def test_copies_on_one_side_are_no_leak():
    sides = {"train": ["a b c d", "A b c d", "a b c d e"], "validation": [], "test": ["", " "]}
    assert count_leaks(sides, 0.5) == (0, 0)


@seeded
@given(rows_with_duplicates, st.sampled_from([0.5, 0.6, 0.75, 1.0]))
def test_the_assignment_leaks_nothing_by_its_own_check(rows, similarity):
    sides = assign(rows, SHARES, 1, similarity)
    by_side = {side: [row.text for row, given in zip(rows, sides, strict=True) if given == side] for side in SIDES}
    assert count_leaks(by_side, similarity) == (0, 0)


def test_one_row_moved_to_another_side_is_noticed():
    rows = [Row(row.text, row.label) for row in messages(40)]
    twins = [Row(f"{row.text} indeed", row.stratum) for row in rows]
    sides = assign(rows + twins, SHARES, 1, 0.6)
    by_side = {
        side: [row.text for row, given in zip(rows + twins, sides, strict=True) if given == side] for side in SIDES
    }
    assert count_leaks(by_side, 0.6) == (0, 0)
    by_side["test"].append(by_side["train"].pop(random.Random(1).randrange(len(by_side["train"]))))
    assert count_leaks(by_side, 0.6)[1] >= 1
