"""Memory and time of `download`, `tokenize` and `split` as the corpus grows, up to a gigabyte.

Usage: python benchmarks/large_corpus.py [--megabytes 10 100 1000] [--forms documents text]

The corpus is made up: words of random letters, of which some are much more frequent than others, as in any language.
It comes in two forms: `documents` of about 1.3 kB, one on each line of a `.jsonl` file, and one long `text` of
paragraphs. The stages run as processes of their own in a temporary folder, with the default's parameters and little
other text; told are their time and the largest memory that each had, which should not grow with the corpus. Results go
to `benchmarks/results/large_corpus.json`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_results

from groundup.repeats.project_copy import with_changes

ROOT = Path(__file__).resolve().parents[1]
STAGES = {"download": "stages.download", "tokenize": "stages.tokenize_text", "split": "stages.split"}
FILES = {"documents": "large.jsonl", "text": "large.txt"}
N_WORDS, WORDS_OF_A_PARAGRAPH, PARAGRAPHS_OF_A_DOCUMENT, PARAGRAPHS_AT_ONCE = 20_000, 50, 4, 1000


def paragraphs(seed: int) -> Iterator[list[str]]:
    """Paragraphs without end, some at a time; the word at rank n stands a share of about 1/n (Zipf's law)."""
    generator = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwygpbvkxqjz"))
    words = np.array(["".join(generator.choice(letters, generator.integers(2, 9))) for _ in range(N_WORDS)], object)
    reached = (1 / np.arange(1, N_WORDS + 1)).cumsum()
    while True:
        drawn = generator.random((PARAGRAPHS_AT_ONCE, WORDS_OF_A_PARAGRAPH)) * reached[-1]
        yield [f"{' '.join(row).capitalize()}." for row in words[reached.searchsorted(drawn)]]


def write_corpus(path: Path, size_bytes: int) -> int:
    """A corpus of this size; how many documents it has."""
    documents = 0
    with path.open("w", encoding="utf-8") as file:
        for some in paragraphs(seed=1):
            if path.suffix == ".txt":
                file.write("".join(f"{paragraph}\n\n" for paragraph in some))
                documents = 1
            else:
                for start in range(0, len(some), PARAGRAPHS_OF_A_DOCUMENT):
                    text = "\n\n".join(some[start : start + PARAGRAPHS_OF_A_DOCUMENT])
                    file.write(json.dumps({"text": text}) + "\n")
                    documents += 1
            if file.tell() >= size_bytes:
                return documents
    raise AssertionError("paragraphs do not end")


def measured(stage: str, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of a stage in a folder with params.yaml and data/."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "MLFLOW_TRACKING_URI": "off",
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", STAGES[stage]], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None, "it is a pipe"
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{stage}: {said.strip().splitlines()[-1]}")
    return {"seconds": round(time.perf_counter() - began, 1), "peak_mib": round(used.ru_maxrss / 1024)}


def row_of(form: str, megabytes: int) -> dict[str, Any]:
    """All stages on one corpus."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = folder / "data" / "own" / FILES[form]
        own.parent.mkdir(parents=True)
        changes = {
            "data.corpus": [f"data/own/{own.name}"],
            "data.sample.messages": 1000,
            "data.sample.instructions": 500,
        }
        params = (ROOT / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(with_changes(params, changes), encoding="utf-8")
        documents = write_corpus(own, megabytes * 1_000_000)
        stages = {stage: measured(stage, folder) for stage in STAGES}
        for found in stages.values():
            found["megabytes_per_second"] = round(own.stat().st_size / 1e6 / found["seconds"], 1)
    return {"form": form, "megabytes": megabytes, "documents": documents, "stages": stages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", nargs="+", type=int, default=[10, 100, 1000])
    parser.add_argument("--forms", nargs="+", choices=FILES, default=list(FILES))
    told = parser.parse_args()
    print(f"{'form':10}{'MB':>6}{'documents':>11}  " + "".join(f"{stage:>24}" for stage in STAGES))
    rows = []
    for form in told.forms:
        for megabytes in told.megabytes:
            row = row_of(form, megabytes)
            rows.append(row)
            cells = [f"{found['seconds']:.0f} s, {found['peak_mib']:.0f} MiB" for found in row["stages"].values()]
            print(
                f"{form:10}{megabytes:6}{row['documents']:11}  " + "".join(f"{cell:>24}" for cell in cells), flush=True
            )
            write_results("large_corpus", {"rows": rows})
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"The least that could be measured is this program's own memory, {own:.0f} MiB.")


if __name__ == "__main__":
    main()
