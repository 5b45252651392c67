"""A finished pipeline's files, as the mirror in MLflow wants them."""

from pathlib import Path
from typing import NamedTuple

from groundup.config import Params
from groundup.files import read_json
from groundup.report.say import HTML_FILE
from groundup.report.tables import METRICS_FILE, TRAIN_FILE, VALIDATION_FILE, read_table
from groundup.tracking.pipeline import record_pipeline
from groundup.tracking.store import flat_figures

STAGES_WITH_METRICS = ("tokenize", "split", "pretrain", "finetune_cls", "finetune_instruct")
TRAININGS = STAGES_WITH_METRICS[2:]


class Finished(NamedTuple):
    """Curves of each training by step, final figures, artifacts, and the report for a browser if there is one."""

    curves: dict[str, list[dict[str, float]]]
    figures: dict[str, float]
    artifacts: list[Path]
    page: Path | None


def record_reports(params: Params, reports: Path, lock: Path) -> str | None:
    """Write curves, final figures and the report of a finished pipeline onto its run.

    Args:
        lock: DVC's lock file.

    Returns: the run's id, or None if tracking is off or failed.
    Raises: GroundupError if the pipeline is not finished.
    """
    finished = read_reports(reports)
    return record_pipeline(params, finished.curves, finished.figures, finished.artifacts, lock, page=finished.page)


def read_reports(reports: Path) -> Finished:
    """What the files of a finished pipeline tell.

    Raises: GroundupError if the pipeline is not finished.
    """
    summary = read_json(reports / "summary.json")
    curves: dict[str, list[dict[str, float]]] = {}
    figures = flat_figures(summary)
    for stage in TRAININGS:
        train = read_table(reports / stage / TRAIN_FILE)
        validation = read_table(reports / stage / VALIDATION_FILE)
        curves[stage] = [_renamed(row, "train_", keep=("learning_rate", "grad_norm")) for row in train]
        curves[stage] += [_renamed(row, "validation_") for row in validation]
    for stage in STAGES_WITH_METRICS:
        figures |= flat_figures(read_json(reports / stage / METRICS_FILE), f"final.{stage}.")
    artifacts = [reports / "evaluate", reports / "summary.json"]
    page = reports / HTML_FILE
    shown = page if page.exists() else None  # a run of before there was one has none
    return Finished(curves, figures, artifacts, shown)


def _renamed(row: dict[str, float], prefix: str, keep: tuple[str, ...] = ()) -> dict[str, float]:
    return {key if key in ("step", "tokens", *keep) else prefix + key: value for key, value in row.items()}
