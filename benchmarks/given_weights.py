"""Loading GPT-2's weights at full size: the memory that it takes, and the scores beside those of `transformers`.

Usage: python benchmarks/given_weights.py [gpt2 gpt2-medium gpt2-large gpt2-xl]

A model of each shape with random weights is written by `transformers`. Each figure is of a process of its own: the most
memory it had while it loaded the file, less what it had before, over the size of the weights.
"""

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from groundup.config import GPT2_SHAPES
from groundup.model.gpt import GPTConfig
from groundup.tokenizer.bpe import byte_alphabet
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.given_weights import load_given_model

TOKENS = torch.arange(64)[None] * 700
VOCAB_SIZE, CONTEXT = 50257, 1024


def resident_bytes() -> int:
    """Memory that the process has now, pages of mapped files included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def write(name: str, folder: Path) -> None:
    shape = GPT2_SHAPES[name]
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=shape.n_layers, n_embd=shape.d_model, n_head=shape.n_heads)).eval()
    with torch.no_grad():
        torch.save(model(TOKENS).logits, folder / "logits.pt")
    model.save_pretrained(folder)


def load(name: str, folder: Path) -> None:
    shape = GPT2_SHAPES[name]
    config = GPTConfig(VOCAB_SIZE, CONTEXT, shape.d_model, shape.n_layers, shape.n_heads)
    tokenizer = Tokenizer([bytes([byte]) for byte in byte_alphabet()])  # the folder has no vocabulary to compare
    gc.collect()
    before, highest, loaded = resident_bytes(), [0], threading.Event()

    def watch() -> None:
        while not loaded.is_set():
            highest[0] = max(highest[0], resident_bytes())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    model = load_given_model(folder, config, tokenizer)
    took_s = time.perf_counter() - began
    loaded.set()
    watcher.join()
    size = 4 * model.n_parameters
    with torch.no_grad():
        difference = (model(TOKENS) - torch.load(folder / "logits.pt", weights_only=True)).abs().max().item()
    print(
        f"{name:12} {size / 1e6:6.0f} MB  loaded in {took_s:5.1f} s, "
        f"most memory {(highest[0] - before) / size:.3f} times the weights, scores differ by {difference:.1e} at most"
    )


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in ("write", "load"):
        {"write": write, "load": load}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
    else:
        for each in sys.argv[1:] or list(GPT2_SHAPES):
            with tempfile.TemporaryDirectory() as base:
                for part in ("write", "load"):
                    subprocess.run([sys.executable, __file__, part, each, base], check=True)
