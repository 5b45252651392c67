"""Writing the texts of the sample world to files, in as little memory for a gigabyte as for a page."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from groundup.config import SampleParams
from groundup.data.sample.instructions import sample_instructions
from groundup.data.sample.messages import sample_messages
from groundup.data.sample.stories import sample_stories
from groundup.data.sample.world import World
from groundup.files import file_written_atomically

BYTES_PER_MB = 1_000_000


def make_sample(name: str, params: SampleParams, path: Path, progress: Callable[[int, int], None]) -> int:
    """Write `sample-stories` (.jsonl), `sample-messages` (.csv) or `sample-instructions` (.jsonl).

    Args:
        progress: is called with the bytes written so far and those expected (0: not known beforehand).

    Returns: how many rows were written.
    Raises: KeyError for another name.
    """
    lines = {"sample-stories": _stories, "sample-messages": _messages, "sample-instructions": _instructions}[name]
    rows = size = 0
    expected = int(params.corpus_mb * BYTES_PER_MB) if name == "sample-stories" else 0
    with file_written_atomically(path) as file:
        for line in lines(params):
            data = line.encode()
            file.write(data)
            rows += 1
            size += len(data)
            if rows % 1000 == 0:
                progress(size, expected)
    progress(size, size)
    return rows - (name == "sample-messages")  # the header is no row


def _stories(params: SampleParams) -> Iterator[str]:
    world = World(params.seed, params.world_size)
    for text, bits in sample_stories(world, params.seed, int(params.corpus_mb * BYTES_PER_MB)):
        yield json.dumps({"text": text, "surprisal_bits": round(bits, 2)}, ensure_ascii=False) + "\n"


def _messages(params: SampleParams) -> Iterator[str]:
    yield _csv_line("label", "text", "best_guess")
    for row in sample_messages(World(params.seed, params.world_size), params.seed, params.messages):
        yield _csv_line(row.label, row.text, row.best_guess)


def _csv_line(*fields: str) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(fields)
    return buffer.getvalue()


def _instructions(params: SampleParams) -> Iterator[str]:
    for row in sample_instructions(World(params.seed, params.world_size), params.seed, params.instructions):
        yield json.dumps(vars(row), ensure_ascii=False) + "\n"
