"""What machines do to a run: full disks, folders that may not be written, clocks that jump, memory that is not there.

Each fault is caused for real, in a process of its own. Earlier results stay, one line says what was wrong, and the run
ends as it would have once the cause is gone.
"""

import os
import re
import shutil

import pytest
from data_helpers import contents
from fault_helpers import FILES_UP_TO

# The limit comes when a function is called for which a condition holds.
LIMIT_WHEN = """
import resource
import {module} as module
whole = module.{name}
def limited(*arguments, **keywords):
    if {condition}:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    return whole(*arguments, **keywords)
module.{name} = limited
"""
FULL_AT_SECOND_STATE = LIMIT_WHEN.format(
    module="groundup.train.resume",
    name="write_safetensors",
    condition="'.2.new' in str(arguments[0])",
    limit=60_000,
)
FULL_AT_THE_MODEL = LIMIT_WHEN.format(
    module="groundup.train.checkpoint", name="save_model", condition="True", limit=20_000
)
NO_SPACE = "to mend it: make room on the disk, then run `dvc repro`, which goes on from what is whole"


def ends_as_if_nothing_had_been(project, stage, untouched):
    """The stage runs now, and ends with the bytes that it has where nothing went wrong."""
    result = project.run(stage)
    assert result.exit_code == 0, result.output
    assert {name: data for name, data in project.results().items() if name in untouched} == untouched


@pytest.fixture
def whole(finished):
    """What a training of five steps that nothing disturbs leaves; the project is then as it was before."""
    finished.set(pretrain__max_steps=5, pretrain__evaluation_interval=5, runtime__checkpoint_interval_s=0.0)
    before = finished.results()
    assert finished.run("pretrain").exit_code == 0
    made = {name: data for name, data in finished.results().items() if before.get(name) != data}
    assert "models/pretrained/model.safetensors" in made
    for place in ("models", "reports", "checkpoints"):
        shutil.rmtree(finished.folder / place)
    for name, data in before.items():
        path = finished.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


def test_a_disk_that_is_full_before_the_first_state_is_one_line(finished, whole):
    (line,) = finished.refuses("pretrain", first=FILES_UP_TO.format(60_000))
    assert re.match(r"checkpoints/pretrain/\w+/pretrain/000000001: File too large; ", line)
    assert line.endswith(NO_SPACE)
    ends_as_if_nothing_had_been(finished, "pretrain", whole)


def test_a_disk_that_fills_up_between_two_states_leaves_the_first(finished, whole):
    (line,) = finished.refuses("pretrain", first=FULL_AT_SECOND_STATE)
    assert "/000000002: File too large" in line
    (kept,) = [name for name in contents(finished.folder / "checkpoints") if name.endswith(".safetensors")]
    assert "/000000001-" in kept
    ends_as_if_nothing_had_been(finished, "pretrain", whole)


def test_a_disk_that_is_full_when_the_model_is_written_loses_no_step(finished, whole):
    (line,) = finished.refuses("pretrain", first=FULL_AT_THE_MODEL)
    assert line.startswith("models/.pretrained.")
    assert "/model.safetensors: File too large; " in line
    assert line.endswith(NO_SPACE)
    assert [name for name in contents(finished.folder / "checkpoints") if "/000000005-" in name]
    ends_as_if_nothing_had_been(finished, "pretrain", whole)


@pytest.mark.parametrize("stage", ["download", "tokenize", "split"])
def test_a_disk_that_is_full_in_a_stage_without_training_leaves_its_earlier_result(finished, stage):
    whole = finished.results()
    (line,) = finished.refuses(stage, first=FILES_UP_TO.format(1_000))
    assert re.search(r"^data/\.\w+\.\S+: (File too large|No space left on device); ", line)
    assert line.endswith(NO_SPACE)
    ends_as_if_nothing_had_been(finished, stage, whole)


# Root may write anywhere but where this capability is dropped, which the process that the stage becomes then lacks.
OBEYS_PERMISSIONS = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
if os.geteuid() == 0 and not os.environ.get("DROPPED"):
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0
    os.execve(sys.executable, sys.orig_argv, {**os.environ, "DROPPED": "1"})
"""


@pytest.mark.parametrize(
    ("stage", "place"), [("pretrain", "models"), ("pretrain", "checkpoints"), ("download", "data"), ("split", "data")]
)
def test_a_folder_that_may_not_be_written_is_one_line(finished, stage, place):
    whole = finished.results()
    (finished.folder / "checkpoints").mkdir(exist_ok=True)
    if place == "checkpoints":
        shutil.rmtree(finished.folder / "checkpoints")
        (finished.folder / "checkpoints").mkdir()
    folder = finished.folder / place
    folder.chmod(0o555)
    try:
        (line,) = finished.refuses(stage, first=OBEYS_PERMISSIONS)
    finally:
        folder.chmod(0o755)
    assert f"{place}" in line
    assert "Permission denied; to mend it: give yourself the right, for example `chmod -R u+rwX " in line
    ends_as_if_nothing_had_been(finished, stage, whole)


BACKWARDS = """
import itertools, time
now, steps = time.time, itertools.count()
time.time = lambda: now() - 3600.0 * next(steps)
"""


def test_a_clock_that_goes_back_an_hour_at_each_look_changes_nothing(finished, whole):
    done = finished.run_apart("pretrain", BACKWARDS)
    assert done.returncode == 0, done.stderr
    assert {name: data for name, data in finished.results().items() if name in whole} == whole


def test_states_are_taken_by_their_step_and_not_by_their_time(finished, whole):
    finished.refuses("pretrain", first=FULL_AT_THE_MODEL)
    states = sorted((finished.folder / "checkpoints").rglob("*-*.safetensors"))
    os.utime(states[-1], (0, 0))  # the newest, as the clock that went back has it
    done = finished.run_apart("pretrain")
    assert done.returncode == 0
    assert {name: data for name, data in finished.results().items() if name in whole} == whole


# torch's own error, as an accelerator without memory raises it in the third step.
NO_MEMORY_ON_THE_ACCELERATOR = """
import torch
from groundup.tasks.language import LanguageTask
whole = LanguageTask.loss
calls = []
def loss(*arguments):
    calls.append(1)
    if len(calls) == 3:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 1.00 GiB")
    return whole(*arguments)
LanguageTask.loss = loss
"""


def test_an_accelerator_without_memory_names_the_keys_to_lower(finished, whole):
    (line,) = finished.refuses("pretrain", first=NO_MEMORY_ON_THE_ACCELERATOR)
    assert line.startswith(
        "pretrain: the memory is full; got CUDA out of memory; to mend it: lower pretrain.batch_size"
    )
    assert "pretrain.grad_accum_steps" in line
    assert "model.context_length, model.d_model or model.n_layers" in line
    assert [name for name in contents(finished.folder / "checkpoints") if "/000000002-" in name]
    ends_as_if_nothing_had_been(finished, "pretrain", whole)


# The process may have so little memory more than it has when its libraries are loaded.
LITTLE_MEMORY = """
import resource, torch, groundup.train.loop
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 300_000_000,) * 2)
"""


def test_a_machine_without_memory_names_the_keys_to_lower(finished):
    """A model that fits into this machine's memory and not into what the process may have of it."""
    finished.set(model__d_model=4096, model__n_heads=4, runtime__threads=1)
    (line,) = finished.refuses("pretrain", first=LITTLE_MEMORY)
    assert line.startswith("pretrain: the memory is full; got ")
    assert "lower pretrain.batch_size" in line


def test_a_model_that_no_memory_here_can_hold_is_refused_before_it_is_made(finished):
    finished.set(model__d_model=1_000_000, model__n_heads=4)
    (line,) = finished.refuses("pretrain")
    assert line.startswith("model: 12,000")
    assert "GB" in line
    assert "lower model.d_model or model.n_layers" in line
