"""Labelling a file against labelling its texts one by one: the same classifier, in turns, in one process.

Usage: python benchmarks/classify.py [ROWS]   (after `make repro`)
"""

import csv
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

from groundup.data.sample.messages import sample_messages
from groundup.data.sample.world import World
from groundup.params_file import load_params
from groundup.use.labelling import label_file, load_labeller

TURNS = 3
ALONE = 300  # texts that are labelled one by one in a turn


def main(n_rows: int) -> None:
    sample = load_params().data.sample
    texts = [row.text for row in sample_messages(World(sample.seed, sample.world_size), sample.seed + 1, n_rows)]
    labeller = load_labeller(Path("models/classifier"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "messages.csv"
        with source.open("w", newline="") as file:
            csv.writer(file).writerows([["id", "text"], *enumerate(texts)])
        ratios = []
        for turn in range(TURNS):
            began = time.perf_counter()
            for text in texts[turn * ALONE : (turn + 1) * ALONE]:
                labeller.say(text)
            alone = ALONE / (time.perf_counter() - began)
            began = time.perf_counter()
            written = io.StringIO()
            counts = label_file(labeller, source, written, "text", print)
            together = counts.rows / (time.perf_counter() - began)
            ids = [row["id"] for row in csv.DictReader(io.StringIO(written.getvalue()))]
            assert ids == [str(number) for number in range(n_rows)], "rows are missing or have changed their places"
            ratios.append(together / alone)
            print(f"one by one {alone:,.0f} texts/s, as a file {together:,.0f} texts/s: {ratios[-1]:.1f} times")
    print(f"{n_rows} rows, all kept in their order; {statistics.median(ratios):.1f} times the throughput (median)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
