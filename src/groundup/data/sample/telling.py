"""Texts made of counted choices, and the same rules run backwards over a finished text.

A document is a function of a `Teller`: it makes choices and says text. A `Writer` makes the choices at random and adds
up what each cost; a `Reader` looks for choices that give a text that already exists. So there is one set of rules for
making text, for its exact entropy, and for checking what a model wrote.

In what is said, `[one|two|three]` is a choice between texts (they nest; an empty one leaves it out) and `{name}` stands
for a value that is given along; `{Name}` is the same value with a capital.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from groundup.seeding import derive_seed

Option = TypeVar("Option")

_MASK = (1 << 64) - 1

# A reading that needs more tries than this is given up. Documents of the sample world need some hundred.
MAX_TRIES = 20_000

# Characters within which something that was picked is said.
FORESIGHT = 240


class Chance:
    """Random numbers that are the same on every platform and in every version of Python.

    Source: Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
    """

    def __init__(self, seed: int, *names: object) -> None:
        self._state = derive_seed(seed, *names)

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1, all equally likely (to within n / 2^64)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) * n) >> 64

    def shuffled(self, options: Sequence[Option]) -> list[Option]:
        """The options in random order (Fisher-Yates)."""
        result = list(options)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result


@dataclass(frozen=True)
class Slot:
    """A place in a template for a value."""

    name: str
    capital: bool


@dataclass(frozen=True)
class Alternatives:
    """A choice between pieces of text."""

    options: tuple[tuple["Piece", ...], ...]


Piece = str | Slot | Alternatives


@cache
def parse_template(template: str) -> tuple[Piece, ...]:
    """A template as its pieces.

    Raises: ValueError for brackets that do not pair.
    """
    options, end = _parse_options(template, 0)
    if end != len(template) or len(options) != 1:
        raise ValueError(f"brackets do not pair in {template!r}")
    return options[0]


def _parse_options(template: str, start: int) -> tuple[list[tuple[Piece, ...]], int]:
    """Options separated by bars, from `start` to the bracket that closes them or to the end of the template."""
    options: list[tuple[Piece, ...]] = []
    pieces: list[Piece] = []
    position = start
    while position < len(template) and template[position] != "]":
        if template[position] == "|":
            options.append(tuple(pieces))
            pieces = []
            position += 1
        elif template[position] == "[":
            inner, end = _parse_options(template, position + 1)
            if end == len(template):
                raise ValueError(f"brackets do not pair in {template!r}")
            pieces.append(Alternatives(tuple(inner)))
            position = end + 1
        elif template[position] == "{":
            end = template.index("}", position)
            name = template[position + 1 : end]
            pieces.append(Slot(name.lower(), capital=name[0].isupper()))
            position = end + 1
        else:
            end = min((at for mark in "[]{|" if (at := template.find(mark, position)) >= 0), default=len(template))
            pieces.append(template[position:end])
            position = end
    options.append(tuple(pieces))
    return options, position


def capitalised(text: str) -> str:
    """The text with a capital as its first letter, whatever marks stand before it."""
    first = next((at for at, letter in enumerate(text) if letter.isalpha()), len(text))
    return text[:first] + text[first : first + 1].upper() + text[first + 1 :]


class Teller:
    """What a document is told with. Subclasses say where a choice comes from and where a text goes."""

    def __init__(self) -> None:
        self.bits = 0.0
        self._between = ""  # what stands before the next sentence
        self._capital_due = False  # whether what was said so far has no letter yet

    def choose(self, n: int) -> int:
        """A whole number below n, all equally likely; costs log2(n) bits."""
        raise NotImplementedError

    def emit(self, text: str) -> None:
        """Add text to the document."""
        raise NotImplementedError

    def choose_text(self, options: tuple[tuple[Piece, ...], ...], capital: bool) -> int:
        """Which of several pieces of text comes; `capital` if it begins with one."""
        return self.choose(len(options))

    def pick(self, options: Sequence[Option], said: Callable[[Option], str] | None = None) -> Option:
        """One of the options, all equally likely.

        Args:
            said: for an option, words that stand within the next `FORESIGHT` characters if it is the one. It lets a
                `Reader` leave out what cannot be.
        """
        return options[self.choose(len(options))]

    def pick_word(self, options: Sequence[str]) -> str:
        """One of several texts, which is said within the next `FORESIGHT` characters."""
        return self.pick(options, said=str)

    def pick_by_share(self, options: Sequence[Option]) -> Option:
        """One of the options, of which some stand there more than once; costs as much as its share of them is worth."""
        raise NotImplementedError

    def one_in(self, n: int) -> bool:
        """True once in n times; costs as much as a choice with these odds does."""
        raise NotImplementedError

    def order(self, options: Sequence[Option]) -> Iterator[Option]:
        """The options in random order, each chosen when it is asked for."""
        left = list(options)
        while left:
            yield left.pop(self.choose(len(left)))

    def say(self, template: str, **values: str) -> None:
        """Say a sentence (or several), with a capital at its beginning and a space before it."""
        self.emit(self._between)
        self._capital_due = self._walk(parse_template(template), values, capital=True)
        self._between = " "

    def word(self, template: str, **values: str) -> None:
        """Go on with a sentence: no space before it, and no capital if the sentence has begun."""
        self._capital_due = self._walk(parse_template(template), values, capital=self._capital_due)
        self._between = " "

    def end_line(self, lines: int = 1) -> None:
        """Go on after this many line ends."""
        self._between = "\n" * lines

    def _walk(self, pieces: tuple[Piece, ...], values: dict[str, str], capital: bool) -> bool:
        """Say the pieces; returns whether a capital is still due."""
        for piece in pieces:
            if isinstance(piece, Alternatives):
                chosen = self.choose_text(piece.options, capital)
                capital = self._walk(piece.options[chosen], values, capital)
                continue
            text = piece if isinstance(piece, str) else values[piece.name]
            if capital or (isinstance(piece, Slot) and piece.capital):
                text = capitalised(text)
            self.emit(text)
            capital = capital and not any(letter.isalpha() for letter in text)
        return capital


class Writer(Teller):
    """Makes a document at random."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self._parts)

    def choose(self, n: int) -> int:
        self.bits += _log2(n)
        return self._chance.below(n)

    def pick_by_share(self, options: Sequence[Option]) -> Option:
        chosen = options[self._chance.below(len(options))]
        self.bits += _log2(len(options)) - _log2(options.count(chosen))
        return chosen

    def one_in(self, n: int) -> bool:
        came = self._chance.below(n) == 0
        self.bits += _log2(n) if came else _log2(n) - _log2(n - 1)
        return came

    def emit(self, text: str) -> None:
        self._parts.append(text)


@cache
def _log2(n: int) -> float:
    return math.log2(n)


class MismatchError(Exception):
    """The choices made so far do not give the text."""


@dataclass
class _Fork:
    options: Sequence[int]
    taken: int = 0


class Reader(Teller):
    """Follows a text that exists: makes the choices on a tape, then the first possible ones."""

    def __init__(self, text: str, tape: list[_Fork]) -> None:
        super().__init__()
        self._text, self._tape = text, tape
        self._forks = 0
        self.position = 0

    def _fork(self, possible: Callable[[], Sequence[int]]) -> int:
        """The choice that the tape holds here, or the first of those that are possible."""
        if self._forks == len(self._tape):
            options = possible()
            if not options:
                raise MismatchError
            self._tape.append(_Fork(options))
        fork = self._tape[self._forks]
        self._forks += 1
        return fork.options[fork.taken]

    def choose(self, n: int) -> int:
        self.bits += _log2(n)
        return self._fork(lambda: range(n))

    def pick(self, options: Sequence[Option], said: Callable[[Option], str] | None = None) -> Option:
        if said is None:
            return options[self.choose(len(options))]
        self.bits += _log2(len(options))
        return options[self._fork(lambda: self._said_soon([said(option).lower() for option in options]))]

    def _said_soon(self, words: list[str]) -> list[int]:
        """Which of the words stand in the text ahead, the nearest first."""
        ahead = self._text[self.position : self.position + FORESIGHT].lower()
        places = {}
        for index, word in enumerate(words):
            start = ahead.find(word)  # quicker than a pattern, and mostly enough to know that it is not there
            if start >= 0 and (found := re.search(rf"\b{re.escape(word)}\b", ahead[start:])):
                places[index] = start + found.start()
        return sorted(places, key=lambda index: places[index])

    def pick_by_share(self, options: Sequence[Option]) -> Option:
        different = list(dict.fromkeys(options))
        chosen = different[self._fork(lambda: range(len(different)))]
        self.bits += _log2(len(options)) - _log2(options.count(chosen))
        return chosen

    def one_in(self, n: int) -> bool:
        came = self._fork(lambda: range(2)) == 0
        self.bits += _log2(n) if came else _log2(n) - _log2(n - 1)
        return came

    def choose_text(self, options: tuple[tuple[Piece, ...], ...], capital: bool) -> int:
        self.bits += _log2(len(options))

        def possible() -> list[int]:
            starts = [pieces[0] if pieces and isinstance(pieces[0], str) else "" for pieces in options]
            if capital:
                starts = [capitalised(start) for start in starts]
            return [at for at, start in enumerate(starts) if self._text.startswith(start, self.position)]

        return self._fork(possible)

    def emit(self, text: str) -> None:
        if not self._text.startswith(text, self.position):
            shared = self._text[self.position : self.position + len(text)]
            self.position += next(
                (at for at, (a, b) in enumerate(zip(shared, text, strict=False)) if a != b), len(shared)
            )
            raise MismatchError
        self.position += len(text)


@dataclass(frozen=True)
class Reading:
    """What the rules say of a text.

    Args:
        ways: in how many ways the rules can make it; 0 if they cannot.
        bits: its surprisal, of all those ways together; infinite if there is none.
        reached: characters up to the furthest place where the rules could still follow.
        kind: which sort of document it is, where that was asked.
    """

    ways: int
    bits: float
    reached: int
    kind: str = ""


def read(tell: Callable[[Teller], None], text: str, all_ways: bool = True) -> Reading:
    """Find the choices with which `tell` says exactly this text.

    Args:
        all_ways: look for all of them, so that `bits` is exact; else stop at the first.
    """
    tape: list[_Fork] = []
    found: list[float] = []
    reached = 0
    for _ in range(MAX_TRIES):
        reader = Reader(text, tape)
        try:
            tell(reader)
            if reader.position == len(text):
                found.append(reader.bits)
                if not all_ways:
                    break
        except MismatchError:
            pass
        reached = max(reached, reader.position)
        while tape and tape[-1].taken == len(tape[-1].options) - 1:
            tape.pop()
        if not tape:
            break
        tape[-1].taken += 1
    bits = min(found) - math.log2(sum(2.0 ** (min(found) - each) for each in found)) if found else math.inf
    return Reading(len(found), bits, reached)


def write(tell: Callable[[Teller], None], chance: Chance) -> Writer:
    """A new document, and what it cost."""
    writer = Writer(chance)
    tell(writer)
    return writer
