"""The process that writes to MLflow what a stage tells it through a pipe: `python -m groundup.tracking < messages`."""

import pickle
import sys
from typing import BinaryIO

from groundup.tracking.recorder import KILLED, Recorder


def listen(messages: BinaryIO) -> None:
    """Write all messages down. Where they stop without an end, the stage was killed by what it could not catch."""
    try:
        stage, params, declared = pickle.load(messages)
    except EOFError:  # it was gone before it said anything
        return
    recorder = Recorder(stage, params, declared)
    try:
        what = ""
        while what != "end":
            what, *details = pickle.load(messages)
            recorder.hear(what, *details)
    except (EOFError, pickle.UnpicklingError):  # the last message may be cut
        recorder.hear("end", KILLED)


if __name__ == "__main__":
    listen(sys.stdin.buffer)
