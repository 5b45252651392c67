"""What holds for every test: nothing reaches the network or MLflow, and small tensors do not wait for threads."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("localhost", "127.0.0.1", "::1")

# `stages` is no installed package; this makes plain `pytest` find it from any folder.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

# Read when torch and NumPy load. On tensors of a few kilobytes more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _no_tracking() -> Iterator[None]:
    """MLflow is off, unless a test sets MLFLOW_TRACKING_URI itself; nothing of the caller's settings leaks in."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("MLFLOW_", "DVC_", "GROUNDUP_")):
                patch.delenv(name)
        patch.setenv("MLFLOW_TRACKING_URI", "off")
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """A connection to anything but this machine fails at once, with a word on why."""

    def refuse(host: object) -> None:
        raise OSError(f"tests must not use the network, and this one wants {host}")

    def is_local(host: object) -> bool:
        return host is None or str(host) in LOOPBACK or str(host).startswith("127.")

    def guarded(real: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family != socket.AF_UNIX and not is_local(address[0]):
                refuse(address[0])
            return real(self, address)

        return connect

    def look_up(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if not is_local(host.decode() if isinstance(host, bytes) else host):
            refuse(host)
        return real_look_up(host, *arguments, **keywords)

    real_look_up = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One thread for torch, where a test has loaded it: tensors are tiny, and results do not depend on the machine."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
