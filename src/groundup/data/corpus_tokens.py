"""The corpus as token ids on disk: written and read a piece at a time."""

import math
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from groundup.data.corpus import Document, Documents
from groundup.data.passages import encodable
from groundup.data.token_store import OFFSETS_FILE, TOKENS_FILE, TokenStore, save_array, write_token_store
from groundup.errors import GroundupError
from groundup.files import FileParts, decoded, read_json_objects, write_json_objects_atomically
from groundup.tokenizer.encoding import Tokenizer

DOCUMENTS_FILE = "documents.json"
BLOCK_TOKENS = 1 << 14  # that are read at a time; as many as a core has room for beside it


def encoded(texts: Iterable[Iterable[str]], tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """Token ids of texts that come in pieces, in blocks; the last block of a text ends with <|endoftext|>.

    Shapes:  (tokens of the block,)
    Oracle:  Tokenizer.encode of each text as one
    """
    are_last: deque[bool] = deque()  # of the pieces that are being encoded

    def pieces() -> Iterator[str]:
        for text in texts:
            for piece, is_last in encodable(text):
                are_last.append(is_last)
                yield piece

    for ids in tokenizer.encode_arrays(pieces()):
        yield np.append(ids, ids.dtype.type(tokenizer.end_of_text_id)) if are_last.popleft() else ids


def write_blocks(folder: Path, blocks: Iterable[np.ndarray], tokenizer: Tokenizer) -> TokenStore:
    """Write documents that come in blocks, of which the one that ends with <|endoftext|> ends its document."""
    ends = array("q", [0])  # blocks up to the end of each document

    def counted() -> Iterator[np.ndarray]:
        for number, ids in enumerate(blocks, 1):
            if ids[-1] == tokenizer.end_of_text_id:
                ends.append(number)
            yield ids

    store = write_token_store(folder, counted(), tokenizer.vocab_size)
    if len(ends) < len(store.offsets):
        save_array(folder / OFFSETS_FILE, store.offsets[ends])
        store = TokenStore.load(folder)
    return store


class TokenFile:
    """A token store that is read from its file: what is looked at in a memory map counts as memory of the process.

    Raises: GroundupError if the store is missing or damaged.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        store = TokenStore.load(folder)
        path = folder / TOKENS_FILE
        self.offsets, self._dtype = store.offsets, store.tokens.dtype
        self._file, self._start = FileParts(path), path.stat().st_size - store.tokens.nbytes
        self._spelled = np.array([*tokenizer.vocabulary, b""], dtype=object)  # <|endoftext|> spells nothing

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> Iterator[np.ndarray]:
        """The token ids of a document, in blocks.

        Shapes:  (at most BLOCK_TOKENS,)
        """
        return self._blocks(int(self.offsets[index]), int(self.offsets[index + 1]))

    def blocks(self) -> Iterator[np.ndarray]:
        """All token ids, in blocks.

        Shapes:  (at most BLOCK_TOKENS,)
        """
        return self._blocks(0, int(self.offsets[-1]))

    def text(self, index: int) -> Iterator[str]:
        """The text of a document, in pieces.

        Oracle:  Tokenizer.decode
        """
        return decoded(b"".join(self._spelled[block].tolist()) for block in self.document(index))

    def _blocks(self, start: int, end: int) -> Iterator[np.ndarray]:
        size = self._dtype.itemsize
        for place in range(start, end, BLOCK_TOKENS):
            stop = min(place + BLOCK_TOKENS, end)
            yield np.frombuffer(self._file.read(self._start + place * size, self._start + stop * size), self._dtype)


class TokenCorpus:
    """Documents that come back from their tokens, each when it is asked for."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self._tokens = TokenFile(folder, tokenizer)
        self._sources: list[str] = []
        self._whole, self._bits = bytearray(), array("d")
        for fact in read_json_objects(folder / DOCUMENTS_FILE):
            bits = fact["surprisal_bits"]
            self._sources.append(sys.intern(fact["source"]))
            self._whole.append(fact["whole_source"])
            self._bits.append(math.nan if bits is None else bits)
        if len(self._whole) != len(self._tokens):
            raise GroundupError(
                f"{folder}: {DOCUMENTS_FILE} does not fit the token arrays", do="remove the folder and run `dvc repro`"
            )

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, index: int) -> Document:
        bits = self._bits[index]
        return Document(
            self._sources[index],
            partial(self._tokens.text, index),
            bool(self._whole[index]),
            None if math.isnan(bits) else bits,
        )

    def __iter__(self) -> Iterator[Document]:
        return map(self.__getitem__, range(len(self)))


def write_corpus(folder: Path, documents: Documents, tokenizer: Tokenizer) -> TokenStore:
    """Encode the documents into a folder, with what else is known of them."""
    store = write_blocks(folder, encoded((document.pieces() for document in documents), tokenizer), tokenizer)
    facts = ({name: value for name, value in vars(document).items() if name != "content"} for document in documents)
    write_json_objects_atomically(folder / DOCUMENTS_FILE, facts)
    return store
