"""The README's commands and paths are real, and both languages give the same ones."""

import re
from pathlib import Path

import pytest
from imports import ROOT

READMES = ("README.md", "README.zh-CN.md")


def commands(name: str) -> list[str]:
    """The lines of all bash blocks, without comments."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    return [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]


def named_files(name: str) -> set[str]:
    """Files of code that the README names; a path without its beginning stands under src/groundup."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"`([\w./-]+\.(?:py|md|yaml))`", text)) - {"reports/evaluate/report.md"}


def test_both_languages_give_the_same_commands_in_the_same_order() -> None:
    assert commands("README.md")
    assert commands("README.md") == commands("README.zh-CN.md")


def test_both_languages_name_the_same_files() -> None:
    assert named_files("README.md") == named_files("README.zh-CN.md")


def test_both_languages_have_the_same_headings_and_tables() -> None:
    shapes = [
        [line.split(" ")[0] for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line[:1] in "#|"]
        for name in READMES
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", READMES)
def test_every_file_that_a_readme_names_exists(name: str) -> None:
    bases = (ROOT, ROOT / "src" / "groundup")
    assert [file for file in named_files(name) if not any((base / file).exists() for base in bases)] == []


@pytest.mark.parametrize("name", READMES)
def test_every_link_of_a_readme_leads_to_a_file(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not Path(ROOT / link).exists()] == []


def test_every_make_target_that_a_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {line.split()[1] for line in commands("README.md") if line.startswith("make ")}
    assert {"repro", "test"} <= named <= targets


def test_readme_names_every_stage() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    stages = re.findall(r"^  ([a-z-]+):$", (ROOT / "dvc.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(stages) == 7
    assert all(f"| `{stage}` |" in text for stage in stages)
