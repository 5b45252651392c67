"""The three sides of the corpus on disk, and the check that no text of it stands on two."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundup.data.corpus import Documents
from groundup.data.corpus_tokens import TokenFile, encoded, write_blocks
from groundup.data.split import Side, normalise
from groundup.data.split_corpus import Cut, Placing, passage_number, passages_on_side, text_number
from groundup.data.token_store import SURPRISAL_FILE, save_array
from groundup.tokenizer.encoding import Tokenizer


@dataclass(frozen=True)
class SideTexts:
    """What one side of the corpus was found to hold.

    Args:
        n_texts: documents, and passages of documents that were cut.
        numbers: of the texts, each once; texts that are too short to be compared have none.
    """

    n_texts: int
    size_bytes: int
    numbers: np.ndarray


def write_corpus_side(
    folder: Path,
    documents: Documents,
    tokens: TokenFile,
    placings: Sequence[Placing],
    side: Side,
    added: Sequence[str],
    tokenizer: Tokenizer,
) -> None:
    """Write one side of the corpus, and behind it texts of other kinds; and the bits of each if all are known.

    Args:
        tokens: of the documents; those that go to a side whole keep theirs.
    """

    def blocks() -> Iterator[np.ndarray]:
        for index, placing in on_side(placings, side):
            if isinstance(placing, Cut):
                yield from encoded([placing.passages(documents[index], side)], tokenizer)
            else:
                yield from tokens.document(index)
        yield from encoded(([text] for text in added), tokenizer)

    store = write_blocks(folder, blocks(), tokenizer)
    known = array("d")
    for index, placing in on_side(placings, side):
        bits = documents[index].surprisal_bits
        if bits is not None and not isinstance(placing, Cut):  # of a part of a document nobody knows them
            known.append(bits)
    if known and len(known) == len(store):
        save_array(folder / SURPRISAL_FILE, np.array(known))


def on_side(placings: Sequence[Placing], side: Side) -> Iterator[tuple[int, Placing]]:
    """The documents that a side has something of, and where they go."""
    for index, placing in enumerate(placings):
        if placing.has(side) if isinstance(placing, Cut) else placing == side:
            yield index, placing


def read_side(folder: Path, placings: Sequence[Placing], side: Side, tokenizer: Tokenizer) -> SideTexts:
    """Read back the side that was written: a cut document passage by passage, others whole."""
    tokens, numbers = TokenFile(folder, tokenizer), array("Q")
    size_bytes = 0
    for document, (_, placing) in enumerate(on_side(placings, side)):
        pieces = tokens.text(document)
        for text in placing.split(pieces) if isinstance(placing, Cut) else ["".join(pieces)]:
            size_bytes += len(text.encode())
            numbers.append(passage_number(text) if isinstance(placing, Cut) else text_number(normalise(text)))
    found = np.frombuffer(numbers, np.uint64)
    return SideTexts(len(found), size_bytes, np.unique(found[found > 0]))


def count_shared(sides: Mapping[Side, SideTexts]) -> int:
    """Texts that stand on more than one side, once for each side too many."""
    numbers = np.concatenate([found.numbers for found in sides.values()])
    return len(numbers) - len(np.unique(numbers))


def numbers_of_passages(documents: Documents, placings: Sequence[Placing], sides: Sequence[Side]) -> np.ndarray:
    """The numbers of all texts and passages of some sides, the short ones too, sorted.

    Shapes:  (n_numbers,)
    """
    numbers = array("Q")
    for document, placing in zip(documents, placings, strict=True):
        for side in sides:
            numbers.extend(text_number(normalise(part)) for part in passages_on_side(document, placing, side))
    return np.unique(np.frombuffer(numbers, np.uint64))
