"""Write the files of a made-up repair shop, which `docs/use-your-own.md` trains on, into `data/own/`.

Usage: python docs/repair_shop.py [folder]

The same files come out each time: notes, messages with two labels, tickets with four, tasks, conversations, and three
messages without a label.
"""

import csv
import io
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def listed(words: str) -> list[str]:
    return words.split(", ")


WORDS = {
    "person": listed(
        "Ada, Ben, Cleo, Dora, Emil, Fay, Gus, Hana, Ivo, Jule, Kai, Lena, Milo, Nora, Otto, Pia, Rosa, Sven, Tina, "
        "Vera"
    ),
    "thing": listed(
        "blender, camera, clock, cooker, drill, fan, fridge, guitar, heater, kettle, lamp, laptop, mixer, printer, "
        "radio, scooter, stove, toaster, typewriter, watch"
    ),
    "which": listed(
        "black, blue, borrowed, broken, cheap, green, grey, heavy, new, old, red, second-hand, small, wooden, yellow"
    ),
    "place": listed(
        "attic, cellar, corridor, garage, garden, hall, kitchen, library, office, school, shed, station, studio, van"
    ),
    "when": listed(
        "at noon, early, late, in the evening, on Monday, on Tuesday, on Friday, at Easter, last week, this morning"
    ),
    "part": listed("battery, belt, bulb, cable, fuse, handle, hinge, knob, lid, motor, plug, screw, switch, wheel"),
    "number": [str(number) for number in range(2, 60)],
}
# Sentences that anybody may say of anything, and that tell no label.
NEUTRAL = (
    "{person} called {when}.",
    "{person} needs it for the {place}.",
    "{person} has a {which} one too.",
    "It stands in the {place} near the {which} {thing}.",
    "We bought it {when}, together with a {thing}.",
    "My number is {number} {number} {number}.",
    "It is about the {which} {thing}.",
    "{person} and {person} brought it {when}.",
)
NOTES = (
    "I keep the {which} {thing} in the {place}.",
    "I keep a {part} for it in the {place}, near the {which} {thing}.",
    "{person} left the {which} {thing} in the {place} {when}.",
    "{person} told me about it {when}.",
    "It was only the {part}.",
    "A new {part} costs {number} euros.",
    "The {part} of the {thing} is loose, and the {part} is gone.",
    "I ordered a {part} for {person} {when}.",
    *NEUTRAL,
)
HAPPY = (
    "Thank you, the {thing} is wonderful.",
    "Great service. I will tell all my friends.",
    "The {thing} runs like new, and so quietly!",
    "I am very glad that the {part} could be saved.",
    "You are the best shop in town.",
    "What a lovely {thing}; we are delighted.",
)
UNHAPPY = (
    "The {thing} does not turn on.",
    "Smoke came out of the {thing}, again.",
    "I have waited {number} weeks and nobody answers.",
    "A crack runs through the {part} of the {thing}.",
    "The {thing} makes a loud noise and then stops.",
    "You charged me {number} euros for nothing.",
)
TICKETS = {
    "billing": (
        "I was charged {number} euros twice.",
        "Please send the invoice for the {part}.",
        "The bill says {number} euros, but we agreed on {number}.",
        "Can I pay for the {thing} in two rates?",
        "Why does a {part} cost {number} euros?",
    ),
    "broken": (
        "The {thing} does not turn on.",
        "Smoke came out of the {thing}, again.",
        "A crack runs through the {part} of the {thing}.",
        "The {thing} makes a loud noise and then stops.",
        "The {part} fell off {when}.",
    ),
    "delivery": (
        "When does the {thing} arrive?",
        "The parcel with the {part} never came.",
        "The driver left the {thing} in the {place}.",
        "Please bring the {thing} to the {place} {when}.",
        "I have waited {number} days for the {thing}.",
    ),
    "praise": HAPPY,
}
TICKETS_OF_EACH = {"billing": 110, "broken": 140, "delivery": 110, "praise": 60}
# What is asked of a note, and the answer.
TASKS = (
    ("Name the thing in the note.", "It tells of a {thing}."),
    ("Say who left it.", "{person} left it."),
    ("Say where it is.", "It is in the {place}."),
    ("Say which one it is.", "It is the {which} one."),
)
LEFT = "{person} left the {which} {thing} in the {place} {when}."
NEW_MESSAGES = ("Great service. I will tell all my friends.", "", "Smoke came out of the fan, again.")


class Shop:
    """What is said in the shop, drawn with a seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def facts(self) -> dict[str, str]:
        return {sort: self.draw.choice(words) for sort, words in WORDS.items()}

    def say(self, *templates: str) -> str:
        """The sentences in any order, each with words of its own."""
        said = []
        for sentence in self.draw.sample(templates, len(templates)):
            for sort, words in WORDS.items():
                # One after the other, so that a sentence may name two people.
                while f"{{{sort}}}" in sentence:
                    sentence = sentence.replace(f"{{{sort}}}", self.draw.choice(words), 1)
            said.append(sentence)
        return " ".join(said)

    def some(self, templates: tuple[str, ...], at_least: int, at_most: int) -> list[str]:
        return self.draw.sample(templates, self.draw.randint(at_least, at_most))


def notes(shop: Shop) -> str:
    return "\n<|endoftext|>\n".join(shop.say(*shop.some(NOTES, 2, 5)) for _ in range(1000)) + "\n"


def mood(shop: Shop) -> str:
    rows = []
    for label, templates in {"happy": HAPPY, "unhappy": UNHAPPY}.items():
        rows += [(label, shop.say(shop.draw.choice(templates), *shop.some(NEUTRAL, 1, 3))) for _ in range(100)]
    shop.draw.shuffle(rows)
    return "".join(f"{label}\t{text}\n" for label, text in rows)


def tickets(shop: Shop) -> str:
    rows = []
    for label, templates in TICKETS.items():
        for _ in range(TICKETS_OF_EACH[label]):
            rows.append((label, shop.say(shop.draw.choice(templates), *shop.some(NEUTRAL, 1, 3))))
    shop.draw.shuffle(rows)
    return as_csv([("label", "text"), *rows])


def tasks(shop: Shop) -> str:
    rows = []
    for number in range(400):
        facts, (asked, answered) = shop.facts(), TASKS[number % len(TASKS)]
        rows.append(
            {"instruction": asked, "input": LEFT.format_map(facts), "output": answered.format_map(facts), "kind": asked}
        )
    return as_json_lines(rows)


def chats(shop: Shop) -> str:
    """Conversations of one turn and of two; of five in the form of OpenAI one has a system turn."""
    rows: list[dict[str, object]] = []
    for number in range(300):
        facts = shop.facts()
        turns = [
            f"{LEFT} What did {{person}} leave?".format_map(facts),
            "{person} left a {thing}.".format_map(facts),
            *(("Where is it?", "It is in the {place}.".format_map(facts)) if number % 4 else ()),
        ]
        if number % 2:
            sides = ("human", "gpt")
            rows.append({"conversations": [{"from": sides[n % 2], "value": said} for n, said in enumerate(turns)]})
        else:
            roles = ("user", "assistant")
            system = [{"role": "system", "content": "Answer in one sentence."}] if number % 10 == 0 else []
            said = [{"role": roles[n % 2], "content": said} for n, said in enumerate(turns)]
            rows.append({"messages": system + said})
    return as_json_lines(rows)


def new_messages(shop: Shop) -> str:
    return as_csv([("id", "text"), *((str(number), text) for number, text in enumerate(NEW_MESSAGES, start=1))])


def as_csv(rows: list[tuple[str, str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def as_json_lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


FILES: dict[str, Callable[[Shop], str]] = {
    "notes.txt": notes,
    "mood.tsv": mood,
    "tickets.csv": tickets,
    "tasks.jsonl": tasks,
    "chats.jsonl": chats,
    "new.csv": new_messages,
}


def main(folder: Path) -> None:
    """Write each file that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, write) in enumerate(FILES.items()):
        if (folder / name).exists():
            print(f"{folder / name} is there already and stays as it is")
            continue
        (folder / name).write_text(write(Shop(number)), encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/own"))
