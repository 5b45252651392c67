"""A real MLflow server that is killed in the middle of a training, and what is left of the tracking."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from test_pipeline import TRAININGS, make_project

from groundup.report.tables import read_table

LONGEST_START_S = 120.0


@contextlib.contextmanager
def mlflow_server(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server on this machine over the store in a folder; gives its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "art")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *place], stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/health", process)
        yield f"http://me:pa55word@127.0.0.1:{port}", process
    finally:
        kill(process)


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended by itself"
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def rows_of(database: Path, query: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_server_that_dies_in_a_training_loses_nothing_that_track_does_not_bring_back(tmp_path: Path) -> None:
    run = make_project(tmp_path, "untracked")
    params = run.folder / "params.yaml"
    longer = (
        params.read_text().replace("max_steps: 8 ", "max_steps: 200 ").replace("log_interval: 2 ", "log_interval: 1 ")
    )
    assert "max_steps: 200 " in longer
    params.write_text(longer)

    store = tmp_path / "store"
    store.mkdir()
    plain = {key: value for key, value in run.environment.items() if not key.startswith("MLFLOW_")}
    with mlflow_server(store, plain) as (address, server):
        run.environment["MLFLOW_TRACKING_URI"] = address
        process = run.start()
        while not rows_of(store / "mlflow.db", "SELECT 1 FROM metrics WHERE key = 'train_loss_nats' LIMIT 1"):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        kill(server)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert re.search(r"MLflow at http://\*\*\*@127.0.0.1:\d+ failed, the stage goes on without", output)
    known = rows_of(store / "mlflow.db", "SELECT DISTINCT step FROM metrics WHERE key = 'train_loss_nats'")
    assert 0 < len(known) < 200  # it died in between

    with mlflow_server(store, plain) as (address, _):
        run.environment["MLFLOW_TRACKING_URI"] = address
        for _ in range(2):  # a second time changes nothing
            tracked = run.command(sys.executable, "-m", "groundup.cli", "track")
            assert tracked.returncode == 0, tracked.stderr
    assert json.loads((run.folder / "reports" / "summary.json").read_text())
    for stage in TRAININGS:
        wanted = [row["step"] for row in read_table(run.folder / "reports" / stage / "train.csv")]
        steps = rows_of(store / "mlflow.db", f"SELECT step FROM metrics WHERE key = '{stage}/train_loss_nats'")
        assert Counter(step for (step,) in steps) == Counter(wanted), stage
    # The password has gone to the server that it is for, and is written nowhere.
    written = [path for folder in (store, run.folder) for path in folder.rglob("*") if path.is_file()]
    assert (store / "mlflow.db") in written
    assert [path for path in written if b"pa55word" in path.read_bytes()] == []
    assert "pa55word" not in output + tracked.stdout + tracked.stderr
