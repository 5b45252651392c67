"""The process that writes to MLflow what a stage tells it through a pipe: `python -m groundup.tracking < messages`."""

import json
import sys
from collections.abc import Iterable

from groundup.tracking.recorder import KILLED, Recorder


def listen(lines: Iterable[bytes]) -> None:
    """Write all messages down. Where they stop without an end, the stage was killed by what it could not catch."""
    recorder = None
    for line in lines:
        if not line.endswith(b"\n"):  # the last message was cut
            break
        what, *details = json.loads(line)
        if recorder is None:
            recorder = Recorder(what, *details)
        else:
            recorder.hear(what, *details)
        if what == "end":
            return
    if recorder is not None:
        recorder.hear("end", KILLED)


if __name__ == "__main__":
    listen(sys.stdin.buffer)
