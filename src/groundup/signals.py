"""What a process hears when its parent dies."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl


def end_with_parent() -> None:
    """Have this process sent SIGTERM when its parent dies, even by SIGKILL. Only Linux can; elsewhere nothing changes.

    Source: prctl(2)
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
