"""On which machine a benchmark ran, and where its results lie."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "tiktoken", "tokenizers", "transformers", "llms-from-scratch", "litgpt")
PRODUCTS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what a CPU can multiply with


def facts() -> dict[str, Any]:
    """Processor, cores, and the versions of what was measured; no names of hosts or people."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    rows = dict(line.split(":", 1) for line in cpuinfo.split("\n\n")[0].splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in rows.items()}
    flags = told.get("flags", "").split()
    return {
        "processor": told.get("model name", platform.processor()),
        "family_and_model": f"{told.get('cpu family', '?')}/{told.get('model', '?')}",
        "cores": os.cpu_count(),
        "products": [flag for flag in PRODUCTS if flag in flags],
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def installed(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def in_a_process(script: str, way: str, *options: object) -> dict[str, float]:
    """What a benchmark prints last, as JSON, when it measures one of its ways in a process of its own."""
    command = [sys.executable, script, "--way", way, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def gpt2_config(shape: Any, **others: Any) -> Any:
    """The peer's description of a model of a benchmark's shape, without dropout."""
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.context_length,
        n_embd=shape.d_model,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **others,
    )


def earlier_results(name: str) -> dict[str, Any]:
    """What `write_results` wrote before, nothing if it did not."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write_results(name: str, results: dict[str, Any]) -> Path:
    """Results with the machine they are of, as `benchmarks/results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": facts(), **results}, indent=2) + "\n", encoding="utf-8")
    return path
