"""A registered model outside this project: behind MLflow's own server, and where no groundup is installed."""

import ast
import errno
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import registry_helpers as small
from imports import SOURCE
from test_tracking_server import kill, wait_until_it_answers

from groundup.registry.final import MODELS
from groundup.registry.register import REQUIREMENTS
from groundup.use.labelling import load_labeller

TEXTS = ["the cat sat on the mat", "Send 5 coins to claim it", "naïve café, 東京 😀"]


@dataclass(frozen=True)
class Registered:
    """A project whose models are registered, and what other processes are told of its store."""

    folder: Path
    environment: dict[str, str]

    def labels(self) -> list[tuple[str, float]]:
        """What the labeller itself says of the texts."""
        labeller = load_labeller(self.folder / MODELS / "classifier")
        return [labeller.say(text) for text in TEXTS]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    folder = tmp_path_factory.mktemp("project")
    small.make_project(folder)
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "PYTHON"))}
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "groundup.cli", "register"],
        cwd=folder,
        env={**plain, **store, "PYTHONPATH": str(SOURCE), "GIT_CEILING_DIRECTORIES": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # nothing of MLflow's own talk
    assert len(done.stdout.splitlines()) == 3
    return Registered(folder, {**plain, **store})


@pytest.fixture
def address(project: Registered, tmp_path: Path) -> Iterator[str]:
    """A server as the README starts it, ended with all its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = Path(sys.executable).parent
    environment = {**project.environment, "PATH": f"{programs}:{os.environ['PATH']}"}
    command = [str(programs / "mlflow"), "models", "serve", "-m", "models:/groundup-classifier@champion"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=log,
            env=environment,
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", process)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        kill(process)
    wait_until_nobody_listens(port)


def wait_until_nobody_listens(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as after:
            if after.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED:
                return
        time.sleep(0.05)
    raise AssertionError("a process of the server lives on")


def post(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_mlflows_server_answers_as_the_labeller_does(project: Registered, address: str) -> None:
    answer = post(address, {"dataframe_records": [{"text": text} for text in TEXTS]})
    assert list(answer) == ["predictions"]
    assert [row["label"] for row in answer["predictions"]] == [label for label, _ in project.labels()]
    probabilities = [row["probability"] for row in answer["predictions"]]
    assert probabilities == pytest.approx([probability for _, probability in project.labels()], abs=1e-6)
    assert len(set(probabilities)) == len(TEXTS)
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        post(address, {"dataframe_records": [{"text": " "}]})
    assert "row 1 has no text under text" in refused.value.read().decode()


ELSEWHERE = """
import importlib.util, json, sys
from pathlib import Path

sys.path = [place for place in sys.path if not (Path(place) / "groundup").is_dir()]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__name__", repr(finder))]
assert importlib.util.find_spec("groundup") is None
import mlflow

answers = {}
for name, rows in json.loads(sys.argv[1]).items():
    model = mlflow.pyfunc.load_model(f"models:/groundup-{name}@champion")
    answers[name] = model.predict(rows).to_dict("records")
files = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "groundup"]
print(json.dumps({"answers": answers, "files": files}))
"""


@pytest.fixture(scope="module")
def elsewhere(project: Registered, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What all three models answer in a process that finds no groundup but the models' own, and its files."""
    asked = {
        "classifier": [{"text": text} for text in TEXTS],
        "pretrained": [{"prompt": "The cat"}],
        "instructed": [{"instruction": "Sort", "input": "b a"}],
    }
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(asked)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_models_load_and_answer_where_no_groundup_is_installed(project: Registered, elsewhere: dict[str, Any]) -> None:
    said = elsewhere["answers"]
    for row, (label, probability) in zip(said["classifier"], project.labels(), strict=True):
        assert row["label"] == label
        assert row["probability"] == pytest.approx(probability, abs=1e-6)
    assert said["pretrained"][0]["text"]
    assert said["instructed"][0]["text"]
    assert all(Path(file).is_relative_to(project.folder / "mlartifacts") for file in elsewhere["files"])


def test_the_requirements_are_what_the_loaded_code_imports(elsewhere: dict[str, Any]) -> None:
    imported = set()
    for file in elsewhere["files"]:
        for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:  # not what a function imports when called
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    assert len(elsewhere["files"]) > 10
    assert imported - set(sys.stdlib_module_names) - {"groundup"} == set(REQUIREMENTS)
