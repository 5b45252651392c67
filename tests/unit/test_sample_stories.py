"""The generated documents and questions: always the same, true in their world, and read back by their own rules."""

import hashlib
from collections import Counter, defaultdict

import pytest

from groundup.data.sample.check import StoryChecker
from groundup.data.sample.instructions import sample_instructions
from groundup.data.sample.skills import SKILLS
from groundup.data.sample.stories import sample_stories, tell_document
from groundup.data.sample.telling import read
from groundup.data.sample.world import World
from groundup.data.split import Row, assign

WORLD = World(1, 16)
STORIES = list(sample_stories(WORLD, 1, 60_000))
INSTRUCTIONS = sample_instructions(WORLD, 1, 3000)


def sha256(texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_on_every_machine():
    # A change here changes what every user's default run is made of: say so in the changelog.
    assert sha256(text for text, _ in STORIES) == "89082538eecd2fdefad2c57a862bef1fa0e23cc6b0db2a479ae44628e2cd9198"
    assert (
        sha256(f"{row.instruction}|{row.input}|{row.output}" for row in INSTRUCTIONS)
        == "7e5f8981cafb7d9f780cfd796a39d129a2e79c40340374cc6dbecd54d42fbc21"
    )


def test_another_seed_gives_another_world_and_other_stories():
    other = World(2, 16)
    assert [being.home for being in other.people] != [being.home for being in WORLD.people]
    assert next(iter(sample_stories(other, 2, 1)))[0] != STORIES[0][0]


def test_a_document_does_not_depend_on_how_many_are_asked_for():
    assert list(sample_stories(WORLD, 1, 3_000)) == STORIES[: len(list(sample_stories(WORLD, 1, 3_000)))]


def test_the_size_asked_for_is_reached_and_no_more_than_a_document_is_added():
    sizes = [len(text.encode()) for text, _ in STORIES]
    assert sum(sizes[:-1]) < 60_000 <= sum(sizes)


def test_documents_differ_and_cost_a_quarter_to_a_half_of_a_bit_per_byte():
    many = list(sample_stories(WORLD, 1, 400_000))
    texts = [text for text, _ in many]
    assert len(set(texts)) >= 0.95 * len(texts)
    assert 0.25 <= sum(bits for _, bits in many) / sum(len(text.encode()) for text in texts) <= 0.5


@pytest.mark.parametrize("size", [8, 16, 48])
def test_worlds_of_all_sizes_tell_what_their_own_rules_can_read(size):
    world = World(3, size)
    checker = StoryChecker(world)
    for text, _ in sample_stories(world, 3, 8_000):
        assert checker.read(text).ways, text


def test_the_cost_of_a_document_is_its_surprisal_but_for_the_few_that_can_be_made_in_two_ways():
    spent = surprisal = 0.0
    for text, bits in STORIES[:40]:
        reading = read(lambda teller: tell_document(teller, WORLD), text)
        assert reading.ways >= 1
        assert reading.bits <= bits + 1e-6
        spent += bits
        surprisal += reading.bits
    assert surprisal >= 0.99 * spent


def one_that(begins):
    return next(text for text, _ in STORIES if begins in text)


@pytest.mark.parametrize(
    ("before", "after"),
    [("said", "sayd"), (". ", " "), ("the ", "teh ")],
)
def test_a_text_that_breaks_the_grammar_is_not_read(before, after):
    text = one_that("“")
    assert before in text
    assert not StoryChecker(WORLD).read(text.replace(before, after, 1)).ways


def test_a_wrong_fact_is_not_read_and_the_place_is_found():
    checker = StoryChecker(WORLD)
    fox = next(being for being in WORLD.animals if being.kind == "fox")
    wrong = next(being.home.at for being in WORLD.beings if being.home != fox.home)
    text = next(text for text, _ in sample_stories(WORLD, 1, 400_000) if f"The fox lives {fox.home.at}" in text)
    assert checker.read(text).ways
    changed = text.replace(f"fox lives {fox.home.at}", f"fox lives {wrong}", 1)
    reading = checker.read(changed)
    assert not reading.ways
    assert reading.reached <= changed.index(wrong) + len(wrong)


def test_instructions_are_of_at_least_twelve_kinds_and_all_different():
    assert len({row.kind for row in INSTRUCTIONS}) == len(SKILLS) >= 12
    assert len({(row.instruction, row.input) for row in INSTRUCTIONS}) == len(INSTRUCTIONS) >= 2_500
    assert min(Counter(row.kind for row in INSTRUCTIONS).values()) >= 45


def test_a_question_about_one_content_has_one_answer():
    answers = defaultdict(set)
    for row in INSTRUCTIONS:
        if row.kind == "fact":
            answers[row.group].add(row.output)
    # Friendship is one fact for two, and can be said of either.
    assert all(
        len(each) == (2 if group.startswith("friend") else 1) or len(each) == 1 for group, each in answers.items()
    )


def test_what_is_asked_in_the_test_is_never_trained_on():
    rows = [Row(f"{row.instruction}\n{row.input}", row.kind, row.output, row.group) for row in INSTRUCTIONS]
    sides = assign(rows, (0.7, 0.2, 0.1), 1, 0.6)
    groups = {
        side: {row.group for row, given in zip(INSTRUCTIONS, sides, strict=True) if given == side}
        for side in ("train", "validation", "test")
    }
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    tested = Counter(row.kind for row, given in zip(INSTRUCTIONS, sides, strict=True) if given == "test")
    assert set(tested) == set(SKILLS)
    facts = {
        output for row in INSTRUCTIONS for output in [row.output] if row.group in groups["test"] and row.kind == "fact"
    }
    trained = {row.output for row, given in zip(INSTRUCTIONS, sides, strict=True) if given == "train"}
    assert facts
    assert not facts & trained


@pytest.mark.parametrize("kind", ["sort", "count", "reverse order", "sum", "difference"])
def test_answers_that_can_be_worked_out_are_right(kind):
    from groundup.data.sample.words import NUMBERS

    checked = 0
    for row in INSTRUCTIONS:
        if row.kind != kind:
            continue
        asked = f"{row.instruction} {row.input}"
        words = asked.replace("?", "").replace(".", "").replace(",", "").split()
        answer = row.output.rstrip(".").split(" are " if kind != "sum" else " make ")[-1].split(", ")
        numbers = [NUMBERS.index(word) for word in words if word in NUMBERS]
        if kind == "sort":
            assert [NUMBERS.index(word) for word in answer] == sorted(numbers)
        elif kind == "reverse order":
            assert ", ".join(reversed(answer)) in asked
        elif kind == "count":
            assert NUMBERS.index(answer[0].removesuffix(" words")) == asked.count(",") + 1
        elif kind == "sum":
            assert NUMBERS.index(answer[0]) == sum(numbers[-2:])  # "Add these two numbers." comes before them
        else:
            assert NUMBERS.index(row.output.rstrip(".").split(" is ")[-1]) == max(numbers) - min(numbers)
        checked += 1
    assert checked >= 50
