"""The page on one's own data: its files are written the same each time, and its settings read them."""

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from imports import ROOT
from ruamel.yaml import YAML

from groundup.presets import compose

PAGE, _, _ = (ROOT / "docs" / "use-your-own.md").read_text(encoding="utf-8").partition("## Starting from")
SETTINGS = [YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)]


def write_shop(folder: Path) -> dict[str, str]:
    """Run the page's script; returns what each of its files holds."""
    spec = importlib.util.spec_from_file_location("repair_shop", ROOT / "docs" / "repair_shop.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(folder)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder / "data" / "own")
    return folder


def test_the_same_files_come_out_and_one_that_is_there_stays(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my own")
    again, first = write_shop(tmp_path), write_shop(shop / "data" / "own")
    assert again.pop("notes.txt") == "my own"
    assert first.pop("notes.txt")
    assert again == first
    assert len(first) == 5


def test_the_page_tells_how_many_there_are(shop: Path) -> None:
    files = write_shop(shop / "data" / "own")
    told = re.search(
        r"([\d,]+) notes, (\d+) messages with two\s+labels, (\d+) tickets with four, (\d+) tasks and\s+(\d+) chats",
        PAGE,
    )
    assert told is not None
    lines = {name: len(text.splitlines()) for name, text in files.items()}
    assert [int(number.replace(",", "")) for number in told.groups()] == [
        files["notes.txt"].count("<|endoftext|>") + 1,
        lines["mood.tsv"],
        lines["tickets.csv"] - 1,
        lines["tasks.jsonl"],
        lines["chats.jsonl"],
    ]


def test_the_rows_on_the_page_stand_in_the_files(shop: Path) -> None:
    rows = re.findall(
        r'^(?:\{"(?:instruction|conversations|messages)".*|(?:un)?happy\t[^0-9].*)$', PAGE, flags=re.MULTILINE
    )
    held = {line for text in write_shop(shop / "data" / "own").values() for line in text.splitlines()}
    assert len(rows) == 5
    assert set(rows) <= held


@pytest.mark.parametrize("last", range(len(SETTINGS)), ids=lambda last: "-".join(SETTINGS[last]))
def test_the_settings_read_the_files_one_after_the_other(
    shop: Path, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = YAML(typ="safe").load(compose("micro"))
    for settings in SETTINGS[: last + 1]:
        change(params, settings)
    params["runtime"]["device"] = "cpu"
    monkeypatch.chdir(shop)
    with (shop / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    for stage in ("download", "tokenize_text", "split"):
        command = getattr(importlib.import_module(f"stages.{stage}"), stage.removesuffix("_text"))
        result = CliRunner().invoke(command, [])
        assert result.exit_code == 0, result.output


def change(params: dict[str, Any], settings: dict[str, Any]) -> None:
    """Set only keys that are there, as the page says."""
    for key, value in settings.items():
        assert key in params
        if isinstance(value, dict):
            change(params[key], value)
        else:
            params[key] = value
