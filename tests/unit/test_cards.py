"""The cards of the three models."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from report_pages import HOSTILE, settings, write_full, write_many, write_small

from groundup.report.cards import write_cards

CARDS = ("language_model", "classifier", "instruct")


def cards(reports: Path, **changes: object) -> dict[str, str]:
    write_cards(reports, reports / "evaluate", settings(**changes))
    folder = reports / "evaluate" / "cards"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def tables(card: str) -> list[str]:
    """The cells of all its tables as a Markdown reader sees them."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card)
    return [token.content for before, token in pairwise(tokens) if before.type in ("td_open", "th_open")]


def test_each_model_has_a_card_with_all_its_parts(tmp_path: Path) -> None:
    written = cards(write_full(tmp_path))
    assert set(written) == set(CARDS)
    for card in written.values():
        parts = re.findall(r"^## (.*)$", card, flags=re.MULTILINE)
        assert parts == ["Intended use", "Data", "Figures", "Limits", "How it was trained", "How to use it"]
        assert "MIT" in card
        assert "1,513,920" in card
    assert "pretrain.learning" in written["language_model"]


def test_what_a_classifier_reads_is_told(tmp_path: Path) -> None:
    changes = {"finetune_cls.pooling": "max", "finetune_cls.spelled_out": True}
    cells = tables(cards(write_full(tmp_path), **changes)["classifier"])
    for key, value in (("pooling", "max"), ("spelled_out", "true")):
        assert cells[cells.index(f"`finetune_cls.{key}`") + 1] == value


def test_the_python_of_each_card_imports_all_that_it_uses(tmp_path: Path) -> None:
    for card in cards(write_full(tmp_path)).values():
        (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
        tree = ast.parse(code)
        imports = [line for line in tree.body if isinstance(line, ast.ImportFrom)]
        known: dict[str, object] = {}
        exec(compile(ast.Module(imports, []), "card", "exec"), known)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        assert {name.id for name in names} <= set(known)
        assert len(imports) == 2


def test_the_figures_stand_beside_their_interval_and_what_they_are_compared_with(tmp_path: Path) -> None:
    written = cards(write_full(tmp_path))
    cells = {name: tables(card) for name, card in written.items()}
    at = cells["language_model"].index("bits per byte")
    assert cells["language_model"][at + 1 : at + 3] == ["1.988", "1.912 to 2.046"]
    assert "floor 1.654" in cells["language_model"][at + 3]
    at = cells["classifier"].index("accuracy")
    assert cells["classifier"][at + 1] == "81.2 %"
    assert "majority class 61.1 %" in cells["classifier"][at + 3]
    at = cells["instruct"].index("exact match")
    assert cells["instruct"][at + 3].startswith("from random weights 5.2")


@pytest.mark.parametrize("write", [write_small, lambda reports: write_many(reports, ["a", HOSTILE, "c"])])
def test_a_card_can_be_written_of_any_run(write: object, tmp_path: Path) -> None:
    written = cards(write(tmp_path))  # type: ignore[operator]
    assert set(written) == set(CARDS)
    assert not [card for card in written.values() if "None" in card or "Undefined" in card]


def test_names_of_the_users_own_are_no_markup(tmp_path: Path) -> None:
    written = cards(write_many(tmp_path, ["a", HOSTILE, "c"]), **{"data.corpus": [HOSTILE], "pretrain.init": HOSTILE})
    for card in written.values():
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card)
        inner = [child.type for token in tokens for child in token.children or []]
        assert not {"html_inline", "image", "link_open"} & set(inner)
        assert "html_block" not in {token.type for token in tokens}
