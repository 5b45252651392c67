"""The corpus as tokens on disk: the same arrays whatever the pieces are, and texts that come back from them."""

import numpy as np
import pytest
from data_helpers import contents, paragraph, story
from helpers import trained_tokenizer

from groundup.data import corpus_tokens, passages
from groundup.data.corpus import Document
from groundup.data.corpus_tokens import DOCUMENTS_FILE, TokenCorpus, TokenFile, write_blocks, write_corpus
from groundup.data.token_store import TokenStore, write_token_store
from groundup.errors import GroundupError
from groundup.tokenizer.encoding import Tokenizer

DOCUMENTS = [
    Document("a", story(9), whole_source=True),
    Document("b", "ü 漢字 \u2028 \r\n <|endoftext|> \n\n  🙂", whole_source=False, surprisal_bits=2.5),
    Document("b", paragraph(4), whole_source=False, surprisal_bits=0.0),
    Document("b", "漢" * 40, whole_source=False),
]


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(passages, "PIECE_CHARACTERS", 50)
    monkeypatch.setattr(corpus_tokens, "BLOCK_TOKENS", 7)


def test_the_tokens_of_pieces_are_stored_as_those_of_whole_texts(tmp_path, small_pieces):
    tokenizer = trained_tokenizer()
    write_corpus(tmp_path / "pieces", DOCUMENTS, tokenizer)
    wanted = [[*tokenizer.encode(document.text), tokenizer.end_of_text_id] for document in DOCUMENTS]
    write_token_store(tmp_path / "whole", wanted, tokenizer.vocab_size)
    assert contents(tmp_path / "whole").items() < contents(tmp_path / "pieces").items()


def test_documents_come_back_with_all_that_is_known_of_them(tmp_path, small_pieces):
    tokenizer = trained_tokenizer()
    write_corpus(tmp_path, DOCUMENTS, tokenizer)
    found = TokenCorpus(tmp_path, tokenizer)
    assert list(found) == DOCUMENTS
    assert len(found) == len(DOCUMENTS)
    assert found[2] == DOCUMENTS[2] != found[1]


def test_blocks_are_those_of_the_store(tmp_path, small_pieces):
    tokenizer = trained_tokenizer()
    store = write_corpus(tmp_path, DOCUMENTS, tokenizer)
    tokens = TokenFile(tmp_path, tokenizer)
    assert len(tokens) == len(store)
    assert np.array_equal(np.concatenate(list(tokens.blocks())), store.tokens)
    for index in range(len(store)):
        blocks = list(tokens.document(index))
        assert np.array_equal(np.concatenate(blocks), store[index])
        assert max(map(len, blocks)) <= 7
        assert "".join(tokens.text(index)) == tokenizer.decode(store[index].tolist())


@pytest.mark.parametrize("n_words", [10, 70_000])
def test_tokens_of_either_type_are_read(tmp_path, n_words):
    """A vocabulary of more than 65,536 tokens takes four bytes for each."""
    tokenizer = Tokenizer([number.to_bytes(3, "big") for number in range(n_words)])
    last = tokenizer.end_of_text_id
    write_blocks(tmp_path, [np.array([0, last - 1, last])], tokenizer)
    assert [block.tolist() for block in TokenFile(tmp_path, tokenizer).blocks()] == [[0, last - 1, last]]


def test_blocks_up_to_an_end_of_text_are_one_document(tmp_path):
    tokenizer = trained_tokenizer()
    end = tokenizer.end_of_text_id
    blocks = [np.array(ids) for ids in ([1], [2, 3], [4, end], [end], [5, end])]
    store = write_blocks(tmp_path, blocks, tokenizer)
    assert [store[index].tolist() for index in range(len(store))] == [[1, 2, 3, 4, end], [end], [5, end]]
    assert TokenStore.load(tmp_path).offsets.tolist() == [0, 5, 6, 8]
    assert len(write_blocks(tmp_path / "none", [], tokenizer)) == 0


def test_facts_of_other_documents_are_refused(tmp_path):
    tokenizer = trained_tokenizer()
    write_corpus(tmp_path, DOCUMENTS, tokenizer)
    facts = (tmp_path / DOCUMENTS_FILE).read_bytes()
    write_corpus(tmp_path, DOCUMENTS[1:], tokenizer)
    (tmp_path / DOCUMENTS_FILE).write_bytes(facts)
    with pytest.raises(GroundupError, match=r"documents\.json does not fit the token arrays.*dvc repro"):
        TokenCorpus(tmp_path, tokenizer)
