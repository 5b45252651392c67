"""What tests share that is no fixture: what imports what, read from the code itself, and where files may lie."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"


def imported_modules(path: Path) -> set[str]:
    """The dotted names of this project that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in _nodes_that_run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] in ("groundup", "stages")}


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _nodes_that_run(node)


def file_of(module: str) -> Path | None:
    """The file of a module of this project; None for a name inside a module."""
    base = ROOT if module.split(".")[0] == "stages" else SOURCE
    place = base.joinpath(*module.split("."))
    if place.with_suffix(".py").is_file():
        return place.with_suffix(".py")
    return place / "__init__.py" if (place / "__init__.py").is_file() else None


def closure(path: Path) -> set[Path]:
    """All files of this project that a file needs, itself and the packages' own files included."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        for module in imported_modules(current):
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                file = file_of(".".join(parts[:end]))
                if file is not None:
                    waiting.append(file)
    return found


def gpt2_vocabulary() -> Path:
    """The folder of GPT-2's two files, where an earlier run or a mirror beside the checkout has them; else a skip."""
    for folder in (ROOT / "data" / "raw" / "vocabulary" / "gpt2", ROOT.parent / "shared" / "data" / "gpt2"):
        if (folder / "vocab.bpe").is_file():
            return folder
    pytest.skip("GPT-2's vocabulary is not on this machine, and tests fetch nothing")
