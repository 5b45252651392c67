"""Parts of the messages: which rows they hold, and what is said of them."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from groundup.evaluation.slices import FEWEST_ROWS, has_capitals, has_digits, has_url, slice_figures, slices_of
from groundup.tasks.classes import Classes

TWO = Classes(["ham", "spam"], 0.5)
THREE = Classes(["a", "b", "c"])


@pytest.mark.parametrize(
    "text",
    [
        "see http://a.example/x",
        "HTTPS://X.Y",
        "www.prize now",
        "go to prize-4u.co.uk/win",
        "mail.example.com",
        "bit.ly/3",
        "see prize.com.Now",
    ],
)
def test_an_address_of_the_web_is_found(text: str) -> None:
    assert has_url(text)


@pytest.mark.parametrize(
    "text",
    ["", "at home.Then we go", "1.50 each", "write to me@example.com", "e.g. this", "www", "so...com", "no.command"],
)
def test_other_texts_have_no_address(text: str) -> None:
    assert not has_url(text)


def test_words_in_capitals_and_digits() -> None:
    assert [has_capitals(text) for text in ("call NOW", "I am", "A B C", "ÄRGER", "NOw", "", "免费", "U2")] == [
        *(True, False, False, True, False, False, False, False)
    ]
    assert [has_digits(text) for text in ("call 1", "٣", "one", "")] == [True, True, False, False]


def test_quarters_go_by_length_and_traits_part_the_rows() -> None:
    texts = ["x" * n for n in (9, 1, 5, 3, 7, 2, 6, 4)]
    found = slices_of(texts)
    lengths = [
        [len(text) for text, inside in zip(texts, found[f"length_quarter_{n}"], strict=True) if inside]
        for n in (1, 2, 3, 4)
    ]
    assert [sorted(each) for each in lengths] == [[1, 2], [3, 4], [5, 6], [7, 9]]
    for trait in ("digits", "urls", "capitals"):
        assert (found[f"with_{trait}"] != found[f"without_{trait}"]).all()


def rows(n: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    generator = np.random.default_rng(2)
    texts = ["x" * int(length) + ("7" if at % 3 == 0 else "") for at, length in enumerate(generator.integers(1, 90, n))]
    return texts, generator.integers(0, 2, n), generator.integers(0, 2, n)


def test_the_figures_of_a_slice_are_those_of_its_rows() -> None:
    texts, labels, called = rows(200)
    figures = slice_figures(texts, labels, called, TWO, 0.95)
    assert list(figures) == [*(f"length_quarter_{n}" for n in (1, 2, 3, 4)), "with_digits", "without_digits"]
    inside = np.array(["7" in text for text in texts])
    found = figures["with_digits"]
    assert found["rows"] == inside.sum() == 67
    assert found["accuracy"] == pytest.approx(accuracy_score(labels[inside], called[inside]))
    assert found["f1"] == pytest.approx(f1_score(labels[inside], called[inside]))
    assert found["positive_share"] == pytest.approx(labels[inside].mean())
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert sum(figures[f"length_quarter_{n}"]["rows"] for n in (1, 2, 3, 4)) == 200
    assert figures["length_quarter_1"]["shortest"] == min(map(len, texts))
    assert figures["length_quarter_4"]["longest"] == max(map(len, texts))


def test_too_few_rows_are_not_shown() -> None:
    texts = ["1"] * FEWEST_ROWS + ["x"] * (FEWEST_ROWS - 1)
    labels = np.ones(len(texts), dtype=int)
    figures = slice_figures(texts, labels, labels, TWO, 0.95)
    assert list(figures) == ["with_digits"]
    assert slice_figures([""], labels[:1], labels[:1], TWO, 0.95) == {}


def test_a_slice_without_positives_has_no_f1_and_one_of_many_classes_has_the_mean() -> None:
    texts, _, called = rows(100)
    nothing = np.zeros(100, dtype=int)
    assert all("f1" not in row for row in slice_figures(texts, nothing, called, TWO, 0.95).values())
    labels = np.arange(100) % 3
    found = slice_figures(texts, labels, called, THREE, 0.95)["with_digits"]
    inside = np.array(["7" in text for text in texts])
    seen = np.unique(labels[inside])
    assert found["macro_f1"] == pytest.approx(
        f1_score(labels[inside], called[inside], labels=seen, average="macro", zero_division=0)
    )
    assert not {"f1", "positive_share"} & set(found)
