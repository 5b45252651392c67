"""Stories written from nothing: what is a copy, what keeps the rules, and where one breaks them."""

import pytest
from helpers import byte_tokenizer, tiny_gpt, token_store

from groundup.data.sample.check import StoryChecker
from groundup.data.sample.telling import Reading
from groundup.evaluation.stories import Story, around, documents_of, judge_stories, story_checker, write_stories
from groundup.generate import Sampling, generate
from groundup.report.say import of_every_kind, picked
from groundup.seeding import derive_seed

SAMPLING = Sampling(temperature=1.0)


class OnlyAs:
    """Rules by which only texts of the letter a can be made."""

    def read(self, text: str) -> Reading:
        kept = len(text) - len(text.lstrip("a"))
        kind = "letter" if kept == len(text) else "story"
        return Reading(ways=int(kept == len(text)), bits=1.0, reached=kept, kind=kind)


def model_of_bytes(context_length: int = 8):
    return tiny_gpt(vocab_size=257, context_length=context_length)


def test_stories_begin_with_nothing_and_may_fill_the_context():
    model, tokenizer = model_of_bytes(), byte_tokenizer()
    stories = write_stories(model, tokenizer, 5, SAMPLING, seed=3, batch_size=2)
    assert len(stories) == 5
    end = tokenizer.end_of_text_id
    expected = []
    for start, size in ((0, 2), (2, 2), (4, 1)):
        seed = derive_seed(3, "stories", start)
        expected += generate(model, [[end]] * size, 7, sampling=SAMPLING, stop_id=end, seed=seed)
    assert stories == [Story(tokenizer.decode(tokens), len(tokens) < 7) for tokens in expected]
    assert len({story.text for story in stories}) == 5  # each draws its own numbers
    assert write_stories(model, tokenizer, 5, SAMPLING, seed=3, batch_size=2) == stories
    assert write_stories(model, tokenizer, 5, SAMPLING, seed=4, batch_size=2) != stories


def test_a_store_s_documents_come_back_as_texts():
    tokenizer = byte_tokenizer()
    texts = ["Mira lived.", "", "naïve 東京", "The end."]
    store = token_store([[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in texts])
    assert documents_of(store, tokenizer) == texts


def test_copies_are_told_whatever_their_case_digits_and_spaces():
    known = ["Mira has 3 plums.", "Tom sleeps."]
    stories = [Story(text, True) for text in ("mira  has 4\nplums. ", "Mira has 3 plums", "Tom", "Tom sleeps.")]
    figures, rows = judge_stories(stories, known, None)
    assert [row["copy"] for row in rows] == [True, False, False, True]
    assert figures == {"written": 4, "ended": 1.0, "copies": 0.5}
    assert not any("keeps_rules" in row or "broke_at" in row for row in rows)


def test_with_a_checker_the_share_that_keeps_the_rules_is_measured():
    broken = "a" * 50 + "bc" + "d" * 30
    stories = [Story("aaaa", True), Story(broken, True), Story("x", False), Story("a", False)]
    figures, rows = judge_stories(stories, [], OnlyAs())
    by_kind = {"letter": {"written": 2, "keep_rules": 1.0}, "story": {"written": 2, "keep_rules": 0.0}}
    assert figures == {"written": 4, "ended": 0.5, "copies": 0.0, "keep_rules": 0.5, "by_kind": by_kind}
    assert [row["keeps_rules"] for row in rows] == [True, False, False, True]
    assert [row["broke_at"] for row in rows] == ["", "a" * 40 + "▶" + "bc" + "d" * 18, "▶x", ""]
    assert rows[1]["text"] == broken


@pytest.mark.parametrize(("place", "shown"), [(0, "▶abc"), (2, "ab▶c"), (3, "abc▶")])
def test_the_mark_stands_at_the_place(place, shown):
    assert around("abc", place) == shown


def test_only_the_sample_stories_have_rules():
    assert story_checker(("tinyshakespeare", "data/own/a.txt"), 1, 8) is None
    checker = story_checker(("sample-stories", "the-verdict"), 7, 10)
    assert isinstance(checker, StoryChecker)
    assert (checker.world.seed, checker.world.size) == (7, 10)
    assert checker.read("This was never so in any world.").ways == 0


def test_rows_that_are_wanted_come_first_and_no_row_twice():
    rows = [{"n": n} for n in range(5)]
    assert picked(rows, 3, lambda row: row["n"] == 4, lambda row: row["n"] > 2) == [{"n": 4}, {"n": 3}, {"n": 0}]
    assert picked(rows, 2, lambda row: row["n"] == 9) == [{"n": 0}, {"n": 1}]
    assert picked([], 3, lambda row: True) == []


def test_every_kind_is_shown_before_any_is_shown_twice():
    rows = [{"kind": kind, "n": n} for n, kind in enumerate("aaabbc")]
    assert [row["n"] for row in of_every_kind(rows, 4)] == [0, 3, 5, 1]
    assert [row["n"] for row in of_every_kind([row | {"kind": ""} for row in rows], 2)] == [0, 1]
