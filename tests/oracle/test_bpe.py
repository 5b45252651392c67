"""The vocabulary and the encodings equal the slow reference's and Hugging Face's."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import models, pre_tokenizers, trainers

from groundup.reference import bpe as reference
from groundup.tokenizer.bpe import byte_alphabet, byte_to_character, train_bpe
from groundup.tokenizer.encoding import Tokenizer

ALWAYS_THE_SAME = settings(max_examples=60, deadline=None, derandomize=True, database=None)

TEXTS = [
    "The cat sat on the mat, and the rat sat on the cat; the bat ate the hat that the cat had.",
    "Whether 'tis nobler: that the cat can't, won't and shan't sit 1234 times on 1234 mats?  \t\n\n  Yes.",
    "naïve café, 東京 and 東京, 😀😀😀 — and then the end.\n\n\nThe end.\r\n",
    "aaaaaaaa aaaa aaa aa a banana bananas ananas",
]
VOCAB_SIZE = 330

# Few letters, so that pairs repeat, tie and overlap; with spaces, digits, quotes and letters of several bytes.
texts_with_repeats = st.lists(st.text(alphabet="aab bc'1é東\n", max_size=40), max_size=5)


def character_form(token: bytes) -> str:
    return "".join(byte_to_character()[byte] for byte in token)


def trained_by_hugging_face(texts: list[str], vocab_size: int) -> HuggingFaceTokenizer:
    tokenizer = HuggingFaceTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # one id is left for <|endoftext|>
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@cache
def our_tokenizer() -> Tokenizer:
    return Tokenizer(train_bpe(TEXTS, VOCAB_SIZE))


@cache
def hugging_face_tokenizer() -> HuggingFaceTokenizer:
    """Hugging Face's tokenizer with our merges."""
    ours = our_tokenizer()
    other = HuggingFaceTokenizer(
        models.BPE(
            vocab={character_form(token): token_id for token_id, token in enumerate(ours.vocabulary)},
            merges=[(character_form(left), character_form(right)) for left, right in ours.merges],
        )
    )
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return other


def test_bytes_are_numbered_alike():
    assert [bytes([byte]) for byte in byte_alphabet()] == reference.gpt2_bytes()
    assert sorted(byte_to_character().values()) == sorted(pre_tokenizers.ByteLevel.alphabet())


def test_the_trained_vocabulary_equals_the_reference_s():
    assert our_tokenizer().vocab_size > 300
    assert our_tokenizer().vocabulary == reference.train_bpe(TEXTS, VOCAB_SIZE)


@ALWAYS_THE_SAME
@given(texts_with_repeats, st.integers(257, 290))
def test_any_texts_give_the_reference_s_vocabulary(texts, vocab_size):
    assert train_bpe(texts, vocab_size) == reference.train_bpe(texts, vocab_size)


def test_the_trained_vocabulary_and_its_merges_equal_hugging_face_s(tmp_path):
    ours, other = our_tokenizer(), trained_by_hugging_face(TEXTS, VOCAB_SIZE)
    assert other.get_vocab() == {character_form(token): token_id for token_id, token in enumerate(ours.vocabulary)}
    other.model.save(str(tmp_path))
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert merges == [f"{character_form(left)} {character_form(right)}" for left, right in ours.merges]


@pytest.mark.parametrize("seed", range(3))
def test_many_merges_equal_hugging_face_s(seed):
    """Made-up words, some frequent and many rare, with hundreds of ties and of counts that fall before their turn."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdeé-1", k=rng.randint(1, 9))) for _ in range(2000)]
    texts = [" ".join(words[int(2000 * rng.random() ** 3)] for _ in range(50)) for _ in range(100)]
    vocabulary = train_bpe(texts, 1500)
    assert len(vocabulary) > 900
    expected = trained_by_hugging_face(texts, 1500).get_vocab()
    assert {character_form(token): token_id for token_id, token in enumerate(vocabulary)} == expected


@pytest.mark.parametrize("text", TEXTS)
def test_encodings_equal_the_reference_s_and_hugging_face_s(text):
    ids = our_tokenizer().encode(text)
    assert len(ids) < len(text.encode()) / 1.5  # the merges are used
    assert ids == reference.encode(text, our_tokenizer().vocabulary)
    assert ids == hugging_face_tokenizer().encode(text).ids
    assert reference.decode(ids, our_tokenizer().vocabulary) == text.encode()


@ALWAYS_THE_SAME
@given(st.text(max_size=60) | st.text(alphabet="the cats'1 \n東é", max_size=60))
def test_any_text_is_encoded_as_the_reference_and_hugging_face_do(text):
    ids = our_tokenizer().encode(text)
    assert ids == reference.encode(text, our_tokenizer().vocabulary)
    assert ids == hugging_face_tokenizer().encode(text).ids
    assert reference.decode(ids, our_tokenizer().vocabulary) == text.encode()


def test_many_texts_are_encoded_as_one_by_one():
    assert our_tokenizer().encode_many(TEXTS) == [our_tokenizer().encode(text) for text in TEXTS]


def test_no_two_tokens_spell_the_same_bytes():
    # In runs of few letters the same bytes could come together along several ways, such as ab + c and a + bc.
    rng = random.Random(0)
    for letters in ("a", "ab", "abc"):
        texts = ["".join(rng.choices(letters, k=30)) for _ in range(20)]
        vocabulary = train_bpe(texts, 330)
        assert len(vocabulary) > 256
        assert len(set(vocabulary)) == len(vocabulary)
        assert vocabulary == reference.train_bpe(texts, 330)
