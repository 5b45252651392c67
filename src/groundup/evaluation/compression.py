"""What general compressors need for a text: what there is to gain without any model of language."""

import bz2
import lzma
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import zstandard

from groundup.data.token_store import TokenStore
from groundup.tokenizer.encoding import Tokenizer

READ_BYTES = 8 << 20  # of the train text at most, its end: compressing takes a second for each 2 MB
BETWEEN_DOCUMENTS = b"\xff"  # no UTF-8 text has this byte; the models are scored on where a document ends, too
SIGNIFICANT_DIGITS = 3  # other versions of a compressor may need a few bytes more or less
SMALLEST_DICTIONARY = 4096
ZSTD_LEVEL = 19  # the slowest usual one; those above need more memory and gave the same sizes here
SMALLEST_WINDOW_LOG = 10


@dataclass(frozen=True)
class Compressed:
    """Bits for each byte of a text, by compressor, and how many bytes of other text some of them had read before."""

    bits_per_byte: Mapping[str, float]
    read_bytes: int

    def figures(self) -> dict[str, dict[str, float]]:
        """As they stand beside other ways to predict."""
        figures = {name: {"bits_per_byte": value} for name, value in self.bits_per_byte.items()}
        for name in ("xz", "zstd"):
            figures[name]["read_bytes"] = self.read_bytes
        return figures


def compressed(train: TokenStore, test: TokenStore, tokenizer: Tokenizer) -> Compressed:
    """The compressed size of the test text: by xz and zstd that have read the train text, and by them and bzip2 alone.

    What is needed after the train text is the size of both together less that of the train text. xz and zstd replace
    repeats by references; bzip2 sorts contexts, in blocks too short to read the train text first. What xz and zstd put
    around their data is left out, for it would count in a short text.

    Raises: nothing; the test text must not be empty.
    """
    read, text = joined(train, tokenizer, READ_BYTES), joined(test, tokenizer)
    with ThreadPoolExecutor() as pool:  # they all let other threads work
        xz, zstd = (
            [pool.submit(size_of, data) for data in (read, read + text, text)] for size_of in (lzma_size, zstd_size)
        )
        sizes = {"bzip2_alone": len(bz2.compress(text))}
        for name, waiting in (("xz", xz), ("zstd", zstd)):
            of_train, of_both, alone = (each.result() for each in waiting)
            sizes |= {name: of_both - of_train, f"{name}_alone": alone}
    n_bytes = int(tokenizer.token_lengths[test.tokens].sum())
    bits = {name: float(f"{8 * size / n_bytes:.{SIGNIFICANT_DIGITS}g}") for name, size in sizes.items()}
    return Compressed(bits, len(read) - read.count(BETWEEN_DOCUMENTS))


def joined(store: TokenStore, tokenizer: Tokenizer, at_most: int | None = None) -> bytes:
    """The documents of a store as bytes, each followed by a byte that ends it; of too many bytes, the last ones."""
    tokens = store.tokens
    if at_most is not None:
        n_bytes = np.cumsum(tokenizer.token_lengths[tokens[::-1]])
        tokens = tokens[len(tokens) - int(np.searchsorted(n_bytes, at_most, side="right")) :]
    ending = [*tokenizer.vocabulary, BETWEEN_DOCUMENTS]
    return b"".join([ending[token_id] for token_id in tokens.tolist()])


def lzma_size(data: bytes) -> int:
    """Bytes that xz's strongest preset makes of some, without header and checksum, its window as long as they are."""
    method = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": max(SMALLEST_DICTIONARY, len(data))}
    return len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=[method]))


def zstd_size(data: bytes) -> int:
    """Bytes that zstd makes of some, without magic number and checksum, its window as long as they are."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL,
        source_size=len(data),
        window_log=max(SMALLEST_WINDOW_LOG, len(data).bit_length()),
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
    )
    return len(zstandard.ZstdCompressor(compression_params=parameters).compress(data))
