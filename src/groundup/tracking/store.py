"""The connection to MLflow."""

from __future__ import annotations

import getpass
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import GroundupError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

EXPERIMENT = "groundup"
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


def size_of(*paths: Path) -> int:
    """Bytes of all files there, and in folders there."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


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


def _reason(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:160]


def _milliseconds() -> int:
    return int(time.time() * 1000)
