"""Where the stages read and write; `dvc.yaml` names the same places."""

from pathlib import Path

RAW = Path("data/raw")
GIVEN_TO_PRETRAIN, GIVEN_TO_INSTRUCT = RAW / "weights" / "pretrain", RAW / "weights" / "finetune_instruct"
TOKENS = Path("data/tokens")
SPLITS = Path("data/splits")
TOKENIZER = TOKENS / "tokenizer"
PRETRAINED = Path("models/pretrained")
CLASSIFIER = Path("models/classifier")
INSTRUCTED = Path("models/instructed")
REPORTS = Path("reports")
EVALUATION = REPORTS / "evaluate"
UNFINISHED_DOWNLOADS = Path(".groundup/downloads")
