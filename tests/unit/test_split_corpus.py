"""Which side a document goes to, from digests alone, and how one long document is cut."""

from collections import Counter

from data_helpers import paragraph, seeded, story
from hypothesis import given
from hypothesis import strategies as st

from groundup.data.corpus import Document
from groundup.data.split import SIDES, Row, assign
from groundup.data.split_corpus import PASSAGE_WORDS, Cut, assign_documents, passage_key, passages_on_side

SHARES = (0.7, 0.2, 0.1)
WORDS = ("tea", "Tea", "lamp", "7", "12", "ü", "\ud83d")


@seeded
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), max_size=40), st.integers(0, 5))
def test_documents_have_the_sides_that_their_texts_have_as_rows(texts, seed):
    documents = [Document("a", text, whole_source=False) for text in texts]
    assert assign_documents(documents, SHARES, seed) == assign([Row(text) for text in texts], SHARES, seed)


def test_a_group_has_the_place_of_its_smallest_text_in_any_order():
    """ "tea" and "TEA" stay together; where they go, the smaller of them says."""
    texts = [f"tea {chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)]
    for order in ([*texts, *map(str.upper, texts)], [*map(str.upper, texts), *texts]):
        documents = [Document("a", text, whole_source=False) for text in order]
        assert assign_documents(documents, SHARES, 1) == assign([Row(text) for text in order], SHARES, 1)


def test_long_documents_among_others_change_no_side():
    texts = [f"{paragraph(number)} {number % 3}" for number in range(30)]
    others = [Document("a", text, whole_source=False) for text in texts]
    placings = assign_documents([whole(story(3)), *others[:9], whole(story(4)), *others[9:]], SHARES, 1)
    assert isinstance(placings[0], Cut)
    assert isinstance(placings[10], Cut)
    assert placings[1:10] + placings[11:] == assign([Row(text) for text in texts], SHARES, 1)


words = st.lists(st.sampled_from(["tea", "lamp", "oak", "12"]), min_size=6, max_size=9).map(" ".join)


@seeded
@given(st.lists(st.lists(words, min_size=1, max_size=25).map("\n\n".join), min_size=1, max_size=3), st.lists(words))
def test_the_passages_that_are_left_out_are_those_seen_on_an_earlier_side(longs, shorts):
    """Against sets of the texts themselves, where the code holds numbers."""
    documents = [*map(whole, longs), *(Document("a", text, whole_source=False) for text in shorts)]
    seen = {passage_key(text) for text in shorts} - {""}
    for document, placing in zip(documents, assign_documents(documents, SHARES, 1), strict=True):
        if not isinstance(placing, Cut):
            continue
        passages = list(placing.split([document.text]))
        for side, start, end in zip(SIDES, placing.bounds, placing.bounds[1:], strict=False):
            kept = [passage for passage in passages[start:end] if passage_key(passage) not in seen]
            assert list(placing.passages(document, side)) == kept
            assert placing.has(side) == bool(kept)
            seen |= {passage_key(passage) for passage in passages[start:end]} - {""}


def whole(text):
    return Document("a", text, whole_source=True)


def passages_by_side(documents):
    """What each side has of each document."""
    placings = assign_documents(documents, SHARES, 1)
    return [
        {side: list(passages_on_side(document, placing, side)) for side in SIDES}
        for document, placing in zip(documents, placings, strict=True)
    ]


def test_a_cut_document_keeps_its_order_and_loses_nothing():
    text = story(60)
    (cut,) = passages_by_side([whole(text)])
    assert "".join(passage for side in SIDES for passage in cut[side]) == text
    assert all(cut[side] for side in SIDES)


def test_a_passage_that_stands_again_later_is_left_out_there():
    repeated = paragraph(0) + "\n\n"
    text = repeated + "".join(paragraph(n) + "\n\n" for n in range(1, 40)) + repeated.upper() + paragraph(41)
    (cut,) = passages_by_side([whole(text)])
    assert cut["train"][0] == repeated
    assert not any(passage.upper() == repeated.upper() for side in SIDES[1:] for passage in cut[side])
    assert cut["test"][-1] == paragraph(41)
    kept = sum(len(cut[side]) for side in SIDES)
    assert kept == 41


def test_short_lines_may_recur_on_every_side():
    text = "".join(f"Enter a Messenger.\n\n{paragraph(n)}\n\n" for n in range(30))
    (cut,) = passages_by_side([whole(text)])
    assert all("Enter a Messenger.\n\n" in cut[side] for side in SIDES)


def test_a_passage_counts_from_so_many_words_on():
    words = " ".join("word" for _ in range(PASSAGE_WORDS))
    assert passage_key(words) == words
    assert passage_key(words.rpartition(" ")[0]) == ""


def test_a_passage_of_another_file_is_left_out_too():
    first, second = story(30), story(30)
    cuts = passages_by_side([whole(first), whole(second)])
    assert "".join(passage for side in SIDES for passage in cuts[0][side]) == first
    assert [passage for side in SIDES for passage in cuts[1][side]] == []


def test_documents_of_one_file_go_to_a_side_whole_and_copies_once():
    documents = [Document("a", f"{paragraph(n)}\n\n{paragraph(n + 100)}", whole_source=False) for n in range(20)]
    documents.append(documents[3])
    *sides, of_the_copy = assign_documents(documents, SHARES, 1)
    assert of_the_copy is None
    for document, side in zip(documents[:-1], sides, strict=True):
        assert list(passages_on_side(document, side, side)) == [document.text]
        assert not any(list(passages_on_side(document, side, other)) for other in SIDES if other != side)
    assert Counter(sides) == {"train": 14, "validation": 4, "test": 2}
