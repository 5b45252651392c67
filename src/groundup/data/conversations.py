"""Conversations of a user and an assistant, as chat data sets hold them, taken apart into questions with answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groundup.errors import GroundupError
from groundup.files import whole_characters

ORDER = "a system turn first, if need be, then user and assistant by turns, the assistant last"


@dataclass(frozen=True)
class Form:
    """How a conversation is spelled: under which keys a turn has its role and its text, and what each role means."""

    role: str
    text: str
    roles: Mapping[str, str]


# By the key that holds the turns: OpenAI's form, and the one of ShareGPT.
FORMS = {
    "messages": Form("role", "content", {"system": "system", "user": "user", "assistant": "assistant"}),
    "conversations": Form("from", "value", {"system": "system", "human": "user", "gpt": "assistant"}),
}


def turns_key(row: Mapping[str, Any]) -> str | None:
    """The key under which a row has the turns of a conversation; None for a row of another sort."""
    return next((key for key in FORMS if key in row), None)


def read_turns(row: Mapping[str, Any], key: str, where: str) -> list[tuple[str, str]]:
    """The questions of a conversation, each with its answer.

    What the system says stands before the first question, with an empty line between.

    Args:
        where: the file and the line, for errors.
    Raises: GroundupError if a turn has no known role or no text, or if user and assistant do not speak by turns.
    """
    if not isinstance(row[key], list) or not row[key]:
        raise _refusal(f"{where} has no list of turns under {key}", row[key], "a list of turns")
    turns = [_read_turn(turn, FORMS[key], f"{where}, turn {number}") for number, turn in enumerate(row[key], start=1)]
    system = turns[0][1] if turns[0][0] == "system" else ""
    if not any(role == "assistant" for role, _ in turns):
        raise _refusal(f"{where} has no turn of the assistant", ", ".join(role for role, _ in turns), ORDER)
    spoken = turns[1:] if system else turns
    for number, (role, _) in enumerate(spoken):
        wanted = ("user", "assistant")[number % 2]
        if role != wanted:
            at = number + 1 + len(turns) - len(spoken)
            raise _refusal(f"{where}, turn {at} is not the {wanted}'s", role, ORDER)
    if len(spoken) % 2:
        raise _refusal(f"{where} ends without an answer", "a last turn of the user", ORDER)
    questions, answers = ([text for _, text in spoken[start::2]] for start in (0, 1))
    if system:
        questions[0] = f"{system}\n\n{questions[0]}"
    return list(zip(questions, answers, strict=True))


def _read_turn(turn: Any, form: Form, where: str) -> tuple[str, str]:
    """The role and the text of a turn."""
    if not isinstance(turn, dict):
        raise _refusal(f"{where} is not an object", turn, f"an object with {form.role} and {form.text}")
    role = turn.get(form.role)
    if not isinstance(role, str) or role not in form.roles:
        raise _refusal(f"{where} has no known role under {form.role}", role, ", ".join(form.roles))
    text = _plain_text(turn.get(form.text))
    if text is None or not text.strip():
        raise _refusal(
            f"{where} has no text under {form.text}", turn.get(form.text), "text, or a list of parts of text"
        )
    return form.roles[role], whole_characters(text, where)


def _plain_text(content: Any) -> str | None:
    """The text of a turn, of parts of text their texts one after the other; None if it is anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [
        part["text"]
        for part in content
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    ]
    return "".join(texts) if len(texts) == len(content) else None


def _refusal(what: str, got: Any, allowed: str) -> GroundupError:
    shown = "nothing" if got is None or (isinstance(got, str) and not got.strip()) else got
    return GroundupError(what, got=shown, allowed=allowed, do="mend the conversation or remove it")
