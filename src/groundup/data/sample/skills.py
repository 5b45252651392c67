"""What can be asked in the sample world, each with the one right answer.

The children in the stories are asked these things in their lessons; the instructions ask them again in other words.
Answers are whole sentences, the same in both, so what was read in pretraining can be said after an instruction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groundup.data.sample.telling import Teller
from groundup.data.sample.words import NUMBERS, Noun, listed, number_word
from groundup.data.sample.world import Attribute, Being, World


@dataclass(frozen=True)
class Task:
    """One question. The words of a list are said while it is made; all else is left to the wordings.

    Args:
        kind: which skill it needs.
        group: what it is about; tasks with the same content have the same group, however they are worded.
        values: what the wordings of its kind speak of.
        answer: the right one, a whole sentence without its full stop.
    """

    kind: str
    group: str
    values: dict[str, str]
    answer: str


# How each fact is stated and asked for; {name} is the being, {value} the fact.
STATEMENTS: dict[Attribute, str] = {
    "home": "{name} lives {value}",
    "food": "{name} likes to eat {value}",
    "friend": "the friend of {name} is {value}",
    "colour": "the colour of {name} is {value}",
    "job": "{name} works as a {value}",
}
COAT_STATEMENT = "the coat of {name} is {value}"
QUESTIONS: dict[Attribute, str] = {
    "home": "where does {name} live",
    "food": "what does {name} like to eat",
    "friend": "who is the friend of {name}",
    "colour": "what colour is {name}",
    "job": "what work does {name} do",
}
COAT_QUESTION = "what colour is the coat of {name}"


def _form(forms: dict[Attribute, str], coat: str, being: Being, attribute: Attribute) -> str:
    return coat if attribute == "colour" and being.is_person else forms[attribute]


def statement(being: Being, attribute: Attribute) -> str:
    """A fact in its plain form, without a capital or a full stop."""
    form = _form(STATEMENTS, COAT_STATEMENT, being, attribute)
    if attribute == "job" and being.value("job")[0] in "aeiou":
        form = form.replace(" a {", " an {")
    return form.format(name=being.name, value=being.value(attribute))


def question(being: Being, attribute: Attribute) -> str:
    """The question for a fact, without a capital or a question mark."""
    return _form(QUESTIONS, COAT_QUESTION, being, attribute).format(name=being.name)


def fact_group(being: Being, attribute: Attribute) -> str:
    """The content of a fact; that two are friends is one fact, not two."""
    names = sorted([being.name, being.friend]) if attribute == "friend" else [being.name]
    return f"{attribute} of {' and '.join(names)}"


def name_of(being: Being) -> str:
    """What a being is called, as `Teller.pick` wants it."""
    return being.name


def ask_fact(t: Teller, world: World) -> Task:
    being = t.pick(world.beings, said=name_of)
    attribute = t.pick(being.attributes)
    return Task(
        "fact", fact_group(being, attribute), {"question": question(being, attribute)}, statement(being, attribute)
    )


def sorts_of_words(world: World) -> dict[str, list[str]]:
    """What there are words for, each with its words."""
    return {
        "an animal": [animal.kind for animal in world.animals],
        "a food": list(world.foods),
        "a colour": list(world.colours),
        "a thing": [thing.one for thing in world.things],
        "a job": [job.name for job in world.jobs],
    }


def ask_yes_or_no(t: Teller, world: World) -> Task:
    """What a word is for, or which number is more; right in half of all cases."""
    is_true = t.choose(2) == 0
    if t.choose(2) == 0:
        sorts = sorts_of_words(world)
        sort, words = t.pick(list(sorts.items()))
        word = t.pick_word(words)
        claimed = sort if is_true else t.pick_word([each for each in sorts if each != sort])
        asked = f"is {word} a word for {claimed}"
        answer = f"{word} is {'a' if is_true else 'no'} word for {claimed}"
        group = f"sort of {word}"
    else:
        few = NUMBERS.index(t.pick_word(NUMBERS[1:10]))
        many = NUMBERS.index(t.pick_word(NUMBERS[few + 1 : 11]))
        left, right = (many, few) if is_true else (few, many)
        asked = f"is {NUMBERS[left]} more than {NUMBERS[right]}"
        answer = f"{NUMBERS[left]} is {'more' if is_true else 'less'} than {NUMBERS[right]}"
        group = f"more {few} {many}"
    return Task("yes or no", group, {"question": asked}, f"{answer}, so {'yes' if is_true else 'no'}")


def ask_opposite(t: Teller, world: World) -> Task:
    pair = t.pick(world.opposites, said=lambda each: each[0])
    side = t.choose(2)
    word, other = pair[side], pair[1 - side]
    return Task("opposite", f"opposite {pair[0]}", {"word": word}, f"the opposite of {word} is {other}")


def ask_plural(t: Teller, world: World) -> Task:
    nouns = [*(Noun(animal.kind, animal.kinds) for animal in world.animals), *world.things]
    noun = t.pick(nouns, said=lambda each: each.one)
    return Task("plural", f"plural {noun.one}", {"word": noun.one}, f"one {noun.one}, two {noun.many}")


def ask_past(t: Teller, world: World) -> Task:
    now, then = t.pick(world.verbs, said=lambda each: each[0])
    return Task("past tense", f"past {now}", {"word": now}, f"today we {now}, yesterday we {then}")


def _say_list(t: Teller, options: Sequence[Sequence[str]]) -> list[str]:
    """Say a list of different words, each one of its own options, as they are chosen."""
    chosen: list[str] = []
    for each in options:
        word = t.pick_word([word for word in each if word not in chosen])
        t.word(" {word}" if not chosen else ", {word}", word=word)
        chosen.append(word)
    return chosen


def ask_sort(t: Teller, world: World) -> Task:
    words = NUMBERS[1:11]
    given = _say_list(t, [words] * 3)
    in_order = sorted(given, key=words.index)
    return Task("sort", f"sort {listed(in_order)}", {"words": listed(given)}, f"in order they are {listed(in_order)}")


def _words_of_the_world(world: World) -> list[str]:
    return [*(animal.kind for animal in world.animals), *(thing.one for thing in world.things), *world.foods]


def ask_count(t: Teller, world: World) -> Task:
    given = _say_list(t, [_words_of_the_world(world)] * (2 + t.choose(3)))
    return Task(
        "count",
        f"count {listed(sorted(given))}",
        {"words": listed(given)},
        f"there are {number_word(len(given))} words",
    )


def ask_reverse(t: Teller, world: World) -> Task:
    given = _say_list(t, [_words_of_the_world(world)] * 3)
    return Task(
        "reverse order",
        f"reverse {listed(sorted(given))}",
        {"words": listed(given)},
        f"backwards they are {listed(given[::-1])}",
    )


def ask_odd_one_out(t: Teller, world: World) -> Task:
    """Three words of one sort and one of the next sort or of the one after it.

    Each place in the list has its own part of a sort, so that no word comes twice.
    """
    sorts = list(sorts_of_words(world).values())
    common = t.choose(len(sorts))
    odd_sort = sorts[(common + 1 + t.choose(2)) % len(sorts)]
    place = t.choose(4)
    thirds = [sorts[common][start::3] for start in range(3)]
    given = _say_list(t, [*thirds[:place], odd_sort[place % 2 :: 2], *thirds[place:]])
    return Task(
        "odd one out",
        f"odd {listed(sorted(given))}",
        {"words": listed(given)},
        f"the odd one out is {given[place]}",
    )


def ask_sum(t: Teller, world: World) -> Task:
    left, right = (NUMBERS.index(t.pick_word(NUMBERS[1:8])) for _ in range(2))
    few, many = sorted((left, right))
    return Task(
        "sum",
        f"sum {few} {many}",
        {"left": number_word(left), "right": number_word(right)},
        f"{number_word(left)} and {number_word(right)} make {number_word(left + right)}",
    )


def ask_difference(t: Teller, world: World) -> Task:
    left = NUMBERS.index(t.pick_word(NUMBERS[2:10]))
    right = NUMBERS.index(t.pick_word(NUMBERS[1:left]))
    return Task(
        "difference",
        f"difference {left} {right}",
        {"left": number_word(left), "right": number_word(right)},
        f"{number_word(left)} without {number_word(right)} is {number_word(left - right)}",
    )


def ask_units(t: Teller, world: World) -> Task:
    whole, part, size = t.pick(world.units, said=lambda each: each[0].many)
    number = NUMBERS.index(t.pick_word(NUMBERS[2:7]))
    return Task(
        "units",
        f"units {whole.one} {number}",
        {"number": number_word(number), "whole": whole.many, "part": part.many},
        f"{number_word(number)} {whole.many} have {number_word(number * size)} {part.many}",
    )


def ask_completion(t: Teller, world: World) -> Task:
    cause, effect = t.pick(world.causes, said=lambda each: each[0])
    return Task("completion", f"cause {cause}", {"cause": cause}, f"when {cause}, {effect}")


REQUESTS = ("bring me", "give me", "show me", "lend me", "pass me", "find me", "hand me", "send me")


def ask_polite(t: Teller, world: World) -> Task:
    verb, thing = t.pick_word(REQUESTS), t.pick_word([thing.one for thing in world.things])
    return Task(
        "polite", f"polite {verb} {thing}", {"request": f"{verb} the {thing}"}, f"could you please {verb} the {thing}"
    )


SKILLS: dict[str, Callable[[Teller, World], Task]] = {
    "fact": ask_fact,
    "yes or no": ask_yes_or_no,
    "opposite": ask_opposite,
    "plural": ask_plural,
    "past tense": ask_past,
    "sort": ask_sort,
    "count": ask_count,
    "reverse order": ask_reverse,
    "odd one out": ask_odd_one_out,
    "sum": ask_sum,
    "difference": ask_difference,
    "units": ask_units,
    "completion": ask_completion,
    "polite": ask_polite,
}

# How each kind is asked aloud, in lessons: what is said before it is known what is asked about, and the rest.
SPOKEN: dict[str, tuple[str, str]] = {
    "fact": ("[tell me: |now: |who knows: |and |]", "{question}?"),
    "yes or no": ("[tell me: |now: |who knows: |and |]", "{question}?"),
    "opposite": ("what is the opposite of", " {word}?"),
    "plural": ("[here|there] is one", " {word}. What are two of them?"),
    "past tense": ("today we", " {word}. What did we do yesterday?"),
    "sort": ("[put these numbers in order|sort these numbers|in which order come]:", "."),
    "count": ("[how many words are these|count these words|how long is this list]:", "."),
    "reverse order": ("[say these words backwards|turn these words round|begin at the end]:", "."),
    "odd one out": ("[which is the odd one out|which word does not belong|one of these is wrong]:", "?"),
    "sum": ("[what is|how many are|add up]", " {left} and {right}?"),
    "difference": ("[what is left of|how much is]", " {left} without {right}?"),
    "units": ("how many", " {part} have {number} {whole}?"),
    "completion": ("[what happens when|what comes of it when]", " {cause}?"),
    "polite": ("[say it politely|say this as one should|ask nicely]:", " {request}."),
}

# What is asked in lessons: what takes most practice comes most often.
LESSONS: tuple[str, ...] = (
    "fact", "yes or no", "yes or no", "yes or no", "opposite", "opposite", "opposite", "plural", "past tense",
    "past tense", "sort", "sort", "count", "reverse order", "odd one out", "odd one out", "odd one out", "sum", "sum",
    "difference", "difference", "units", "units", "completion", "polite",
)  # fmt: skip
