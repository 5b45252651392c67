"""Sizes by compressors, against what they give when they are called as a user would."""

import bz2
import lzma

import numpy as np
import pytest
import zstandard
from helpers import byte_tokenizer, token_store

from groundup.evaluation import compression
from groundup.evaluation.compression import compressed, joined

TOKENIZER = byte_tokenizer()
XZ_HEADERS = 64  # bytes that a file of xz has around its data, or a few less
ZSTD_HEADERS = 8  # magic number and sizes


def store_of(texts: list[str]):
    return token_store([[*TOKENIZER.encode(text), TOKENIZER.end_of_text_id] for text in texts])


def some_text(seed: int, n: int) -> str:
    words = ["fox", "hen", "mill", "lake", "saw", "the", "a", "sold", "naïve"]
    return " ".join(np.random.default_rng(seed).choice(words, n))


def test_documents_are_joined_so_that_their_ends_are_told():
    assert joined(store_of(["ab", "", "é"]), TOKENIZER) == b"ab\xff\xff\xc3\xa9\xff"


@pytest.mark.parametrize(
    ("at_most", "wanted"), [(0, b"\xff"), (1, b"c\xff"), (2, b"b\xffc\xff"), (3, b"ab\xffc\xff"), (9, b"ab\xffc\xff")]
)
def test_of_too_long_a_text_the_end_is_read(at_most, wanted):
    assert joined(store_of(["ab", "c"]), TOKENIZER, at_most).lstrip(b"\xff") == wanted.lstrip(b"\xff")


def test_sizes_are_those_of_the_compressors():
    train, test = [some_text(0, 3000), some_text(1, 3000)], [some_text(2, 2000), some_text(3, 50)]
    found = compressed(store_of(train), store_of(test), TOKENIZER)
    n_bytes = sum(len(text.encode()) for text in test)
    text = b"".join(each.encode() + b"\xff" for each in test)
    read = b"".join(each.encode() + b"\xff" for each in train)
    usual = {
        name: len(lzma.compress(data, preset=9))
        for name, data in (("alone", text), ("read", read), ("both", read + text))
    }
    assert found.read_bytes == sum(len(each.encode()) for each in train)
    assert found.bits_per_byte["bzip2_alone"] == pytest.approx(8 * len(bz2.compress(text)) / n_bytes, rel=0.005)
    assert found.bits_per_byte["xz_alone"] == pytest.approx(8 * (usual["alone"] - XZ_HEADERS) / n_bytes, rel=0.01)
    assert found.bits_per_byte["xz"] == pytest.approx(8 * (usual["both"] - usual["read"]) / n_bytes, rel=0.02)
    zstd = {
        name: len(zstandard.compress(data, level=19)) - ZSTD_HEADERS
        for name, data in (("alone", text), ("read", read), ("both", read + text))
    }
    assert found.bits_per_byte["zstd_alone"] == pytest.approx(8 * zstd["alone"] / n_bytes, rel=0.01)
    assert found.bits_per_byte["zstd"] == pytest.approx(8 * (zstd["both"] - zstd["read"]) / n_bytes, rel=0.03)


def test_what_was_read_before_need_not_be_told_again():
    text = [some_text(4, 500)]
    found = compressed(store_of(text), store_of(text), TOKENIZER).bits_per_byte
    assert found["xz"] < 0.1 * found["xz_alone"]
    assert found["zstd"] < 0.1 * found["zstd_alone"]


def test_only_the_end_of_a_large_text_is_read(monkeypatch):
    monkeypatch.setattr(compression, "READ_BYTES", 1000)
    text = some_text(5, 1000)
    found = compressed(store_of([text]), store_of([text[:900]]), TOKENIZER)
    assert found.read_bytes == 1000
    assert found.bits_per_byte["xz"] > 0.5 * found.bits_per_byte["xz_alone"]
    assert found.bits_per_byte["zstd"] > 0.5 * found.bits_per_byte["zstd_alone"]


def test_figures_are_rounded_so_that_versions_of_a_compressor_agree():
    found = compressed(store_of([some_text(6, 300)]), store_of([some_text(7, 300)]), TOKENIZER).bits_per_byte
    assert all(value == float(f"{value:.3g}") for value in found.values())


def test_an_empty_train_text_is_no_fault():
    found = compressed(store_of([]), store_of(["a b c d"]), TOKENIZER)
    assert found.read_bytes == 0
    assert found.bits_per_byte["xz"] > 0
    assert found.bits_per_byte["zstd"] > 0
