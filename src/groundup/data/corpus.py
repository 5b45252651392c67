"""Plain text to pretrain on: what a document is, and how one long document is cut into sides."""

import json
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from groundup.errors import GroundupError
from groundup.files import read_utf8, whole_characters
from groundup.tokenizer.bpe import END_OF_TEXT


@dataclass(frozen=True)
class Document:
    """One text of the corpus; `whole_source` if it is all that its file holds.

    Units: `surprisal_bits` in bits, of the whole text, where whoever made it knows; None where nobody does.
    """

    source: str
    text: str
    whole_source: bool
    surprisal_bits: float | None = None


def read_documents(path: Path, source: str) -> list[Document]:
    """The documents of a file, in order.

    A `.jsonl` file has an object with `text` on each line, and `surprisal_bits` where they are known. Any other file is
    plain text: one document, or several between lines that hold nothing but `<|endoftext|>`.
    Raises: GroundupError if the file is missing, empty, not UTF-8, or a line of `.jsonl` has no text.
    """
    text = read_utf8(path)
    if path.suffix == ".jsonl":
        texts = [
            _document_of_line(path, number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()
        ]
    else:
        parts = re.split(rf"^{re.escape(END_OF_TEXT)}(?:\n|\Z)", text, flags=re.MULTILINE)
        texts = [(part, None) for part in parts]
    texts = [(text, bits) for text, bits in texts if text.strip()]
    if not texts:
        raise GroundupError(f"{path}: no text between the separators", do="give a file with text in it")
    return [Document(source, text, whole_source=len(texts) == 1, surprisal_bits=bits) for text, bits in texts]


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


def paragraphs(text: str) -> list[str]:
    """The text cut behind each run of blank lines; joined again they are the text."""
    return [part for part in re.split(r"(?<=\n\n)(?!\n)", text) if part]


def cut_at_paragraphs(text: str, shares: tuple[float, ...]) -> list[list[str]]:
    """One long document as contiguous parts, cut at the paragraph ends nearest to the wanted shares of its bytes.

    A text with too few paragraphs to have a side each is cut at line ends.
    Returns: the paragraphs (or lines) of each part; all of them in order are the text.
    """
    parts = paragraphs(text)
    if len(parts) < len(shares):
        parts = text.splitlines(keepends=True)
    ends = []  # bytes up to the end of each paragraph
    total = 0
    for part in parts:
        total += len(part.encode())
        ends.append(total)
    cuts = [0]
    reached = 0.0
    for share in shares[:-1]:
        reached += share
        nearest = min(range(len(ends)), key=lambda index: abs(ends[index] - reached * total))
        cuts.append(max(cuts[-1], nearest + 1))
    cuts.append(len(parts))
    return [parts[start:end] for start, end in pairwise(cuts)]
