"""Do the figures of a run hold what its preset promises? Usage: python .ci/figures.py sample|small."""

import json
import sys
from pathlib import Path


def main(preset: str) -> int:
    summary = json.loads(Path("reports/summary.json").read_text(encoding="utf-8"))
    language, classifier, instruct = summary["language_model"], summary["classifier"], summary["instruct"]
    baselines = {name: row["accuracy"] for name, row in classifier["baselines"].items()}
    promised = {"split: no text on two sides": summary["split"]["leaks"] == summary["split"]["near_leaks"] == 0}
    wanted = {}  # shown, and no failure: chance has a say in them
    if preset == "sample":
        stories, beginner = language["stories"], instruct["from_random"]
        promised |= {
            "language model at most 1.15 times the floor": language["ratio_to_floor"] <= 1.15,
            "at most 10 % of the written documents are copies": stories["copies"] <= 0.1,
            "95 % of the stories keep every rule": stories["by_kind"]["story"]["keep_rules"] >= 0.95,
            # Two runs that differed in random numbers alone were 0.8 points apart: a gate at 1 would stop good code.
            "classifier within 2 points of the best possible": classifier["accuracy"]
            >= classifier["best_possible"] - 0.02,
            "exact match at least 90 %": instruct["exact_match"] >= 0.9,
            "exact match at least 80 % on facts": instruct["facts_exact_match"] >= 0.8,
            "from random weights at most half as much": beginner["exact_match"] <= instruct["exact_match"] / 2,
            "from random weights at most 20 % of the facts": beginner["facts_exact_match"] <= 0.2,
        }
        wanted = {
            "classifier within 1 point of the best possible": classifier["accuracy"]
            >= classifier["best_possible"] - 0.01,
            "classifier at or above every baseline": classifier["accuracy"] >= max(baselines.values()),
        }
    else:
        pretrain = json.loads(Path("reports/pretrain/metrics.json").read_text(encoding="utf-8"))
        promised |= {
            "validation at or below 2.5 bits per byte": pretrain["best"]["bits_per_byte"] <= 2.5,
            "classifier accuracy at least 98 %": classifier["accuracy"] >= 0.98,
            "classifier above TF-IDF + logistic regression": classifier["accuracy"] > baselines["tfidf_logreg"],
        }
        # On average over five seeds; on one, which has 517 messages, it was behind by two.
        wanted = {"classifier at or above the n-gram SVM": classifier["accuracy"] >= baselines["svm"]}
    for what, holds in promised.items():
        print("ok     " if holds else "FAIL   ", what)
    for what, holds in wanted.items():
        print("ok     " if holds else "missed ", what)
    return 0 if all(promised.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
