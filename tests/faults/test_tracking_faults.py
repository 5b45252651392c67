"""MLflow that is down, hangs, answers nonsense, dies or is locked: the training goes on, and `track` fills the gaps."""

import contextlib
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

MOST_LOST_S = 10.0
NOTICE = r"groundup: MLflow at \S+ failed, the stage goes on without: .*; `groundup track` fills the gap later"

Answer = Callable[[BaseHTTPRequestHandler], None]


def with_status_500(request: BaseHTTPRequestHandler) -> None:
    request.send_error(500)


def with_a_web_page(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"<html>Welcome to the proxy</html>")


def never(request: BaseHTTPRequestHandler) -> None:
    hung_up.wait(60)


def a_byte_a_second(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "60")
    request.end_headers()
    for _ in range(60):
        with contextlib.suppress(OSError):
            request.wfile.write(b" ")
        if hung_up.wait(1):
            return


hung_up = threading.Event()


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server on this machine that answers every request in this way; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        do_GET = do_POST = do_PATCH = handle_any  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    hung_up.clear()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: listening.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        hung_up.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def timed(project, **environment: str) -> tuple[float, list[str]]:
    """Train in a process of its own; returns how long it took and the lines it said about MLflow."""
    start = time.perf_counter()
    done = project.run_apart("pretrain", **environment)
    took = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return took, [line for line in done.stderr.split("\n") if "MLflow" in line]


@pytest.fixture
def usual(finished) -> tuple[float, dict[str, bytes]]:
    """How long the training takes without MLflow, and what it makes."""
    took, said = timed(finished)
    assert said == []
    return took, finished.results()


@contextlib.contextmanager
def nobody_listens() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("answer", [None, with_status_500, with_a_web_page, never, a_byte_a_second])
def test_a_server_that_answers_wrong_or_not_at_all_costs_one_line_and_little_time(finished, usual, answer):
    with server(answer) if answer else nobody_listens() as address:
        took, said = timed(finished, MLFLOW_TRACKING_URI=address.replace("//", "//me:pa55word@"))
    (line,) = said
    assert re.fullmatch(NOTICE, line)
    assert "pa55word" not in line
    assert took - usual[0] < MOST_LOST_S
    assert finished.results() == usual[1]


def test_a_store_that_another_process_has_locked_costs_one_line_and_little_time(finished, usual, tmp_path):
    database = tmp_path / "mlflow.db"
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{database}", "DVC_ROOT": str(tmp_path)}
    assert timed(finished, **store)[1] == []  # the store is made, and the run stands in it
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    took, said = timed(finished, **store)
    other.execute("ROLLBACK")
    (line,) = said
    assert re.fullmatch(NOTICE, line)
    assert "database is locked" in line
    assert took - usual[0] < MOST_LOST_S
    assert finished.results() == usual[1]
    assert timed(finished, **store)[1] == []
    steps = other.execute("SELECT step, COUNT(*) FROM metrics WHERE key = 'train_loss_nats' GROUP BY step").fetchall()
    other.close()
    assert steps == [(2, 1)]
