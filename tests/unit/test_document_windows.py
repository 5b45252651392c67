"""Windows of text that begin with a document: whole documents, each once, the same for the same seed and step."""

import numpy as np
import pytest
from helpers import token_store

from groundup.data.batches import _epoch_of_documents, windows_of_documents

END = 0


def made(documents, length=8, batch_size=2, seed=1, batch=0):
    return windows_of_documents(token_store(documents), length, END, batch_size, seed, batch)


def short_documents(n=40):
    """Documents of 2 to 5 tokens: the number of each document, then the end-of-text token."""
    return [[number + 1] * (1 + number % 4) + [END] for number in range(n)]


def long_documents(n=40):
    """Documents of 5 or 6 tokens: two of them never fill a window of 8."""
    return [[number + 1] * (4 + number % 2) + [END] for number in range(n)]


def epoch_of(documents, batches):
    return np.concatenate([made(documents, batch=batch) for batch in range(batches)])


def test_every_window_is_full_and_begins_with_a_document():
    store = token_store(short_documents())
    windows = epoch_of(short_documents(), 8)
    starts = {tuple(store[index][:2]) for index in range(len(store))}
    assert windows.shape == (16, 9)
    assert all(row[0] == END and tuple(row[1:3]) in starts for row in windows)


def test_within_a_window_documents_are_whole_but_for_the_last_one():
    whole = {tuple(document) for document in short_documents()}
    for row in epoch_of(short_documents(), 8):
        text = row[1:].tolist()
        while END in text:
            end = text.index(END) + 1
            assert tuple(text[:end]) in whole
            text = text[end:]


def test_a_document_that_was_cut_begins_the_next_window():
    _, places = _epoch_of_documents(token_store(long_documents()), 8, 1, 0)
    windows = np.concatenate([made(long_documents(), batch_size=1, batch=batch) for batch in range(len(places))])
    seen = [tuple(row[1:].tolist()) for row in windows]
    cut = [row for row in seen if row[-1] != END]
    assert cut
    beginnings = {row[0] for row in seen}
    # All but the cut one of the epoch's very last window begin another window of the same epoch.
    assert sum(row[-1] not in beginnings for row in cut) <= 1


def test_all_of_a_document_longer_than_a_window_is_read():
    long = [*range(1, 30), END]
    windows = np.concatenate([made([long, long], batch_size=1, batch=batch)[:, 1:] for batch in range(7)])
    assert set(range(1, 30)) <= set(windows.flatten().tolist())


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    documents = short_documents()
    assert np.array_equal(made(documents, batch=3), made(documents, batch=3))
    assert not np.array_equal(made(documents, batch=3), made(documents, batch=4))
    assert not np.array_equal(made(documents, seed=1), made(documents, seed=2))


def test_the_text_goes_on_after_its_first_epoch_in_another_order():
    documents = short_documents()
    batches = [made(documents, batch=batch).tolist() for batch in range(40)]  # an epoch has fewer than 10
    assert len({str(batch) for batch in batches}) == 40


def test_windows_are_filled_with_whole_documents_where_some_fit():
    documents = short_documents(400)  # left as they come, one in four would end with its window
    assert np.mean(epoch_of(documents, 60)[:, -1] == END) > 0.5


def test_a_late_batch_is_found_without_making_earlier_epochs_again():
    store = token_store(short_documents())
    for batch in range(60):  # an epoch has fewer than 10
        windows_of_documents(store, 8, END, 2, 1, batch)
    made_before = _epoch_of_documents.cache_info().misses
    windows_of_documents(store, 8, END, 2, 1, 59)
    assert _epoch_of_documents.cache_info().misses == made_before


def test_too_little_text_for_a_batch_is_said():
    with pytest.raises(ValueError, match="do not fill a batch of 2 windows of 8 tokens"):
        made([[1, 2, END]])
