"""Kills the pipeline at random moments until it has been killed often enough; each run must end with the same bytes.

Usage: python tests/pipeline/chaos.py KILLS [SEED]
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from test_pipeline import Run, hashes, make_project, params_with_states_after_each_step

LONGEST_WAIT_S = 12.0  # until a kill; a stage of the small pipeline takes some seconds, most of them for its imports
MADE = ("data/raw", "data/tokens", "data/splits", "models", "reports", "checkpoints", ".dvc/cache", ".dvc/tmp")


def main(kills: int, seed: int) -> int:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as base:
        whole = make_project(Path(base) / "whole", "chaos")
        done = whole.dvc("repro")
        assert done.returncode == 0, done.stdout + done.stderr
        wanted, lock = hashes(whole.folder), (whole.folder / "dvc.lock").read_bytes()

        run = make_project(Path(base) / "killed", "chaos")
        params_with_states_after_each_step(run.folder)
        killed, same, different = 0, 0, 0
        by_moment: Counter[str] = Counter()
        while killed < kills:
            moment = kill_once(run, draw, wait_s=draw.uniform(0.2, LONGEST_WAIT_S))
            if moment:
                killed += 1
                by_moment[moment] += 1
                print(f"kill {killed}: {moment}", flush=True)  # noqa: T201
                continue
            same, different = count(run, wanted, lock, same, different)
            wipe(run.folder)
        assert not kill_once(run, draw, wait_s=600.0), "no pipeline takes so long"
        same, different = count(run, wanted, lock, same, different)
    for moment, n in sorted(by_moment.items()):
        print(f"{n:4d}  {moment}")  # noqa: T201
    print(f"{killed} kills in {same + different} runs: {same} runs byte-identical, {different} not")  # noqa: T201
    return 1 if different else 0


def kill_once(run: Run, draw: random.Random, wait_s: float) -> str:
    """Start the pipeline and kill it after a while; "" if it came to its end before.

    `groundup check` goes before, as in `make repro`: dvc may have been killed while it wrote its lock file.
    """
    checked = run.command(sys.executable, "-m", "groundup.cli", "check")
    assert checked.returncode == 0, checked.stderr
    if "was cut" in checked.stdout:
        print(checked.stdout.split("\n")[0], flush=True)  # noqa: T201
    said = run.folder.parent / "said"
    with said.open("w") as output:
        process = run.start(output=output.fileno())
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.returncode == 0, f"the pipeline failed without a kill: {said.read_text()}"
            return ""
        time.sleep(0.02)
    stage, trainer = running_stage(process.pid)
    what = draw.choice(("group", "dvc", "stage"))
    number = draw.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    try:
        if what == "group":
            os.killpg(process.pid, number)
        else:
            os.kill(trainer if what == "stage" and trainer else process.pid, number)
    except ProcessLookupError:
        pass  # it ended by itself in this moment
    process.wait(timeout=120)
    wait_for_group(process.pid)
    return f"{stage or 'between stages'}, {signal.Signals(number).name} to {what}"


def running_stage(group: int) -> tuple[str, int]:
    """The stage that runs in a process group, and its process; ("", 0) if none does."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            if os.getpgid(int(entry.name)) == group and b"-m" in arguments:
                module = arguments[arguments.index(b"-m") + 1].decode()
                if module.startswith("stages."):
                    return module.removeprefix("stages."), int(entry.name)
        except (OSError, ValueError):
            continue
    return "", 0


def wait_for_group(group: int) -> None:
    """Wait until no process of the group is left: what a person who starts again would see."""
    for _ in range(1_500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)


def count(run: Run, wanted: dict[str, str], lock: bytes, same: int, different: int) -> tuple[int, int]:
    equal = hashes(run.folder) == wanted and (run.folder / "dvc.lock").read_bytes() == lock
    print("a run came to its end:", "the same bytes" if equal else "OTHER BYTES", flush=True)  # noqa: T201
    return (same + 1, different) if equal else (same, different + 1)


def wipe(folder: Path) -> None:
    for name in MADE:
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "dvc.lock").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
