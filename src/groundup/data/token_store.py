"""Token ids on disk: one flat, memory-mapped array and the places where its documents end."""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np

from groundup.errors import GroundupError
from groundup.files import missing_file

TOKENS_FILE, OFFSETS_FILE = "tokens.npy", "offsets.npy"
SURPRISAL_FILE = "surprisal_bits.npy"  # beside the tokens, where it is known what making each document cost


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
    """Write documents of token ids into a folder and open them."""
    folder.mkdir(parents=True, exist_ok=True)
    dtype = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    parts = [np.asarray(document, dtype=dtype) for document in documents]
    offsets = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
    save_array(folder / TOKENS_FILE, np.concatenate(parts) if parts else np.zeros(0, dtype))
    save_array(folder / OFFSETS_FILE, offsets)
    return TokenStore.load(folder)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array into a folder that is not yet in its place.

    Raises: OSError that names the file, if the disk does not take it.
    """
    try:
        np.save(path, array)
    except OSError as error:  # numpy itself only tells how many bytes were taken
        raise OSError(error.errno or errno.ENOSPC, os.strerror(error.errno or errno.ENOSPC), str(path)) from None
