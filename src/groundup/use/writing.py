"""A model's text as it comes: whole characters only, and none of what it is to stop at."""

import codecs
from collections.abc import Iterator, Sequence

from groundup.generate import PreparedGPT, Sampling
from groundup.tokenizer.encoding import Tokenizer


class TextSoFar:
    """Turns tokens into text piece by piece.

    A token may be part of a character, and a text the beginning of one to stop at: both are held back until it is known
    what they become.

    Args:
        stops: texts to stop at; the one that is whole first ends the text, and is not part of it.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = ()) -> None:
        self.tokenizer, self.stops = tokenizer, [stop for stop in stops if stop]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def add(self, token_id: int) -> str:
        """The text that is certain after one more token."""
        self._held += self._decoder.decode(self.tokenizer.decode_bytes([token_id]))
        return self._certain(at_end=False)

    def end(self) -> str:
        """What is left when no more tokens come."""
        self._held += self._decoder.decode(b"", final=True)
        return self._certain(at_end=True)

    def _certain(self, *, at_end: bool) -> str:
        if self.stopped:
            return ""
        found = [(at + len(stop), at) for stop in self.stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            said, self._held = self._held[: min(found)[1]], ""
            return said
        keep = 0 if at_end else max((_overlap(self._held, stop) for stop in self.stops), default=0)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text are the beginning of the stop."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


def written_text(
    model: PreparedGPT,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    sampling: Sampling,
    seed: int,
    stops: Sequence[str] = (),
) -> Iterator[str]:
    """What the model writes after a prompt, in pieces, as they come."""
    text = TextSoFar(tokenizer, stops)
    for new in model.stream([prompt], max_new_tokens, sampling=sampling, stop_id=tokenizer.end_of_text_id, seed=seed):
        yield text.add(new[0])
        if text.stopped:
            return
    yield text.end()


def written_texts(
    model: PreparedGPT,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    n_samples: int,
    max_new_tokens: int,
    *,
    sampling: Sampling,
    seed: int,
    stops: Sequence[str] = (),
) -> list[str]:
    """Several texts after one prompt, written side by side; the first is the one that `written_text` gives."""
    samples = model.generate(
        [prompt] * n_samples, max_new_tokens, sampling=sampling, stop_id=tokenizer.end_of_text_id, seed=seed
    )
    texts = []
    for sample in samples:
        text = TextSoFar(tokenizer, stops)
        texts.append("".join(text.add(token_id) for token_id in sample) + text.end())
    return texts


def prompt_tokens(tokenizer: Tokenizer, prompt: str, context_length: int) -> list[int]:
    """The tokens of a prompt as in training: <|endoftext|> before them, and of a long one the end that can be read."""
    tokens = [tokenizer.end_of_text_id, *tokenizer.encode(prompt)]
    return tokens[-context_length:]
