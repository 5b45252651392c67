"""The sample world: the same from the same seed, whole at every size, and its facts fit together."""

from collections import Counter

import pytest

from groundup.data.sample.words import ANIMALS, COLOURS, FOODS, JOBS, PEOPLE, PLACES, number_word
from groundup.data.sample.world import LARGEST_WORLD, SMALLEST_WORLD, World

SIZES = tuple(range(SMALLEST_WORLD, LARGEST_WORLD + 1, 2))


def test_the_same_seed_and_size_give_the_same_world():
    assert World(4, 12).beings == World(4, 12).beings


def test_another_seed_gives_other_facts_about_the_same_beings():
    one, other = World(1, 24), World(2, 24)
    assert [being.name for being in one.beings] == [being.name for being in other.beings]
    for attribute in ("home", "food", "friend", "colour"):
        pairs = zip(one.beings, other.beings, strict=True)
        same = sum(left.value(attribute) == right.value(attribute) for left, right in pairs)
        assert same < len(one.beings) // 2, attribute


def test_the_world_of_seed_1_is_this_one():
    mira = World(1, 8).beings[0]
    facts = [mira.value(attribute) for attribute in mira.attributes]
    assert [mira.name, mira.he, mira.him, mira.his, *facts] == [
        "Mira",
        "she",
        "her",
        "her",
        "on the hill",
        "berries",
        "Rosa",
        "grey",
        "farmer",
    ]


@pytest.mark.parametrize("size", SIZES)
def test_friends_are_friends_of_each_other_and_of_one_sort(size):
    world = World(3, size)
    for being in world.beings:
        friend = world.friend_of(being)
        assert friend is not being
        assert world.friend_of(friend) is being
        assert friend.is_person == being.is_person


@pytest.mark.parametrize("size", SIZES)
def test_a_world_has_as_many_people_as_animals_each_with_its_own_name(size):
    world = World(3, size)
    assert (len(world.people), len(world.animals)) == (size, size)
    assert len({being.name for being in world.beings}) == 2 * size
    assert [being.is_person for being in world.beings] == [True] * size + [False] * size
    for sort in (world.people, world.animals):
        for attribute in ("home", "food", "colour"):
            counts = Counter(being.value(attribute) for being in sort)
            n_options = {"home": len(world.places), "food": len(world.foods), "colour": len(world.colours)}[attribute]
            assert max(counts.values()) <= -(-size // n_options), attribute


def test_each_attribute_has_a_value_from_its_list():
    world = World(5, LARGEST_WORLD)
    allowed = {
        "home": {place.at for place in PLACES},
        "food": set(FOODS),
        "friend": {being.name for being in world.beings},
        "colour": set(COLOURS),
        "job": {job.name for job in JOBS},
    }
    for being in world.beings:
        assert being.attributes == ("home", "food", "friend", "colour", *(["job"] if being.is_person else []))
        for attribute in being.attributes:
            assert being.value(attribute) in allowed[attribute]
    for attribute in ("home", "food", "colour", "job"):
        assert {each.value(attribute) for each in world.people} == allowed[attribute]


def test_an_animal_has_no_job():
    with pytest.raises(AssertionError, match="animals have no job"):
        World(1, 8).animals[0].value("job")


def test_pronouns_fit():
    world = World(1, LARGEST_WORLD)
    assert {(being.he, being.him, being.his) for being in world.people} == {("she", "her", "her"), ("he", "him", "his")}
    assert {(being.he, being.him, being.his) for being in world.animals} == {("it", "it", "its")}


def test_others_leaves_out_whom_it_is_told():
    world = World(1, 8)
    first, second = world.beings[:2]
    assert world.others(first, second) == list(world.beings[2:])


def test_the_lists_of_words_hold_each_word_once():
    for words in (
        [name for name, _ in PEOPLE],
        [animal.one for animal in ANIMALS],
        [place.name for place in PLACES],
        FOODS,
        COLOURS,
        [job.name for job in JOBS],
    ):
        assert len(set(words)) == len(words)
    assert LARGEST_WORLD % 2 == 0


def test_numbers_have_words():
    assert [number_word(number) for number in (0, 12, 20, 21, 40, 99)] == [
        "zero", "twelve", "twenty", "twenty-one", "forty", "ninety-nine",
    ]  # fmt: skip
