"""What simple classifiers reach on the same rows; a model that does not beat them has not earned its cost."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import label_binarize
from sklearn.svm import LinearSVC

SMOOTHING_TRIED = (0.01, 0.03, 0.1, 0.3, 1.0)  # scikit-learn's alpha: added to each count of a word
REGULARISATION_TRIED = (0.1, 1.0, 10.0, 100.0, 1000.0)  # scikit-learn's C
SVM_REGULARISATION_TRIED = (0.1, 1.0, 10.0)  # a margin in some 10^5 dimensions is at its limit soon
CLASS_WEIGHTS_TRIED = (None, "balanced")

Labelled = tuple[Sequence[str], np.ndarray]


def majority_probabilities(train_labels: np.ndarray, n_test: int, n_classes: int) -> np.ndarray:
    """The share of each class in the train rows, for every test row: calls all rows the same.

    Shapes:  (N,) -> (n_test, K)
    """
    return np.tile(np.bincount(train_labels, minlength=n_classes) / len(train_labels), (n_test, 1))


def naive_bayes_probabilities(
    train: Labelled, validation: Labelled, test_texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial naive Bayes on how often each word occurs, its smoothing chosen on the validation rows.

    Every class is among the train rows.

    Shapes:  texts with labels (N,) -> probabilities of validation (N_validation, K) and test (N_test, K)
    Source:  McCallum and Nigam 1998, "A Comparison of Event Models for Naive Bayes Text Classification".
    """
    models = [MultinomialNB(alpha=smoothing) for smoothing in SMOOTHING_TRIED]
    return _least_surprised(models, [CountVectorizer()], train, validation, test_texts)


def tfidf_probabilities(
    train: Labelled, validation: Labelled, test_texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on TF-IDF weighted words, its regularisation chosen on the validation rows.

    Every class is among the train rows.

    Shapes:  texts with labels (N,) -> probabilities of validation (N_validation, K) and test (N_test, K)
    """
    models = [LogisticRegression(C=strength, max_iter=1000) for strength in REGULARISATION_TRIED]
    return _least_surprised(models, [TfidfVectorizer(sublinear_tf=True)], train, validation, test_texts)


def svm_scores(train: Labelled, validation: Labelled, test_texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A linear support vector machine on TF-IDF weighted words, pairs of words, and pieces of words.

    Pieces are up to five characters long, so that a changed spelling does not hide a word from it. Of more than two
    classes each has a machine of its own, against the rest. The regularisation, and whether the classes weigh the same,
    are chosen by the hinge loss on the validation rows. The distances from the margins come through a logistic
    function: between 0 and 1 and in their order, but no probabilities.

    Shapes:  texts with labels (N,) -> scores of validation (N_validation, K) and test (N_test, K)
    Source:  Joachims 1998, "Text Categorization with Support Vector Machines".
    """
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    on_train, on_validation, on_test = _features([words, pieces], train[0], validation[0], test_texts)
    fitted = []
    for number, (weights, strength) in enumerate(product(CLASS_WEIGHTS_TRIED, SVM_REGULARISATION_TRIED)):
        model = LinearSVC(C=strength, class_weight=weights, random_state=0).fit(on_train, train[1])
        distances = model.decision_function(on_validation)
        is_it = label_binarize(validation[1], classes=model.classes_).reshape(distances.shape)
        hinge_loss = float(np.maximum(0, 1 - (2 * is_it - 1) * distances).mean())
        fitted.append((hinge_loss, number, model, distances))
    _, _, model, distances = min(fitted, key=lambda each: each[:2])
    return _scores(distances), _scores(model.decision_function(on_test))


def _least_surprised(
    models: Sequence[Any], vectorizers: Sequence[Any], train: Labelled, validation: Labelled, test_texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities on validation and test by the model whose log loss on validation is lowest; the first of equal.

    Shapes:  -> (N_validation, K), (N_test, K)
    """
    on_train, on_validation, on_test = _features(vectorizers, train[0], validation[0], test_texts)
    fitted = []
    for number, model in enumerate(models):
        probabilities = model.fit(on_train, train[1]).predict_proba(on_validation)
        loss = float(log_loss(validation[1], probabilities, labels=model.classes_))
        fitted.append((loss, number, model, probabilities))
    _, _, model, probabilities = min(fitted, key=lambda each: each[:2])
    return probabilities, model.predict_proba(on_test)


def _features(vectorizers: Sequence[Any], train_texts: Sequence[str], *others: Sequence[str]) -> list[csr_matrix]:
    """What the vectorizers find in the texts of each side, side by side; they learn from the train texts alone.

    Where the train texts have nothing to find, such as signs without a word, all texts are alike: one column of ones.

    Shapes:  N texts -> (N, n_features), each
    """
    sides = (train_texts, *others)
    found = []
    for vectorizer in vectorizers:
        analyze = vectorizer.build_analyzer()
        if any(analyze(text) for text in train_texts):
            found.append([vectorizer.fit_transform(train_texts), *map(vectorizer.transform, others)])
    if not found:
        return [csr_matrix(np.ones((len(texts), 1))) for texts in sides]
    return [hstack(parts, format="csr") for parts in zip(*found, strict=True)]


def _scores(distances: np.ndarray) -> np.ndarray:
    """A column of scores for each class. Shapes: (N,), of the positive one of two, or (N, K) -> (N, K)"""
    scores = 1 / (1 + np.exp(-distances))
    return scores if scores.ndim == 2 else np.column_stack([1 - scores, scores])
