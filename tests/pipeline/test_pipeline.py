"""The whole chain for real, in two copies of the project at once: one tracked by MLflow, one not.

The copies lie in different folders and share nothing, no cache either; so equal bytes in both mean that nothing but
parameters, code and data has a say in the results.
"""

import contextlib
import getpass
import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from groundup.cli import main
from groundup.config import flatten
from groundup.files import read_json, sha256_of_file
from groundup.params_file import load_params, read_yaml
from groundup.presets import compose
from groundup.report.tables import read_table
from groundup.tracking.store import flat_figures

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["download", "tokenize", "split", "pretrain", "finetune-cls", "finetune-instruct", "evaluate"]
TRAININGS = ["pretrain", "finetune_cls", "finetune_instruct"]

SETTINGS: dict[str, Any] = {
    "data.corpus": ["data/own/story.txt"],
    "data.messages": "data/own/messages.tsv",
    "data.instructions": "data/own/instructions.json",
    "tokenize.vocab_size": 400,
    "tokenize.train_on": ["corpus", "messages", "instructions"],
    "model.context_length": 128,
    "pretrain.sample_prompt": "The",
    "finetune_cls.batch_size": 8,
    "finetune_cls.log_interval": 2,
    "finetune_cls.evaluation_interval": 3,
    "finetune_instruct.batch_size": 8,
    "finetune_instruct.log_interval": 1,
    "finetune_instruct.evaluation_interval": 2,
    "evaluate.window_stride": 64,
    "evaluate.prompts": ["The", "<b>|`"],
}

# Loaded by every Python that runs a stage: writes down which of the project's files the stage opens to read. What the
# mirror in MLflow reads, to name the pipeline and to copy its figures, is no input of a stage.
WATCHER = """
import os, sys
target = os.environ.get("OPENED_BY_STAGES")
module = sys.orig_argv[sys.orig_argv.index("-m") + 1] if "-m" in sys.orig_argv else ""
if target and module.startswith("stages."):
    log = os.open(os.path.join(target, module), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watch(event, arguments):
        if event != "open" or not isinstance(arguments[0], (str, os.PathLike)):
            return
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_CREAT) or (mode and set(mode) & set("wax")):
            return
        frame = sys._getframe(1)
        while frame:
            code = frame.f_code.co_filename
            if "groundup/tracking/" in code or code.endswith("groundup/report/record.py"):
                return
            frame = frame.f_back
        os.write(log, (os.path.realpath(path) + "\\n").encode())

    sys.addaudithook(watch)
"""


# Loaded by every Python of a run: a trainer stops in its tracks once it has kept the state after its second step.
STANDS_STILL_AFTER_STEP_2 = """
import os, signal
put = os.replace

def put_and_stand_still(source, target, **keywords):
    put(source, target, **keywords)
    if {folder!r} in str(target) and "/000000002-" in str(target):
        os.kill(os.getpid(), signal.SIGSTOP)

os.replace = put_and_stand_still
"""


@dataclass
class Run:
    """A copy of the project, and what was found in it at each point."""

    folder: Path
    environment: dict[str, str]
    output: str = ""
    lock: bytes = b""
    results: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "dvc", *arguments)

    def start(self, *stages: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Begin `dvc repro`, in a process group of its own so that all of it can be killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", *stages],
            cwd=self.folder,
            env=self.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The pipeline run from nothing in two folders side by side: the first with MLflow's default store."""
    both = tuple(make_project(tmp_path_factory.mktemp(name), name) for name in ("tracked", "untracked"))
    del both[0].environment["MLFLOW_TRACKING_URI"]
    started = [run.start() for run in both]
    for run, process in zip(both, started, strict=True):
        run.output, _ = process.communicate(timeout=600)
    for run, process in zip(both, started, strict=True):
        assert process.returncode == 0, run.output
        run.lock = (run.folder / "dvc.lock").read_bytes()
        run.results = hashes(run.folder)
    return both


@pytest.fixture(scope="module")
def tracked(runs: tuple[Run, Run]) -> Run:
    return runs[0]


@pytest.fixture(scope="module")
def untracked(runs: tuple[Run, Run]) -> Run:
    return runs[1]


def make_project(base: Path, name: str) -> Run:
    """The files that git would commit, without results, with data and parameters of the test's own."""
    folder, home = base / "project", base / "home"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for path in map(Path, listed.stdout.decode().rstrip("\0").split("\0")):
        if path.parts[0] not in ("reports", "tests", "docs", "dvc.lock") and (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
    (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    write_own_data(folder / "data" / "own")
    write_params(folder, SETTINGS, base=compose_in(folder, "micro"))

    (base / "watch").mkdir()
    (base / "watch" / "sitecustomize.py").write_text(WATCHER)
    (base / "opened").mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "PYTHON"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # The copy's own code, not the checkout's that is installed.
        "PYTHONPATH": f"{base / 'watch'}{os.pathsep}{folder / 'src'}",
        "OPENED_BY_STAGES": str(base / "opened"),
        "SHELL": "/bin/sh",  # dvc runs each stage in it, and Debian's stays as its parent where bash does not
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "MLFLOW_TRACKING_URI": "off",
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "system"),
        "DVC_NO_ANALYTICS": "1",
        "TZ": "UTC" if name == "tracked" else "Asia/Tokyo",  # a time in a file would show
    }
    return Run(folder, environment)


def params_with_states_after_each_step(folder: Path) -> None:
    params = folder / "params.yaml"
    params.write_text(re.sub(r"checkpoint_interval_s: \S+", "checkpoint_interval_s: 0.0", params.read_text()))


def pid_in(states: Path) -> int:
    """The process that trains a stage now."""
    return int((states / "pid").read_text())


def stands_still(pid: int) -> bool:
    """Whether a process was stopped by a signal and can be gone on with."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def compose_in(folder: Path, preset: str) -> str:
    with contextlib.chdir(folder):
        return compose(preset)


def write_params(folder: Path, settings: dict[str, Any], base: str) -> None:
    yaml = YAML()
    document = yaml.load(base)
    for key, value in settings.items():
        section, name = key.split(".")
        document[section][name] = value
    yaml.dump(document, folder / "params.yaml")


def write_own_data(folder: Path) -> None:
    """A story, labelled messages and instructions, made up of the test's own words in a seeded order."""
    draw = random.Random(7)
    people = ["the miller", "a tall widow", "Old Bram", "the ferry girl", "her brother", "the lamp keeper", "a soldier"]
    deeds = ["carried", "mended", "counted", "hid", "painted", "sold", "forgot", "polished", "buried", "borrowed"]
    things = ["a copper kettle", "nine blue eggs", "the torn map", "a box of nails", "two oars", "the church bell"]
    places = ["behind the barn", "at the river bend", "under the stairs", "near the market", "on the frozen pond"]
    ends = ["and nobody asked why", "until the rain came", "before supper", "while the dogs slept", "as if in spring"]
    prizes = ["voucher", "cruise", "phone", "holiday", "watch", "scooter"]

    def sentence() -> str:
        words = " ".join(draw.choice(each) for each in (people, deeds, things, places, ends))
        return f"{words[0].upper()}{words[1:]}."

    folder.mkdir(parents=True, exist_ok=True)
    story = "".join(" ".join(sentence() for _ in range(4)) + "\n\n" for _ in range(56))
    (folder / "story.txt").write_text(story, encoding="utf-8")

    ham = [f"{draw.choice(deeds)} {draw.choice(things)} {draw.choice(places)}, {draw.choice(ends)}" for _ in range(36)]
    spam = [
        f"WIN {draw.choice(prizes)} {draw.choice(prizes)} <b>now</b> | call {draw.randrange(10**6)} {sentence()}"
        for _ in range(24)
    ]
    rows = [("ham", text) for text in ham] + [("spam", text) for text in spam]
    draw.shuffle(rows)
    (folder / "messages.tsv").write_text("".join(f"{label}\t{text}\n" for label, text in rows), encoding="utf-8")

    asked = [
        {"instruction": f"Who {draw.choice(deeds)} {thing} {place}?", "input": "", "output": draw.choice(people)}
        for thing in things
        for place in places
    ]
    asked += [{"instruction": "Repeat the words.", "input": sentence()[:25], "output": "no"} for _ in range(6)]
    (folder / "instructions.json").write_text(json.dumps(asked), encoding="utf-8")


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file that the pipeline makes."""
    return {
        str(path.relative_to(folder)): sha256_of_file(path)
        for top in ("data/raw", "data/tokens", "data/splits", "models", "reports")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def pipeline(run: Run) -> dict[str, Any]:
    stages: dict[str, Any] = read_yaml(run.folder / "dvc.yaml")["stages"]
    return stages


def paths_of(entries: list[Any]) -> list[Path]:
    """Paths of outs, metrics or plots, with or without options."""
    return [Path(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def made_by(stage: dict[str, Any]) -> list[Path]:
    return [path for kind in ("outs", "metrics", "plots") for path in paths_of(stage.get(kind, []))]


def lies_in(path: Path, places: list[Path]) -> bool:
    return any(path == place or place in path.parents for place in places)


@pytest.mark.parametrize(
    ("stage", "victim"), [("pretrain", "stage"), ("finetune_cls", "group"), ("finetune_instruct", "dvc")]
)
def test_a_run_whose_processes_are_killed_in_a_training_ends_with_the_same_bytes(
    untracked: Run, tmp_path: Path, stage: str, victim: str
) -> None:
    run = make_project(tmp_path, "untracked")
    params_with_states_after_each_step(run.folder)
    states = run.folder / "checkpoints" / stage.replace("_", "-")
    loaded_first = tmp_path / "watch" / "sitecustomize.py"
    loaded_first.write_text(STANDS_STILL_AFTER_STEP_2.format(folder=f"/{states.name}/"))
    process = run.start(output=subprocess.DEVNULL)
    for _ in range(6_000):
        if list(states.glob("*/*/000000002-*.safetensors")) and stands_still(trainer := pid_in(states)):
            break
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    if victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(trainer if victim == "stage" else process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode != 0
    if victim == "dvc":
        os.kill(trainer, signal.SIGCONT)  # it finds that dvc is gone, and ends by itself
    loaded_first.unlink()

    done = run.dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goes on after step" in done.stderr
    assert hashes(run.folder) == untracked.results
    assert (run.folder / "dvc.lock").read_bytes() == untracked.lock
    assert not list(states.glob("*/*/*.safetensors"))


def test_a_second_repro_beside_a_running_one_is_refused_and_the_first_goes_on(untracked: Run, tmp_path: Path) -> None:
    run = make_project(tmp_path, "untracked")
    first = run.start("tokenize")
    lock = run.folder / ".dvc" / "tmp" / "rwlock"
    while not (lock.exists() and "data/tokens" in lock.read_text()):
        assert first.poll() is None, "it ended before the second began"
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGSTOP)  # so that it is still there when the second one looks
    second = run.dvc("repro", "tokenize")
    os.killpg(first.pid, signal.SIGCONT)
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 0, output
    assert second.returncode != 0
    said = r"ERROR: .*(another DVC process is running|is busy, it is being blocked by:\n  \(PID \d+\): \S+ repro)"
    assert re.search(said, second.stderr)
    again = run.dvc("repro", "tokenize")
    assert "Running stage" not in again.stdout
    made = hashes(run.folder)
    assert made == {name: untracked.results[name] for name in made}


# Loaded by every Python of a run: whatever opens a connection to anywhere ends with an error.
NO_SOCKETS = """
import socket

def refuse(*arguments, **keywords):
    raise OSError("this run has no network")

for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse
"""

SAMPLE_WORLD: dict[str, Any] = {
    "data.corpus": ["sample-stories"],
    "data.messages": "sample-messages",
    "data.instructions": "sample-instructions",
    "data.sample": {"seed": 1, "world_size": 8, "corpus_mb": 0.05, "messages": 300, "instructions": 500},
    "tokenize.train_on": ["corpus", "messages", "instructions"],
    "pretrain.initial_weights": "gpt2",
    "pretrain.windows": "documents",
    "finetune_instruct.from_random": True,
    "evaluate.stories": 2,
}


def test_the_sample_world_goes_through_all_stages_without_a_socket(tmp_path: Path) -> None:
    run = make_project(tmp_path, "offline")
    for own in (run.folder / "data" / "own").iterdir():
        own.unlink()
    write_params(run.folder, SAMPLE_WORLD, base=compose_in(run.folder, "micro"))
    (tmp_path / "watch" / "sitecustomize.py").write_text(NO_SOCKETS)
    denied = run.command(
        sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"
    )  # so that the guard is known to work
    assert "this run has no network" in denied.stderr

    done = run.dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Running stage") == len(STAGES)
    summary = json.loads((run.folder / "reports" / "summary.json").read_text())
    assert summary["language_model"]["floor_bits_per_byte"] > 0
    assert summary["language_model"]["stories"]["written"] == 2
    assert 0.9 < summary["classifier"]["best_possible"] <= 1
    assert "from_random" in summary["instruct"]
    assert sum(path.stat().st_size for path in (run.folder / "data").rglob("*") if path.is_file()) < 50e6


def test_all_seven_stages_run_in_order(untracked: Run) -> None:
    ran = [line.split("'")[1] for line in untracked.output.splitlines() if line.startswith("Running stage")]
    assert sorted(ran) == sorted(STAGES)
    assert ran.index("split") < ran.index("pretrain") < ran.index("finetune-cls") < ran.index("evaluate")


def test_every_declared_out_exists_and_nothing_else_was_made(untracked: Run) -> None:
    declared = [path for stage in pipeline(untracked).values() for path in made_by(stage)]
    assert [str(path) for path in declared if not (untracked.folder / path).exists()] == []
    assert [name for name in untracked.results if not lies_in(Path(name), declared)] == []
    assert len(untracked.results) > 40


def test_stages_open_only_files_that_are_their_deps(untracked: Run) -> None:
    undeclared: dict[str, list[str]] = {}
    for name, stage in pipeline(untracked).items():
        module = stage["cmd"].removeprefix("exec python -m ")
        deps = [Path(each) for each in stage["deps"]]
        allowed = deps + made_by(stage) + [Path("params.yaml"), Path("src/groundup/tracking")]
        opened = set()
        for line in (untracked.folder.parent / "opened" / module).read_text().splitlines():
            path = Path(line)
            if not path.is_relative_to(untracked.folder.resolve()) or not path.is_file():
                continue  # libraries, and temporary files of the stage
            path = path.relative_to(untracked.folder.resolve())
            if path.suffix == ".pyc":
                path = path.parent.parent / f"{path.name.split('.')[0]}.py"
            opened.add(path)
        assert Path("params.yaml") in opened, f"the watcher saw nothing of {name}"
        if missing := sorted(str(path) for path in opened if not lies_in(path, allowed)):
            undeclared[name] = missing
    assert undeclared == {}


def test_a_second_repro_runs_nothing_and_leaves_the_lock_alone(tracked: Run) -> None:
    again = tracked.dvc("repro")
    assert again.returncode == 0
    assert "Running stage" not in again.stdout
    assert (tracked.folder / "dvc.lock").read_bytes() == tracked.lock
    assert hashes(tracked.folder) == tracked.results
    assert tracked.dvc("status", "-q").returncode == 0


def test_dvc_understands_the_metrics_files(tracked: Run) -> None:
    shown = tracked.dvc("metrics", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    files = json.loads(shown.stdout)[""]["data"]
    expected = {str(path) for stage in pipeline(tracked).values() for path in paths_of(stage.get("metrics", []))}
    assert set(files) == expected
    for name, found in files.items():
        assert found["data"] == read_json(tracked.folder / name)


def test_dvc_understands_the_plots(tracked: Run) -> None:
    shown = tracked.dvc("plots", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "error" not in shown.stderr.lower()
    plots = json.loads(shown.stdout)["data"]
    assert "errors" not in json.loads(shown.stdout)
    assert {"pretrain-losses", "finetune_cls-losses", "finetune_instruct-losses"} <= set(plots)
    assert {"reports/confusion.csv", "reports/roc.csv"} <= set(plots)
    for section in TRAININGS:
        drawn = plots[f"{section}-losses"][0]["content"]["data"]["values"]
        for table in ("train.csv", "validation.csv"):
            rows = read_table(tracked.folder / "reports" / section / table)
            points = [(float(each["step"]), float(each["loss_nats"])) for each in drawn if each["filename"] == table]
            assert points == [(row["step"], row["loss_nats"]) for row in rows]


@pytest.mark.parametrize(
    "key",
    [
        "language_model.bits_per_byte",
        "language_model.perplexity",
        "classifier.accuracy",
        "classifier.f1",
        "classifier.baselines.majority.accuracy",
        "classifier.baselines.naive_bayes.accuracy",
        "classifier.baselines.tfidf_logreg.accuracy",
        "classifier.baselines.svm.accuracy",
        "split.leaks",
        "split.near_leaks",
        "instruct.exact_match",
        "instruct.token_f1",
        "instruct.response_loss_nats",
    ],
)
def test_the_summary_has_its_stable_keys(tracked: Run, key: str) -> None:
    value = read_json(tracked.folder / "reports" / "summary.json")
    for part in key.split("."):
        value = value[part]
    assert isinstance(value, int | float)
    assert value >= 0
    if key.startswith("split."):
        assert value == 0


def test_results_are_byte_identical_in_another_folder(tracked: Run, untracked: Run) -> None:
    assert set(tracked.results) == set(untracked.results)
    assert [name for name, digest in tracked.results.items() if untracked.results[name] != digest] == []
    assert sum(name.endswith("model.safetensors") for name in tracked.results) == 3


def test_metrics_and_tables_hold_no_names_of_machines_or_folders(tracked: Run) -> None:
    reports = tracked.folder / "reports"
    tables = [path for path in reports.rglob("*") if path.suffix in (".json", ".csv") and "evaluate" not in path.parts]
    assert len(tables) >= 14
    for path in tables:
        text = path.read_text(encoding="utf-8")
        names = [str(tracked.folder), sys.executable, socket.gethostname(), platform.release(), getpass.getuser()]
        assert [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)] == [], path


def test_the_report_shows_the_figures_of_this_run(tracked: Run) -> None:
    summary = read_json(tracked.folder / "reports" / "summary.json")
    report = (tracked.folder / "reports" / "evaluate" / "report.md").read_text(encoding="utf-8")
    assert f"| {summary['language_model']['bits_per_byte']:.3f} |" in report
    assert f"{100 * summary['classifier']['baselines']['tfidf_logreg']['accuracy']:.1f} %" in report
    for image in (
        "pretrain_losses",
        "finetune_cls_losses",
        "finetune_instruct_losses",
        "confusion",
        "roc",
        "precision_recall",
        "reliability",
    ):
        assert f"]({image}.png)" in report
        assert (tracked.folder / "reports" / "evaluate" / f"{image}.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def changed(untracked: Run) -> tuple[Run, subprocess.CompletedProcess[str]]:
    """The second copy after another `dvc repro` with a changed parameter, while the tracking server is down."""
    params = untracked.folder / "params.yaml"
    write_params(untracked.folder, {"evaluate.temperature": 0.3}, base=params.read_text(encoding="utf-8"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    untracked.environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
    return untracked, untracked.dvc("repro")


def test_a_changed_parameter_of_evaluate_reruns_evaluate_only(
    changed: tuple[Run, subprocess.CompletedProcess[str]],
) -> None:
    run, again = changed
    assert again.returncode == 0, again.stdout + again.stderr
    ran = [line.split("'")[1] for line in again.stdout.splitlines() if line.startswith("Running stage")]
    assert ran == ["evaluate"]
    different = [name for name, digest in hashes(run.folder).items() if run.results.get(name) != digest]
    assert different
    assert all(name.startswith(("reports/evaluate/", "reports/report.html")) for name in different)


def test_a_stage_warns_once_of_a_tracking_server_that_is_down(
    changed: tuple[Run, subprocess.CompletedProcess[str]],
) -> None:
    _, again = changed
    said = [line for line in (again.stdout + again.stderr).splitlines() if line.startswith("groundup: MLflow")]
    assert len(said) == 1


@dataclass(frozen=True)
class Tracked:
    """What MLflow holds: before `groundup track`, after it, and after it ran once more."""

    uri: str
    after_repro: dict[str, Any]
    after_track: dict[str, Any]
    after_second_track: dict[str, Any]


def client_of(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def everything(uri: str) -> dict[str, Any]:
    """All runs by id: tags, parameters, metric histories, artifacts."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name("groundup")

    def artifacts(run_id: str, path: str | None = None) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in client.list_artifacts(run_id, path):
            if entry.is_dir:
                found |= artifacts(run_id, entry.path)
            else:
                local = Path(experiment.artifact_location.removeprefix("file://")) / run_id / "artifacts" / entry.path
                found[entry.path] = hashlib.sha256(local.read_bytes()).hexdigest()
        return found

    return {
        run.info.run_id: {
            "name": run.info.run_name,
            "status": run.info.status,
            "tags": run.data.tags,
            "params": run.data.params,
            "metrics": {
                key: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
                for key in run.data.metrics
            },
            "artifacts": artifacts(run.info.run_id),
        }
        for run in client.search_runs([experiment.experiment_id])
    }


@pytest.fixture(scope="module")
def mirror(tracked: Run) -> Tracked:
    """The store that the first run filled, read by itself; then `groundup track` run twice."""
    uri = f"sqlite:///{tracked.folder / 'mlflow.db'}"
    states = [everything(uri)]
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(tracked.folder):
        patch.delenv("MLFLOW_TRACKING_URI")
        for _ in range(2):
            result = CliRunner().invoke(main, ["track"])
            assert result.exit_code == 0, result.output
            assert "MLflow run" in result.output
            states.append(everything(uri))
    return Tracked(uri, *states)


def parent_of(state: dict[str, Any]) -> dict[str, Any]:
    (parent,) = [run for run in state.values() if "mlflow.parentRunId" not in run["tags"]]
    return parent


def child_of(state: dict[str, Any], stage: str) -> dict[str, Any]:
    (child,) = [run for run in state.values() if run["tags"].get("stage") == stage]
    return child


def stage_name(section: str) -> str:
    return section.replace("_", "-")


def test_mlflow_has_one_parent_run_with_seven_finished_children(mirror: Tracked) -> None:
    state = mirror.after_repro
    (parent_id,) = [run_id for run_id, run in state.items() if "mlflow.parentRunId" not in run["tags"]]
    children = [run for run_id, run in state.items() if run_id != parent_id]
    assert sorted(run["tags"]["stage"] for run in children) == sorted(STAGES)
    assert {run["tags"]["mlflow.parentRunId"] for run in children} == {parent_id}
    assert {run["status"] for run in state.values()} == {"FINISHED"}


def test_mlflow_has_every_parameter_on_the_parent_and_each_stages_own_on_its_child(
    mirror: Tracked, tracked: Run
) -> None:
    values = flatten(load_params(tracked.folder / "params.yaml"))
    as_text = {key: json.dumps(value) if isinstance(value, list) else str(value) for key, value in values.items()}
    assert parent_of(mirror.after_repro)["params"] == as_text
    cls_keys = {key for key in as_text if key == "seed" or key.startswith("finetune_cls.")}
    assert child_of(mirror.after_repro, "finetune-cls")["params"] == {key: as_text[key] for key in cls_keys}


@pytest.mark.parametrize("section", TRAININGS)
def test_mlflow_has_the_loss_curves_by_step_and_by_tokens(mirror: Tracked, tracked: Run, section: str) -> None:
    metrics = child_of(mirror.after_repro, stage_name(section))["metrics"]
    for table, key in (("train", "train_loss_nats"), ("validation", "validation_loss_nats")):
        rows = read_table(tracked.folder / "reports" / section / f"{table}.csv")
        assert len(rows) >= 2
        # The files are rounded to six digits, the curves are not.
        assert metrics[key] == [(int(row["step"]), pytest.approx(row["loss_nats"], rel=1e-5)) for row in rows]
        by_tokens = [(int(row["tokens"]), pytest.approx(row["loss_nats"], rel=1e-5)) for row in rows]
        assert metrics[f"{key}_by_tokens"] == by_tokens
    assert len(metrics["tokens_per_s"]) == len(metrics["train_loss_nats"])
    assert min(value for _, value in metrics["tokens_per_s"]) > 0


@pytest.mark.parametrize("stage", ["tokenize", "split", *TRAININGS])
def test_final_figures_in_mlflow_equal_the_metrics_file(mirror: Tracked, tracked: Run, stage: str) -> None:
    in_file = flat_figures(read_json(tracked.folder / "reports" / stage / "metrics.json"), "final.")
    in_mlflow = {
        key: [value for _, value in points]
        for key, points in child_of(mirror.after_repro, stage_name(stage))["metrics"].items()
        if key.startswith("final.")
    }
    assert in_mlflow == {key: [value] for key, value in in_file.items()}


def test_the_parent_has_the_figures_of_the_summary_after_repro_and_after_track(mirror: Tracked, tracked: Run) -> None:
    summary = flat_figures(read_json(tracked.folder / "reports" / "summary.json"))
    evaluated = child_of(mirror.after_repro, "evaluate")["metrics"]
    for state in (mirror.after_repro, mirror.after_track):
        parent = parent_of(state)["metrics"]
        for key, value in summary.items():
            assert evaluated[f"final.{key}"] == [(0, value)], key
            assert parent[key] == [(0, value)], key
        losses = read_table(tracked.folder / "reports" / "pretrain" / "train.csv")
        assert parent["pretrain/train_loss_nats"] == [(int(row["step"]), row["loss_nats"]) for row in losses]


def test_mlflow_has_models_samples_and_the_report_as_artifacts(mirror: Tracked, tracked: Run) -> None:
    models = {"pretrain": "pretrained", "finetune-cls": "classifier", "finetune-instruct": "instructed"}
    for stage, folder in models.items():
        artifacts = child_of(mirror.after_repro, stage)["artifacts"]
        weights = f"{folder}/model.safetensors"
        assert artifacts[weights] == tracked.results[f"models/{weights}"]
    for stage in ("pretrain", "finetune-instruct"):
        assert any(name.startswith("samples/step_") for name in child_of(mirror.after_repro, stage)["artifacts"])
    report = "evaluate/report.md"
    for state in (mirror.after_repro, mirror.after_track):
        run = child_of(state, "evaluate") if state is mirror.after_repro else parent_of(state)
        [run_id] = [each for each, found in state.items() if found is run]
        assert run["artifacts"][report] == tracked.results[f"reports/{report}"]
        assert run["artifacts"]["report.html"] == tracked.results["reports/report.html"]
        assert f"/runs/{run_id}/artifacts/report.html)" in run["tags"]["mlflow.note.content"]


def test_tracking_the_same_pipeline_twice_changes_nothing(mirror: Tracked) -> None:
    assert len(mirror.after_track) == 8
    assert mirror.after_second_track == mirror.after_track


def test_no_stage_of_a_pipeline_that_ran_whole_is_marked_as_reused(mirror: Tracked) -> None:
    assert [tag for tag in parent_of(mirror.after_track)["tags"] if tag.startswith("reused")] == []


def test_the_parent_names_the_lock_file_and_no_git_commit_outside_a_checkout(mirror: Tracked, tracked: Run) -> None:
    tags = parent_of(mirror.after_track)["tags"]
    assert tags["dvc.lock.sha256"] == hashlib.sha256(tracked.lock).hexdigest()
    assert "mlflow.source.git.commit" not in tags
