"""The one error family for problems that a user can mend, and what a signal does."""

import signal


class GroundupError(Exception):
    """Something the user can mend, said in one line.

    Stages and the command line print the line to standard error and exit with code 1, without a traceback.

    Args:
        what: what was wrong, with the file or key it is about.
        got: what was found there.
        allowed: what would have been accepted.
        do: what to do next.
    """

    def __init__(self, what: str, *, got: object = None, allowed: str | None = None, do: str | None = None) -> None:
        parts = [what]
        if got is not None:
            parts.append(f"got {shorten(got)}")
        if allowed is not None:
            parts.append(f"allowed: {allowed}")
        if do is not None:
            parts.append(f"to mend it: {do}")
        super().__init__("; ".join(" ".join(part.split()) for part in parts))


class InvalidParamsError(GroundupError):
    """Every problem found in the parameters at once, one line each."""

    def __init__(self, problems: list[GroundupError]) -> None:
        super().__init__(f"{len(problems)} invalid parameters")
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class StoppedBySignal(BaseException):
    """A signal ended the work. No `Exception`, so that nothing takes it for a fault."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def shorten(value: object, limit: int = 80) -> str:
    """The value as it would be typed, cut so that a message stays one line."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
