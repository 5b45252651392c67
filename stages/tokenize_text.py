"""tokenize: turn the raw texts into token ids."""

from typing import Any

from groundup.data.raw import read_raw
from groundup.data.sides import TOKENIZER_FOLDER, make_tokenizer, write_tokens
from groundup.files import folder_written_atomically
from groundup.report.tables import METRICS_FILE, write_metrics
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import RAW, REPORTS, TOKENS


@stage("tokenize", reads=("seed", "split", "tokenize"))
def tokenize(params: Any, run: StageRun) -> None:
    """Train a byte-level BPE on the train side (or load GPT-2's vocabulary) and encode all texts."""
    raw = read_raw(RAW)
    tokenizer = make_tokenizer(raw, RAW, params.tokenize, params.split, params.seed)
    with folder_written_atomically(TOKENS) as folder:
        metrics = write_tokens(raw, tokenizer, folder)
    write_metrics(REPORTS / "tokenize" / METRICS_FILE, metrics)
    run.log_figures(metrics)
    run.log_path(TOKENS / TOKENIZER_FOLDER)


if __name__ == "__main__":
    tokenize()
