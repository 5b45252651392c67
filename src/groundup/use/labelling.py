"""A classifier over texts: one, or a file that may be larger than memory."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from groundup.errors import GroundupError
from groundup.model.gpt import GPTClassifier
from groundup.tasks.classes import Classes
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_classifier

ROWS_AT_ONCE = 4096  # sorted by length among themselves, so that little is padded
ADDED = ("predicted", "probability", "problem")


@dataclass(frozen=True)
class Labeller:
    """A classifier with what it takes to name a text's label.

    Args:
        classes: its labels, and the rule by which one of them is called.
        spelled_out: whether it reads each text letter by letter as well.
    """

    classifier: GPTClassifier
    tokenizer: Tokenizer
    classes: Classes
    spelled_out: bool = False

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """How likely each text has each label.

        Shapes:  N texts -> (N, K)
        """
        rows = LabelledRows.without_labels(texts, self.tokenizer, spelled_out=self.spelled_out)
        return class_probabilities(class_logits(self.classifier, rows))

    def label(self, texts: list[str]) -> list[tuple[str, float]]:
        """The label of each text, and the probability beside it: of two labels the positive one's, of more its own."""
        probabilities = self.probabilities(texts)
        called, told = self.classes.called(probabilities), self.classes.told(probabilities)
        return [(self.classes.names[number], float(each)) for number, each in zip(called, told, strict=True)]

    def say(self, text: str) -> tuple[str, float]:
        """The label of one text, and the probability beside it.

        Raises: GroundupError for a text without characters.
        """
        if not text.strip():
            raise GroundupError("there is no text to classify", do="give a text, or one on each line of standard input")
        return self.label([text])[0]


def load_labeller(folder: Path) -> Labeller:
    """A classifier of the finetune-cls stage.

    Raises: as `load_classifier`.
    """
    classifier, tokenizer, facts = load_classifier(folder)
    return Labeller(classifier, tokenizer, Classes.of(facts), facts["spelled_out"])


@dataclass
class Counts:
    """What became of the rows of a file."""

    rows: int = 0
    bad: int = 0


def label_file(labeller: Labeller, source: Path, target: TextIO, column: str, report: Callable[[str], Any]) -> Counts:
    """Write every row of a file, in its order, with three columns more: predicted, probability, problem.

    A row that cannot be labelled keeps its place, has no label, and its problem is told to `report` with its line.

    Args:
        source: `.csv` or `.tsv` with a header, or any other text with one text a line.
        column: the one that holds the texts.
    Raises: GroundupError if there is no such file or column, or if a column that is added is there already.
    """
    counts = Counts()
    with _opened(source) as file:
        rows = _rows(file, source, column)
        header = next(rows).fields
        writer = csv.writer(target, lineterminator="\n", **_form(_delimiter(source) or ","))
        writer.writerow([*header, *ADDED])
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            good = [row.text for row in batch if not row.problem]
            labels = iter(labeller.label(good) if good else [])
            for row in batch:
                counts.rows += 1
                if row.problem:
                    counts.bad += 1
                    report(f"{source}: line {row.line} {row.problem}; it is kept without a label")
                    writer.writerow([*row.fields, "", "", row.problem])
                else:
                    label, probability = next(labels)
                    writer.writerow([*row.fields, label, f"{probability:.4f}", ""])
    return counts


@dataclass(frozen=True)
class _Row:
    line: int
    fields: list[str]
    text: str = ""
    problem: str = ""


def _opened(source: Path) -> TextIO:
    try:
        return source.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except FileNotFoundError:
        raise GroundupError(f"{source}: no such file", do="name a file of texts") from None
    except IsADirectoryError:
        raise GroundupError(f"{source}: this is a folder", do="name a file of texts") from None


def _delimiter(source: Path) -> str | None:
    return {".csv": ",", ".tsv": "\t"}.get(source.suffix.lower())


def _form(delimiter: str) -> dict[str, Any]:
    """What csv is told; between tabs a quotation mark is a character of the text, read and written as such."""
    return {"delimiter": delimiter} | ({"quoting": csv.QUOTE_NONE, "quotechar": None} if delimiter == "\t" else {})


def _rows(file: TextIO, source: Path, column: str) -> Iterator[_Row]:
    """The header, then every row."""
    delimiter = _delimiter(source)
    if delimiter is None:
        yield _Row(0, [column])
        for number, line in enumerate(file, start=1):
            text = line.rstrip("\r\n")
            yield _row(number, [text], text)
        return
    csv.field_size_limit(1 << 30)
    reader = csv.reader(file, **_form(delimiter))
    header = next(reader, [])
    problems = [name for name in ADDED if name in header]
    if column not in header or problems:
        raise GroundupError(
            f"{source}: " + (f"there is a column {problems[0]} already" if problems else f"no column {column}"),
            got=", ".join(header) or "an empty file",
            allowed=f"a header with {column}, and without {', '.join(ADDED)}",
            do="name the column of the texts with --column, or rename it",
        )
    yield _Row(1, header)
    at = header.index(column)
    for fields in reader:
        if not fields:
            yield _Row(reader.line_num, [""] * len(header), problem="is empty")
        elif len(fields) != len(header):
            last = len(header) - 1
            joint = " " if delimiter == "\t" else delimiter  # a tab cannot stand in a field
            kept = [*fields[:last], joint.join(fields[last:])] + [""] * (len(header) - max(1, len(fields)))
            yield _Row(reader.line_num, kept[: len(header)], problem=f"has {len(fields)} fields, not {len(header)}")
        else:
            yield _row(reader.line_num, fields, fields[at])


def _row(line: int, fields: list[str], text: str) -> _Row:
    if not text.strip():
        return _Row(line, fields, problem="has no text")
    try:
        text.encode()
    except UnicodeEncodeError:
        whole = [field.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for field in fields]
        return _Row(line, whole, problem="is not UTF-8")
    return _Row(line, fields, text)
