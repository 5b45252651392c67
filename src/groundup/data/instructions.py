"""Instructions with their answers, and the one place where a prompt gets its form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.data.conversations import read_turns, turns_key
from groundup.errors import GroundupError
from groundup.files import read_json, read_utf8, whole_characters

if TYPE_CHECKING:  # download reads instructions too, and needs no tokenizer
    from groundup.tokenizer.encoding import Tokenizer

PROMPT_LENGTHS_FILE = "prompt_lengths.npy"  # beside the tokens: how many of each row are the prompt


@dataclass(frozen=True)
class Instruction:
    """What is asked, what it is asked about (may be empty), and the answer.

    Args:
        kind: the skill that it needs; results are shown by it, and each side has its share of it. May be empty.
        group: its content; rows with the same one stay on one side, however they are worded. May be empty.
        history: the turns of the conversation before it, each a question and its answer.
    """

    instruction: str
    input: str
    output: str
    kind: str = ""
    group: str = ""
    history: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Instruction:
        """The instruction that `as_row` wrote."""
        return cls(**{**row, "history": tuple(map(tuple, row.get("history", ())))})

    def as_row(self) -> dict[str, Any]:
        """What a file of rows holds of it."""
        row = {name: value for name, value in vars(self).items() if name != "history"}
        return row | ({"history": [list(turn) for turn in self.history]} if self.history else {})


def format_prompt(instruction: str, input_text: str = "") -> str:
    """The text that the model reads before it answers: the Alpaca form.

    Source: Taori et al. 2023, "Stanford Alpaca"; the book's chapter 7.
    """
    about = f"\n\n### Input:\n{input_text}" if input_text else ""
    return (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        f"\n\n### Instruction:\n{instruction}{about}\n\n### Response:\n"
    )


def history_tokens(history: Sequence[tuple[str, str]], tokenizer: Tokenizer) -> list[int]:
    """Earlier turns as they stand before a question, in training and in a chat alike.

    Each has the form that an instruction and its answer have, <|endoftext|> at its end.
    """
    tokens: list[int] = []
    for asked, answered in history:
        tokens += [*tokenizer.encode(format_prompt(asked)), *tokenizer.encode(answered), tokenizer.end_of_text_id]
    return tokens


def read_instructions(path: Path) -> list[Instruction]:
    """All rows of a `.json` list or a `.jsonl` file of objects.

    An object has `instruction`, `output` and, if need be, `input`, `kind` and `group`; or it is a conversation (see
    `data.conversations`), of which each answer becomes a row that has the turns before it as its history.

    Raises: GroundupError naming the row that is not such an object.
    """
    if path.suffix == ".jsonl":
        rows = []
        for number, line in enumerate(read_utf8(path).split("\n"), start=1):
            if not line.strip():
                continue
            try:
                rows.append((f"line {number}", json.loads(line)))
            except json.JSONDecodeError as error:
                raise GroundupError(f"{path}: line {number} is not JSON", got=error.msg, do="mend the line") from None
    else:
        read_utf8(path)
        value = read_json(path)
        if not isinstance(value, list):
            raise GroundupError(f"{path}: not a list of instructions", got=type(value).__name__, allowed="a JSON list")
        rows = [(f"row {number}", row) for number, row in enumerate(value, start=1)]
    if not rows:
        raise GroundupError(f"{path}: no instructions in it", do="choose another file under data.instructions")
    return [instruction for where, row in rows for instruction in _read_row(path, where, row)]


def _read_row(path: Path, where: str, row: Any) -> list[Instruction]:
    key = turns_key(row) if isinstance(row, dict) and "instruction" not in row else None
    return [_single(path, where, row)] if key is None else _of_conversation(path, where, row, key)


def _of_conversation(path: Path, where: str, row: dict[str, Any], key: str) -> list[Instruction]:
    """A row for each answer. All rows of a conversation have one group, made of its content if the file names none."""
    turns = read_turns(row, key, f"{path}: {where}")
    kind, group = row.get("kind", ""), row.get("group", "")
    for name, value in (("kind", kind), ("group", group)):
        if not isinstance(value, str):
            raise GroundupError(f"{path}: {where} has no text under {name}", got=value, do="mend the row or remove it")
        whole_characters(value, f"{path}: {where}")
    if not group and len(turns) > 1:
        group = f"conversation {hashlib.sha256(json.dumps(turns).encode()).hexdigest()[:16]}"
    return [
        Instruction(asked, "", answered, kind, group, history=tuple(turns[:number]))
        for number, (asked, answered) in enumerate(turns)
    ]


def _single(path: Path, where: str, row: Any) -> Instruction:
    wanted = {"instruction": True, "input": False, "output": True, "kind": False, "group": False}
    if isinstance(row, dict):
        values = {name: row.get(name, "") for name in wanted}
        wrong = [
            name
            for name, needed in wanted.items()
            if not isinstance(values[name], str) or (needed and not values[name].strip())
        ]
        if not wrong:
            for text in values.values():
                whole_characters(text, f"{path}: {where}")
            return Instruction.from_row(values)
        problem = f"{path}: {where} has no text under {' and '.join(wrong)}"
    else:
        problem = f"{path}: {where} is not an object"
    raise GroundupError(
        problem,
        got=json.dumps(row, ensure_ascii=False),
        allowed="an object with instruction, output and, if need be, input, or with messages or conversations",
        do="mend the row or remove it",
    )
