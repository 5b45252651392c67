"""Byte-pair encoding as one would explain it: count all pairs, merge the most frequent, start over.

Source: Sennrich et al. 2016; the book's chapter 2 and its bonus material on BPE.
"""

from collections import Counter
from itertools import pairwise

import regex

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def gpt2_bytes() -> list[bytes]:
    """GPT-2's order of the 256 bytes: those with a visible character, then the rest."""
    visible = [byte for byte in range(256) if 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255]
    rest = [byte for byte in range(256) if byte not in visible]
    return [bytes([byte]) for byte in visible + rest]


def train_bpe(texts: list[str], vocab_size: int) -> list[bytes]:
    """The bytes of every token in the order of ids; one id is kept free for <|endoftext|>."""
    vocabulary = gpt2_bytes()
    words = [[bytes([byte]) for byte in word.encode()] for text in texts for word in regex.findall(PATTERN, text)]
    while len(vocabulary) < vocab_size - 1:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        if not pairs:
            break
        # The most frequent; of equals the one with the smaller ids, so that the order of the texts plays no part.
        best = min(pairs, key=lambda pair: (-pairs[pair], vocabulary.index(pair[0]), vocabulary.index(pair[1])))
        if pairs[best] < 2:
            break  # a pair that stands once would save one token in one place
        vocabulary.append(best[0] + best[1])
        words = [merge(word, best) for word in words]
    return vocabulary


def merge(word: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    """Join every occurrence of the pair, from left to right: of three equal letters in a row, the first two."""
    joined: list[bytes] = []
    waiting = list(word)
    while waiting:
        if tuple(waiting[:2]) == pair:
            joined.append(waiting.pop(0) + waiting.pop(0))
        else:
            joined.append(waiting.pop(0))
    return joined


def encode(text: str, vocabulary: list[bytes]) -> list[int]:
    """Token ids: in each pre-token, join the neighbours that make the earliest learned token, until none is left."""
    ids = []
    for word in regex.findall(PATTERN, text):
        parts = [bytes([byte]) for byte in word.encode()]
        while True:
            joined = [left + right for left, right in pairwise(parts)]
            known = [vocabulary.index(token) for token in joined if token in vocabulary]
            if not known:
                break
            at = joined.index(vocabulary[min(known)])  # the leftmost, if it stands in several places
            parts[at : at + 2] = [joined[at]]
        ids += [vocabulary.index(part) for part in parts]
    return ids


def decode(ids: list[int], vocabulary: list[bytes]) -> bytes:
    """The bytes that token ids spell."""
    return b"".join(vocabulary[token_id] for token_id in ids)
