"""The run of one stage in MLflow, written as the stage tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.params_file import parse_params
from groundup.tracking.pipeline import git_tags, open_pipeline, pipeline_key, record_pipeline
from groundup.tracking.store import FLUSH_AT, CurveRow, Store, size_of

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"  # MLflow's names for how a run can end


class Recorder:
    """A child run of the pipeline's run. It hears what a stage tells and writes it down, curves in batches.

    All that it is told is plain, as JSON has it.

    Args:
        params: all parameters, as they stand in `params.yaml`.
        declared: those that the stage reads, under dotted keys.
    """

    def __init__(self, stage: str, params: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
        self.store, self.stage, self.params = Store(), stage, parse_params(params)
        self.run_id: str | None = None
        self._waiting: list[CurveRow] = []
        key = pipeline_key(self.params)
        self._parent_id = self.store.attempt(lambda: open_pipeline(self.store, self.params, key))
        if self._parent_id is not None:
            tags = {"mlflow.parentRunId": self._parent_id, "stage": stage, **git_tags()}
            self.run_id = self.store.attempt(
                lambda: self.store.get_or_create(stage, "stage.key", f"{key}-{stage}", tags)
            )
        self._attempt(lambda run_id: self.store.log_params(run_id, declared))

    def hear(self, what: str, *details: Any) -> None:
        """One thing that `StageRun` tells."""
        hearers: dict[str, Callable[..., None]] = {
            "row": self._row,
            "rows end": self._flush,
            "sample": self._sample,
            "figures": self._figures,
            "path": self._path,
            "report": self._report,
            "pipeline": self._pipeline,
            "end": self._end,
        }
        hearers[what](*details)

    def _attempt(self, work: Callable[[str], Any], n_bytes: int = 0) -> None:
        """Do something with the run, if there is one."""
        if self.run_id is not None:
            run_id = self.run_id
            self.store.attempt(lambda: work(run_id), n_bytes)

    def _row(self, row: CurveRow) -> None:
        self._waiting.append(row)
        if sum(map(len, self._waiting)) >= FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        self._attempt(lambda run_id: self.store.log_curve(run_id, rows))

    def _sample(self, step: int, text: str) -> None:
        self._attempt(lambda run_id: self.store.client.log_text(run_id, text, f"samples/step_{step:06d}.txt"))

    def _figures(self, flat: Mapping[str, float]) -> None:
        final = {f"final.{key}": value for key, value in flat.items()}
        self._attempt(lambda run_id: self.store.log_figures(run_id, final))

    def _path(self, path: str) -> None:
        self._attempt(lambda run_id: self.store.log_path(run_id, Path(path)), size_of(Path(path)))

    def _report(self, page: str) -> None:
        self._attempt(lambda run_id: self.store.log_report(run_id, Path(page)), size_of(Path(page)))

    def _pipeline(
        self,
        curves: Mapping[str, Sequence[CurveRow]],
        figures: Mapping[str, float],
        artifacts: Sequence[str],
        page: str | None,
    ) -> None:
        paths, shown = [Path(path) for path in artifacts], Path(page) if page else None
        record_pipeline(self.params, curves, figures, paths, None, self.store, shown)

    def _end(self, status: str) -> None:
        self._flush()  # a stage that fails or is killed does not say that its rows end
        self._attempt(lambda run_id: self.store.end(run_id, status))
        parent_id = self._parent_id
        if parent_id is not None and (status != FINISHED or self.stage == "evaluate"):
            self.store.attempt(lambda: self.store.end(parent_id, status))
