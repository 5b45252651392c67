"""A vocabulary ready for use: fast encoding by tiktoken, kept in GPT-2's two files.

A trained vocabulary and GPT-2's own take the same road: `encoder.json` (token to id) and `vocab.bpe` (merges in
order), the format that OpenAI released and that Hugging Face reads as `vocab.json` and `merges.txt`.
"""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import tiktoken

from groundup.errors import GroundupError
from groundup.files import read_json, read_utf8, write_text_atomically
from groundup.tokenizer.bpe import END_OF_TEXT, GPT2_PATTERN, byte_alphabet, byte_to_character, cut_at_borders

ENCODER_FILE = "encoder.json"
MERGES_FILE = "vocab.bpe"
STRETCH_CHARACTERS = 1 << 17  # that a core encodes at a time; handing over a small text takes longer than encoding it
STRETCHES_AHEAD = 2  # for each core, so that none waits while the results are taken

Item = TypeVar("Item")
Result = TypeVar("Result")


class Tokenizer:
    """Text to token ids and back. Every byte sequence has token ids, and they spell exactly that sequence.

    Args:
        vocabulary: the bytes of each token in the order of the ids; the next id is <|endoftext|>.
    Oracle: reference.bpe.encode
    """

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        self.vocabulary = list(vocabulary)
        self.end_of_text_id = len(self.vocabulary)
        self.vocab_size = len(self.vocabulary) + 1
        self._encoding = tiktoken.Encoding(
            name="groundup",
            pat_str=GPT2_PATTERN,
            mergeable_ranks={token: token_id for token_id, token in enumerate(self.vocabulary)},
            special_tokens={END_OF_TEXT: self.end_of_text_id},
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; the characters `<|endoftext|>` in it are plain text, not the special token."""
        return self._encoding.encode_ordinary(text)

    def encode_many(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of many texts, on all cores."""
        return [ids.tolist() for ids in self.encode_arrays(texts)]

    def encode_arrays(self, texts: Iterable[str], with_end: bool = False) -> Iterator[np.ndarray]:
        """Token ids of many texts, one after the other, on all cores.

        Texts are read as they are needed: what is held are a few stretches of them, and the text that is given out.

        Args:
            with_end: whether each text's ids end with <|endoftext|>.
        Shapes:  (tokens of the text,), read-only
        Oracle:  encode, text by text
        """
        begun: list[np.ndarray] = []  # of a text that goes on in the next stretch
        left_out = 0 if with_end else 1
        for ids, ends in in_order_on_all_cores(self._encode_stretch, stretches(texts)):
            start = 0
            for end in ends:
                own = ids[start : end - left_out]
                yield np.concatenate([*begun, own]) if begun else own
                begun, start = [], end
            if start < len(ids):
                begun.append(ids[start:])

    def _encode_stretch(self, stretch: tuple[str, bool]) -> tuple[np.ndarray, list[int]]:
        """Token ids of a stretch, and the places behind each <|endoftext|>."""
        text, is_joined = stretch
        if not is_joined:
            ids = np.array([*self.encode(text), self.end_of_text_id], dtype=np.uint32)
            return ids, [len(ids)]
        try:
            ids = self._encoding.encode_to_numpy(text, allowed_special={END_OF_TEXT})
        except UnicodeEncodeError:  # half a character, for which `encode` has a replacement, too
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            ids = self._encoding.encode_to_numpy(text, allowed_special={END_OF_TEXT})
        return ids, (np.flatnonzero(ids == self.end_of_text_id) + 1).tolist()

    def encode_bytes(self, data: bytes) -> list[int]:
        """Token ids of any bytes: what is not UTF-8 becomes single-byte tokens."""
        ids: list[int] = []
        while data:
            try:
                return ids + self.encode(data.decode("utf-8"))
            except UnicodeDecodeError as error:
                ids += self.encode(data[: error.start].decode("utf-8"))
                ids += [self._id_of_byte[byte] for byte in data[error.start : error.end]]
                data = data[error.end :]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; <|endoftext|> is left out, bytes that are no UTF-8 show as `�`."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of token ids; <|endoftext|> stands for none."""
        return b"".join(self.vocabulary[token_id] for token_id in ids if token_id != self.end_of_text_id)

    @cached_property
    def token_lengths(self) -> np.ndarray:
        """Bytes that each token id spells, 0 for <|endoftext|>.

        Shapes: (V,)
        """
        return np.array([*(len(token) for token in self.vocabulary), 0], dtype=np.int64)

    @cached_property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The two tokens that each learned token was merged from, in order of learning."""
        ranks = {token: token_id for token_id, token in enumerate(self.vocabulary)}
        return [split_token(token, ranks) for token in self.vocabulary[256:]]

    @cached_property
    def _id_of_byte(self) -> dict[int, int]:
        return {byte: token_id for token_id, byte in enumerate(byte_alphabet())}

    def ids_by_token(self) -> dict[str, int]:
        """The id of each token, <|endoftext|> included, spelled with a visible character for each byte."""
        ids = {_visible(token): token_id for token_id, token in enumerate(self.vocabulary)}
        return {**ids, END_OF_TEXT: self.end_of_text_id}

    def save(self, folder: Path) -> None:
        """Write GPT-2's two files into a folder."""
        lines = ["#version: 0.2", *(f"{_visible(left)} {_visible(right)}" for left, right in self.merges)]
        write_text_atomically(folder / ENCODER_FILE, json.dumps(self.ids_by_token()) + "\n")
        write_text_atomically(folder / MERGES_FILE, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read GPT-2's two files, ours or OpenAI's.

        Raises: GroundupError if a file is missing or broken, or if the two do not describe one vocabulary.
        """
        byte_of = {character: byte for byte, character in byte_to_character().items()}
        encoder_path, merges_path = folder / ENCODER_FILE, folder / MERGES_FILE
        encoder = read_json(encoder_path)
        vocabulary = [bytes([byte]) for byte in byte_alphabet()]
        for number, line in enumerate(read_utf8(merges_path).split("\n")[1:], start=2):
            if not line:
                continue
            try:
                left, right = line.split(" ")
                vocabulary.append(bytes(byte_of[character] for character in left + right))
            except (ValueError, KeyError):
                raise GroundupError(
                    f"{merges_path}: line {number} is not a merge",
                    got=line,
                    allowed="two tokens",
                    do="restore the file",
                ) from None
        tokenizer = cls(vocabulary)
        expected = {token: token_id for token_id, token in enumerate(vocabulary)}
        try:
            found = {
                bytes(byte_of[character] for character in token): token_id
                for token, token_id in encoder.items()
                if token != END_OF_TEXT
            }
        except (KeyError, AttributeError):
            found = {}
        if found != expected or encoder.get(END_OF_TEXT) != tokenizer.end_of_text_id:
            raise GroundupError(
                f"{encoder_path} and {merges_path.name} do not describe one vocabulary",
                do="restore both, for example by running the tokenize stage again",
            )
        return tokenizer


def stretches(texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """The texts, each with <|endoftext|> behind it, in stretches that take about as long to encode.

    Short texts are joined, long ones are cut where a pre-token ends in any case. A text in which <|endoftext|> stands
    as plain text cannot be joined, and comes alone, without an end.

    Returns: each stretch, and whether <|endoftext|> in it is the special token.
    """
    waiting: list[str] = []
    size = 0
    for text in texts:
        if END_OF_TEXT in text:
            yield "".join(waiting), True
            yield text, False
            waiting, size = [], 0
            continue
        for piece in cut_at_borders(text + END_OF_TEXT, STRETCH_CHARACTERS):
            waiting.append(piece)
            size += len(piece)
            if size >= STRETCH_CHARACTERS:
                yield "".join(waiting), True
                waiting, size = [], 0
    yield "".join(waiting), True


def in_order_on_all_cores(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What `work` makes of each item, in the order of the items, of which only a few are read ahead."""
    cores = os.cpu_count() or 1
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(max_workers=cores) as pool:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > cores * STRETCHES_AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _visible(token: bytes) -> str:
    character = byte_to_character()
    return "".join(character[byte] for byte in token)


def split_token(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The last merge that spells a token: its bytes merged by rank until two parts are left."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        candidates = [ranks.get(left + right, len(ranks)) for left, right in pairwise(parts)]
        at = candidates.index(min(candidates))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]
