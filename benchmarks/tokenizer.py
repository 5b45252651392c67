"""Training a vocabulary and encoding into a token store, beside Hugging Face's `tokenizers` and bare tiktoken.

Usage: python benchmarks/tokenizer.py [--rounds 3] [--megabytes 1 10] [--encode-megabytes 12]

Training: the merges of both must be the same. `tokenizers` is fed in lines or documents, which it spreads over the
cores, and as one string; ours is compared with the faster of the two. How time grows with the corpus is measured on
made-up words, few frequent and ever more rare ones (Zipf's law), since repeating a text would repeat its words and
cost nothing; above 10 MB there is one round.

Encoding: ours writes a token store to disk; the peers only encode, and keep what they get in memory. tiktoken is
given the text in large pieces, its fastest way, by as many threads as there are cores. Memory is what a process has
at its peak above what it had before.

The ways go in turns, round after round; a ratio is taken within a round, and the median is told with the lowest and
the highest. The text is tinyshakespeare, from GROUNDUP_MIRROR or ../shared/data. Results go to
`benchmarks/results/tokenizer.json`.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import in_a_process, write_results

from groundup.data.token_store import write_token_store
from groundup.tokenizer.bpe import byte_to_character, train_bpe
from groundup.tokenizer.encoding import Tokenizer

CORES = os.cpu_count() or 1
VOCAB_SIZES = (4096, 1536)
DOCUMENT_BYTES = {"documents of 300 bytes": 300, "documents of 2 KB": 2000, "one text": None}
OURS = "groundup, into a store"
SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvwxyz" for vowel in "aeiou"]


@cache
def shakespeare() -> str:
    mirror = Path(os.environ.get("GROUNDUP_MIRROR", "../shared/data"))
    return (mirror / "tinyshakespeare.txt").read_text(encoding="utf-8")


def made_up(megabytes: float) -> Iterator[str]:
    """Documents of 400 words whose number of distinct words grows with about the power 0.7 of the text."""
    rng = np.random.default_rng(0)
    n_bytes = 0
    while n_bytes < megabytes * 1e6:
        ranks = np.minimum(rng.pareto(0.4, 400) * 4, 1e12).astype(np.int64).tolist()
        text = " ".join(map(word_of, ranks)) + ".\n"
        n_bytes += len(text)
        yield text


def word_of(rank: int) -> str:
    """The word of a rank: the rarer, the longer."""
    word = SYLLABLES[rank % 100]
    while rank := rank // 100:
        word += SYLLABLES[(rank - 1) % 100]
    return word


def trained_by_hugging_face(texts: list[str], vocab_size: int) -> dict[str, int]:
    from tokenizers import Tokenizer as HuggingFaceTokenizer
    from tokenizers import models, pre_tokenizers, trainers

    tokenizer = HuggingFaceTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return dict(tokenizer.get_vocab())


def same_merges(vocabulary: list[bytes], peer: dict[str, int]) -> bool:
    """Whether both learned the same tokens in the same order."""
    characters = byte_to_character()
    return peer == {"".join(characters[byte] for byte in token): n for n, token in enumerate(vocabulary)}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def training_of(texts: list[str], pieces: list[str], vocab_size: int, rounds: int) -> dict[str, Any]:
    """Seconds of both trainers, ours on the texts, the peer's on these and on the texts in other pieces."""
    ours, peers = [], []
    for _ in range(rounds):
        spent, vocabulary = timed(lambda: train_bpe(texts, vocab_size))
        ours.append(spent)
        each = [timed(partial(trained_by_hugging_face, fed, vocab_size)) for fed in (texts, pieces)]
        assert all(same_merges(vocabulary, peer) for _, peer in each)
        peers.append(min(spent for spent, _ in each))
    return {
        "megabytes": round(sum(len(text.encode()) for text in texts) / 1e6, 1),
        "vocab_size": vocab_size,
        "seconds": round(statistics.median(ours), 3),
        "tokenizers_seconds": round(statistics.median(peers), 3),
        "ours_takes_times": spread([own / peer for own, peer in zip(ours, peers, strict=True)]),
    }


def spread(values: list[float]) -> list[float]:
    """Median, lowest, highest."""
    return [round(value, 2) for value in (statistics.median(values), min(values), max(values))]


def documents(kind: str, megabytes: float) -> list[str]:
    """Text to encode, in documents whose lengths vary around that of the kind."""
    text = shakespeare() * max(1, round(megabytes * 1e6 / len(shakespeare())))
    mean = DOCUMENT_BYTES[kind]
    if mean is None:
        return [text]
    lengths = np.random.default_rng(0).exponential(mean, 2 * len(text) // mean).astype(int) + 1
    ends = np.cumsum(lengths)
    places = [0, *ends[ends < len(text)].tolist(), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


def into_a_store(tokenizer: Tokenizer, texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_token_store(Path(folder), tokenizer.encode_arrays(texts, with_end=True), tokenizer.vocab_size)


def large_pieces(tokenizer: Tokenizer, texts: list[str]) -> None:
    text = "".join(texts)
    pieces = [text[start : start + (1 << 18)] for start in range(0, len(text), 1 << 18)]
    tokenizer._encoding.encode_ordinary_batch(pieces, num_threads=CORES)


def as_they_are(tokenizer: Tokenizer, texts: list[str]) -> None:
    tokenizer._encoding.encode_ordinary_batch(texts, num_threads=CORES)


def hugging_face(tokenizer: Tokenizer, texts: list[str]) -> None:
    from tokenizers import Tokenizer as HuggingFaceTokenizer
    from tokenizers import models, pre_tokenizers

    characters = byte_to_character()
    merges = [
        ("".join(characters[byte] for byte in left), "".join(characters[byte] for byte in right))
        for left, right in tokenizer.merges
    ]
    peer = HuggingFaceTokenizer(models.BPE(vocab=tokenizer.ids_by_token(), merges=merges))
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.encode_batch(texts)


BARE = "tiktoken, large pieces"
ENCODERS: dict[str, Callable[[Tokenizer, list[str]], None]] = {
    OURS: into_a_store,
    BARE: large_pieces,
    "tiktoken, text by text": as_they_are,
    "tokenizers": hugging_face,
}


def encoded(way: str, kind: str, megabytes: float) -> dict[str, float]:
    """MB a second and memory of a way, in this process; once on a little text before, for what is made only once."""
    tokenizer = Tokenizer(train_bpe([shakespeare()], VOCAB_SIZES[0]))
    texts = documents(kind, megabytes)
    ENCODERS[way](tokenizer, [shakespeare()[:100_000]])
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak so far is forgotten
    before = memory_mib("VmRSS")
    spent, _ = timed(lambda: ENCODERS[way](tokenizer, texts))
    return {"mb_per_s": sum(map(len, texts)) / 1e6 / spent, "memory_mib": memory_mib("VmHWM") - before}


def memory_mib(name: str) -> float:
    """Memory of this process as Linux tells it: VmRSS now, VmHWM at its peak."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(told[name].split()[0]) / 1024


def encoding_of(kind: str, megabytes: float, rounds: int) -> list[dict[str, Any]]:
    """A row for each way, and how much of bare tiktoken's best speed it has."""
    options = ("--kind", kind, "--encode-megabytes", megabytes)
    found = [{way: in_a_process(__file__, way, *options) for way in ENCODERS} for _ in range(rounds)]
    return [
        {
            "way": way,
            "mb_per_s": round(statistics.median(each[way]["mb_per_s"] for each in found), 2),
            "memory_mib": round(statistics.median(each[way]["memory_mib"] for each in found)),
            "of_tiktoken": spread([each[way]["mb_per_s"] / each[BARE]["mb_per_s"] for each in found]),
        }
        for way in ENCODERS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", nargs="+", type=float, default=[1, 10], help="made-up text to train on")
    parser.add_argument("--encode-megabytes", type=float, default=12)
    parser.add_argument("--way", choices=ENCODERS, help="measure one way of encoding in this process")
    parser.add_argument("--kind", choices=DOCUMENT_BYTES, default="one text")
    told = parser.parse_args()
    if told.way:
        print(json.dumps(encoded(told.way, told.kind, told.encode_megabytes)))
        return

    lines = shakespeare().splitlines(keepends=True)
    training = {"tinyshakespeare": [training_of([shakespeare()], lines, size, told.rounds) for size in VOCAB_SIZES]}
    training["made-up words"] = []
    for megabytes in told.megabytes:
        texts, rounds = list(made_up(megabytes)), told.rounds if megabytes <= 10 else 1
        training["made-up words"].append(training_of(texts, ["".join(texts)], VOCAB_SIZES[0], rounds))
    print(f"{'training':20}{'MB':>8}{'V':>7}{'seconds':>9}{'peer':>8}   ours takes times (median, lowest, highest)")
    for name, rows in training.items():
        for row in rows:
            figures = f"{row['megabytes']:>8}{row['vocab_size']:>7}{row['seconds']:>9}{row['tokenizers_seconds']:>8}"
            print(f"{name:20}{figures}   " + "  ".join(f"{value:.2f}" for value in row["ours_takes_times"]))

    encoding = {kind: encoding_of(kind, told.encode_megabytes, told.rounds) for kind in DOCUMENT_BYTES}
    for kind, rows in encoding.items():
        print(f"\n{kind:24}{'MB/s':>8}{'MiB':>7}   of tiktoken's best (median, lowest, highest)")
        for row in rows:
            figures = f"{row['mb_per_s']:>8}{row['memory_mib']:>7}"
            print(f"{row['way']:24}{figures}   " + "  ".join(f"{value:.2f}" for value in row["of_tiktoken"]))
    results = {"rounds": told.rounds, "training": training, "encoding": encoding}
    print(f"\n-- {write_results('tokenizer', results)}")


if __name__ == "__main__":
    main()
