"""A larger corpus takes no more memory: what is held of each text is small beside the text."""

import json
import random
import tracemalloc

import pytest
from data_helpers import ANIMALS, PLACES, instructions, messages, split_params, tokenize_params

from groundup import files
from groundup.data import corpus_tokens, passages, token_store
from groundup.data.corpus import read_documents
from groundup.data.raw import RawData, count_rows
from groundup.data.sides import make_tokenizer, write_sides, write_tokens
from groundup.tokenizer import encoding

SMALL, LARGE = 300_000, 2_100_000


def write_corpus(path, size):
    """Texts of some 600 bytes that are unlike each other, each a document of its own or all of them one."""
    draw = random.Random(1)
    words = [*ANIMALS, *PLACES]  # few, since what a vocabulary is learned from does grow with the number of words
    texts = [" ".join(draw.choices(words, k=90)) for _ in range(size // 630)]
    if path.suffix == ".jsonl":
        texts = [json.dumps({"text": text}) for text in texts]
    path.write_text(("\n" if path.suffix == ".jsonl" else "\n\n").join(texts), encoding="utf-8")


def peak_bytes(work):
    """The most memory that Python and NumPy held while something ran, beyond what they held before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.txt"])
def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch, name):
    # What is held of a text at a time, small beside the small corpus.
    for module, limit in (
        (files, "BLOCK_BYTES"),
        (passages, "PIECE_CHARACTERS"),
        (encoding, "STRETCH_CHARACTERS"),
        (token_store, "BLOCK_TOKENS"),
        (corpus_tokens, "BLOCK_TOKENS"),
    ):
        monkeypatch.setattr(module, limit, 1 << 12)

    def through_both_stages(size):
        path, folder = tmp_path / f"{size}-{name}", tmp_path / str(size)
        write_corpus(path, size)
        assert abs(path.stat().st_size - size) < 0.1 * size

        def work():
            raw = RawData(read_documents(path, "own"), messages(40), instructions(20))
            write_tokens(raw, make_tokenizer(raw, folder, tokenize_params(), split_params(), 1), folder / "tokens")
            write_sides(folder / "tokens", folder / "sides", split_params(), 1)

        return peak_bytes(work)

    through_both_stages(SMALL)  # what is made once, such as the tables of a pattern, is made now
    grown = through_both_stages(LARGE) - through_both_stages(SMALL)
    assert grown < (LARGE - SMALL) / 2


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.txt"])
def test_counting_documents_holds_none_of_them(tmp_path, monkeypatch, name):
    monkeypatch.setattr(files, "BLOCK_BYTES", 1 << 14)
    write_corpus(tmp_path / name, LARGE)
    assert peak_bytes(lambda: count_rows("corpus", tmp_path / name)) < LARGE / 10
