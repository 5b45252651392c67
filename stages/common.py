"""What every stage does the same way: check the parameters, say a mistake in one line, log to MLflow."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

import click

from groundup.config import flatten
from groundup.console import said_in_one_line, signals_said_in_one_line
from groundup.errors import GroundupError
from groundup.params_file import load_params
from groundup.tracking.stage import StageRun, track_stage

# Sections that change how a stage computes but not what: no stage lists them, every stage may read them.
ALWAYS = ("runtime",)


class Declared:
    """The keys of `params.yaml` that a stage has declared; any other is out of its reach.

    DVC reruns a stage when a key that it lists changes. A test holds `dvc.yaml` to these declarations, and this class
    holds the code to them.
    """

    def __init__(self, section: Any, reads: tuple[str, ...], prefix: str = "") -> None:
        self._section, self._reads, self._prefix = section, reads, prefix

    def declared_values(self) -> dict[str, Any]:
        """What the stage has declared, under dotted keys; without what says only how to compute."""
        keys = tuple(key for key in self._reads if key not in ALWAYS)
        return {key: value for key, value in flatten(self._section).items() if key.startswith(keys)}

    def __getattr__(self, name: str) -> Any:
        key = self._prefix + name
        value = getattr(self._section, name)
        if key in self._reads:
            return value
        if is_dataclass(value) and any(read.startswith(f"{key}.") for read in self._reads):
            return Declared(value, self._reads, f"{key}.")
        raise AttributeError(f"this stage does not declare that it reads {key}")


def stage(name: str, reads: tuple[str, ...]) -> Callable[[Callable[[Any, StageRun], None]], click.Command]:
    """Make a click command of a function that takes the declared keys of `params.yaml` and a run to log to."""

    def decorate(function: Callable[[Any, StageRun], None]) -> click.Command:
        @click.command(name=name, help=function.__doc__)
        def command() -> None:
            with said_in_one_line(), signals_said_in_one_line():
                params = load_params()
                declared = Declared(params, reads + ALWAYS)
                with track_stage(name, params, declared.declared_values()) as run, _memory_faults_named(name):
                    function(declared, run)

        command.reads = reads  # type: ignore[attr-defined]
        return command

    return decorate


@contextlib.contextmanager
def _memory_faults_named(stage: str) -> Iterator[None]:
    """Turn a lack of memory, of this machine or its accelerator, into a line that names the keys to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has a class for an accelerator's lack of memory and none for the CPU's; neither may be imported here.
        if not isinstance(error, MemoryError) and not any(
            sign in f"{type(error).__name__} {error}" for sign in ("OutOfMemoryError", "can't allocate memory")
        ):
            raise
        raise GroundupError(
            f"{stage}: the memory is full", got=str(error).split(". ")[0], do=KEYS_TO_LOWER.get(stage, "use less text")
        ) from None


_SMALLER_BATCHES = (
    "lower {0}.batch_size and raise {0}.grad_accum_steps by as much, which trains the same; "
    "if that is not enough, lower model.context_length, model.d_model or model.n_layers"
)
KEYS_TO_LOWER = {
    "pretrain": _SMALLER_BATCHES.format("pretrain"),
    "finetune-cls": _SMALLER_BATCHES.format("finetune_cls"),
    "finetune-instruct": _SMALLER_BATCHES.format("finetune_instruct"),
    "evaluate": "lower evaluate.batch_size",
}
