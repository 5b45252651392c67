"""What simple classifiers reach on the same rows; a model that does not beat them has not earned its cost."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline

REGULARISATION_TRIED = (0.1, 1.0, 10.0, 100.0, 1000.0)  # scikit-learn's C


def majority_probabilities(train_labels: np.ndarray, n_test: int) -> np.ndarray:
    """The share of the positive class in the train rows, for every test row: calls all rows the same.

    Shapes:  (N,) -> (n_test,)
    """
    return np.full(n_test, float(train_labels.mean()))


def tfidf_probabilities(
    train: tuple[Sequence[str], np.ndarray],
    validation: tuple[Sequence[str], np.ndarray],
    test_texts: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on TF-IDF weighted words, its regularisation chosen on the validation rows.

    Shapes:  texts with labels (N,) -> positive probabilities of validation (N_validation,) and test (N_test,)
    """
    fitted = []
    for strength in REGULARISATION_TRIED:
        model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=strength, max_iter=1000)).fit(
            *train
        )
        probabilities = model.predict_proba(validation[0])[:, 1]
        fitted.append((float(log_loss(validation[1], probabilities, labels=[0, 1])), strength, model, probabilities))
    _, _, model, on_validation = min(fitted, key=lambda each: each[:2])
    return on_validation, model.predict_proba(test_texts)[:, 1]
