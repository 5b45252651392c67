"""The mirror of a run in MLflow: a parent run for each pipeline, a child run for each stage.

DVC's files hold the truth; this mirror can be built again from them. So nothing here may stop a stage or slow it: a
server that fails once is warned about once and left alone until the next stage, and `groundup track` fills the gaps.
Only this file imports mlflow, and `groundup.registry`, whose work it is to make models for it.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import GroundupError, StoppedBySignal

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

    from groundup.config import Params

EXPERIMENT = "groundup"
EXITS_BY_SIGNAL = (128 + signal.SIGINT, 128 + signal.SIGTERM)
DESCRIPTION = "mlflow.note.content"  # the tag that the UI shows as a run's description
OFF = "off"  # MLFLOW_TRACKING_URI=off tracks nothing

# With MLflow's own defaults a server that is down blocks each call for 248 seconds.
ENVIRONMENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it prints the address with the password in it
    "GIT_PYTHON_REFRESH": "quiet",
}
# What a stage may wait for a server in all: some seconds, and a share of the time since it began. Files have time of
# their own, by their size.
PATIENCE_S, PATIENCE_SHARE, BYTES_PER_S = 6.0, 0.01, 1e6
PATIENCE_OF_A_PERSON_S = 300.0  # who has asked for nothing but this
FLUSH_AT = 200  # metrics in one call: 0.5 ms each then, against 6 to 24 ms one by one
PARAMS_PER_CALL = 100  # MLflow's limit

# A row of a curve: `step`, and figures at that step.
CurveRow = Mapping[str, float]


def project_root() -> Path:
    """The main checkout, also when DVC runs an experiment in a temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def tracking_uri() -> str:
    """Where runs are kept: MLFLOW_TRACKING_URI, or a SQLite file in the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project_root() / 'mlflow.db'}"


def without_password(uri: str) -> str:
    """The URI as it may be shown: name and password in it are masked."""
    return re.sub(r"//[^/\s]*@", "//***@", uri)


class Store:
    """The connection to MLflow. Each call does its work or, once one has failed, nothing.

    Args:
        patience_s: how long all calls together may take, where a server answers them.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.on = tracking_uri() != OFF
        self._patience_s = patience_s
        self._last_steps: dict[tuple[str, str], int] = {}
        self._began, self._waited_s = time.monotonic(), 0.0

    def attempt(self, work: Callable[[], Any], n_bytes: int = 0) -> Any:
        """The result of the work, or None if tracking is off or fails; the first failure is told in one line.

        Args:
            n_bytes: size of the files that the work sends.
        """
        if not self.on:
            return None
        try:
            self.client  # noqa: B018  # loading MLflow takes seconds, for which no server is to blame
            return self._patiently(work, n_bytes) if tracking_uri().startswith("http") else work()
        except Exception as error:  # whatever a server, a database or a library does: training goes on
            self.on = False
            print(  # noqa: T201
                f"groundup: MLflow at {without_password(tracking_uri())} failed, the stage goes on without: "
                f"{_reason(error)}; `groundup track` fills the gap later",
                file=sys.stderr,
            )
            return None

    def demand(self, work: Callable[[MlflowClient], Any], n_bytes: int = 0) -> Any:
        """As `attempt`, where MLflow is all that somebody has asked for: a failure ends the work.

        Raises: GroundupError if tracking is off or fails.
        """
        if not self.on:
            raise GroundupError(
                "there is no registry to write to",
                got=f"MLFLOW_TRACKING_URI={OFF}",
                allowed="a server's address, or nothing for the project's own mlflow.db",
                do="unset MLFLOW_TRACKING_URI",
            )
        try:
            client = self.client
            return self._patiently(lambda: work(client), n_bytes) if tracking_uri().startswith("http") else work(client)
        except Exception as error:  # whatever a server, a database or a library does
            raise GroundupError(
                f"MLflow at {without_password(tracking_uri())} failed: {_reason(error)}",
                do="start the server, or set MLFLOW_TRACKING_URI, and do it again; what is done is not done twice",
            ) from None

    def _patiently(self, work: Callable[[], Any], n_bytes: int) -> Any:
        """The result of the work, done beside; a server may hang, or answer a byte a minute, and no timeout ends that.

        Raises: TimeoutError when the stage has waited as long as it may; whatever the work raises.
        """
        began = time.monotonic()
        left = self._patience_s + PATIENCE_SHARE * (began - self._began) - self._waited_s + n_bytes / BYTES_PER_S
        results: list[Any] = []
        errors: list[Exception] = []

        def do() -> None:
            try:
                results.append(work())
            except Exception as error:  # it is raised where it is waited for
                errors.append(error)

        worker = threading.Thread(target=do, daemon=True)  # so that the stage can end while the server hangs
        worker.start()
        worker.join(max(0.0, left))
        self._waited_s += max(0.0, time.monotonic() - began - n_bytes / BYTES_PER_S)
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError("its answers take too long")
        return results[0]

    @cached_property
    def client(self) -> MlflowClient:
        for name, value in ENVIRONMENT_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return MlflowClient(tracking_uri=tracking_uri())

    @cached_property
    def experiment_id(self) -> str:
        """The experiment, made if need be. A lock keeps two processes from making the database at once."""
        from filelock import FileLock

        folder = project_root() / ".groundup"
        folder.mkdir(exist_ok=True)
        with FileLock(folder / "mlflow.lock"):
            found = self.client.get_experiment_by_name(EXPERIMENT)
            if found is not None:
                return str(found.experiment_id)
            local = tracking_uri().startswith("sqlite:")
            return str(
                self.client.create_experiment(
                    EXPERIMENT,
                    artifact_location=(project_root() / "mlartifacts").as_uri() if local else None,
                    tags={"mlflow.experimentKind": "custom_model_development"},
                )
            )

    def find(self, tag: str, value: str) -> Run | None:
        """The newest run with this tag."""
        runs = self.client.search_runs(
            [self.experiment_id], f"tags.`{tag}` = '{value}'", max_results=1, order_by=["attributes.start_time DESC"]
        )
        return runs[0] if runs else None

    def get_or_create(self, name: str, tag: str, value: str, tags: dict[str, str]) -> str:
        """The id of the run with this tag, running again if it had ended."""
        from mlflow.entities import RunStatus

        found = self.find(tag, value)
        if found is not None:
            self.client.update_run(found.info.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
            return str(found.info.run_id)
        made = self.client.create_run(
            self.experiment_id,
            run_name=name,
            tags={
                tag: value,
                "mlflow.source.name": "dvc repro",
                "mlflow.source.type": "PROJECT",
                "mlflow.user": getpass.getuser(),
                **tags,
            },
        )
        return str(made.info.run_id)

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        known = self.client.get_run(run_id).data.params
        new = [
            Param(key, json.dumps(value) if isinstance(value, list) else str(value))
            for key, value in params.items()
            if key not in known
        ]
        for start in range(0, len(new), PARAMS_PER_CALL):
            self.client.log_batch(run_id, params=new[start : start + PARAMS_PER_CALL])

    def log_figures(self, run_id: str, figures: Mapping[str, float]) -> None:
        """Final figures, which have no step; those that already stand there are not written again."""
        from mlflow.entities import Metric

        known = self.client.get_run(run_id).data.metrics
        now = _milliseconds()
        new = [Metric(key, value, now, 0) for key, value in figures.items() if known.get(key) != value]
        self._log_metrics(run_id, new)

    def log_curve(self, run_id: str, rows: Sequence[CurveRow], prefix: str = "") -> None:
        """Rows by step, and their losses by tokens too; steps that already stand there are left alone."""
        from mlflow.entities import Metric

        now = _milliseconds()
        new = []
        for row in rows:
            for key, value in row.items():
                if key in ("step", "tokens") or row["step"] <= self.last_step(run_id, prefix + key):
                    continue
                new.append(Metric(prefix + key, value, now, int(row["step"])))
                if key.endswith("loss_nats"):
                    new.append(Metric(f"{prefix}{key}_by_tokens", value, now, int(row["tokens"])))
        self._log_metrics(run_id, new)
        self._last_steps.update({(run_id, metric.key): metric.step for metric in new})

    def _log_metrics(self, run_id: str, metrics: list[Any]) -> None:
        for start in range(0, len(metrics), FLUSH_AT):
            self.client.log_batch(run_id, metrics=metrics[start : start + FLUSH_AT])

    def last_step(self, run_id: str, key: str) -> int:
        """The last step logged under a key before this call, -1 if none."""
        if (run_id, key) not in self._last_steps:
            history = self.client.get_metric_history(run_id, key)
            self._last_steps[run_id, key] = max((metric.step for metric in history), default=-1)
        return self._last_steps[run_id, key]

    def log_path(self, run_id: str, path: Path) -> None:
        """A file, or a folder under its own name, as an artifact; nothing if there is no such path."""
        if path.is_dir():
            self.client.log_artifacts(run_id, str(path), path.name)
        elif path.exists():
            self.client.log_artifact(run_id, str(path))

    def log_report(self, run_id: str, page: Path) -> None:
        """The report for a browser as an artifact, with a link to it in the description above the run's figures."""
        self.log_path(run_id, page)
        place = f"#/experiments/{self.experiment_id}/runs/{run_id}/artifacts/{page.name}"
        self.client.set_tag(run_id, DESCRIPTION, f"The report is the artifact [{page.name}]({place}).")

    def end(self, run_id: str, status: str) -> None:
        self.client.set_terminated(run_id, status=status)


class StageRun:
    """One stage as MLflow sees it. It is an observer of trainings: rows go out in batches while a training runs."""

    def __init__(self, store: Store, run_id: str | None) -> None:
        self.store, self.run_id = store, run_id
        self.waiting: list[dict[str, float]] = []

    def attempt(self, work: Callable[[str], Any], n_bytes: int = 0) -> None:
        """Do something with the run, if there is one."""
        if self.run_id is not None:
            run_id = self.run_id
            self.store.attempt(lambda: work(run_id), n_bytes)

    def started(self, max_steps: int) -> None:
        pass

    def resumed(self, outcome: Any) -> None:
        """What was logged before the training was stopped; steps that MLflow has already are left alone."""
        for row in outcome.train_rows:
            self._wait(_train_figures(row))
        for row in outcome.validation_rows:
            self.validated(row)
        for step, text in outcome.samples:
            self.sampled(step, text)
        self._flush()

    def logged(self, row: Any, tokens_per_s: float) -> None:
        self._wait({**_train_figures(row), "tokens_per_s": tokens_per_s})

    def validated(self, row: dict[str, float]) -> None:
        self._wait({key if key in ("step", "tokens") else f"validation_{key}": value for key, value in row.items()})

    def sampled(self, step: int, text: str) -> None:
        self.attempt(lambda run_id: self.store.client.log_text(run_id, text, f"samples/step_{step:06d}.txt"))

    def ended(self, outcome: Any) -> None:
        self._flush()

    def _wait(self, row: dict[str, float]) -> None:
        self.waiting.append(row)
        if sum(map(len, self.waiting)) >= FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        rows, self.waiting = self.waiting, []
        self.attempt(lambda run_id: self.store.log_curve(run_id, rows))

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """The stage's metrics file, its sections joined by dots."""
        flat = flat_figures(figures)
        self.attempt(
            lambda run_id: self.store.log_figures(run_id, {f"final.{key}": value for key, value in flat.items()})
        )

    def log_path(self, path: Path) -> None:
        """A file, or a folder under its own name, as an artifact."""
        self.attempt(lambda run_id: self.store.log_path(run_id, path), size_of(path))

    def log_report(self, page: Path) -> None:
        """The report as an artifact, with a link to it on the run."""
        self.attempt(lambda run_id: self.store.log_report(run_id, page), size_of(page))


def size_of(*paths: Path) -> int:
    """Bytes of all files there, and in folders there."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


def _train_figures(row: Any) -> dict[str, float]:
    return {
        "step": row.step,
        "tokens": row.tokens,
        "train_loss_nats": row.loss_nats,
        "learning_rate": row.learning_rate,
        "grad_norm": row.grad_norm,
    }


def flat_figures(value: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a nested mapping under dotted keys."""
    flat: dict[str, float] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            flat.update(flat_figures(inner, f"{prefix}{key}."))
        elif isinstance(inner, int | float):
            flat[_metric_key(prefix + key)] = float(inner)
    return flat


def _metric_key(key: str) -> str:
    return re.sub(r"[^\w. -]", "_", key)  # what MLflow accepts in a name; a label such as a//b would be no path to it


@contextlib.contextmanager
def track_stage(stage: str, params: Params, declared: Mapping[str, Any]) -> Iterator[StageRun]:
    """A child run of the pipeline's run, ended as the stage ends.

    Args:
        declared: the parameters that the stage reads, under dotted keys.
    """
    store = Store()
    key = pipeline_key(params)
    parent_id = store.attempt(lambda: open_pipeline(store, params, key))
    run_id = None
    if parent_id is not None:
        tags = {"mlflow.parentRunId": parent_id, "stage": stage, **git_tags()}
        run_id = store.attempt(lambda: store.get_or_create(stage, "stage.key", f"{key}-{stage}", tags))
    run = StageRun(store, run_id)
    run.attempt(lambda run_id: store.log_params(run_id, declared))
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (StoppedBySignal, SystemExit) as stopped:  # a training exits by itself once its state is kept
        if isinstance(stopped, StoppedBySignal) or stopped.code in EXITS_BY_SIGNAL:
            status = "KILLED"
        raise
    finally:
        run.attempt(lambda run_id: store.end(run_id, status))
        if parent_id is not None and (status != "FINISHED" or stage == "evaluate"):
            store.attempt(lambda: store.end(parent_id, status))


def open_pipeline(store: Store, params: Params, key: str) -> str:
    """The pipeline's parent run for these parameters and this code, with all parameters."""
    from groundup.config import flatten

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
    from groundup.config import flatten

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


def _reason(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:160]


def _milliseconds() -> int:
    return int(time.time() * 1000)
