"""Labelled messages: one text and one label a row.

Tab-separated files (`label<TAB>text`, as the SMS Spam Collection has it) are read without quoting: a quotation mark is
a character of the message. Comma-separated files (`.csv`) have a header with the columns `label` and `text`;
a column `best_guess` may say what the best of all classifiers would call the text.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import GroundupError
from groundup.files import read_utf8


@dataclass(frozen=True)
class Message:
    """One text and what it is.

    Args:
        best_guess: what one who knows how messages are made would call it; empty where nobody knows.
    """

    label: str
    text: str
    best_guess: str = ""


def read_messages(path: Path) -> list[Message]:
    """All rows of a file, in order.

    Raises: GroundupError naming the line, if a row lacks its label or its text; and if all rows have one label, or
        nearly each a label of its own, as where the columns are swapped.
    """
    rows = _read_csv(path) if path.suffix == ".csv" else _read_tsv(path)
    labels = sorted({row.label for row in rows})
    if len(labels) < 2:
        raise GroundupError(
            f"{path}: a classifier needs rows of at least two labels",
            got=", ".join(labels) or "no rows",
            allowed="two labels, such as ham and spam, or more",
            do="add rows of another label, or choose another file under data.messages",
        )
    if len(labels) > 2 and len(rows) < 2 * len(labels):
        raise GroundupError(
            f"{path}: too many labels for so few rows",
            got=f"{len(labels)} labels in {len(rows)} rows, such as {labels[0]}",
            allowed="two rows of each label or more, on average",
            do="see whether text stands in place of labels, or leave rare labels out",
        )
    return rows


def _read_tsv(path: Path) -> list[Message]:
    rows = []
    for number, line in enumerate(read_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        rows.append(_row(path, number, label if tab else "", text if tab else line))
    return rows


def _read_csv(path: Path) -> list[Message]:
    reader = csv.DictReader(io.StringIO(read_utf8(path), newline=""), strict=True)
    rows = []
    try:
        columns = reader.fieldnames or []
        missing = [column for column in ("label", "text") if column not in columns]
        if missing:
            raise GroundupError(
                f"{path}: no column {' and no column '.join(missing)}",
                got=", ".join(columns),
                allowed="a header with label and text",
                do="rename the columns",
            )
        for row in reader:
            if None in row:
                raise GroundupError(
                    f"{path}: line {reader.line_num} has more fields than the header",
                    got=", ".join([*list(row.values())[:-1], *row[None]]),
                    allowed=f"{len(columns)} fields",
                    do="put a text with commas in quotation marks",
                )
            rows.append(_row(path, reader.line_num, row["label"] or "", row["text"] or "", row.get("best_guess") or ""))
    except csv.Error as error:
        raise GroundupError(
            f"{path}: line {reader.line_num} is no readable CSV", got=str(error), do="mend the row"
        ) from None
    return rows


def _row(path: Path, number: int, label: str, text: str, best_guess: str = "") -> Message:
    for name, value in (("label", label), ("text", text)):
        if not value.strip():
            raise GroundupError(
                f"{path}: line {number} has no {name}",
                got=f"{label} {text}".strip() or "an empty row",
                allowed="a label and a text in each row",
                do="complete the row or remove it",
            )
    return Message(label=label.strip(), text=text, best_guess=best_guess.strip())
