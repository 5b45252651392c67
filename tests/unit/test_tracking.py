"""The mirror in MLflow: it follows a stage, and never stops or slows it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from imports import ROOT

from groundup.config import Params, flatten
from groundup.errors import StoppedBySignal
from groundup.params_file import load_params
from groundup.tracking.__main__ import listen
from groundup.tracking.pipeline import git_tags, pipeline_key, record_pipeline
from groundup.tracking.recorder import Recorder
from groundup.tracking.stage import track_stage
from groundup.tracking.store import OFF, Store, flat_figures, tracking_uri, without_password

PARAMS = load_params(ROOT / "params.yaml")


@dataclass(frozen=True)
class Row:
    """A row of a training's curve, as the training loop makes it."""

    step: int
    tokens: int
    loss_nats: float
    learning_rate: float = 0.001
    grad_norm: float = 1.5


def row(step: int) -> Row:
    return Row(step, tokens=100 * step, loss_nats=5.0 / step)


class Here:
    """Writes down what a stage tells in the test's own process."""

    recorder: Recorder

    def tell(self, *message: Any) -> None:
        plain = json.loads(json.dumps(message, default=str))
        if hasattr(self, "recorder"):
            self.recorder.hear(*plain)
        else:
            self.recorder = Recorder(*plain)

    def wait(self) -> None:
        pass


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """MLflow's settings are environment variables, some set by the code under test; all are put back."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside any git checkout with a little code, the root of the project to DVC."""
    for name, text in (("dvc.yaml", "stages: {}\n"), ("src/a.py", "A = 1\n"), ("stages/b.py", "B = 1\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "data" / "own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.fixture(scope="module")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all tests of this file, since making one takes seconds; each test has its own runs."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("DVC_ROOT", str(folder))
        assert Store().experiment_id
    return uri


@pytest.fixture
def client(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tracking goes to the store of this file; the client reads it, past the code under test."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    return MlflowClient(tracking_uri=store_uri)


def own_params(number: int) -> Params:
    """Parameters that no other test uses, so that its runs are its own."""
    return replace(PARAMS, seed=1000 + number)


def runs_of(client: Any, params: Params) -> tuple[Any, list[Any]]:
    """The parent run of these parameters and its children."""
    experiment = client.get_experiment_by_name("groundup").experiment_id
    (parent,) = client.search_runs([experiment], f"tags.`pipeline.key` = '{pipeline_key(params)}'")
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    return parent, children


def history(client: Any, run: Any, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def reused_stages(run: Any) -> set[str]:
    """The stages that a pipeline's run is tagged to have taken over from an earlier one."""
    return {name.removeprefix("reused.").replace("_", "-") for name in run.data.tags if name.startswith("reused.")}


# --- off, and servers that fail


def test_tracking_that_is_off_does_nothing_and_imports_no_mlflow(project: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from groundup.params_file import load_params
from groundup.tracking.stage import track_stage
with track_stage("pretrain", load_params(Path({str(ROOT / "params.yaml")!r})), {{"seed": 1}}) as run:
    run.log_figures({{"loss": 1.0}})
    run.log_path(Path("dvc.yaml"))
    run.sampled(1, "text")
    run.ended(None)
print(sorted(set(sys.modules) & {{"mlflow", "sqlalchemy"}}))
"""
    before = sorted(project.rglob("*"))
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
    assert done.stderr == ""
    assert sorted(project.rglob("*")) == before


def test_recording_a_pipeline_with_tracking_off_gives_no_run() -> None:
    assert tracking_uri() == OFF
    assert record_pipeline(PARAMS, {"pretrain": [{"step": 1, "tokens": 2}]}, {"a": 1.0}, [], Path("dvc.lock")) is None


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def test_a_dead_server_is_warned_about_once_in_one_line_and_the_stage_goes_on(
    client: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # `client` has loaded MLflow, whose import is not what is timed here.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:pa55word@127.0.0.1:{closed_port()}")
    done = []
    start = time.perf_counter()
    with track_stage("pretrain", own_params(1), {"seed": 1}, Here()) as run:
        for step in range(1, 300):
            run.logged(row(step), tokens_per_s=10.0)
            run.validated({"step": step, "tokens": step, "loss_nats": 1.0})
            run.sampled(step, "text")
        run.ended(None)
        run.log_figures({"loss_nats": 1.0})
        run.log_path(Path("dvc.yaml"))
        done.append("the whole stage")
    assert time.perf_counter() - start < 10  # with MLflow's own defaults it would be 248 s a call
    assert done == ["the whole stage"]
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("groundup: MLflow at http://***@127.0.0.1:")
    assert "`groundup track`" in line
    assert "pa55word" not in line
    assert "someone" not in line


def test_a_server_that_dies_during_a_stage_is_warned_about_once(
    client: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    params = own_params(2)
    here = Here()
    with track_stage("pretrain", params, {"seed": params.seed}, here) as run:
        run.log_figures({"before": 1.0})
        monkeypatch.setattr(
            type(here.recorder.store.client), "log_batch", mock.Mock(side_effect=OSError("the disk\nis full"))
        )
        run.log_figures({"after": 1.0})
        run.log_figures({"later": 1.0})
        run.log_path(Path("dvc.yaml"))
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("groundup: ")]
    assert len(lines) == 1
    assert "the disk is full" in lines[0]
    _, (child,) = runs_of(client, params)
    assert set(child.data.metrics) == {"final.before"}


def test_a_store_that_cannot_be_made_stops_no_stage(
    client: Any, project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / ".groundup").write_text("a file where a folder is wanted")
    done = []
    with track_stage("split", own_params(3), {}, Here()):
        done.append(True)
    assert done == [True]
    (line,) = capfd.readouterr().err.splitlines()
    assert "the stage goes on without" in line


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://name:secret@host:5000/path", "http://***@host:5000/path"),
        ("https://token@host", "https://***@host"),
        ("postgresql://u:p@127.0.0.1/db", "postgresql://***@127.0.0.1/db"),
        ("http://name:se@cret@host", "http://***@host"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("http://host:5000", "http://host:5000"),
        ("see http://a:secret@b and http://c:secret@d", "see http://***@b and http://***@d"),
    ],
)
def test_names_and_passwords_in_a_uri_are_masked(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


# --- what a stage's run holds


def test_a_stage_is_a_finished_child_with_curves_samples_figures_and_files(client: Any, project: Path) -> None:
    params = own_params(10)
    folder = project / "models" / "pretrained"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w")
    with track_stage("pretrain", params, {"seed": params.seed, "pretrain.batch_size": 16}, Here()) as run:
        for step in (1, 2, 3):
            run.logged(row(step), tokens_per_s=50.0 + step)
        run.validated({"step": 3, "tokens": 300, "loss_nats": 1.25, "bits_per_byte": 2.5})
        run.sampled(3, "Once upon")
        run.ended(None)
        run.log_figures({"best": {"loss_nats": 1.25}, "stopped_early": False, "name": "no number"})
        run.log_path(folder)
        run.log_path(project / "no-such-file")
    parent, (child,) = runs_of(client, params)
    assert child.info.status == "FINISHED"
    assert child.info.run_name == "pretrain"
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params == {"seed": str(params.seed), "pretrain.batch_size": "16"}
    assert set(parent.data.params) == set(flatten(params))
    assert history(client, child, "train_loss_nats") == [(1, 5.0), (2, 2.5), (3, 5.0 / 3)]
    assert history(client, child, "train_loss_nats_by_tokens") == [(100, 5.0), (200, 2.5), (300, 5.0 / 3)]
    assert history(client, child, "tokens_per_s") == [(1, 51.0), (2, 52.0), (3, 53.0)]
    assert history(client, child, "validation_loss_nats") == [(3, 1.25)]
    assert history(client, child, "validation_loss_nats_by_tokens") == [(300, 1.25)]
    assert history(client, child, "validation_bits_per_byte") == [(3, 2.5)]
    assert history(client, child, "final.best.loss_nats") == [(0, 1.25)]
    assert history(client, child, "final.stopped_early") == [(0, 0.0)]
    assert "tokens" not in child.data.metrics
    assert "step" not in child.data.metrics
    files = [
        *client.list_artifacts(child.info.run_id, "samples"),
        *client.list_artifacts(child.info.run_id, "pretrained"),
    ]
    assert {entry.path for entry in files} == {"samples/step_000003.txt", "pretrained/weights.bin"}


def test_a_resumed_stage_continues_its_run_and_logs_no_step_twice(client: Any) -> None:
    params = own_params(11)
    gone, here = Here(), Here()
    first = track_stage("pretrain", params, {"seed": params.seed}, gone)
    killed = first.__enter__()
    for step in range(1, 5):
        killed.logged(row(step), tokens_per_s=1.0)
    killed.validated({"step": 4, "tokens": 400, "loss_nats": 1.5})
    killed.ended(None)
    gone.recorder.store.on = False  # the process is gone: nothing more comes from it
    with track_stage("pretrain", params, {"seed": params.seed}, here) as resumed:
        # What was told before the state was kept is told at once, without the speed, which was measured only then;
        # what came after it is done and told again.
        validation = {"step": 4, "tokens": 400, "loss_nats": 1.5}
        resumed.resumed(SimpleNamespace(train_rows=[row(1), row(2)], validation_rows=[], samples=[(2, "Once")]))
        for step in range(3, 7):
            resumed.logged(row(step), tokens_per_s=2.0)
            if step == 4:
                resumed.validated(validation)
        resumed.validated({"step": 6, "tokens": 600, "loss_nats": 1.0})
        resumed.ended(None)
        resumed.log_figures({"steps": 6})
        resumed.log_figures({"steps": 6})
    assert here.recorder.run_id == gone.recorder.run_id
    _, (child,) = runs_of(client, params)
    assert [step for step, _ in history(client, child, "train_loss_nats")] == [1, 2, 3, 4, 5, 6]
    by_tokens = history(client, child, "train_loss_nats_by_tokens")
    assert [tokens for tokens, _ in by_tokens] == [100, 200, 300, 400, 500, 600]
    assert history(client, child, "tokens_per_s") == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0)]
    assert history(client, child, "validation_loss_nats") == [(4, 1.5), (6, 1.0)]
    assert history(client, child, "final.steps") == [(0, 6.0)]
    assert [entry.path for entry in client.list_artifacts(child.info.run_id, "samples")] == ["samples/step_000002.txt"]
    assert child.info.status == "FINISHED"


def test_many_rows_go_out_in_few_calls_and_all_arrive(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    params = own_params(12)
    here = Here()
    with track_stage("pretrain", params, {}, here) as run:
        client_of_stage = here.recorder.store.client
        real, calls = client_of_stage.log_batch, []

        def log_batch(*arguments: Any, **options: Any) -> None:
            calls.append(len(options.get("metrics", ())))
            real(*arguments, **options)

        monkeypatch.setattr(client_of_stage, "log_batch", log_batch)
        for step in range(1, 401):
            run.logged(row(step), tokens_per_s=1.0)
        run.ended(None)
    _, (child,) = runs_of(client, params)
    assert [step for step, _ in history(client, child, "train_loss_nats")] == list(range(1, 401))
    assert sum(calls) == 400 * 5
    assert len(calls) < 40
    assert max(calls) <= 1000  # MLflow takes no more at once


def test_a_failing_stage_ends_its_run_and_the_pipeline_as_failed(client: Any) -> None:
    params = own_params(13)
    with pytest.raises(ZeroDivisionError), track_stage("pretrain", params, {}, Here()):
        raise ZeroDivisionError
    parent, (child,) = runs_of(client, params)
    assert child.info.status == "FAILED"
    assert parent.info.status == "FAILED"


@pytest.mark.parametrize(
    ("stopped", "status"),
    [
        (StoppedBySignal(15), "KILLED"),
        (SystemExit(130), "KILLED"),
        (SystemExit(143), "KILLED"),
        (SystemExit(1), "FAILED"),
    ],
)
def test_a_stage_that_a_signal_ended_is_killed_and_not_failed(client: Any, stopped: BaseException, status: str) -> None:
    params = own_params(18)
    with pytest.raises(type(stopped)), track_stage("pretrain", params, {}, Here()):
        raise stopped
    parent, (child,) = runs_of(client, params)
    assert (child.info.status, parent.info.status) == (status, status)


def test_a_stage_that_failed_and_then_succeeds_is_one_finished_run(client: Any) -> None:
    params = own_params(14)
    with pytest.raises(KeyboardInterrupt), track_stage("split", params, {}, Here()):
        raise KeyboardInterrupt
    with track_stage("split", params, {}, Here()):
        parent, (child,) = runs_of(client, params)
        assert (parent.info.status, child.info.status) == ("RUNNING", "RUNNING")
    parent, (child,) = runs_of(client, params)
    assert child.info.status == "FINISHED"
    with track_stage("evaluate", params, {}, Here()):
        pass
    parent, children = runs_of(client, params)
    assert len(children) == 2
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}


def test_other_parameters_are_another_pipeline(client: Any) -> None:
    for number in (15, 16):
        with track_stage("split", own_params(number), {}, Here()):
            pass
    one, other = (runs_of(client, own_params(number)) for number in (15, 16))
    assert one[0].info.run_id != other[0].info.run_id
    assert len(one[1]) == len(other[1]) == 1


def test_a_stage_that_dvc_skipped_is_marked_as_reused_on_the_recorded_pipeline(client: Any, project: Path) -> None:
    params = own_params(17)
    with track_stage("pretrain", params, {}, Here()):
        pass
    curves = {name: [{"step": 1.0, "tokens": 5.0, "train_loss_nats": 2.0}] for name in ("pretrain", "finetune_cls")}
    (project / "dvc.lock").write_text("lock")
    for _ in range(2):
        run_id = record_pipeline(params, curves, {"classifier.f1": 0.5}, [project / "dvc.yaml"], project / "dvc.lock")
    parent, _ = runs_of(client, params)
    assert parent.info.run_id == run_id
    assert reused_stages(parent) == {"finetune-cls"}
    assert history(client, parent, "pretrain/train_loss_nats") == [(1, 2.0)]
    assert history(client, parent, "pretrain/train_loss_nats_by_tokens") == [(5, 2.0)]
    assert history(client, parent, "classifier.f1") == [(0, 0.5)]
    assert [entry.path for entry in client.list_artifacts(run_id)] == ["dvc.yaml"]


def test_a_stage_with_a_hyphen_in_its_name_that_ran_is_not_marked_as_reused(client: Any, project: Path) -> None:
    """DVC's stage is finetune-cls, its folder of reports finetune_cls."""
    params = own_params(18)
    with track_stage("finetune-cls", params, {}, Here()):
        pass
    curves = {"finetune_cls": [{"step": 1.0, "tokens": 5.0, "train_loss_nats": 2.0}]}
    assert record_pipeline(params, curves, {}, [], project / "dvc.lock") is not None
    parent, _ = runs_of(client, params)
    assert reused_stages(parent) == set()


# --- names of pipelines, commits and figures


def test_the_pipelines_key_follows_the_parameters_but_not_the_runtime(project: Path) -> None:
    key = pipeline_key(PARAMS)
    assert pipeline_key(load_params(ROOT / "params.yaml")) == key
    assert pipeline_key(replace(PARAMS, runtime=replace(PARAMS.runtime, threads=3, device="cpu"))) == key
    keys = {key, pipeline_key(own_params(20))}
    keys.add(pipeline_key(replace(PARAMS, evaluate=replace(PARAMS.evaluate, temperature=0.123))))
    assert len(keys) == 3
    (project / "notes.md").write_text("no input of any stage")
    assert pipeline_key(PARAMS) == key


CODE = ["src/a.py", "src/deep/er.py", "src/report.md.jinja", "stages/b.py", "dvc.yaml"]


@pytest.mark.parametrize("name", [*CODE, "data/own/a.txt", "data/own/b/c.txt"])
def test_the_pipelines_key_follows_each_file_that_a_stage_may_read(name: str, project: Path) -> None:
    key = pipeline_key(PARAMS)
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("changed = 1\n")
    assert pipeline_key(PARAMS) != key


def test_there_are_no_git_tags_outside_a_checkout() -> None:
    assert git_tags() == {}


def test_git_tags_name_the_commit_and_whether_files_differ_from_it(project: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    assert git_tags() == {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "git.dirty": "false"}
    (project / "dvc.yaml").write_text("changed")
    assert git_tags()["git.dirty"] == "true"


def test_the_default_store_lies_in_the_main_checkout(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri() == f"sqlite:///{project / 'mlflow.db'}"
    monkeypatch.setenv("DVC_ROOT", str(project / "main"))  # as in `dvc exp run --temp`
    assert tracking_uri() == f"sqlite:///{project / 'main' / 'mlflow.db'}"


def test_figures_are_flattened_to_numbers_under_names_that_mlflow_accepts() -> None:
    nested = {"a": {"b": 1, "c": {"d": 0.5}}, "e": True, "f": None, "g": "text", "h": [1], "caught at 5%": 2}
    nested |= {"a//b/../c": {"f1": 3}}  # a label; MLflow refuses what is no plain path
    expected = {"a.b": 1.0, "a.c.d": 0.5, "e": 1.0, "caught at 5_": 2.0, "a__b_.._c.f1": 3.0}
    assert flat_figures(nested) == expected


# --- the process beside the stage

STAGE = f"""
import os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from groundup.params_file import load_params
from groundup.console import signals_said_in_one_line
from groundup.tracking.stage import track_stage

params = replace(load_params(Path({str(ROOT / "params.yaml")!r})), seed=int(sys.argv[1]))
with signals_said_in_one_line(), track_stage("pretrain", params, {{"seed": params.seed}}) as run:
    for step in (1, 2, 3):
        row = SimpleNamespace(step=step, tokens=100 * step, loss_nats=5.0 / step, learning_rate=0.1, grad_norm=1.0)
        run.logged(row, tokens_per_s=50.0)
    run.ended(None)
    run.log_figures({{"loss_nats": 1.5}})
    print("told", sorted(set(sys.modules) & {{"mlflow", "sqlalchemy"}}), flush=True)
    exec(sys.argv[2])
print("done")
"""


def stage_process(number: int, then: str) -> subprocess.Popen[str]:
    """A stage in a process of its own, which has told what it has to tell once it prints; then it does something."""
    command = [sys.executable, "-c", STAGE, str(1000 + number), then]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, encoding="utf-8"
    )


def ended_run(client: Any, number: int) -> Any:
    """The run of that stage, once it has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(ValueError):  # there is none yet
            _, (child,) = runs_of(client, own_params(number))
            if child.info.status != "RUNNING":
                return child
        time.sleep(0.1)
    raise AssertionError("the run did not end")


def test_a_process_beside_the_stage_writes_its_run_and_the_stage_loads_no_mlflow(client: Any) -> None:
    output, errors = stage_process(30, "pass").communicate(timeout=120)
    assert (output, errors) == ("told []\ndone\n", "")
    _, (child,) = runs_of(client, own_params(30))
    assert child.info.status == "FINISHED"
    assert history(client, child, "train_loss_nats") == [(1, 5.0), (2, 2.5), (3, 5.0 / 3)]
    assert history(client, child, "final.loss_nats") == [(0, 1.5)]


def test_ctrl_c_reaches_both_processes_and_the_run_is_killed(client: Any) -> None:
    process = stage_process(31, "time.sleep(60)")
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.startswith("groundup: stopped by SIGINT")
    assert len(errors.splitlines()) == 1
    assert ended_run(client, 31).info.status == "KILLED"


def test_the_run_of_a_stage_that_is_killed_outright_is_killed_too_and_keeps_what_was_told(client: Any) -> None:
    process = stage_process(32, "os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate(timeout=120)
    child = ended_run(client, 32)
    assert child.info.status == "KILLED"
    assert [step for step, _ in history(client, child, "train_loss_nats")] == [1, 2, 3]


def test_a_stage_goes_on_when_the_process_beside_it_is_gone_and_says_so_once(client: Any) -> None:
    kills = "os.kill(int(open(f'/proc/self/task/{os.getpid()}/children').read()), signal.SIGKILL); time.sleep(0.5); "
    told = "run.log_figures({'a': 1.0}); run.log_figures({'b': 2.0})"
    output, errors = stage_process(33, kills + told).communicate(timeout=120)
    assert output.endswith("done\n")
    (line,) = errors.splitlines()
    assert line.startswith("groundup: the process that writes to MLflow is gone")
    assert "`groundup track`" in line


def test_a_stage_that_ends_before_it_tells_anything_has_no_run() -> None:
    with mock.patch("groundup.tracking.__main__.Recorder") as recorder:
        listen([])
    recorder.assert_not_called()


def test_a_message_that_was_cut_is_no_message_and_the_stage_is_gone() -> None:
    with mock.patch("groundup.tracking.__main__.Recorder") as recorder:
        listen([b'["split", {}, {}]\n', b'["figures", {"a": 1.0}]\n', b'["end", "FINI'])
    recorder.assert_called_once_with("split", {}, {})
    assert recorder().hear.call_args_list == [mock.call("figures", {"a": 1.0}), mock.call("end", "KILLED")]


def test_rows_that_were_told_are_written_however_the_stage_ends(client: Any) -> None:
    params = own_params(34)
    with contextlib.suppress(ZeroDivisionError), track_stage("pretrain", params, {}, Here()) as run:
        run.logged(row(1), tokens_per_s=1.0)
        raise ZeroDivisionError
    _, (child,) = runs_of(client, params)
    assert history(client, child, "train_loss_nats") == [(1, 5.0)]
