"""Running a stage with something wrong, and looking at everything it said and left."""

import copy
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from data_helpers import ROOT, contents, instructions, messages, raw_params, story, with_values

# Stage, module, command: in the order of dvc.yaml.
STAGES = {
    "download": ("stages.download", "download"),
    "tokenize": ("stages.tokenize_text", "tokenize"),
    "split": ("stages.split", "split"),
    "pretrain": ("stages.pretrain", "pretrain"),
    "finetune-cls": ("stages.finetune_cls", "finetune_cls"),
    "finetune-instruct": ("stages.finetune_instruct", "finetune_instruct"),
    "evaluate": ("stages.evaluate", "evaluate"),
}

RESULTS = ("data/raw", "data/tokens", "data/splits", "models", "reports")

# Python code after which no file may grow beyond so many bytes: a full disk, without a disk of its own.
FILES_UP_TO = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"

# What the stages of this test run have said of wrong inputs, each line once; told when the tests end.
REFUSED: set[str] = set()


def small_params() -> dict[str, Any]:
    """Parameters that read the own files and train for two steps."""
    return with_values(
        raw_params(),
        data__corpus=["data/own/story.txt"],
        data__messages="data/own/messages.tsv",
        data__instructions="data/own/instructions.json",
        tokenize__vocab_size=300,
        split__train=0.6,
        split__validation=0.2,
        split__test=0.2,
        model__context_length=32,
        model__d_model=16,
        model__n_layers=1,
        pretrain__max_steps=2,
        pretrain__batch_size=2,
        pretrain__sample_tokens=0,
        finetune_instruct__sample_tokens=4,
        evaluate__window_stride=32,
        evaluate__sample_tokens=4,
        evaluate__response_tokens=4,
        runtime__device="cpu",
        runtime__threads=1,
    )


def fill_own_folder(folder: Path) -> None:
    """A made-up story, 40 labelled messages and 20 instructions under data/own/."""
    own = folder / "data" / "own"
    own.mkdir(parents=True, exist_ok=True)
    (own / "story.txt").write_text(story(40), encoding="utf-8")
    rows = "".join(f"{row.label}\t{row.text}\n" for row in messages(40))
    (own / "messages.tsv").write_text(rows, encoding="utf-8")
    answers = json.dumps([row.as_row() for row in instructions(20)])
    (own / "instructions.json").write_text(answers, encoding="utf-8")


def is_to_go_on_from(path: str) -> bool:
    """Whether it is the lock of a training or a state of it, which stay after a fault so that nothing is lost."""
    return Path(path).parts[0] == "checkpoints"


class Project:
    """A folder with params.yaml in which stages are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params: dict[str, Any] = {}

    def write_params(self, params: dict[str, Any]) -> None:
        self.params = copy.deepcopy(params)
        text = json.dumps(params, indent=1).replace(" NaN", " .nan")  # JSON is YAML too, but for this one
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")

    def set(self, **values: Any) -> None:
        """Change parameters; `model__d_model` stands for model.d_model."""
        self.write_params(with_values(self.params, **values))

    def own(self, name: str, data: bytes | str) -> str:
        """Put a file under data/own/; returns its name for the parameters."""
        path = self.folder / "data" / "own" / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return f"data/own/{name}"

    def run(self, name: str) -> Result:
        module, command = STAGES[name]
        return CliRunner().invoke(getattr(importlib.import_module(module), command), [])

    def run_apart(self, name: str, first: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a stage in a process of its own, which runs the Python code `first` before."""
        module, command = STAGES[name]
        return subprocess.run(
            [sys.executable, "-c", f"{first}\nfrom {module} import {command}\n{command}([])"],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def results(self) -> dict[str, bytes]:
        """Every file that a stage has made, with its bytes."""
        return {f"{place}/{name}": data for place in RESULTS for name, data in contents(self.folder / place).items()}

    def everything(self) -> list[str]:
        """All files and folders but unfinished downloads, which are meant to stay."""
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if ".groundup" not in path.relative_to(self.folder).parts
        )

    def refuses(self, name: str, problems: int = 1, *, apart: bool = False, first: str = "") -> list[str]:
        """Run a stage that must fail as a user may see it fail; returns what it said, one line a problem.

        Nothing that was there may have changed, and nothing new may be there.

        Args:
            apart: in a process of its own, which runs the code `first` before.
        """
        results, paths = self.results(), self.everything()
        if apart or first:
            done = self.run_apart(name, first)
            code, stdout, stderr = done.returncode, done.stdout, done.stderr
        else:
            result = self.run(name)
            code, stdout, stderr = result.exit_code, result.stdout, result.stderr
            assert isinstance(result.exception, SystemExit), result.exception  # any other would be a traceback
        assert code == 1, stdout + stderr
        assert stdout == ""
        assert "Traceback" not in stderr
        lines = [line for line in stderr.split("\n") if line.startswith("groundup: ")]
        assert len(lines) == problems, stderr
        assert self.results() == results
        new = {path for path in set(self.everything()) - set(paths) if not is_to_go_on_from(path)}
        assert new <= {"data", "data/raw", "models", "reports"}  # folders around results may be made, empty
        assert all(not any((self.folder / path).iterdir()) for path in new)
        REFUSED.update(line.replace(str(self.folder), "") for line in lines)
        return [line.removeprefix("groundup: ") for line in lines]
