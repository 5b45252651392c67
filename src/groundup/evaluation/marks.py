"""Marks and names that stand in texts; without torch, for the terminal reads them too."""

BREAK_MARK = "▶"  # stands in a story where it breaks the rules
COPY_BEGINS, COPY_ENDS = "⟦", "⟧"  # around what a model wrote as it stands in the train text

# The classifiers beside the GPT, by their keys in the summary.
BASELINES = {
    "majority": "majority class",
    "naive_bayes": "naive Bayes",
    "tfidf_logreg": "TF-IDF + logistic regression",
    "svm": "n-gram SVM",
}
