"""Talking to an instruction follower, turn by turn, in the form that it was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from groundup.data.instructions import format_prompt, history_tokens
from groundup.errors import GroundupError
from groundup.generate import PreparedGPT, Sampling, WritingPrecision
from groundup.model.gpt import GPT
from groundup.tokenizer.encoding import Tokenizer
from groundup.use.writing import written_text

HELP = "/reset forgets what was said, /temperature 0.7 and /turns 2 change how it answers, /quit ends"


@dataclass
class Chat:
    """A conversation.

    Args:
        max_new_tokens: of an answer.
        turns: how many earlier questions, with their answers, stand before a new one, as far as the context has room.
            Models that were trained on single instructions answer best with none.
    """

    model: GPT
    tokenizer: Tokenizer
    max_new_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    turns: int = 0
    precision: WritingPrecision = "fp32"
    said: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._writes = PreparedGPT(self.model, self.precision)

    def answer(self, question: str) -> Iterator[str]:
        """The answer in pieces, as they come; it is remembered when it is whole."""
        pieces = []
        for piece in written_text(
            self._writes,
            self.tokenizer,
            self.prompt(question),
            self.max_new_tokens,
            sampling=self.sampling,
            seed=self.seed + len(self.said),
        ):
            pieces.append(piece)
            yield piece
        self.said.append((question, "".join(pieces)))

    def prompt(self, question: str) -> list[int]:
        """The tokens before the answer: the newest turns that leave room for it, and the question.

        Raises: GroundupError if the question alone leaves no room.
        """
        length = self.model.config.context_length
        tokens = question_tokens(self.tokenizer, length, question)
        room = length - 1 - self.max_new_tokens
        for said in reversed(self.said[-self.turns :] if self.turns else []):
            turn = history_tokens([said], self.tokenizer)
            if len(turn) + len(tokens) > room:
                break
            tokens = turn + tokens
        return tokens

    def command(self, line: str) -> str:
        """Do what a line that begins with `/` says; returns what to tell the person.

        Raises: GroundupError for an unknown command or a wrong value.
        """
        name, _, value = line.strip().partition(" ")
        try:
            match name:
                case "/reset":
                    self.said.clear()
                    return "everything said is forgotten"
                case "/temperature":
                    self.sampling = replace(self.sampling, temperature=float(value))
                    return f"the temperature is {self.sampling.temperature:g}"
                case "/turns":
                    if int(value) < 0:
                        raise ValueError("a number of turns is 0 or more")
                    self.turns = int(value)
                    return f"{self.turns} earlier turns are read again"
        except ValueError:
            raise GroundupError(
                f"{name} needs a number that is 0 or more", got=value or "nothing", do=f"try `{name} 1`"
            ) from None
        raise GroundupError(f"{name} is no command", do=HELP)


def question_tokens(tokenizer: Tokenizer, context_length: int, question: str, about: str = "") -> list[int]:
    """The tokens of a question in its form, and of what it is about.

    Raises: GroundupError if they leave no room for an answer.
    """
    tokens = tokenizer.encode(format_prompt(question, about))
    if len(tokens) > context_length - 1:
        raise GroundupError(
            "the question is too long for the model",
            got=f"{len(tokens)} tokens with the form around it",
            allowed=f"at most {context_length - 1}",
            do="ask something shorter",
        )
    return tokens
