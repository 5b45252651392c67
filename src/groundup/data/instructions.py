"""Instructions with their answers, and the one place where a prompt gets its form."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.files import read_json, read_utf8, whole_characters

PROMPT_LENGTHS_FILE = "prompt_lengths.npy"  # beside the tokens: how many of each row are the prompt


@dataclass(frozen=True)
class Instruction:
    """What is asked, what it is asked about (may be empty), and the answer.

    Args:
        kind: the skill that it needs; results are shown by it, and each side has its share of it. May be empty.
        group: its content; rows with the same one stay on one side, however they are worded. May be empty.
    """

    instruction: str
    input: str
    output: str
    kind: str = ""
    group: str = ""


def format_prompt(instruction: str, input_text: str = "") -> str:
    """The text that the model reads before it answers: the Alpaca form.

    Source: Taori et al. 2023, "Stanford Alpaca"; the book's chapter 7.
    """
    about = f"\n\n### Input:\n{input_text}" if input_text else ""
    return (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        f"\n\n### Instruction:\n{instruction}{about}\n\n### Response:\n"
    )


def read_instructions(path: Path) -> list[Instruction]:
    """All rows of a `.json` list or a `.jsonl` file of objects with `instruction`, `output` and, if need be, `input`,
    `kind` and `group`.

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
    return [_row(path, where, row) for where, row in rows]


def _row(path: Path, where: str, row: Any) -> Instruction:
    wanted = {"instruction": True, "input": False, "output": True, "kind": False, "group": False}
    if isinstance(row, dict):
        values = {name: row.get(name, "") for name in wanted}
        wrong = [
            name
            for name, needed in wanted.items()
            if not isinstance(values[name], str) or (needed and not values[name].strip())
        ]
        if not wrong:
            return Instruction(**{name: whole_characters(text, f"{path}: {where}") for name, text in values.items()})
        problem = f"{path}: {where} has no text under {' and '.join(wrong)}"
    else:
        problem = f"{path}: {where} is not an object"
    raise GroundupError(
        problem,
        got=json.dumps(row, ensure_ascii=False),
        allowed="an object with instruction, output and, if need be, input",
        do="mend the row or remove it",
    )
