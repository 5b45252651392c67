"""The files of an evaluation, written from made-up figures: what they hold, and who reads them next."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_helpers import ANSWER, INSTRUCT

from groundup.errors import GroundupError
from groundup.evaluation.calibration import calibration_figures
from groundup.evaluation.classifier import ClassifierScores
from groundup.evaluation.comparison import versus_figures
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.metrics import classifier_figures, resampled_bounds
from groundup.files import read_json, sha256_of_file, write_json_atomically
from groundup.params_file import load_params
from groundup.report import record
from groundup.report.classifier_files import curves_of
from groundup.report.record import record_reports
from groundup.report.tables import rounded, write_metrics, write_table
from groundup.report.terminal import print_summary
from groundup.report.write import TRAININGS, write_evaluation
from groundup.tasks.classes import Classes

ROOT = Path(__file__).resolve().parents[2]

LABELS = np.array([0, 0, 0, 1, 1, 0, 1, 0, 0, 1])
GPT = np.array([0.11, 0.62, 0.05, 0.91, 0.44, 0.2, 0.77, 0.33, 0.31, 0.87])
TFIDF = np.array([0.2, 0.1, 0.3, 0.8, 0.7, 0.6, 0.9, 0.4, 0.2, 0.55])
THRESHOLD = 0.5
TWO = Classes(["ham", "spam"], THRESHOLD)
HOSTILE = "<script>alert(1)</script> `x` | # y\n[/bold] \u2028 'quoted' \"twice\" \\ 東京"
SPLIT = {
    "leaks": 0,
    "near_leaks": 0,
    "messages": {"copies_left_out": 3, "shares": {"test": {"ham": 0.6, "spam": 0.4}}},
}


def of_two(positive: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - positive, positive])


def curve(start: float) -> list[dict[str, float]]:
    return [{"step": float(n), "tokens": 64.0 * n, "loss_nats": start / n} for n in range(1, 5)]


def write_trainings(reports: Path) -> None:
    """What the stages before `evaluate` leave in `reports/`."""
    for number, name in enumerate(TRAININGS, start=3):
        train = [each | {"learning_rate": 0.01, "grad_norm": 1.25} for each in curve(number)]
        write_table(reports / name / "train.csv", train)
        write_table(reports / name / "validation.csv", [each | {"accuracy": 0.5} for each in curve(number + 0.5)[1::2]])
        write_metrics(reports / name / "metrics.json", {"steps": 4, "best": {"loss_nats": number / 3}})
    write_metrics(reports / "tokenize" / "metrics.json", {"vocab_size": 300})
    write_metrics(reports / "split" / "metrics.json", SPLIT)


def classifier_results(
    classes: Classes, labels: np.ndarray, gpt: np.ndarray, other: np.ndarray
) -> tuple[dict[str, Any], ClassifierScores]:
    """The figures of a classifier whose baselines all say the same, and what each said."""
    probabilities = {"GPT": gpt} | dict.fromkeys(("majority", "naive_bayes", "tfidf_logreg", "svm"), other)
    called = {name: classes.called(each) for name, each in probabilities.items()}

    def figures(name: str) -> dict[str, Any]:
        row = classifier_figures(labels, probabilities[name], classes, 0.95)
        return row | resampled_bounds(labels, probabilities[name], classes, 0.95, 0)

    baselines = {
        name: figures(name) | {"versus": versus_figures(labels, called["GPT"], called[name], classes, 0.95, 0)}
        for name in probabilities
        if name != "GPT"
    }
    calibration = {"temperature": 1.0} | calibration_figures(labels, gpt, gpt, classes)
    result = figures("GPT") | {"rows": len(labels), "confidence": 0.95, "baselines": baselines}
    result |= {"calibration": calibration}
    return result, ClassifierScores(classes, labels, probabilities, called, gpt)


def evaluated() -> tuple[Evaluated, Evaluated, ClassifierScores, Evaluated]:
    language = Evaluated(
        {"loss_nats": 10 / 3, "perplexity": 28.03, "bits_per_byte": 2.0 / 3, "tokens": 99, "bytes": 300},
        [
            {"prompt": HOSTILE, "text": HOSTILE, "temperature": 0.7}
            | {"overlap": 3, "copied_share": 0.25, "passage": HOSTILE}
        ],
        detail={
            "by_position": [{"from": 0, "to": 0, "tokens": 99, "loss_nats": 10 / 3}],
            "by_frequency": [{"from": 1, "to": 9, "tokens": 99, "loss_nats": 10 / 3}],
            "by_document": {
                "documents": 1,
                "quantiles": {"0.05": 2.0, "0.5": 2.0, "0.95": 2.0},
                "most_surprising": [{"text": HOSTILE, "bits_per_byte": 2.0}],
            },
        },
    )
    figures, scores = classifier_results(TWO, LABELS, of_two(GPT), of_two(TFIDF))
    classifier = Evaluated(
        figures,
        [
            {
                "text": f"{n} {HOSTILE}",
                "label": ["ham", "spam"][label],
                "called": ["ham", "spam"][int(probability >= THRESHOLD)],
                "probability": float(probability),
                "right": bool((probability >= THRESHOLD) == label),
            }
            for n, (label, probability) in enumerate(zip(LABELS, GPT, strict=True))
        ],
    )
    answer = {"instruction": HOSTILE, "input": HOSTILE, "wanted": HOSTILE, "answer": HOSTILE}
    instruct = Evaluated(
        INSTRUCT | {"token_f1": 1 / 7}, [ANSWER | answer | {"exact_match": True, "token_f1": 1.0, "rouge_l": 1.0}]
    )
    return language, classifier, scores, instruct


def write_all(reports: Path) -> dict[str, Any]:
    write_trainings(reports)
    (reports / "evaluate").mkdir(parents=True)
    language, classifier, scores, instruct = evaluated()
    return write_evaluation(reports, reports / "evaluate", language, classifier, scores, instruct, SPLIT)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    reports = tmp_path_factory.mktemp("written") / "reports"
    return reports, write_all(reports)


def test_an_evaluation_writes_its_files_and_no_other(written: tuple[Path, dict[str, Any]]) -> None:
    reports, _ = written
    assert {path.name for path in (reports / "evaluate").iterdir()} == {
        "report.md",
        "language_model_samples.json",
        "language_detail.json",
        "loss_by_position.png",
        "classifier_samples.json",
        "instruct_samples.json",
        "pretrain_losses.png",
        "finetune_cls_losses.png",
        "finetune_instruct_losses.png",
        "confusion.png",
        "roc.png",
        "precision_recall.png",
        "precision_recall.csv",
        "reliability.png",
        "reliability.csv",
        "mistakes.json",
        "predictions.csv",
    }
    assert {path.name for path in reports.iterdir() if path.is_file()} == {"summary.json", "confusion.csv", "roc.csv"}


def test_the_same_figures_give_the_same_bytes(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    reports, summary = written
    again = tmp_path / "elsewhere"
    assert write_all(again) == summary
    names = sorted(path.relative_to(reports) for path in reports.rglob("*") if path.is_file())
    assert len(names) == 31
    assert [str(name) for name in names if sha256_of_file(reports / name) != sha256_of_file(again / name)] == []


def test_the_summary_that_is_returned_is_the_one_in_the_file(written: tuple[Path, dict[str, Any]]) -> None:
    reports, summary = written
    assert read_json(reports / "summary.json") == summary
    language, classifier, _, instruct = evaluated()
    assert summary == rounded(
        {
            "language_model": language.figures,
            "classifier": classifier.figures,
            "instruct": instruct.figures,
            "split": {"leaks": 0, "near_leaks": 0},
        }
    )
    assert summary["language_model"]["bits_per_byte"] == 0.666667


def test_the_confusion_table_has_one_row_for_each_message(written: tuple[Path, dict[str, Any]]) -> None:
    reports, summary = written
    lines = (reports / "confusion.csv").read_text().splitlines()
    assert lines[0] == "is,called"
    confusion = summary["classifier"]["confusion"]
    assert Counter(lines[1:]) == {
        "ham,ham": confusion["true_negative"],
        "ham,spam": confusion["false_positive"],
        "spam,ham": confusion["false_negative"],
        "spam,spam": confusion["true_positive"],
    }
    assert len(lines) == 1 + len(LABELS)


def test_the_area_under_the_roc_table_is_the_figure_in_the_summary(written: tuple[Path, dict[str, Any]]) -> None:
    reports, summary = written
    rows = [tuple(map(float, line.split(","))) for line in (reports / "roc.csv").read_text().splitlines()[1:]]
    assert rows[0] == (0.0, 0.0)
    assert rows[-1] == (1.0, 1.0)
    assert rows == sorted(rows)
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(rows))
    assert area == pytest.approx(summary["classifier"]["roc_auc"], abs=1e-5)


def test_samples_come_back_as_they_were(written: tuple[Path, dict[str, Any]]) -> None:
    reports, _ = written
    language, classifier, _, instruct = evaluated()
    for name, expected in (("language_model", language), ("classifier", classifier), ("instruct", instruct)):
        assert read_json(reports / "evaluate" / f"{name}_samples.json") == expected.samples


def test_the_report_names_only_images_that_are_there(written: tuple[Path, dict[str, Any]]) -> None:
    folder = written[0] / "evaluate"
    images = {part.split(")")[0] for part in (folder / "report.md").read_text(encoding="utf-8").split("](")[1:]}
    assert images == {path.name for path in folder.glob("*.png")}


def test_the_terminal_summary_reads_these_files(
    written: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(written[0])
    out = capsys.readouterr().out
    assert "0.667" in out
    assert "[/bold]" in out


class Recorder:
    """Takes what would go to MLflow."""

    def __init__(self) -> None:
        self.curves: Mapping[str, Sequence[Mapping[str, float]]] = {}
        self.figures: Mapping[str, float] = {}
        self.artifacts: Sequence[Path] = []

    def __call__(self, params: Any, curves: Any, figures: Any, artifacts: Any, *others: Any, **options: Any) -> str:
        self.curves, self.figures, self.artifacts = curves, figures, artifacts
        return "an id"


def test_recording_takes_all_curves_and_figures_from_the_files(
    written: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports, summary = written
    recorder = Recorder()
    monkeypatch.setattr(record, "record_pipeline", recorder)
    assert record_reports(load_params(ROOT / "params.yaml"), reports, Path("dvc.lock")) == "an id"
    assert set(recorder.curves) == set(TRAININGS)
    assert recorder.curves["pretrain"][0] == {
        "step": 1.0,
        "tokens": 64.0,
        "train_loss_nats": 3.0,
        "learning_rate": 0.01,
        "grad_norm": 1.25,
    }
    assert recorder.curves["pretrain"][-1] == {
        "step": 4.0,
        "tokens": 256.0,
        "validation_loss_nats": 0.875,
        "validation_accuracy": 0.5,
    }
    assert len(recorder.curves["finetune_cls"]) == 6
    assert recorder.figures["language_model.bits_per_byte"] == summary["language_model"]["bits_per_byte"]
    assert recorder.figures["classifier.baselines.tfidf_logreg.confusion.true_positive"] == 4
    assert recorder.figures["final.finetune_instruct.best.loss_nats"] == rounded(5 / 3)
    assert recorder.figures["final.tokenize.vocab_size"] == 300
    # A final figure under a curve's name would be a false point at step 0.
    curve_keys = {f"{name}/{key}" for name, rows in recorder.curves.items() for each in rows for key in each}
    assert not curve_keys & set(recorder.figures)
    assert all(path.exists() for path in recorder.artifacts)


@pytest.mark.parametrize("missing", ["summary.json", "pretrain/train.csv", "finetune_cls/metrics.json"])
def test_an_unfinished_pipeline_is_not_recorded(
    missing: str, written: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = tmp_path / "reports"
    shutil.copytree(written[0], reports)
    (reports / missing).unlink()
    recorder = Recorder()
    monkeypatch.setattr(record, "record_pipeline", recorder)
    with pytest.raises(GroundupError, match=f"{missing}: no such file"):
        record_reports(load_params(ROOT / "params.yaml"), reports, Path("dvc.lock"))
    assert not recorder.curves


def test_stories_come_back_as_they_were(tmp_path: Path) -> None:
    write_trainings(tmp_path)
    (tmp_path / "evaluate").mkdir()
    language, classifier, scores, instruct = evaluated()
    by_kind = {"letter": {"written": 1, "keep_rules": 0.0}}
    figures = language.figures | {
        "stories": {"written": 1, "ended": 1.0, "copies": 0.0, "keep_rules": 0.0, "by_kind": by_kind}
    }
    story = {"text": HOSTILE, "ended": True, "copy": False, "keeps_rules": False, "broke_at": "a▶b"}
    told = Evaluated(figures, language.samples, [story])
    write_evaluation(tmp_path, tmp_path / "evaluate", told, classifier, scores, instruct, SPLIT)
    assert read_json(tmp_path / "evaluate" / "stories.json") == [story]


def test_a_failing_evaluation_leaves_no_summary(tmp_path: Path) -> None:
    """The summary is written last: where it stands, the report and the plots stand too."""
    write_trainings(tmp_path)
    (tmp_path / "evaluate").mkdir()
    language, classifier, scores, instruct = evaluated()
    broken = Evaluated(instruct.figures, [{"answer": "no other field", "kind": ""}])
    with pytest.raises(KeyError, match="exact_match"):
        write_evaluation(tmp_path, tmp_path / "evaluate", language, classifier, scores, broken, SPLIT)
    assert not (tmp_path / "summary.json").exists()


def test_samples_with_a_number_that_json_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomically(tmp_path / "samples.json", [{"probability": float("nan")}])
    assert json.loads(json.dumps({"probability": rounded(float("nan"))})) == {"probability": None}


# --- more than two classes

MANY = Classes(["bill", "bug", "praise", "<b>|`$x$"])
MANY_LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 0])
MANY_SCORES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.6, 0.3, 0.05, 0.05],
        [0.1, 0.1, 0.7, 0.1],
        [0.1, 0.2, 0.3, 0.4],
        [0.1, 0.1, 0.1, 0.7],
        [0.3, 0.25, 0.25, 0.2],
    ]
)


def evaluated_of_many(labels: np.ndarray = MANY_LABELS) -> tuple[Evaluated, Evaluated, ClassifierScores, Evaluated]:
    language, _, _, instruct = evaluated()
    figures, scores = classifier_results(MANY, labels, MANY_SCORES, MANY_SCORES)
    pairs = zip(labels.tolist(), MANY.called(MANY_SCORES).tolist(), strict=True)
    samples = [
        {
            "text": HOSTILE,
            "label": MANY.names[is_it],
            "called": MANY.names[call],
            "probability": 0.5,
            "right": call == is_it,
        }
        for is_it, call in pairs
    ]
    classifier = Evaluated(figures, samples)
    return language, classifier, scores, instruct


def test_the_files_of_many_classes_are_the_same_and_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trainings(tmp_path)
    (tmp_path / "evaluate").mkdir()
    summary = write_evaluation(tmp_path, tmp_path / "evaluate", *evaluated_of_many(), SPLIT)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"summary.json", "confusion.csv", "roc.csv"}
    assert len(list((tmp_path / "evaluate").glob("*.png"))) == 8
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    with (tmp_path / "confusion.csv").open(newline="") as file:
        pairs = Counter((row["is"], row["called"]) for row in csv.DictReader(file))
    for name, row in summary["classifier"]["confusion"].items():
        assert row == {called: pairs[name, called] for called in MANY.names}
    rows = [tuple(map(float, line.split(","))) for line in (tmp_path / "roc.csv").read_text().splitlines()[1:]]
    area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(rows))
    # The table pools the calls of all classes: how often a right class has a higher score than a wrong one has.
    right = MANY_LABELS[:, None] == np.arange(4)
    wins = [(a > b) + 0.5 * (a == b) for a in MANY_SCORES[right] for b in MANY_SCORES[~right]]
    assert area == pytest.approx(np.mean(wins), abs=1e-5)
    assert list(curves_of(evaluated_of_many()[2])) == ["all classes, pooled", *MANY.names]
    print_summary(tmp_path)
    assert "sorts messages into 4 classes" in capsys.readouterr().out


def test_a_class_that_no_test_message_has_is_left_out_of_the_roc(tmp_path: Path) -> None:
    write_trainings(tmp_path)
    (tmp_path / "evaluate").mkdir()
    without = evaluated_of_many(np.where(MANY_LABELS == 3, 2, MANY_LABELS))
    write_evaluation(tmp_path, tmp_path / "evaluate", *without, SPLIT)
    assert list(curves_of(without[2])) == ["all classes, pooled", "bill", "bug", "praise"]
    assert "No test message is" in (tmp_path / "evaluate" / "report.md").read_text()
