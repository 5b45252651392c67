"""Token ids on disk: one flat, memory-mapped array and the places where its documents end."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from groundup.errors import GroundupError
from groundup.files import missing_file, named_in_errors

TOKENS_FILE, OFFSETS_FILE = "tokens.npy", "offsets.npy"
SURPRISAL_FILE = "surprisal_bits.npy"  # beside the tokens, where it is known what making each document cost
BLOCK_TOKENS = 1 << 18  # that are written at a time


class TokenStore:
    """Documents of token ids that are read from disk only where they are looked at.

    Shapes:  tokens (N,) of the smallest unsigned type that holds the vocabulary, offsets (n_documents + 1,)
    """

    def __init__(self, tokens: np.ndarray, offsets: np.ndarray) -> None:
        self.tokens = tokens
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each document.

        Shapes:  (n_documents,)
        """
        return np.diff(self.offsets)

    @classmethod
    def of(cls, documents: Sequence[np.ndarray]) -> "TokenStore":
        """A store in memory."""
        tokens = np.concatenate([np.empty(0, dtype=np.int64), *documents])
        return cls(tokens, np.cumsum([0, *map(len, documents)], dtype=np.int64))

    @classmethod
    def load(cls, folder: Path) -> "TokenStore":
        """Open a store; the tokens stay on disk.

        Raises: GroundupError if the store is missing or damaged.
        """
        for name in (TOKENS_FILE, OFFSETS_FILE):
            if not (folder / name).is_file():
                raise missing_file(folder / name)
        try:
            store = cls(
                np.lib.format.open_memmap(folder / TOKENS_FILE, mode="r"),
                np.array(np.lib.format.open_memmap(folder / OFFSETS_FILE, mode="r")),
            )
        except (ValueError, EOFError, TokenError) as error:
            raise GroundupError(
                f"{folder}: damaged token arrays", got=str(error), do="remove the folder and run `dvc repro`"
            ) from None
        if len(store.offsets) == 0 or store.offsets[-1] != len(store.tokens):
            raise GroundupError(
                f"{folder}: the token arrays do not fit each other", do="remove the folder and run `dvc repro`"
            )
        return store


def write_token_store(folder: Path, documents: Iterable[Sequence[int] | np.ndarray], vocab_size: int) -> TokenStore:
    """Write documents of token ids into a folder and open them; only the last few documents are held.

    Raises: OverflowError if a token id does not fit the type that holds the vocabulary; OSError that names the file,
        if the disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)
    lengths = [np.zeros(1, np.int64)]  # the first document begins at 0
    path = folder / TOKENS_FILE
    with named_in_errors(path), path.open("wb") as file:
        _write_header(file, dtype, 0)
        for block in _blocks(documents, dtype):
            file.write(_joined(block, dtype).data)
            lengths.append(np.array([len(tokens) for tokens in block], dtype=np.int64))
        offsets = np.concatenate(lengths).cumsum()
        file.seek(0)
        _write_header(file, dtype, int(offsets[-1]))  # as long as the first: numpy leaves room for any number
    save_array(folder / OFFSETS_FILE, offsets)
    return TokenStore.load(folder)


def _write_header(file: BinaryIO, dtype: np.dtype, n_tokens: int) -> None:
    """What `np.save` writes before the elements of a flat array."""
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (n_tokens,)}
    np.lib.format.write_array_header_1_0(file, description)


def _blocks(documents: Iterable[Sequence[int] | np.ndarray], dtype: np.dtype) -> Iterator[list[np.ndarray]]:
    """The documents as arrays, in lists of many tokens each: small ones are slow to write one by one."""
    block: list[np.ndarray] = []
    size = 0
    for document in documents:
        block.append(document if isinstance(document, np.ndarray) else np.asarray(document, dtype))
        size += len(document)
        if size >= BLOCK_TOKENS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _joined(documents: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    tokens = np.concatenate(documents)
    if tokens.dtype == dtype:
        return tokens
    allowed = np.iinfo(dtype)
    lowest, highest = int(tokens.min(initial=0)), int(tokens.max(initial=0))
    if lowest < allowed.min or highest > allowed.max:
        raise OverflowError(f"token ids from {lowest} to {highest} do not fit {dtype}")
    return tokens.astype(dtype)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array into a folder that is not yet in its place.

    Raises: OSError that names the file, if the disk does not take it.
    """
    try:
        np.save(path, array)
    except OSError as error:  # numpy itself only tells how many bytes were taken
        raise OSError(error.errno or errno.ENOSPC, os.strerror(error.errno or errno.ENOSPC), str(path)) from None
