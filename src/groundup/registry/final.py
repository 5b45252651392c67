"""The final models of a finished pipeline, with the figures that its evaluation has measured for them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.files import missing_file, read_json, sha256_of_file
from groundup.params_file import read_yaml
from groundup.registry.champion import Figure
from groundup.registry.figures import FIGURES, Evaluation
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE
from groundup.train.checkpoint import DESCRIPTION_FILE, WEIGHTS_FILE

MODELS, SPLITS, SUMMARY, LOCK = Path("models"), Path("data/splits"), Path("reports/summary.json"), Path("dvc.lock")
FILES = (WEIGHTS_FILE, DESCRIPTION_FILE, ENCODER_FILE, MERGES_FILE)  # of a model; what else lies there is for people


@dataclass(frozen=True)
class Final:
    """A model that the last evaluation has measured."""

    name: str
    evaluation: Evaluation

    @property
    def folder(self) -> Path:
        return MODELS / self.name

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights, and of all that makes the model answer as it does."""
        each = {name: sha256_of_file(self.folder / name) for name in FILES}
        whole = hashlib.sha256(json.dumps(each, sort_keys=True).encode())
        return {"weights.sha256": each[WEIGHTS_FILE], "model.sha256": whole.hexdigest()}

    def figure(self) -> Figure:
        """The figure that decides whether it becomes the champion."""
        return FIGURES[self.name](self.folder, self.evaluation)


def read_finals(names: Sequence[str]) -> list[Final]:
    """The models of these names.

    Raises: GroundupError if anything is missing, or is not what the last evaluation has measured or written.
    """
    evaluation = _locked("evaluate")
    known = {entry["path"]: entry["md5"] for kind in ("deps", "outs") for entry in evaluation[kind]}
    for path in (SUMMARY, SPLITS, *(MODELS / name for name in names)):
        if not path.exists():
            raise missing_file(path)
        found = dvc_md5(path)
        if found != known.get(str(path)):
            raise GroundupError(
                f"{path} does not belong to the last evaluation",
                got=f"md5 {found}",
                allowed=f"{known.get(str(path))}, as {LOCK} has it",
                do="measure what is there with `dvc repro`, or bring back what was measured with `dvc checkout`",
            )
    measured = Evaluation(evaluation["params"]["params.yaml"]["evaluate"], read_json(SUMMARY), SPLITS)
    return [Final(name, measured) for name in names]


def _locked(stage: str) -> Any:
    """A stage's entry in DVC's lock file."""
    if not LOCK.is_file():
        raise missing_file(LOCK)
    lock = read_yaml(LOCK)
    stages = lock.get("stages", {}) if isinstance(lock, dict) else {}
    if stage not in stages:
        raise GroundupError(f"{LOCK}: the stage {stage} has not run", do="run `dvc repro`")
    return stages[stage]


def dvc_md5(path: Path) -> str:
    """The hash under which DVC 3 knows a file or a folder.

    Oracle:  dvc_data.hashfile
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    listed = [{"md5": dvc_md5(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
