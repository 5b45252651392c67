"""Plain text to pretrain on: what a document is, and the documents of a file, each read when it is asked for."""

import codecs
import json
import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Protocol

from groundup.errors import GroundupError
from groundup.files import FileParts, check_utf8, decoded, whole_characters, with_plain_line_ends
from groundup.tokenizer.bpe import END_OF_TEXT

LINE_BYTES = 1 << 20  # of a line that are looked at together


@dataclass(frozen=True, eq=False)
class Document:
    """One text of the corpus; `whole_source` if it is all that its file holds.

    Args:
        content: the text, or what reads it, in pieces, each time it is asked for.
    Units: `surprisal_bits` in bits, of the whole text, where whoever made it knows; None where nobody does.
    """

    source: str
    content: str | Callable[[], Iterator[str]]
    whole_source: bool
    surprisal_bits: float | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces())

    def pieces(self) -> Iterator[str]:
        """The text in pieces that memory has room for."""
        if isinstance(self.content, str):
            yield self.content
        else:
            yield from self.content()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and vars(self) | {"content": self.text} == vars(other) | {
            "content": other.text
        }


class Documents(Protocol):
    """A list of documents, or what is like one and reads them from disk."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Document: ...
    def __iter__(self) -> Iterator[Document]: ...


class FileCorpus:
    """The documents of a file, of which only the places are held.

    Args:
        spans: the bytes at which each document begins and ends, one pair after the other.
        bits: what is known of each document; NaN where nothing is.
        read: the text from one byte to another.
    """

    def __init__(
        self, source: str, spans: Sequence[int], bits: Sequence[float], read: Callable[[int, int], Iterator[str]]
    ) -> None:
        self._source, self._spans, self._bits, self._read = source, spans, bits, read

    def __len__(self) -> int:
        return len(self._bits)

    def __getitem__(self, index: int) -> Document:
        bits = self._bits[index]
        read = partial(self._read, *self._spans[2 * index : 2 * index + 2])
        return Document(self._source, read, len(self) == 1, None if math.isnan(bits) else bits)

    def __iter__(self) -> Iterator[Document]:
        return map(self.__getitem__, range(len(self)))


class JoinedCorpus:
    """The documents of several files, one after the other."""

    def __init__(self, parts: Sequence[Documents]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Document:
        part = bisect_right(self._ends, index)
        return self._parts[part][index - (self._ends[part - 1] if part else 0)]

    def __iter__(self) -> Iterator[Document]:
        return chain.from_iterable(self._parts)


def read_documents(path: Path, source: str) -> FileCorpus:
    """The documents of a file, in order. The whole file is checked; texts are read again when they are asked for.

    A `.jsonl` file has an object with `text` on each line, and `surprisal_bits` where they are known. Any other file is
    plain text: one document, or several between lines that hold nothing but `<|endoftext|>`.
    Raises: GroundupError if the file is missing, empty, not UTF-8, or a line of `.jsonl` has no text.
    """
    check_utf8(path)
    file = FileParts(path)
    found = _lines_of_json(path) if path.suffix == ".jsonl" else _parts_of_text(path, file)
    spans, bits = array("q"), array("d")
    for start, end, known in found:
        spans.extend((start, end))
        bits.append(math.nan if known is None else known)
    if not bits:
        raise GroundupError(f"{path}: no text between the separators", do="give a file with text in it")
    return FileCorpus(source, spans, bits, partial(_text_of_line if path.suffix == ".jsonl" else _plain_text, file))


def _plain_text(file: FileParts, start: int, end: int) -> Iterator[str]:
    return with_plain_line_ends(decoded(file.blocks(start, end)))


def _parts_of_text(path: Path, file: FileParts) -> Iterator[tuple[int, int, None]]:
    """Where each text between the separators begins and ends, if there is more to it than white space."""
    separator = END_OF_TEXT.encode()
    start = place = _bytes_of_mark(path)
    at_line_start = True
    with path.open("rb") as lines:
        lines.seek(start)
        # A limit, since a text need not have lines.
        while line := lines.readline(LINE_BYTES):
            if at_line_start and line in (separator, separator + b"\n", separator + b"\r\n"):
                if any(map(str.strip, _plain_text(file, start, place))):
                    yield start, place, None
                start = place + len(line)
            at_line_start = line.endswith(b"\n")
            place += len(line)
    if any(map(str.strip, _plain_text(file, start, place))):
        yield start, place, None


def _lines_of_json(path: Path) -> Iterator[tuple[int, int, float | None]]:
    """Where each line with a text begins and ends, and the bits of the text."""
    place = _bytes_of_mark(path)
    with path.open("rb") as lines:
        lines.seek(place)
        for number, data in enumerate(lines, 1):
            line = _decoded_line(data)
            if line.strip():
                text, bits = _document_of_line(path, number, line)
                if text.strip():
                    yield place, place + len(data), bits
            place += len(data)


def _text_of_line(file: FileParts, start: int, end: int) -> Iterator[str]:
    yield json.loads(_decoded_line(file.read(start, end)))["text"]


def _decoded_line(data: bytes) -> str:
    return data.replace(b"\r\n", b"\n").removesuffix(b"\n").decode()


def _bytes_of_mark(path: Path) -> int:
    """Bytes before the text: some programs write a mark there that says that it is UTF-8."""
    with path.open("rb") as file:
        return len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0


def _document_of_line(path: Path, number: int, line: str) -> tuple[str, float | None]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise GroundupError(f"{path}: line {number} is not JSON", got=error.msg, do="mend the line") from None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise GroundupError(
            f"{path}: line {number} has no text",
            got=line,
            allowed='an object such as {"text": "…"}',
            do="mend the line",
        )
    bits = value.get("surprisal_bits")
    if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int | float) or not 0 <= bits < math.inf):
        raise GroundupError(
            f"{path}: line {number} has wrong surprisal_bits",
            got=bits,
            allowed="a number that is not negative, or no such key",
            do="mend the line",
        )
    return whole_characters(value["text"], f"{path}: line {number}"), None if bits is None else float(bits)
