"""The run of a whole pipeline: what makes two of them the same, and how one is written from DVC's files."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from groundup.config import Params, flatten
from groundup.tracking.store import PATIENCE_OF_A_PERSON_S, CurveRow, Store, size_of


def open_pipeline(store: Store, params: Params, key: str) -> str:
    """The pipeline's parent run for these parameters and this code, with all parameters."""
    run_id = store.get_or_create(f"pipeline {key[:8]}", "pipeline.key", key, git_tags())
    store.log_params(run_id, flatten(params))
    return run_id


def record_pipeline(
    params: Params,
    curves: Mapping[str, Sequence[CurveRow]],
    figures: Mapping[str, float],
    artifacts: Sequence[Path],
    lock: Path | None,
    store: Store | None = None,
    page: Path | None = None,
) -> str | None:
    """Write a whole pipeline, from DVC's files, onto its parent run; doing so twice changes nothing.

    Args:
        curves: rows by step of each training; they stand on the parent as `stage/figure`, so that the UI compares
            pipelines in one chart.
        lock: DVC's lock file, whose hash becomes a tag.
        page: the report for a browser, which the run links to.
    Returns: the id of the run, or None if tracking is off or failed.
    """
    store = store or Store(PATIENCE_OF_A_PERSON_S)
    key = pipeline_key(params)

    def work() -> str:
        run_id = open_pipeline(store, params, key)
        for name, rows in curves.items():
            store.log_curve(run_id, rows, prefix=f"{name}/")
            stage = name.replace("_", "-")  # as DVC calls it
            if store.find("stage.key", f"{key}-{stage}") is None:
                store.client.set_tag(run_id, f"reused.{stage}", "true")
        store.log_figures(run_id, figures)
        for path in artifacts:
            store.log_path(run_id, path)
        if page:
            store.log_report(run_id, page)
        if lock is not None and lock.exists():
            store.client.set_tag(run_id, "dvc.lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest())
        store.end(run_id, "FINISHED")
        return run_id

    run_id: str | None = store.attempt(work, size_of(*artifacts, *([page] if page else [])))
    return run_id


def pipeline_key(params: Params) -> str:
    """What makes two pipelines the same run: parameters, code, and the user's own files."""
    values = {key: value for key, value in flatten(params).items() if not key.startswith("runtime.")}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for pattern in ("dvc.yaml", "src/**/*.py", "src/**/*.jinja", "stages/*.py", "data/own/**/*"):
        for path in sorted(Path().glob(pattern)):
            if path.is_file():
                digest.update(f"{path} ".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def git_tags() -> dict[str, str]:
    """The commit, and whether files differ from it; nothing outside a git checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(_git("status", "--porcelain"))).lower()}
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
