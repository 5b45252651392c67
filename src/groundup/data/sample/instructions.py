"""Instructions of the sample world, with answers that a program can check."""

from dataclasses import dataclass

from groundup.data.sample.skills import SKILLS, ask_fact
from groundup.data.sample.telling import Chance, Writer
from groundup.data.sample.world import World

# Each kind in several wordings: instruction, and the input if there is one.
WORDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "fact": (
        ("{question}?", ""),
        ("Answer the question in one sentence.", "Question: {question}?"),
        ("Tell me, {question}?", ""),
        ("I want to know: {question}?", ""),
    ),
    "yes or no": (
        ("{question}?", ""),
        ("Say how it is, and answer with yes or no.", "Question: {question}?"),
        ("Is it true or not: {question}?", ""),
    ),
    "opposite": (
        ("What is the opposite of {word}?", ""),
        ("Name the opposite of this word.", "The word: {word}"),
        ("Which word means the opposite of {word}?", ""),
        ("Give a word that is the opposite of {word}.", ""),
    ),
    "plural": (
        ("What is the plural of {word}?", ""),
        ("Write this word for one and for two.", "The word: {word}"),
        ("How do you call more than one {word}?", ""),
        ("Here is one {word}. What are two?", ""),
    ),
    "past tense": (
        ("What is the past of {word}?", ""),
        ("Write this verb for today and for yesterday.", "The verb: {word}"),
        ("Put the verb {word} into the past.", ""),
        ("How do you say {word} when it was yesterday?", ""),
    ),
    "sort": (
        ("Sort these numbers from small to large.", "The numbers: {words}"),
        ("Put these numbers in order: {words}.", ""),
        ("Which order is right for the numbers {words}?", ""),
    ),
    "count": (
        ("How many words are in this list?", "The list: {words}"),
        ("Count these words: {words}.", ""),
        ("How many words are these: {words}?", ""),
    ),
    "reverse order": (
        ("Write these words in reverse order.", "The words: {words}"),
        ("Say these words backwards: {words}.", ""),
        ("Turn the order of the words round: {words}.", ""),
    ),
    "odd one out": (
        ("Pick the odd one out.", "The words: {words}"),
        ("Which word does not belong to the others: {words}?", ""),
        ("One of these words is of another kind: {words}. Which one?", ""),
    ),
    "sum": (
        ("What is {left} plus {right}?", ""),
        ("Add these two numbers.", "The numbers: {left}, {right}"),
        ("How much do {left} and {right} make?", ""),
    ),
    "difference": (
        ("What is {left} minus {right}?", ""),
        ("Take {right} away from {left}.", ""),
        ("I have {left} nuts and eat {right}. How many are left?", ""),
    ),
    "units": (
        ("How many {part} are {number} {whole}?", ""),
        ("Change the unit.", "From: {number} {whole}, to: {part}"),
        ("How many {part} do {number} {whole} have?", ""),
    ),
    "completion": (
        ("Complete the sentence.", "The sentence: When {cause}, …"),
        ("How does the sentence go on: When {cause}, …", ""),
        ("Say what happens when {cause}.", ""),
        ("What comes of it when {cause}?", ""),
    ),
    "polite": (
        ("Rewrite this politely.", "The sentence: {request}."),
        ("Say it politely: {request}!", ""),
        ("Make a polite request of this: {request}.", ""),
    ),
}

# Facts are asked as often as this many other kinds: there are more of them than of anything else.
SHARES = (*SKILLS.values(), ask_fact, ask_fact)

# So many new tries may go by without a new row before there is nothing left to ask.
MAX_REPEATS = 2_000


@dataclass(frozen=True)
class SampleInstruction:
    """An instruction, what it is about, its answer, the skill it needs and the content by which it is split."""

    instruction: str
    input: str
    output: str
    kind: str
    group: str


def sample_instructions(world: World, seed: int, n: int) -> list[SampleInstruction]:
    """Up to n different rows, the kinds in turn; fewer if a small world has no more to ask."""
    rows: dict[tuple[str, str], SampleInstruction] = {}
    number = repeats = 0
    while len(rows) < n and repeats < MAX_REPEATS:
        row = _row(world, seed, number)
        number += 1
        repeats = 0 if rows.setdefault((row.instruction, row.input), row) is row else repeats + 1
    return list(rows.values())


def _row(world: World, seed: int, number: int) -> SampleInstruction:
    teller = Writer(Chance(seed, "sample instructions", number))
    task = SHARES[number % len(SHARES)](teller, world)
    instruction, input_text = teller.pick(WORDINGS[task.kind])
    values = task.values
    if instruction.startswith("{question}"):
        values = {"question": _sentence(values["question"])}
    return SampleInstruction(
        instruction=instruction.format(**values),
        input=input_text.format(**values),
        output=_sentence(task.answer) + ("?" if task.kind == "polite" else "."),
        kind=task.kind,
        group=task.group,
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
