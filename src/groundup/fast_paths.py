"""Which of the faster ways to compute are taken. `runtime.without` turns them off, to find out whether one is at fault.

None changes what is computed, other than by rounding; each has a plain way beside it that is its oracle.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from groundup.config import FastPath


@dataclass
class _Choice:
    without: frozenset[FastPath] = frozenset()
    compiled: bool = False


_choice = _Choice()


def choose(*, without: Iterable[FastPath] = (), compiled: bool = False) -> None:
    """Say what is taken from now on, in this process: all paths but some, and compiled blocks or not."""
    _choice.without, _choice.compiled = frozenset(without), compiled


def taken(path: FastPath) -> bool:
    """Whether a fast path is to be taken where it can be."""
    return path not in _choice.without


def compiled() -> bool:
    """Whether a model's blocks are to be compiled before it is trained."""
    return _choice.compiled
