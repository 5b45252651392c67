"""Training of a byte-level byte-pair encoding (BPE), written out.

A text is cut into pre-tokens (words with their leading space, numbers, runs of punctuation, white space), each
pre-token into its UTF-8 bytes. Then, again and again, the pair of neighbouring tokens that stands most often in the
text becomes one new token, until the vocabulary is full.

Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; the pre-tokenization
pattern and the numbering of the bytes are GPT-2's (Radford et al. 2019). The book's chapter 2.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import regex

from groundup.errors import GroundupError

END_OF_TEXT = "<|endoftext|>"

# GPT-2's pre-tokenization: contractions, words, numbers, other characters, white space. A leading space belongs to
# the word that follows, so that "the" inside a sentence and " the" are one decision of the text, not two tokens.
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

Pair = tuple[int, int]


def byte_alphabet() -> list[int]:
    """The 256 bytes in the order of their token ids: the printable ones first, as GPT-2 numbers them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return printable + [byte for byte in range(256) if byte not in set(printable)]


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
    pattern = regex.compile(GPT2_PATTERN)
    word_counts: Counter[str] = Counter()
    for text in texts:
        word_counts.update(pattern.findall(text))

    vocabulary = [bytes([byte]) for byte in byte_alphabet()]
    id_of_byte = {byte: token_id for token_id, byte in enumerate(byte_alphabet())}
    words = [[id_of_byte[byte] for byte in word.encode()] for word in word_counts]
    counts = list(word_counts.values())

    pair_counts: Counter[Pair] = Counter()
    words_with: defaultdict[Pair, set[int]] = defaultdict(set)  # an index of where to look when a pair is merged
    for index, word in enumerate(words):
        for pair in pairwise(word):
            pair_counts[pair] += counts[index]
            words_with[pair].add(index)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)

    while len(vocabulary) < 256 + n_merges and heap:
        count, pair = heapq.heappop(heap)
        if -count != pair_counts.get(pair, 0):
            continue  # an old entry: the pair's count has changed since, and a newer entry holds it
        if -count < 2:
            break
        merged = vocabulary[pair[0]] + vocabulary[pair[1]]
        new_id = len(vocabulary)
        vocabulary.append(merged)
        changed = _merge_in_words(pair, new_id, words, counts, pair_counts, words_with)
        for changed_pair in changed:
            if pair_counts[changed_pair] > 0:
                heapq.heappush(heap, (-pair_counts[changed_pair], changed_pair))
    return vocabulary


def _merge_in_words(
    pair: Pair,
    new_id: int,
    words: list[list[int]],
    counts: list[int],
    pair_counts: Counter[Pair],
    words_with: defaultdict[Pair, set[int]],
) -> set[Pair]:
    """Replace `pair` by `new_id` in every word that has it; returns the pairs whose counts changed."""
    changed: set[Pair] = set()
    for index in words_with.pop(pair):
        word, count = words[index], counts[index]
        for old in pairwise(word):
            pair_counts[old] -= count
            changed.add(old)
        merged = merge_pair(word, pair, new_id)
        words[index] = merged
        for new in pairwise(merged):
            pair_counts[new] += count
            words_with[new].add(index)
            changed.add(new)
    changed.discard(pair)
    pair_counts.pop(pair, None)
    return changed


def merge_pair(word: list[int], pair: Pair, new_id: int) -> list[int]:
    """The word with every `pair`, from left to right, replaced by one `new_id`."""
    merged: list[int] = []
    position = 0
    while position < len(word):
        if position + 1 < len(word) and (word[position], word[position + 1]) == pair:
            merged.append(new_id)
            position += 2
        else:
            merged.append(word[position])
            position += 1
    return merged
