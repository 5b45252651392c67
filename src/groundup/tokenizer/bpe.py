"""Training of a byte-level byte-pair encoding (BPE), written out.

A text is cut into pre-tokens (words with their leading space, numbers, runs of punctuation, white space), each
pre-token into its UTF-8 bytes. Then, again and again, the pair of neighbouring tokens that stands most often in the
text becomes one new token, until the vocabulary is full.

Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; the pre-tokenization
pattern and the numbering of the bytes are GPT-2's (Radford et al. 2019). The book's chapter 2.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

import regex

from groundup.errors import GroundupError

END_OF_TEXT = "<|endoftext|>"

# GPT-2's pre-tokenization: contractions, words, numbers, other characters, white space. A leading space belongs to
# the word that follows, so that "the" inside a sentence and " the" are one decision of the text, not two tokens.
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

# No pre-token goes on from a character that is no white space to one that is, whatever stands before or behind.
# Python counts more characters as white space than the pattern does: enough before a border, too many behind it.
BORDER = re.compile(r"(?<=\S)[ \n]")

# White space and what follows it up to the next: no pre-token goes beyond. Most chunks of a text were seen before, and
# counting those is faster than cutting all of them by the pattern. (Python's `\s` has four characters too many.)
CHUNK = re.compile(r"[^\S\x1c-\x1f]*[\S\x1c-\x1f]+|\s+")
CHUNKS_AT_ONCE = 1 << 17  # that are held before their words are counted, so that rare chunks take no memory

Pair = str  # of two tokens, each written as the character whose number is its id
MIN_PAIR_COUNT = 2  # a pair that stands once would save one token in one place


def byte_alphabet() -> list[int]:
    """The 256 bytes in the order of their token ids: the printable ones first, as GPT-2 numbers them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return printable + sorted(set(range(256)) - set(printable))


@lru_cache(maxsize=1)
def byte_to_character() -> dict[int, str]:
    """GPT-2's stand-in character for each byte, which lets its files hold any bytes as visible text."""
    printable = byte_alphabet()[: 256 - 68]
    invisible = byte_alphabet()[256 - 68 :]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(invisible)}


def train_bpe(texts: Iterable[str], vocab_size: int) -> list[bytes]:
    """Learn a vocabulary: the bytes of every token, in the order of the token ids, <|endoftext|> not among them.

    Of two pairs that are equally frequent, the one with the smaller ids wins, so the result depends on the texts
    alone, not on their order. Training stops early when no pair stands twice.

    Args:
        texts: the documents of the train side; they are read once, and only their distinct pre-tokens are kept.
        vocab_size: tokens wanted, the 256 bytes and <|endoftext|> included.
    Raises: GroundupError if `vocab_size` leaves no room for the bytes.
    Oracle: reference.bpe.train_bpe, and Hugging Face's `tokenizers`
    """
    n_merges = vocab_size - 257
    if n_merges < 0:
        raise GroundupError(
            "tokenize.vocab_size is smaller than the bytes and <|endoftext|>",
            got=vocab_size,
            allowed="257 or more",
            do="raise tokenize.vocab_size",
        )
    vocabulary = [bytes([byte]) for byte in byte_alphabet()]
    words, counts = distinct_words(texts)
    pair_counts, words_with = _pairs_of(words, counts)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)

    while len(vocabulary) < 256 + n_merges and heap:
        count, pair = heapq.heappop(heap)
        if pair_counts[pair] < -count:  # merges of its neighbours took some: it waits where it belongs by now
            heapq.heappush(heap, (-pair_counts[pair], pair))
            continue
        if -count < MIN_PAIR_COUNT:
            break
        token = chr(len(vocabulary))
        vocabulary.append(vocabulary[ord(pair[0])] + vocabulary[ord(pair[1])])
        for made in _merge(pair, token, words, counts, pair_counts, words_with):
            heapq.heappush(heap, (-pair_counts[made], made))
    return vocabulary


def distinct_words(texts: Iterable[str]) -> tuple[list[str], list[int]]:
    """The distinct pre-tokens of texts, with one character for each byte, and how often each stands there.

    The character of a token is that with the token's id as its number. Words of tokens are then strings, in which
    Python finds and joins pairs fast, and which are ordered as their ids are.
    """
    word_counts: Counter[str] = Counter()
    chunk_counts: Counter[str] = Counter()
    for text in texts:
        for piece in cut_at_borders(text, CHUNKS_AT_ONCE):
            chunk_counts.update(CHUNK.findall(piece))
            if len(chunk_counts) > CHUNKS_AT_ONCE:
                _count_words(chunk_counts, word_counts)
                chunk_counts.clear()
    _count_words(chunk_counts, word_counts)
    token_of_byte = bytes.maketrans(bytes(byte_alphabet()), bytes(range(256)))
    words = [word.encode().translate(token_of_byte).decode("latin-1") for word in word_counts]
    return words, list(word_counts.values())


def cut_at_borders(text: str, characters: int) -> Iterator[str]:
    """A text in pieces of some characters or a little more, whose pre-tokens are those of the whole text."""
    start = 0
    while border := BORDER.search(text, start + characters):
        yield text[start : border.start()]
        start = border.start()
    yield text[start:]


def _count_words(chunk_counts: Counter[str], word_counts: Counter[str]) -> None:
    """Add the pre-tokens of chunks to the counts of words."""
    pattern = regex.compile(GPT2_PATTERN)
    for chunk, count in chunk_counts.items():
        for word in pattern.findall(chunk):
            word_counts[word] += count


def _pairs_of(words: list[str], counts: list[int]) -> tuple[defaultdict[Pair, int], defaultdict[Pair, list[int]]]:
    """How often each pair stands in all texts, and in which words."""
    pair_counts: defaultdict[Pair, int] = defaultdict(int)
    words_with: defaultdict[Pair, list[int]] = defaultdict(list)
    for index, (word, count) in enumerate(zip(words, counts, strict=True)):
        for pair in map(str.__add__, word, word[1:]):
            pair_counts[pair] += count
            words_with[pair].append(index)
    return pair_counts, words_with


def _merge(
    pair: Pair,
    token: str,
    words: list[str],
    counts: list[int],
    pair_counts: defaultdict[Pair, int],
    words_with: defaultdict[Pair, list[int]],
) -> set[Pair]:
    """Replace `pair` by `token` wherever it stands, from left to right; returns the pairs that this made.

    A word is noted under a pair once for each place where the pair came to stand, or more often than that: a place
    may be gone since. Only the pairs beside a place change, so only their counts are corrected.
    """
    first, second = pair[0], pair[1]
    made: set[Pair] = set()
    for index in words_with.pop(pair):
        word, count = words[index], counts[index]
        at = word.find(pair)
        if at < 0:
            continue
        if at > 0:
            left = word[at - 1]
            pair_counts[left + first] -= count
            pair_counts[left + token] += count
            words_with[left + token].append(index)
            made.add(left + token)
        if at + 2 < len(word):
            right = word[at + 2]
            pair_counts[second + right] -= count
            pair_counts[token + right] += count
            words_with[token + right].append(index)
            made.add(token + right)
        words[index] = word[:at] + token + word[at + 2 :]
    del pair_counts[pair]
    return made
