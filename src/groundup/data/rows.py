"""Rows of text on disk, one JSON object a line, beside the tokens of the same rows."""

import json
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError
from groundup.files import missing_file, write_text_atomically

ROWS_FILE = "rows.jsonl"


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as one JSON object a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text_atomically(path, text)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows that `write_rows` wrote.

    Raises: GroundupError if the file is missing.
    """
    try:
        lines = path.read_bytes().decode().split("\n")
        return [json.loads(line) for line in lines if line]
    except FileNotFoundError:
        raise missing_file(path) from None
    except ValueError:
        raise GroundupError(f"{path}: damaged rows", do="remove the folder and run `dvc repro`") from None
