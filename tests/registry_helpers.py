"""A finished pipeline in miniature, for the tests of MLflow's registry: tiny models, and reports."""

import json
from pathlib import Path
from typing import Any

import torch
from imports import ROOT

from groundup.data.rows import write_rows
from groundup.data.token_store import write_token_store
from groundup.model.gpt import GPT, GPTClassifier, GPTConfig
from groundup.registry.final import LOCK, MODELS, SPLITS, SUMMARY, dvc_md5
from groundup.seeding import seed_torch
from groundup.tokenizer.bpe import byte_alphabet
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import save_model

TOKENIZER = Tokenizer([bytes([byte]) for byte in byte_alphabet()])
DOCUMENTS = [
    f"The {animal} sat on {number} mats." * (1 + number % 3)
    for number in range(9)
    for animal in ("cat", "rat", "owl", "fox", "ant", "elk", "emu")
]
EVALUATION = {"window_stride": 40, "batch_size": 8, "confidence": 0.95, "response_tokens": 16}
SECTIONS: dict[str, Any] = {
    "language_model": {"bits_per_byte": 2.5},
    "classifier": {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.94, "rows": 200},
    "instruct": {"exact_match": 0.6, "rows": 50},
}


def make_project(folder: Path) -> None:
    """Models, splits, reports, parameters and DVC's lock file, in their places below a folder."""
    write_classifier(folder, seed=0)
    for name, seed in (("pretrained", 1), ("instructed", 2)):
        (folder / MODELS / name).mkdir(parents=True)
        save_model(folder / MODELS / name, tiny_gpt(seed), TOKENIZER, {})
    (folder / MODELS / "instructed" / "from_random").mkdir()
    save_model(folder / MODELS / "instructed" / "from_random", tiny_gpt(3), TOKENIZER, {})
    corpus = [TOKENIZER.encode(text) for text in DOCUMENTS]
    write_token_store(folder / SPLITS / "corpus" / "test", corpus, TOKENIZER.vocab_size)
    for kind in ("messages", "instructions"):
        (folder / SPLITS / kind / "test").mkdir(parents=True)
        write_rows(folder / SPLITS / kind / "test" / "rows.jsonl", [{"text": f"one of the {kind}"}])
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    write_reports(folder)


def tiny_gpt(seed: int) -> GPT:
    """A model with wide weights, so that its scores differ well from text to text."""
    seed_torch(seed, "tiny registered model")
    model = GPT(GPTConfig(TOKENIZER.vocab_size, context_length=300, d_model=16, n_layers=1, n_heads=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return model


def write_classifier(folder: Path, seed: int) -> None:
    """Another classifier for another seed."""
    place = folder / MODELS / "classifier"
    place.mkdir(parents=True, exist_ok=True)
    save_model(place, GPTClassifier(tiny_gpt(seed), 2), TOKENIZER, {"labels": ["ham", "spam"], "threshold": 0.5})


def write_reports(folder: Path, **changes: float) -> None:
    """The summary, with other figures of the classifier where they are given, and the lock file that goes with it."""
    summary = {**SECTIONS, "classifier": {**SECTIONS["classifier"], **changes}}
    (folder / SUMMARY).parent.mkdir(exist_ok=True)
    (folder / SUMMARY).write_text(json.dumps(summary))
    deps = [SPLITS, *(MODELS / name for name in ("pretrained", "classifier", "instructed"))]
    evaluate = {
        "deps": [{"path": str(path), "md5": dvc_md5(folder / path)} for path in deps],
        "params": {"params.yaml": {"evaluate": EVALUATION}},
        "outs": [{"path": str(SUMMARY), "md5": dvc_md5(folder / SUMMARY)}],
    }
    (folder / LOCK).write_text(json.dumps({"schema": "2.0", "stages": {"evaluate": evaluate}}))  # JSON is YAML, too
