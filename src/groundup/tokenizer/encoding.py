"""A vocabulary ready for use: fast encoding by tiktoken, kept in GPT-2's two files.

A trained vocabulary and GPT-2's own take the same road: `encoder.json` (token to id) and `vocab.bpe` (merges in
order), the format that OpenAI released and that Hugging Face reads as `vocab.json` and `merges.txt`.
"""

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import tiktoken

from groundup.errors import GroundupError
from groundup.files import read_json, read_utf8, write_text_atomically
from groundup.tokenizer.bpe import END_OF_TEXT, GPT2_PATTERN, byte_alphabet, byte_to_character

ENCODER_FILE = "encoder.json"
MERGES_FILE = "vocab.bpe"
TEXTS_AT_ONCE = 256  # that a core encodes; handing over one small text at a time takes longer than encoding it


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
        waiting = list(texts)
        stretches = [waiting[start : start + TEXTS_AT_ONCE] for start in range(0, len(waiting), TEXTS_AT_ONCE)]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return [ids for each in pool.map(self._encode_each, stretches) for ids in each]

    def _encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

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
