"""Texts from counted choices: templates, what a choice costs, and the same rules read backwards."""

import math
from collections import Counter

import pytest

from groundup.data.sample.telling import (
    Alternatives,
    Chance,
    MismatchError,
    Reader,
    Slot,
    Teller,
    Writer,
    parse_template,
    read,
    write,
)


def visit(teller: Teller) -> None:
    """A document with each sort of choice: options, odds, an order, a template, two lines."""
    who = teller.pick(("the fox", "the hare", "the owl"))
    teller.say("{who} [went|ran [fast|slowly]] home.", who=who)
    if teller.one_in(4):
        teller.say("[it|then it] slept.")
    teller.end_line(2)
    for food in teller.order(("plums", "peas", "nuts")):
        teller.say("{food}!", food=food)


def test_a_template_has_text_slots_and_nested_choices():
    assert parse_template("a {thing} [for [you|me]|] now") == (
        "a ",
        Slot("thing", capital=False),
        " ",
        Alternatives((("for ", Alternatives((("you",), ("me",)))), ())),
        " now",
    )
    assert parse_template("{Who}") == (Slot("who", capital=True),)
    assert parse_template("") == ()


@pytest.mark.parametrize("template", ["[a|b", "a]", "a|b", "[[a]", "[a]]", "{name"])
def test_a_template_with_brackets_that_do_not_pair_is_refused(template):
    with pytest.raises(ValueError, match=r"brackets do not pair|substring not found"):
        parse_template(template)


def test_chance_gives_these_numbers_on_every_platform():
    chance = Chance(1, "golden")
    assert [chance.below(100) for _ in range(8)] == [15, 66, 57, 85, 3, 36, 19, 22]
    assert chance.shuffled("abcdef") == ["b", "f", "d", "e", "a", "c"]


def test_chance_depends_on_seed_and_names_and_is_fair():
    draws = {key: [Chance(*key).below(1 << 60)] for key in ((1, "a"), (2, "a"), (1, "b"), (1, "a", 0))}
    assert len({tuple(each) for each in draws.values()}) == 4
    chance = Chance(3)
    counts = Counter(chance.below(5) for _ in range(5_000))
    assert sorted(counts) == [0, 1, 2, 3, 4]
    assert max(abs(count - 1_000) for count in counts.values()) < 150  # five standard deviations
    firsts = Counter(chance.shuffled("abc")[0] for _ in range(3_000))
    assert max(abs(count - 1_000) for count in firsts.values()) < 130


def test_bits_are_the_product_of_the_choices():
    def tell(teller: Teller) -> None:
        teller.say("[a|b] [c|d|e]")
        teller.pick(range(7))
        assert sorted(teller.order((1, 2, 3))) == [1, 2, 3]

    assert write(tell, Chance(1)).bits == pytest.approx(math.log2(2 * 3 * 7 * 3 * 2))


def test_one_in_costs_what_its_odds_say_and_comes_that_often():
    seen: Counter = Counter()
    for index in range(2_000):
        writer = Writer(Chance(index, "one in"))
        came = writer.one_in(8)
        seen[came] += 1
        assert writer.bits == pytest.approx(3.0 if came else math.log2(8 / 7))
    assert 170 < seen[True] < 330  # 250 expected, five standard deviations


def test_order_gives_each_option_once_and_charges_only_for_what_was_asked():
    writer = Writer(Chance(5))
    first = next(writer.order("abcd"))
    assert first in "abcd"
    assert writer.bits == pytest.approx(2.0)
    assert {"".join(Writer(Chance(index)).order("abc")) for index in range(60)} == {
        "abc", "acb", "bac", "bca", "cab", "cba",
    }  # fmt: skip


def test_sentences_have_capitals_spaces_and_lines():
    writer = Writer(Chance(1))
    writer.say("{who} sees {Who}.", who="the fox")
    writer.say("[|]it is late.")
    writer.end_line()
    writer.word("so: ")
    writer.word("{who}", who="mole")
    assert writer.text == "The fox sees The fox. It is late.so: mole"
    writer.end_line(2)
    writer.say("good.")
    assert writer.text.endswith("so: mole\n\nGood.")


def test_a_capital_waits_for_the_first_letter_and_comes_once():
    writer = Writer(Chance(1))
    writer.say("")
    writer.word('"')
    writer.word("{who}, he said, {who}", who="the fox")
    assert writer.text == '"The fox, he said, the fox'


def test_a_text_is_read_by_the_rules_that_wrote_it():
    for index in range(100):
        written = write(visit, Chance(index, "visit"))
        reading = read(visit, written.text)
        assert reading.ways == 1
        assert reading.bits == pytest.approx(written.bits)
        assert reading.reached == len(written.text)


def test_the_ways_to_make_a_text_add_up():
    def tell(teller: Teller) -> None:
        teller.say("[a|a|b|[a|c]]")

    reading = read(tell, "A")
    assert reading.ways == 3
    assert reading.bits == pytest.approx(-math.log2(1 / 4 + 1 / 4 + 1 / 8))
    written = next(writer for index in range(9) if (writer := write(tell, Chance(index))).text == "A")
    assert reading.bits <= written.bits


@pytest.mark.parametrize(
    ("right", "wrong"), [("lums", "lumes"), ("The", "A"), ("!", "."), ("\n\n", "\n"), ("home", "Home")]
)
def test_a_changed_word_is_refused_where_it_stands(right, wrong):
    text = write(visit, Chance(7, "visit")).text
    at = text.index(right)
    changed = text[:at] + wrong + text[at + len(right) :]
    differs = next(place for place, (a, b) in enumerate(zip(text, changed, strict=False)) if a != b)
    reading = read(visit, changed)
    assert (reading.ways, reading.bits) == (0, math.inf)
    assert differs <= reading.reached <= differs + 1


def test_a_text_that_goes_on_or_ends_early_is_refused():
    text = write(visit, Chance(7, "visit")).text
    assert read(visit, text + " More.").ways == 0
    shorter = read(visit, text[:-3])
    assert (shorter.ways, shorter.reached) == (0, len(text) - 3)


def test_a_reader_that_is_lost_says_so():
    with pytest.raises(MismatchError):
        Reader("Hello", []).emit("Help")


def test_an_option_that_stands_there_more_often_comes_more_often_and_costs_less():
    options = ("walk", "walk", "walk", "swim")

    def tell(teller: Teller) -> None:
        teller.say("{what}", what=teller.pick_by_share(options))

    made = [write(tell, Chance(1, number)) for number in range(400)]
    cost = {writer.text: writer.bits for writer in made}
    assert cost == pytest.approx({"Walk": math.log2(4 / 3), "Swim": 2.0})
    assert 260 < sum(writer.text == "Walk" for writer in made) < 340  # 300 expected, standard deviation 8.7
    reading = read(tell, "Walk")
    assert (reading.ways, reading.bits) == (1, pytest.approx(math.log2(4 / 3)))
