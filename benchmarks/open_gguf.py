"""An exported GGUF file in llama.cpp itself, against the model as it is here: token ids, scores, greedy continuations.

Usage: python benchmarks/open_gguf.py [MODEL ...]   (after `make repro` and `pip install gguf xllamacpp`)
Two packages hold llama.cpp, in versions of their own: xllamacpp comes built, llama_cpp_python is built when it is
installed. Each that is there is measured. One core and an fp32 cache, so that nothing is rounded that need not be.
"""

import importlib.util
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.data.instructions import format_prompt
from groundup.export_gguf import export_gguf
from groundup.generate import generate
from groundup.model import layers
from groundup.model.gpt import GPT
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model

TEXTS = [
    "One morning the fox went home.",
    "Whether 'tis nobler: that we can't, won't, I'll, you've, they're, SHAN'T 1234 times?",
    "naïve café, 東京 and 東京, 😀😀 — ßẞ, ½ ², مرحبا, नमस्ते, \u00a0no break\u200bat all",
    " leading,  two  and   three spaces, \ttabs\t\tand trailing   ",
    "\n\nlines\n \n\n  between\r\nthem\n",
    "<|endoftext|> is plain text here",
    "\x00\x7f\ufeff\U0010ffff",
]
PROMPTS = [
    "One morning",
    "In the lesson Anna asked the pupils.",
    format_prompt("What colour is the fox?"),
    format_prompt("Count these words.", "fox, bread, mill"),
]
NEW_TOKENS = 48


class Runtime(Protocol):
    """What llama.cpp makes of a GGUF file.

    Shapes:  scores (V,), what comes after the ids; up to a constant where the runtime gives log-probabilities
    """

    def tokens(self, text: str) -> list[int]: ...
    def scores(self, ids: list[int]) -> np.ndarray: ...
    def greedy(self, ids: list[int], n_tokens: int) -> list[int]: ...
    def close(self) -> None: ...


class LlamaCppPython:
    """Through the package llama_cpp_python, which gives the logits themselves."""

    def __init__(self, path: Path, context_length: int) -> None:
        import llama_cpp

        self.model = llama_cpp.Llama(
            str(path),
            n_ctx=context_length,
            n_threads=1,
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            flash_attn=False,
            logits_all=True,
            verbose=False,
        )

    def tokens(self, text: str) -> list[int]:
        return self.model.tokenize(text.encode(), add_bos=False, special=False)

    def scores(self, ids: list[int]) -> np.ndarray:
        self.model.reset()
        self.model.eval(ids)
        return np.array(self.model.scores[len(ids) - 1])

    def greedy(self, ids: list[int], n_tokens: int) -> list[int]:
        written: list[int] = []
        for token in self.model.generate(ids, temp=0.0, repeat_penalty=1.0):
            if token == self.model.token_eos() or len(written) == n_tokens:
                break
            written.append(token)
        return written

    def close(self) -> None:
        self.model.close()


class XLlamaCpp:
    """Through the package xllamacpp: llama.cpp's server, on this machine only, asked over HTTP."""

    def __init__(self, path: Path, context_length: int) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.warmup, params.verbosity = context_length, 1, False, -1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.server: Any = xllamacpp.Server(params)
        self.ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(self.server.listening_address + path, data, kind)
        with self.ask(request, timeout=60) as answer:
            return json.load(answer)

    def tokens(self, text: str) -> list[int]:
        return self._post("/tokenize", {"content": text, "add_special": False, "parse_special": False})["tokens"]

    def _complete(self, ids: list[int], n_tokens: int, **more: Any) -> Any:
        body = {"prompt": ids, "n_predict": n_tokens, "temperature": 0, "cache_prompt": False}
        return self._post("/completion", {**body, "return_tokens": True, **more})

    def scores(self, ids: list[int]) -> np.ndarray:
        # No log-probabilities come back with <|endoftext|> or half a character, so a letter is forced to come next;
        # they are those from before it was forced.
        forced = [[self.tokens("a")[0], 1000]]
        (first,) = self._complete(ids, 1, n_probs=1_000_000, logit_bias=forced)["completion_probabilities"]
        log_probabilities = {each["id"]: each["logprob"] for each in first["top_logprobs"]}
        return np.array([log_probabilities[token] for token in range(len(log_probabilities))])

    def greedy(self, ids: list[int], n_tokens: int) -> list[int]:
        return self._complete(ids, n_tokens)["tokens"]

    def close(self) -> None:
        del self.server


RUNTIMES: dict[str, Callable[[Path, int], Runtime]] = {"llama_cpp": LlamaCppPython, "xllamacpp": XLlamaCpp}


def table_gelu(x: Tensor) -> Tensor:
    """GELU as llama.cpp looks it up on a CPU: from a table of fp16 values, by the fp16 value of what goes in."""
    looked_up = F.gelu(x.half().float(), approximate="tanh").half().float()
    return torch.where(x <= -10, 0.0, torch.where(x >= 10, x, looked_up))


@contextmanager
def rounded_gelu() -> Iterator[None]:
    """Our models with llama.cpp's GELU, to see whether that is all that parts them."""
    ours = layers.gelu
    layers.gelu = table_gelu
    try:
        yield
    finally:
        layers.gelu = ours


@torch.no_grad()
def furthest(model: GPT, ids: list[int], scores: np.ndarray) -> float:
    """How far apart the scores after some tokens are, whatever constant was added to all of them."""
    ours = model(torch.tensor([ids]))[0, -1].double().numpy()
    assert ours.shape == scores.shape
    apart = ours - scores
    return float(np.abs(apart - np.median(apart)).max())


def measure(folder: Path, name: str, path: Path) -> str:
    """One line on a model in a runtime."""
    model, tokenizer, _ = load_model(folder)
    runtime = RUNTIMES[name](path, model.config.context_length)
    same = sum(runtime.tokens(text) == tokenizer.encode(text) for text in TEXTS + PROMPTS)
    plain, rounded, equal = 0.0, 0.0, 0
    for prompt in PROMPTS:
        ids = tokenizer.encode(prompt)
        ours = generate(model, [ids], NEW_TOKENS, stop_id=tokenizer.end_of_text_id)[0]
        equal += without_end(tokenizer, runtime.greedy(ids, NEW_TOKENS)) == without_end(tokenizer, ours)
        for end in range(1, len(ids + ours) + 1, 5):
            scores = runtime.scores((ids + ours)[:end])
            plain = max(plain, furthest(model, (ids + ours)[:end], scores))
            with rounded_gelu():
                rounded = max(rounded, furthest(model, (ids + ours)[:end], scores))
    runtime.close()
    texts, prompts = len(TEXTS) + len(PROMPTS), len(PROMPTS)
    return (
        f"{name:10} {folder.name:12} tokens of {same} of {texts} texts, {equal} of {prompts} continuations are ours; "
        f"logits {plain:.1e} apart at most, {rounded:.1e} with GELU from an fp16 table"
    )


def without_end(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    return [token for token in ids if token != tokenizer.end_of_text_id]


def main(folders: list[Path]) -> None:
    found = [name for name in RUNTIMES if importlib.util.find_spec(name)]
    if not found:
        sys.exit("no runtime is installed; to mend it: pip install xllamacpp")
    with tempfile.TemporaryDirectory() as place:
        for folder in folders:
            path = Path(place) / f"{folder.name}.gguf"
            export_gguf(folder, path)
            for name in found:
                print(measure(folder, name, path), flush=True)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or [Path("models/pretrained"), Path("models/instructed")])
