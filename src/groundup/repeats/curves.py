"""How many labelled rows it takes: the classifier, with and without pretraining, and its baselines on fewer rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import FROM_RANDOM, FinetuneClsParams
from groundup.data.rows import ROWS_FILE, read_rows
from groundup.data.split import SIDES
from groundup.errors import GroundupError
from groundup.files import folder_written_atomically, write_text_atomically
from groundup.params_file import PARAMS_FILE, load_params
from groundup.repeats.project_copy import PLACE, ProjectCopy, Tell, cache_folder, only_one, prepare_tracking
from groundup.repeats.words import other_in_words
from groundup.report.say import classifier_gain_words, f1_of, percent
from groundup.report.tables import write_table

CURVES_REPORT = Path("reports/curves")
MESSAGES, CLASSIFIER = Path("data/splits/messages"), Path("models/classifier")
PRETRAINED = "pretrained"  # what the classifier of the run is called beside the one from random weights
ALL = "all"


@dataclass(frozen=True)
class Point:
    """The figures of the classifier and of its baselines for some number of labelled rows."""

    rows: int
    figures: Mapping[str, Any]

    def systems(self) -> dict[str, Mapping[str, Any]]:
        """The figures of each system, by its name."""
        return {PRETRAINED: self.figures, FROM_RANDOM: self.figures[FROM_RANDOM], **self.figures["baselines"]}


def numbers_of_rows(asked: str) -> list[int]:
    """The numbers that `10,30,all` names, 0 for all.

    Raises: GroundupError for what is neither a number nor `all`.
    """
    numbers = []
    for word in (each.strip() for each in asked.split(",")):
        if word != ALL and not (word.isdecimal() and int(word) > 0):
            raise GroundupError("--rows", got=word or '""', allowed="numbers from 1 on, and all", do="give 10,100,all")
        numbers.append(0 if word == ALL else int(word))
    return numbers


def run_curves(root: Path, asked: Sequence[int], tell: Tell) -> list[Point]:
    """Fine-tune the classifier on each number of labelled rows, pretrained and from random weights, and write a table,
    a picture and a page.

    All learn from the same rows, and those of a smaller number are among those of a larger one. Validation rows are
    all there at each number: weights and thresholds are chosen on them.

    Args:
        asked: numbers of rows, 0 for all; those beyond all are left out.
        tell: is given a line for each thing that happens.
    Raises: GroundupError if parameters are wrong, a number is below the number of classes, another process is at it,
        or a training fails; StoppedBySignal.
    """
    params = load_params(root / PARAMS_FILE)
    with only_one(root):
        prepare_tracking()
        copy = ProjectCopy(root, root / PLACE / "curves", cache_folder(root))
        changes: dict[str, Any] = {"finetune_cls.from_random": True}
        copy.refresh(changes)
        _repro(copy, "split", tell)
        labels = [row["label"] for row in read_rows(copy.folder / MESSAGES / "train" / ROWS_FILE)]
        points = []
        for n in _points(asked, labels, tell):
            settings = {"train_rows": n, "epochs": epochs_for(params.finetune_cls, labels, n, params.seed)}
            copy.refresh(changes | {f"finetune_cls.{key}": value for key, value in settings.items()})
            tell(f"labelled rows: {n or ALL}, epochs: {settings['epochs']}")
            _repro(copy, "finetune-cls", tell)
            points.append(Point(n or len(labels), evaluated(copy.folder, n, root)))
    write_curves(root / CURVES_REPORT, points)
    return points


def _points(asked: Sequence[int], labels: Sequence[str], tell: Tell) -> list[int]:
    """The numbers that there are rows for, in their order; all of them last, as 0."""
    n_classes = len(set(labels))
    if too_few := [n for n in asked if 0 < n < n_classes]:
        raise GroundupError(
            "--rows leaves a class without a row", got=too_few[0], allowed=f"{n_classes} or more", do="ask for more"
        )
    for n in sorted(set(asked)):
        if n >= len(labels):
            tell(f"{n} labelled rows are left out: there are {len(labels)}")
    left = sorted({n for n in asked if 0 < n < len(labels)}) + ([0] if 0 in asked else [])
    if not left:
        raise GroundupError("no number of rows is left to train on", got=f"{len(labels)} rows", do="ask for all")
    return left


def epochs_for(settings: FinetuneClsParams, labels: Sequence[str], n: int, seed: int) -> int:
    """As many epochs of fewer rows as make the steps that all rows would make.

    With as many epochs instead, ten rows would be four steps within a warm-up of fifty: what the curve would show is a
    training that was cut short, and not how little is to be learned from ten rows. The weights that are kept are the
    best on the validation side, so that more epochs than needed do little harm.

    Source: Zhang et al. 2021, "Revisiting Few-sample BERT Fine-tuning", on steps that are too few; Mosbach et al. 2021,
        "On the Stability of Fine-tuning BERT".
    """
    if n == 0:
        return settings.epochs
    from groundup.tasks.fewer_rows import draw_order

    chosen = [labels[row] for row in draw_order(labels, seed)[:n]]
    wanted = settings.epochs * _steps_per_epoch(settings, labels)
    return max(settings.epochs, -(-wanted // _steps_per_epoch(settings, chosen)))


def _steps_per_epoch(settings: FinetuneClsParams, labels: Sequence[str]) -> int:
    counts = Counter(labels)
    rows = len(counts) * min(counts.values()) if settings.class_balance == "balanced" else len(labels)
    return -(-rows // (settings.batch_size * settings.grad_accum_steps))


def _repro(copy: ProjectCopy, stage: str, tell: Tell) -> None:
    if reason := copy.repro(stage, tell=lambda name: tell(f"  {name}")):
        raise GroundupError(f"{stage} failed in {copy.folder}: {reason}")


def evaluated(folder: Path, n: int, root: Path) -> dict[str, Any]:
    """The classifier in a copy, and its baselines on as many rows, measured as `evaluate` measures them."""
    from groundup.evaluation.classifier import evaluate_classifier
    from groundup.tasks.classify import LabelledRows
    from groundup.tasks.fewer_rows import drawn_rows
    from groundup.train.precision import prepare_runtime

    params = load_params(root / PARAMS_FILE)
    sides = {side: LabelledRows.load(folder / MESSAGES / side) for side in SIDES}
    sides["train"] = drawn_rows(sides["train"], n, params.seed)
    device = prepare_runtime(params.runtime)
    return evaluate_classifier(folder / CLASSIFIER, sides, params.evaluate, params.seed, device)[0].figures


def system_in_words(name: str) -> str:
    return {PRETRAINED: "GPT, pretrained", FROM_RANDOM: "GPT, random weights"}.get(name, other_in_words(name))


def write_curves(folder: Path, points: Sequence[Point]) -> None:
    """The table, the picture and the page."""
    from groundup.repeats.plot import plot_curves

    with folder_written_atomically(folder) as new:
        write_table(
            new / "curves.csv",
            [
                {
                    "rows": point.rows,
                    "system": name,
                    **{key: figures[key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
                    "f1": f1_of(figures),
                }
                for point in points
                for name, figures in point.systems().items()
            ],
        )
        plot_curves(new / "curves.png", points, system_in_words)
        write_text_atomically(new / "curves.md", curves_as_markdown(points))


def cells(points: Sequence[Point]) -> list[list[str]]:
    """A row for each number of labelled rows: accuracy and F1 of each system."""
    return [
        [str(point.rows), *(f"{percent(row['accuracy'])} ({f1_of(row):.3f})" for row in point.systems().values())]
        for point in points
    ]


def headings(points: Sequence[Point]) -> list[str]:
    """Of the columns that `cells` fills."""
    return ["labelled rows", *map(system_in_words, points[0].systems())]


def sentences(points: Sequence[Point]) -> list[str]:
    """What pretraining buys at each number of rows."""
    return [f"With {point.rows} labelled rows: {classifier_gain_words(point.figures)}" for point in points]


HOW = (
    "Accuracy on the test messages (F1 in brackets). All systems learn from the same labelled rows, of which fewer are "
    "among more, and all choose on the whole validation side. The GPTs make as many steps at each number; what they "
    "read without labels, they read of all train messages. One draw and one seed: small differences are chance."
)


def curves_as_markdown(points: Sequence[Point]) -> str:
    """The whole result as a page."""
    rows = [headings(points), ["---"] * len(headings(points)), *cells(points)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    said = "\n".join(f"- {sentence}" for sentence in sentences(points))
    picture = "![Accuracy and F1 by the number of labelled rows](curves.png)"
    return f"# How many labelled rows it takes\n\n{HOW}\n\n{table}\n\n{picture}\n\n{said}\n"
