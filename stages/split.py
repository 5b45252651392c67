"""split: give every text to one of three sides, and check that none stands on two."""

from typing import Any

from groundup.data.sides import write_sides
from groundup.files import folder_written_atomically
from groundup.report.tables import METRICS_FILE, write_metrics
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import REPORTS, SPLITS, TOKENS


@stage("split", reads=("seed", "split"))
def split(params: Any, run: StageRun) -> None:
    """Write the train, validation and test sides of all three kinds of text, with a leakage report."""
    with folder_written_atomically(SPLITS) as folder:
        metrics = write_sides(TOKENS, folder, params.split, params.seed)
    write_metrics(REPORTS / "split" / METRICS_FILE, metrics)
    run.log_figures(metrics)


if __name__ == "__main__":
    split()
