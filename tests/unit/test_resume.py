"""A training that was stopped goes on to the same end, to the last bit; a state of anything else is never read."""

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers import CPU, LORA, byte_tokenizer, pretrain_settings, tiny_gpt, token_store
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import GroundupError
from groundup.model.gpt import choose_trainable
from groundup.tasks.language import LanguageTask
from groundup.train import resume
from groundup.train.loop import train
from groundup.train.resume import Keeper, State, checkpoints_of, fingerprint

TEXT = "the cat sat on the mat. the rat sat on the cat. "
STEPS = 7


class PowerCutError(Exception):
    pass


class Task(LanguageTask):
    """Pretraining that breaks off before a step, or in the validation after it."""

    before_step: int | None = None
    in_validation_after: int | None = None
    steps_done = 0

    def batches(self, step):
        if step + 1 == self.before_step:
            raise PowerCutError
        self.steps_done += 1
        self.now = step + 1
        return super().batches(step)

    def validate(self, model):
        if getattr(self, "now", 0) == self.in_validation_after:
            raise PowerCutError
        return super().validate(model)


class Silent:
    def started(self, max_steps): ...
    def resumed(self, outcome):
        self.from_step = outcome.steps

    def logged(self, row, tokens_per_s): ...
    def validated(self, row): ...
    def sampled(self, step, text): ...
    def ended(self, outcome): ...


def run(keeper=None, trainable="all", observer=None, validate_first=False, device=CPU, **changes):
    """One training in a process of its own, as far as the model can tell."""
    cuts = {name: changes.pop(name) for name in ("before_step", "in_validation_after") if name in changes}
    chosen = pretrain_settings(
        **{"max_steps": STEPS, "log_interval": 2, "evaluation_interval": 3, "sample_tokens": 3, "optimizer": "muon"}
        | changes
    )
    tokenizer = byte_tokenizer()
    store = token_store([[*tokenizer.encode(TEXT * 4), tokenizer.end_of_text_id]])
    task = Task(store, store, tokenizer, chosen, 12, 0, device)
    for name, value in cuts.items():
        setattr(task, name, value)
    model = tiny_gpt(std=None, vocab_size=257, dropout=0.2).to(device)
    torch.manual_seed(1)
    choose_trainable(model, trainable, LORA)
    torch.rand(3)  # what came before must not matter
    outcome = train(
        model, task, chosen, seed=0, observers=[observer or Silent()], keeper=keeper, validate_first=validate_first
    )
    return outcome, model.state_dict(), task.steps_done


def assert_same(one, other):
    assert one[0] == other[0]
    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("cut", [{"before_step": step} for step in range(1, STEPS + 1)] + [{"in_validation_after": 6}])
def test_a_training_that_broke_off_goes_on_to_the_same_end(tmp_path, optimizer, cut):
    whole = run(optimizer=optimizer)
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), optimizer=optimizer, **cut)
    observer = Silent()
    resumed = run(Keeper(tmp_path, 0.0), optimizer=optimizer, observer=observer)
    assert_same(whole, resumed)
    done_before = cut.get("before_step", 7) - 1
    assert resumed[2] == STEPS - done_before  # no step is done twice
    assert getattr(observer, "from_step", 0) == done_before


@pytest.mark.parametrize("cut", [{"before_step": 5}, {"in_validation_after": 6}])
def test_the_average_of_the_weights_comes_back_too(tmp_path, cut):
    whole = run(weight_average=0.9)
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), weight_average=0.9, **cut)
    assert_same(whole, run(Keeper(tmp_path, 0.0), weight_average=0.9))


@pytest.mark.parametrize("trainable", ["last_block", "lora"])
def test_frozen_layers_come_back_too(tmp_path, trainable):
    whole = run(trainable=trainable)
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), trainable=trainable, before_step=5)
    names = resume._newest_whole(resume._states_in(tmp_path), CPU).tensors
    assert not any(".blocks.0." in f".{name}" and "down" not in name and "up" not in name for name in names)
    assert_same(whole, run(Keeper(tmp_path, 0.0), trainable=trainable))


def test_a_training_that_validates_first_does_so_once(tmp_path):
    whole = run(validate_first=True)
    assert [row["step"] for row in whole[0].validation_rows][:2] == [0, 3]
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), validate_first=True, before_step=2)
    assert_same(whole, run(Keeper(tmp_path, 0.0), validate_first=True))


def test_keeping_states_changes_nothing(tmp_path):
    assert_same(run(), run(Keeper(tmp_path, 0.0)))
    assert len(list(tmp_path.iterdir())) == resume.GENERATIONS


def test_a_finished_training_trains_no_more(tmp_path):
    whole = run(Keeper(tmp_path, 0.0))
    again = run(Keeper(tmp_path, 0.0))
    assert_same(whole, again)
    assert again[2] == 0


def test_between_two_states_passes_the_interval(tmp_path):
    keeper = Keeper(tmp_path, 3600.0)
    assert not keeper.due()
    with pytest.raises(PowerCutError):
        run(keeper, before_step=6)
    assert [path.name[:9] for path in sorted(tmp_path.iterdir())] == [
        "000000003"
    ]  # before each validation all the same


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_state_is_said_and_the_one_before_is_used(tmp_path, capsys, damage):
    whole = run()
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), before_step=6)
    older, newest = sorted(tmp_path.iterdir())
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    newest.write_bytes({"cut": data[:-9], "flip": data, "empty": b""}[damage])
    observer = Silent()
    assert_same(whole, run(Keeper(tmp_path, 0.0), observer=observer))
    assert observer.from_step == int(older.name[:9]) == 4
    assert f"{newest} is damaged, and the state before it is used" in capsys.readouterr().err


def test_with_both_states_damaged_it_begins_anew(tmp_path):
    with pytest.raises(PowerCutError):
        run(Keeper(tmp_path, 0.0), before_step=6)
    for path in tmp_path.iterdir():
        path.write_bytes(b"\x80\x04.")  # a pickle, to be refused like any other bytes
    assert_same(run(), run(Keeper(tmp_path, 0.0)))


def test_a_state_that_cannot_be_written_leaves_the_older_ones(tmp_path, monkeypatch):
    keeper = Keeper(tmp_path, 0.0)
    keeper.save(State(1, {"a": torch.ones(3)}, {}))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keeper.save(State(2, {"a": torch.zeros(3)}, {}))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@st.composite
def shapes(draw):
    heads = draw(st.integers(1, 4))
    return {
        "n_heads": heads,
        "d_model": heads * draw(st.integers(1, 5)),
        "n_layers": draw(st.integers(1, 3)),
        "context_length": draw(st.integers(12, 20)),
        "bias": draw(st.booleans()),
        "tie_weights": draw(st.booleans()),
    }


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(shape=shapes(), optimizer=st.sampled_from(["adamw", "muon"]), cut=st.integers(1, 3))
def test_a_model_of_any_shape_goes_on_to_the_same_end(shape, optimizer, cut):
    def train_it(keeper=None, before_step=None):
        wanted = pretrain_settings(max_steps=3, optimizer=optimizer)
        tokenizer = byte_tokenizer()
        store = token_store([[*tokenizer.encode(TEXT * 4), tokenizer.end_of_text_id]])
        task = Task(store, store, tokenizer, wanted, 12, 0, CPU)
        task.before_step = before_step
        model = tiny_gpt(std=None, vocab_size=257, **shape)
        return train(model, task, wanted, seed=0, observers=[Silent()], keeper=keeper), model.state_dict()

    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(PowerCutError):
            train_it(Keeper(Path(folder), 0.0), before_step=cut)
        assert_same(train_it(), train_it(Keeper(Path(folder), 0.0)))


def test_floats_come_back_to_the_last_bit(tmp_path):
    values = [0.1 + 0.2, 1e-310, 1 / 3, -0.0]
    keeper = Keeper(tmp_path, 0.0)
    keeper.save(State(3, {"a": torch.tensor([1e-45, float("nan")])}, {"values": values}))
    state = keeper.load()
    assert state is not None
    assert state.step == 3
    assert [value.hex() for value in state.facts["values"]] == [value.hex() for value in values]
    assert state.tensors["a"][0] == torch.tensor(1e-45)
    assert state.tensors["a"].isnan()[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one")
    return tmp_path


def inputs(project):
    return [project / "in"]


def test_the_fingerprint_is_of_stage_params_inputs_and_code(project, monkeypatch):
    first = fingerprint("pretrain", {"seed": 1}, inputs(project))
    assert fingerprint("pretrain", {"seed": 1}, inputs(project)) == first
    others = [fingerprint("pretrain", {"seed": 2}, inputs(project)), fingerprint("other", {"seed": 1}, inputs(project))]
    (project / "in" / "a.txt").write_text("onf")
    others.append(fingerprint("pretrain", {"seed": 1}, inputs(project)))
    (project / "in" / "a.txt").rename(project / "in" / "b.txt")
    others.append(fingerprint("pretrain", {"seed": 1}, inputs(project)))
    code = project / "loop.py"
    for line in ("a = 1", "a = 2"):
        code.write_text(line)
        monkeypatch.setattr(resume, "_code", lambda: {"groundup.train.loop": code})
        others.append(fingerprint("pretrain", {"seed": 1}, inputs(project)))
    assert len({first, *others}) == len(others) + 1


def test_the_training_code_is_in_the_fingerprint_and_its_mirror_is_not():
    code = resume._code()
    assert {"groundup.train.loop", "groundup.model.gpt", "groundup.tasks.language"} <= set(code)
    assert not set(resume.NO_TRAINING_CODE) & set(code)


def test_a_state_is_kept_after_a_fault_used_again_and_deleted_after_success(project):
    def stage(cut):
        with checkpoints_of("pretrain", {"seed": 1}, inputs(project), 0.0) as checkpoints:
            return run(checkpoints.part("main"), **cut)

    with pytest.raises(PowerCutError):
        stage({"before_step": 4})
    assert list(project.glob("checkpoints/pretrain/*/main/*.safetensors"))
    assert_same(run(), stage({}))
    assert not list(project.glob("checkpoints/pretrain/*/main"))


def test_a_state_of_other_parameters_is_deleted_and_never_read(project, capsys):
    with pytest.raises(PowerCutError), checkpoints_of("pretrain", {"seed": 1}, inputs(project), 0.0) as checkpoints:
        run(checkpoints.part("main"), before_step=4)
    observer = Silent()
    with checkpoints_of("pretrain", {"seed": 2}, inputs(project), 0.0) as checkpoints:
        run(checkpoints.part("main"), observer=observer)
    assert not hasattr(observer, "from_step")
    assert "deleted the state of a training with other parameters, data or code (" in capsys.readouterr().err


LONG = {"schedule": "warmup_stable_decay", "decay_steps": 3, "warmup_steps": 2}


def pretraining(project, steps, observer=None, **changes):
    """Pretraining as the stage does it, with a number of steps that may grow."""
    declared = {"seed": 1, "pretrain.max_steps": steps, **changes}
    with checkpoints_of("pretrain", declared, inputs(project), 3600.0, "pretrain.max_steps") as checkpoints:
        return run(checkpoints.part("main"), observer=observer, max_steps=steps, **changes)


@pytest.mark.parametrize(
    ("changes", "from_step"), [({"schedule": "constant"}, 7), (LONG, 4)], ids=["constant", "warmup_stable_decay"]
)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_more_steps_go_on_from_a_finished_training_to_the_end_of_one_that_had_them_from_the_start(
    project, capsys, changes, from_step, optimizer
):
    changes = {**changes, "optimizer": optimizer}
    assert_same(run(max_steps=7, **changes), pretraining(project, 7, **changes))
    observer = Silent()
    longer = pretraining(project, 12, observer, **changes)
    assert observer.from_step == from_step
    assert longer[2] == 12 - from_step  # no step is done twice
    assert_same(run(max_steps=12, **changes), longer)
    said = capsys.readouterr().err
    assert "pretrain.max_steps was raised from 7 to 12, and the finished training is gone on with" in said
    observer = Silent()
    assert_same(run(max_steps=15, **changes), pretraining(project, 15, observer, **changes))
    assert observer.from_step == from_step + 5


def test_more_steps_of_a_cosine_begin_anew_and_it_is_said_why(project, capsys):
    pretraining(project, 7, schedule="cosine")
    observer = Silent()
    assert_same(run(max_steps=9), pretraining(project, 9, observer, schedule="cosine"))
    assert not hasattr(observer, "from_step")
    said = capsys.readouterr().err
    assert "pretrain.max_steps was raised from 7 to 9, and the training begins anew: a cosine leaves no state" in said
    assert not list(project.rglob("*.safetensors"))


def test_fewer_steps_begin_anew_and_leave_what_longer_ones_go_on_from(project):
    pretraining(project, 7, **LONG)
    observer = Silent()
    assert_same(run(max_steps=5, **LONG), pretraining(project, 5, observer, **LONG))
    assert not hasattr(observer, "from_step")
    observer = Silent()
    assert_same(run(max_steps=7, **LONG), pretraining(project, 7, observer, **LONG))
    assert observer.from_step == 4


def test_a_longer_training_with_another_parameter_begins_anew(project):
    pretraining(project, 7, **LONG)
    observer = Silent()
    pretraining(project, 12, observer, **LONG, batch_size=2)
    assert not hasattr(observer, "from_step")


def test_a_longer_training_that_is_stopped_goes_on_from_its_own_state(project):
    pretraining(project, 7, **LONG)
    with pytest.raises(SystemExit):
        pretraining(project, 12, Signalled(signal.SIGTERM, 8), **LONG)
    observer = Silent()
    assert_same(run(max_steps=12, **LONG), pretraining(project, 12, observer, **LONG))
    assert observer.from_step == 9


def test_a_second_trainer_is_refused_with_the_number_of_the_first(project, monkeypatch):
    monkeypatch.setattr(resume, "WAIT_FOR_LOCK_S", 0.05)
    (project / "checkpoints" / "pretrain").mkdir(parents=True)
    (project / "checkpoints" / "pretrain" / "pid").write_text("4711\n")
    with (
        FileLock(project / "checkpoints" / "pretrain" / "lock"),
        pytest.raises(GroundupError, match=r"another process trains this stage here; got process 4711; .*kill 4711"),
        checkpoints_of("pretrain", {}, inputs(project), 0.0),
    ):
        pass


class Signalled(Silent):
    """Sends this process a signal when a row of some step is logged."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def logged(self, row, tokens_per_s):
        if row.step == self.step:
            os.kill(os.getpid(), self.number)
            time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_state_says_how_to_go_on_and_sets_the_exit_code(project, capsys, number, code):
    def stage(observer):
        with checkpoints_of("pretrain", {}, inputs(project), 3600.0) as checkpoints:
            return run(checkpoints.part("main"), observer=observer)

    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        stage(Signalled(number, 4))
    assert stopped.value.code == code
    assert signal.getsignal(number) is before
    said = capsys.readouterr().err
    expected = "the state after step 5 is kept; `dvc repro` goes on from there"
    assert f"stopped by {signal.Signals(number).name}, {expected}" in said
    assert_same(run(), stage(observer := Silent()))
    assert observer.from_step == 5


def test_in_a_validation_a_signal_stops_at_once_and_loses_nothing(project):
    class InValidation(Silent):
        def validated(self, row):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    def stage(observer):
        with checkpoints_of("pretrain", {}, inputs(project), 3600.0) as checkpoints:
            return run(checkpoints.part("main"), observer=observer)

    with pytest.raises(SystemExit):
        stage(InValidation())
    assert_same(run(), stage(observer := Silent()))
    assert observer.from_step == 3


@pytest.mark.parametrize("begun", [False, True])
def test_before_and_after_the_trainings_a_signal_stops_at_once(project, begun):
    def stage():
        with checkpoints_of("pretrain", {}, inputs(project), 0.0) as checkpoints:
            if begun:
                run(checkpoints.part("main"))
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            raise AssertionError("it did not stop")

    with pytest.raises(SystemExit) as stopped:
        stage()
    assert stopped.value.code == 143


def test_a_loss_that_is_no_number_names_the_last_good_state(tmp_path):
    class Breaks(Silent):
        def validated(self, row):
            if row["step"] == 6:
                row["loss_nats"] = float("nan")

    with pytest.raises(
        GroundupError, match=r"no number at step 6, the last good state is .*/000000006-\w+\.safetensors"
    ):
        run(Keeper(tmp_path, 0.0), observer=Breaks())
