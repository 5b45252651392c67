"""Messages of the sample world: their rate of spam, that words and length do not settle it, and what can be reached."""

import hashlib
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from groundup.data.sample.messages import (
    AMBIGUOUS_SHARE,
    DEFAULT_COUNT,
    LONGEST,
    SHORTEST,
    SPAM_SHARE,
    SPAM_SHARE_OF_AMBIGUOUS,
    sample_messages,
)
from groundup.data.sample.world import World
from groundup.data.split import Row, assign, normalise, similar_pairs
from groundup.evaluation.baselines import tfidf_probabilities

WORLD = World(1, 24)


@pytest.fixture(scope="module")
def messages():
    return sample_messages(WORLD, seed=1)


@pytest.fixture(scope="module")
def is_spam(messages):
    return np.array([message.label == "spam" for message in messages])


@pytest.mark.parametrize("n", [0, 1, 10, 333, 1000])
def test_the_rate_of_spam_is_exact_at_every_size(n):
    some = sample_messages(WORLD, seed=2, n=n)
    assert len(some) == n
    assert sum(message.label == "spam" for message in some) == round(SPAM_SHARE * n)


def test_the_messages_of_seed_1_are_these():
    some = sample_messages(WORLD, seed=1, n=500)
    text = "".join(f"{each.label}\t{each.text}\t{each.best_guess}\t{each.kind}\n" for each in some)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "24f6bd9ec0b9b7a579b6e247a56529194527466c564e2752c7705e31e47256cb"
    )
    assert sample_messages(WORLD, seed=1, n=500) == some


def test_another_seed_gives_other_messages(messages):
    other = {normalise(each.text) for each in sample_messages(WORLD, seed=2, n=500)}
    assert len(other & {normalise(each.text) for each in messages}) <= 5


def test_all_messages_differ_and_have_their_length(messages):
    assert len(messages) == DEFAULT_COUNT
    assert len({normalise(message.text) for message in messages}) == DEFAULT_COUNT
    for message in messages:
        assert SHORTEST <= len(message.text) <= LONGEST
        assert re.fullmatch(r"[A-Za-z0-9 .,:;!?'-]+", message.text), message.text
        assert not re.search(r"  | [,.;!?]|[,.;:!?]{2}|^ | $", message.text), message.text


def test_few_messages_are_near_duplicates(messages):
    near: Counter = Counter()
    for left, right in similar_pairs([normalise(message.text) for message in messages], 0.6):
        near[left] += 1
        near[right] += 1
    assert len(near) <= 0.02 * DEFAULT_COUNT
    assert max(near.values()) <= 40


def test_the_best_that_can_be_reached_is_as_stated(messages):
    right = sum(message.label == message.best_guess for message in messages)
    assert right / DEFAULT_COUNT == pytest.approx(1 - AMBIGUOUS_SHARE * SPAM_SHARE_OF_AMBIGUOUS)
    assert {each.best_guess for each in messages if each.kind == "ambiguous"} == {"ham"}
    assert all(each.best_guess == each.label for each in messages if each.kind != "ambiguous")


def test_ambiguous_messages_come_under_both_labels_from_one_rule(messages):
    unclear = [message for message in messages if message.kind == "ambiguous"]
    assert len(unclear) == round(AMBIGUOUS_SHARE * DEFAULT_COUNT)
    n_spam = sum(message.label == "spam" for message in unclear)
    assert n_spam == round(SPAM_SHARE_OF_AMBIGUOUS * len(unclear))
    lengths = [len(message.text) for message in unclear]
    assert 0.35 < roc_auc_score([message.label == "spam" for message in unclear], lengths) < 0.65
    words = {label: _words_by_share([each for each in unclear if each.label == label]) for label in ("ham", "spam")}
    for word, share in words["ham"].items():
        assert abs(share - words["spam"].get(word, 0.0)) < 0.3, word


def test_no_single_word_tells_the_label(messages, is_spam):
    containing: defaultdict[str, list[int]] = defaultdict(list)
    for index, message in enumerate(messages):
        for word in set(re.findall(r"\w+", message.text.casefold())):
            containing[word].append(index)
    for word, indices in containing.items():
        purity, coverage = is_spam[indices].mean(), is_spam[indices].sum() / is_spam.sum()
        assert 2 * purity * coverage / (purity + coverage + 1e-9) < 0.55, (word, purity, coverage)
        if coverage > 0.1:
            assert purity < 0.9, (word, purity, coverage)
    for word in ("won", "free", "prize", "lucky", "secret", "key", "coins", "claim", "winner"):
        assert not is_spam[containing[word]].all(), word


def test_length_does_not_tell_the_label(messages, is_spam):
    assert 0.4 < roc_auc_score(is_spam, [len(message.text) for message in messages]) < 0.6


def test_slips_of_the_pen_are_as_frequent_under_both_labels(messages):
    def shares(label):
        texts = [message.text for message in messages if message.label == label]
        return np.array(
            [np.mean([slip(text) for text in texts]) for slip in (str.islower, lambda text: text[-1].isalnum())]
        )

    np.testing.assert_allclose(shares("spam"), shares("ham"), atol=0.07)
    assert (shares("ham") > 0.2).all()


def test_messages_whose_words_are_the_same_have_both_labels():
    many = sample_messages(WORLD, seed=1, n=20_000)  # few of them are of this kind
    roles = [message for message in many if message.kind == "roles"]
    words = {label: _words_by_share([each for each in roles if each.label == label]) for label in ("ham", "spam")}
    for word in ("you", "me", "i", "have", "secret", "key", "for", "because"):
        assert words["ham"][word] == pytest.approx(words["spam"][word], abs=0.15), word
    assert 0.1 < np.mean([each.label == "spam" for each in roles]) < 0.16


def test_simple_classifiers_stay_below_what_can_be_reached(messages, is_spam):
    sides = assign([Row(each.text, each.label) for each in messages], (0.7, 0.2, 0.1), 1, 0.6)
    on = {side: [index for index, each in enumerate(sides) if each == side] for side in ("train", "validation", "test")}
    train, held_out, tuning = (
        ([messages[index].text for index in on[side]], is_spam[on[side]].astype(int))
        for side in ("train", "validation", "test")
    )
    _, probabilities = tfidf_probabilities(train, tuning, held_out[0])
    reached = ((probabilities[:, 1] > 0.5) == held_out[1]).mean()
    best = np.mean([messages[index].label == messages[index].best_guess for index in on["validation"]])
    assert 0.985 <= best <= 0.995
    assert 0.96 <= reached <= best
    assert reached > 1 - SPAM_SHARE + 0.03  # far above calling all of them ham


def test_a_message_that_was_there_already_is_drawn_again(monkeypatch):
    few = {
        "ROLES_SHARE": 0.0,
        "AMBIGUOUS_SHARE": 1.0,
        "SPAM_SHARE_OF_AMBIGUOUS": SPAM_SHARE,
        "GREETINGS": ("hello there!",),
        "ASIDES": ("all is well.",),
        "CLOSINGS": ("goodbye.",),
        "UNCLEAR": ("call me {at}, it is about {food}",),
    }
    for name, value in few.items():
        monkeypatch.setattr(f"groundup.data.sample.messages.{name}", value)
    texts = [normalise(message.text) for message in sample_messages(WORLD, seed=1, n=1_000)]
    assert len(set(texts)) == 1_000


def test_a_count_that_the_world_cannot_fill_is_refused(monkeypatch):
    monkeypatch.setattr("groundup.data.sample.messages.LONGEST", SHORTEST - 1)
    with pytest.raises(ValueError, match="ask for fewer than 10"):
        sample_messages(WORLD, seed=1, n=10)


def _words_by_share(messages):
    counts = Counter(word for each in messages for word in set(re.findall(r"\w+", each.text.casefold())))
    return {word: count / len(messages) for word, count in counts.items()}
