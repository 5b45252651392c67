"""download: bring the raw texts to data/raw/, checked byte for byte."""

from typing import Any

from groundup.console import download_progress, say
from groundup.data.download import download as download_files
from groundup.data.raw import MANIFEST_FILE
from groundup.files import folder_written_atomically
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import RAW, UNFINISHED_DOWNLOADS


@stage("download", reads=("data", "tokenize.tokenizer", "pretrain.init", "finetune_instruct.init"))
def download(params: Any, run: StageRun) -> None:
    """Bring the corpus, the messages, the instructions and, if asked for, GPT-2's vocabulary and weights."""
    with folder_written_atomically(RAW) as folder, download_progress() as progress:
        inits = {"pretrain": params.pretrain.init, "finetune_instruct": params.finetune_instruct.init}
        download_files(params.data, params.tokenize.tokenizer, inits, folder, UNFINISHED_DOWNLOADS, progress, say)
    run.log_path(RAW / MANIFEST_FILE)


if __name__ == "__main__":
    download()
