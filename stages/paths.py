"""Where the stages read and write; `dvc.yaml` names the same places."""

from pathlib import Path

RAW = Path("data/raw")
TOKENS = Path("data/tokens")
SPLITS = Path("data/splits")
TOKENIZER = TOKENS / "tokenizer"
PRETRAINED = Path("models/pretrained")
CLASSIFIER = Path("models/classifier")
INSTRUCTED = Path("models/instructed")
REPORTS = Path("reports")
EVALUATION = REPORTS / "evaluate"
UNFINISHED_DOWNLOADS = Path(".groundup/downloads")
