"""A stage that is asked to stop stops: within seconds, with one line and the exit code that shells expect."""

import os
import signal
import subprocess
import sys
import time

import pytest
from data_helpers import ROOT
from fault_helpers import STAGES

# A stage that has begun, and takes its time where its work is.
SLOW = {
    "download": "import groundup.data.download as m; m.download = lambda *a, **k: wait()",
    "tokenize": "import groundup.data.sides as m; m.write_tokens = lambda *a, **k: wait()",
    "split": "import groundup.data.sides as m; m.write_sides = lambda *a, **k: wait()",
    "evaluate": "import groundup.evaluation.language as m; m.evaluate_language_model = lambda *a, **k: wait()",
}
# It waits in short sleeps: Python hears a signal that comes just before a system call only after that call.
WAIT = """
import pathlib, time
def wait():
    pathlib.Path("begun").touch()
    for _ in range(600):
        time.sleep(0.1)
"""


@pytest.mark.parametrize("stage", SLOW)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stage_without_training_stops_at_once_and_leaves_its_earlier_result(finished, stage, number, code):
    module, command = STAGES[stage]
    before = finished.results()
    with subprocess.Popen(
        [sys.executable, "-c", f"{WAIT}\n{SLOW[stage]}\nfrom {module} import {command}\n{command}([])"],
        cwd=finished.folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        begun = finished.folder / "begun"
        while not begun.exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.02)
        begun.unlink()
        start = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - start < 5
    assert process.returncode == code
    assert said.lstrip() == (
        f"groundup: stopped by {signal.Signals(number).name}, what was finished is kept; "
        "`dvc repro` begins this stage again\n"
    )
    assert finished.results() == before
    assert not [path for path in finished.everything() if "/." in path]
