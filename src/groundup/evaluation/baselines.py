"""What simple classifiers reach on the same rows; a model that does not beat them has not earned its cost."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import label_binarize
from sklearn.svm import LinearSVC

REGULARISATION_TRIED = (0.1, 1.0, 10.0, 100.0, 1000.0)  # scikit-learn's C
SVM_REGULARISATION_TRIED = (0.1, 1.0, 10.0)  # a margin in some 10^5 dimensions is at its limit soon


def majority_probabilities(train_labels: np.ndarray, n_test: int, n_classes: int) -> np.ndarray:
    """The share of each class in the train rows, for every test row: calls all rows the same.

    Shapes:  (N,) -> (n_test, K)
    """
    return np.tile(np.bincount(train_labels, minlength=n_classes) / len(train_labels), (n_test, 1))


def tfidf_probabilities(
    train: tuple[Sequence[str], np.ndarray],
    validation: tuple[Sequence[str], np.ndarray],
    test_texts: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on TF-IDF weighted words, its regularisation chosen on the validation rows.

    Every class is among the train rows.

    Shapes:  texts with labels (N,) -> probabilities of validation (N_validation, K) and test (N_test, K)
    """
    fitted = []
    for strength in REGULARISATION_TRIED:
        model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=strength, max_iter=1000)).fit(
            *train
        )
        probabilities = model.predict_proba(validation[0])
        loss = float(log_loss(validation[1], probabilities, labels=model.classes_))
        fitted.append((loss, strength, model, probabilities))
    _, _, model, on_validation = min(fitted, key=lambda each: each[:2])
    return on_validation, model.predict_proba(test_texts)


def char_svm_scores(
    train: tuple[Sequence[str], np.ndarray],
    validation: tuple[Sequence[str], np.ndarray],
    test_texts: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """A linear support vector machine on TF-IDF weighted pieces of words, up to five characters long.

    It sees parts of words, so that a changed spelling does not hide a word from it. Of more than two classes each has a
    machine of its own, against the rest. The regularisation is chosen on the validation rows. The distances from the
    margins come through a logistic function: between 0 and 1 and in their order, but no probabilities.

    Shapes:  texts with labels (N,) -> scores of validation (N_validation, K) and test (N_test, K)
    Source:  Joachims 1998, "Text Categorization with Support Vector Machines".
    """
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True)
    train_pieces, validation_pieces = pieces.fit_transform(train[0]), pieces.transform(validation[0])
    fitted = []
    for strength in SVM_REGULARISATION_TRIED:
        model = LinearSVC(C=strength, random_state=0).fit(train_pieces, train[1])
        distances = model.decision_function(validation_pieces)
        is_it = label_binarize(validation[1], classes=model.classes_).reshape(distances.shape)
        hinge_loss = float(np.maximum(0, 1 - (2 * is_it - 1) * distances).mean())
        fitted.append((hinge_loss, strength, model, distances))
    _, _, model, on_validation = min(fitted, key=lambda each: each[:2])
    return _scores(on_validation), _scores(model.decision_function(pieces.transform(test_texts)))


def _scores(distances: np.ndarray) -> np.ndarray:
    """A column of scores for each class. Shapes: (N,), of the positive one of two, or (N, K) -> (N, K)"""
    scores = 1 / (1 + np.exp(-distances))
    return scores if scores.ndim == 2 else np.column_stack([1 - scores, scores])
