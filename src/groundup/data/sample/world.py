"""The sample world: who lives in it, and the facts that hold everywhere in it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from groundup.data.sample.telling import Chance
from groundup.data.sample.words import (
    ANIMALS,
    CAUSES,
    COLOURS,
    FOODS,
    JOBS,
    OPPOSITES,
    PEOPLE,
    PLACES,
    THINGS,
    UNITS,
    VERBS,
    Job,
    Place,
)

Attribute = Literal["home", "food", "friend", "colour", "job"]

# A world has as many people as animals, each number even, so that everyone has a friend.
SMALLEST_WORLD, LARGEST_WORLD = 8, min(len(PEOPLE), len(ANIMALS))

# The largest world has all words of `words`; the share that a small one has tends to this.
FEWEST_WORDS = 0.4

Word = TypeVar("Word")


@dataclass(frozen=True)
class Being:
    """A person or an animal, with all that is true of it.

    Args:
        name: what it is called in a sentence: "Mira", "the fox".
        kind: "person", or the animal's word.
        he, him, his: its pronouns.
        colour: of an animal, or of a person's coat.
        job: of a person; None for an animal.
        friend: the name of its friend.
    """

    name: str
    kind: str
    kinds: str
    he: str
    him: str
    his: str
    home: Place
    food: str
    colour: str
    job: Job | None
    friend: str

    @property
    def is_person(self) -> bool:
        """Whether it is a person and no animal."""
        return self.job is not None

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What can be asked of it."""
        common: tuple[Attribute, ...] = ("home", "food", "friend", "colour")
        return (*common, "job") if self.is_person else common

    def value(self, attribute: Attribute) -> str:
        """A fact about it, as words: "by the mill", "plums", "the hare", "red", "baker"."""
        if attribute == "home":
            return self.home.at
        if attribute == "job":
            assert self.job is not None, "animals have no job"
            return self.job.name
        return {"food": self.food, "friend": self.friend, "colour": self.colour}[attribute]


class World:
    """A world made from a seed: the same seed and size give the same world everywhere.

    A larger world has more of everything that can be spoken of: places, foods, things, words with their opposites.

    Args:
        size: how many people, and how many animals.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.seed, self.size = seed, size
        chance = Chance(seed, "sample world", size)
        self.places, self.foods, self.colours = self._known(PLACES), self._known(FOODS), self._known(COLOURS)
        self.jobs, self.things, self.opposites = self._known(JOBS), self._known(THINGS), self._known(OPPOSITES)
        self.verbs, self.causes, self.units = self._known(VERBS), self._known(CAUSES), self._known(UNITS)
        people = PEOPLE[:size]
        animals = ANIMALS[:size]
        names = [name for name, _ in people]
        the_animals = [f"the {animal.one}" for animal in animals]
        friends = _friends(chance, names) | _friends(chance, the_animals)

        def dealt(options: tuple) -> list:
            """As many as there are beings of one sort, each option about equally often."""
            return chance.shuffled((chance.shuffled(options) * (size // len(options) + 1))[:size])

        rows = zip(people, dealt(self.places), dealt(self.foods), dealt(self.colours), dealt(self.jobs), strict=True)
        self.people = tuple(
            Being(
                name, "person", "people", he, "her" if he == "she" else "him", "her" if he == "she" else "his",
                home, food, colour, job, friends[name],
            )
            for (name, he), home, food, colour, job in rows
        )  # fmt: skip
        creatures = zip(animals, the_animals, dealt(self.places), dealt(self.foods), dealt(self.colours), strict=True)
        self.animals = tuple(
            Being(name, animal.one, animal.many, "it", "it", "its", home, food, colour, None, friends[name])
            for animal, name, home, food, colour in creatures
        )

    def _known(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words that a world of this size has, from the front of their list."""
        return words[: round(len(words) * (FEWEST_WORDS + (1 - FEWEST_WORDS) * self.size / LARGEST_WORLD))]

    @cached_property
    def beings(self) -> tuple[Being, ...]:
        """People and animals."""
        return self.people + self.animals

    @cached_property
    def _by_name(self) -> dict[str, Being]:
        return {being.name: being for being in self.beings}

    def friend_of(self, being: Being) -> Being:
        """The friend of a being; it is its friend's friend."""
        return self._by_name[being.friend]

    def others(self, *without: Being) -> list[Being]:
        """All beings but these."""
        return [being for being in self.beings if being not in without]


def _friends(chance: Chance, names: list[str]) -> dict[str, str]:
    shuffled = chance.shuffled(names)
    pairs = list(zip(shuffled[::2], shuffled[1::2], strict=True))
    return dict(pairs) | {right: left for left, right in pairs}
