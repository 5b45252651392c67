"""Token ids on disk: the smallest type that holds them, read where they are looked at, refused when damaged."""

import errno
import shutil
import weakref

import numpy as np
import pytest
from data_helpers import seeded
from hypothesis import given
from hypothesis import strategies as st

from groundup.data import token_store
from groundup.data.token_store import OFFSETS_FILE, TOKENS_FILE, TokenStore, write_token_store
from groundup.errors import GroundupError

DOCUMENTS = [[1, 2, 3], [], [65535, 0], [7]]


@seeded
@given(documents=st.lists(st.lists(st.integers(0, 299), max_size=9), max_size=6))
def test_documents_come_back_as_they_were_written(documents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    write_token_store(folder, documents, vocab_size=300)
    store = TokenStore.load(folder)
    assert len(store) == len(documents)
    assert [store[index].tolist() for index in range(len(store))] == documents
    assert store.lengths.tolist() == [len(document) for document in documents]
    assert store.tokens.tolist() == [token for document in documents for token in document]


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(257, np.uint16), (65536, np.uint16), (65537, np.uint32), (200_000, np.uint32)]
)
def test_the_type_is_the_smallest_that_holds_the_vocabulary(tmp_path, vocab_size, dtype):
    last = vocab_size - 1
    store = write_token_store(tmp_path, [[0, last]], vocab_size)
    assert store.tokens.dtype == dtype
    assert store[0].tolist() == [0, last]
    assert store.offsets.dtype == np.int64


def test_the_tokens_stay_on_disk(tmp_path):
    store = write_token_store(tmp_path, DOCUMENTS, 65536)
    assert isinstance(store.tokens, np.memmap)
    assert isinstance(store[0], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.tokens[0] = 5


def test_a_token_that_does_not_fit_the_vocabulary_s_type_is_not_wrapped_around(tmp_path):
    with pytest.raises(OverflowError):
        write_token_store(tmp_path, [[65536]], 300)


@pytest.mark.parametrize("documents", [[[65536]], [np.array([3, 65536])], [np.array([-1])], [[1], np.array([1 << 32])]])
def test_ids_that_fit_no_type_of_the_vocabulary_are_not_wrapped_around_in_arrays(tmp_path, documents):
    with pytest.raises(OverflowError):
        write_token_store(tmp_path, documents, 300)


@seeded
@given(
    documents=st.lists(st.lists(st.integers(0, 299), max_size=9), max_size=6),
    vocab_size=st.sampled_from([300, 70_000]),
    block=st.integers(1, 9),
    form=st.sampled_from([list, lambda each: np.array(each, np.uint32), lambda each: np.array(each, np.int64)]),
)
def test_the_files_are_those_that_numpy_writes(documents, vocab_size, block, form, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_store, "BLOCK_TOKENS", block)
        write_token_store(folder, (form(each) for each in documents), vocab_size)
    dtype = np.uint16 if vocab_size == 300 else np.uint32
    np.save(folder / "expected.npy", np.array([token for each in documents for token in each], dtype))
    np.save(folder / "offsets_expected.npy", np.cumsum([0, *(len(each) for each in documents)], dtype=np.int64))
    assert (folder / TOKENS_FILE).read_bytes() == (folder / "expected.npy").read_bytes()
    assert (folder / OFFSETS_FILE).read_bytes() == (folder / "offsets_expected.npy").read_bytes()


def test_documents_are_let_go_once_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(token_store, "BLOCK_TOKENS", 30)
    made: list[weakref.ref] = []
    held: list[int] = []

    def documents():
        for number in range(100):
            document = np.full(10, number, np.uint32)
            made.append(weakref.ref(document))
            held.append(sum(each() is not None for each in made))
            yield document

    store = write_token_store(tmp_path, documents(), 300)
    assert store.tokens.tolist() == np.repeat(np.arange(100), 10).tolist()
    assert max(held) <= 7  # two blocks and the one that is being made


@pytest.mark.parametrize("name", [TOKENS_FILE, OFFSETS_FILE])
def test_a_full_disk_names_the_file(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_token_store(tmp_path, [np.zeros(9, np.uint32)] * 3, 300)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / name)


@pytest.mark.parametrize("name", [TOKENS_FILE, OFFSETS_FILE])
def test_a_missing_array_is_named(tmp_path, name):
    write_token_store(tmp_path, DOCUMENTS, 300_000)
    (tmp_path / name).unlink()
    with pytest.raises(GroundupError, match=rf"{name}: no such file.*dvc repro"):
        TokenStore.load(tmp_path)


@pytest.mark.parametrize("name", [TOKENS_FILE, OFFSETS_FILE])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: b"garbage" * 40,
        lambda data: b"PK\x03\x04" + data,
        lambda data: data[:10] + bytes(40) + data[50:],
    ],
    ids=["empty", "magic cut", "header cut", "last byte cut", "garbage", "like an archive", "header broken"],
)
def test_a_damaged_array_is_refused_in_one_line(tmp_path, name, damage):
    write_token_store(tmp_path, DOCUMENTS, 65536)
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    with pytest.raises(GroundupError) as caught:
        TokenStore.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "dvc repro" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_array_of_python_objects_is_never_unpickled(tmp_path):
    write_token_store(tmp_path, DOCUMENTS, 65536)
    np.save(tmp_path / TOKENS_FILE, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(GroundupError, match="damaged token arrays"):
        TokenStore.load(tmp_path)


@pytest.mark.parametrize("offsets", [[0, 3, 3, 5, 7], [0, 3], []])
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path, offsets):
    write_token_store(tmp_path, DOCUMENTS, 65536)
    np.save(tmp_path / OFFSETS_FILE, np.array(offsets, dtype=np.int64))
    with pytest.raises(GroundupError, match="do not fit each other"):
        TokenStore.load(tmp_path)


def test_a_store_can_be_moved(tmp_path):
    write_token_store(tmp_path / "a", DOCUMENTS, 65536)
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert TokenStore.load(tmp_path / "b")[2].tolist() == [65535, 0]
