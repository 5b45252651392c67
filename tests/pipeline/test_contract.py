"""`dvc.yaml` held to the code: what a stage imports, reads and writes is what DVC is told."""

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner
from imports import ROOT, SOURCE, closure

from groundup.config import flatten
from groundup.data.own import OWN_FOLDER
from groundup.params_file import load_params, read_yaml
from groundup.presets import compose
from stages import paths
from stages.common import ALWAYS, Declared, stage

DEFAULT_PRESET = "sample"

PIPELINE: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")
STAGES: dict[str, dict[str, Any]] = PIPELINE["stages"]

# MLflow is a mirror: a change in how it is written makes no result out of date.
NO_DEP = SOURCE / "groundup" / "tracking"

# Read, but made by no stage: it tells the report which versions are installed.
PINNED = Path("constraints.txt")

each_stage = pytest.mark.parametrize("name", STAGES)


def module_name(name: str) -> str:
    return str(STAGES[name]["cmd"]).removeprefix("exec python -m ")


def file_of_stage(name: str) -> Path:
    return ROOT / f"{module_name(name).replace('.', '/')}.py"


def command_of(name: str) -> click.Command:
    """The one click command in a stage's module."""
    module = importlib.import_module(module_name(name))
    (command,) = [value for value in vars(module).values() if isinstance(value, click.Command)]
    return command


def entries(name: str, kind: str) -> dict[str, dict[str, Any]]:
    """Paths of a stage's outs, metrics or plots with their options."""
    listed = STAGES[name].get(kind, [])
    return {key: value for each in listed for key, value in ({each: {}} if isinstance(each, str) else each).items()}


def made_by(name: str) -> list[Path]:
    return [Path(path) for kind in ("outs", "metrics", "plots") for path in entries(name, kind)]


def is_code(dep: str) -> bool:
    return dep.split("/")[0] in ("src", "stages")


def data_deps(name: str) -> list[Path]:
    return [Path(dep) for dep in STAGES[name]["deps"] if not is_code(dep)]


def within(path: Path, place: Path) -> bool:
    return path == place or place in path.parents


def touch(one: Path, other: Path) -> bool:
    return within(one, other) or within(other, one)


def test_the_seven_stages_are_in_the_order_in_which_they_run() -> None:
    assert list(STAGES) == [
        "download",
        "tokenize",
        "split",
        "pretrain",
        "finetune-cls",
        "finetune-instruct",
        "evaluate",
    ]


@each_stage
def test_the_code_deps_are_what_the_stage_imports(name: str) -> None:
    listed = [dep for dep in STAGES[name]["deps"] if is_code(dep) and dep.endswith(".py")]
    imported = {str(path.relative_to(ROOT)) for path in closure(file_of_stage(name)) if NO_DEP not in path.parents}
    assert sorted(listed) == sorted(imported)


@each_stage
def test_files_that_the_code_reads_from_its_own_package_are_deps(name: str) -> None:
    """A template shapes what a stage writes just as code does."""
    beside_code = [
        path for path in (SOURCE / "groundup").rglob("*") if path.is_file() and path.suffix in (".jinja", ".yaml")
    ]
    assert beside_code
    code = "\n".join(path.read_text(encoding="utf-8") for path in closure(file_of_stage(name)))
    read = {str(path.relative_to(ROOT)) for path in beside_code if path.name in code}
    assert {dep for dep in STAGES[name]["deps"] if is_code(dep) and not dep.endswith(".py")} == read


@each_stage
def test_the_params_are_what_the_command_declares(name: str) -> None:
    assert sorted(STAGES[name]["params"]) == sorted(command_of(name).reads)  # type: ignore[attr-defined]
    assert not set(STAGES[name]["params"]) & set(ALWAYS)


def test_every_parameter_but_the_runtime_is_read_by_a_stage() -> None:
    reads = tuple({key for each in STAGES.values() for key in each["params"]})
    keys = flatten(load_params(ROOT / "params.yaml"))
    assert [key for key in keys if not key.startswith((*reads, "runtime."))] == []


@each_stage
def test_the_command_is_a_module_of_the_stages_name_and_has_no_variables(name: str) -> None:
    command = str(STAGES[name]["cmd"])
    assert command == f"exec python -m {module_name(name)}"
    assert module_name(name).startswith("stages.")
    assert file_of_stage(name).is_file()
    assert "$" not in command
    assert command_of(name).name == name


@each_stage
def test_every_stage_says_what_it_does(name: str) -> None:
    assert len(STAGES[name]["desc"].split()) >= 4
    assert command_of(name).help


@each_stage
def test_only_metrics_and_plots_stay_out_of_the_cache(name: str) -> None:
    for kind in ("metrics", "plots"):
        assert all(options.get("cache") is False for options in entries(name, kind).values())
    assert all(options == {} for options in entries(name, "outs").values())


@each_stage
def test_no_stage_uses_features_that_break_a_fresh_clone_or_a_second_run(name: str) -> None:
    assert set(STAGES[name]) <= {"desc", "cmd", "deps", "params", "outs", "metrics", "plots"}


def place(node: ast.expr, module: ModuleType) -> Path | None:
    """The path that an expression over the names of `stages.paths` means, as far as it can be read; None for others."""
    if isinstance(node, ast.Name) and isinstance(getattr(paths, node.id, None), Path):
        return Path(getattr(paths, node.id))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and (left := place(node.left, module)) is not None:
        right = node.right.value if isinstance(node.right, ast.Constant) else None
        if isinstance(node.right, ast.Name):
            right = getattr(module, node.right.id, None)  # a loop's own variable has no value here
        return left / right if isinstance(right, str) else left
    return None


def places_used(name: str) -> tuple[set[Path], set[Path]]:
    """The paths in a stage's code: (all, those of folders and files that it writes)."""
    module = importlib.import_module(module_name(name))
    used, written, inner = set(), set(), set()
    for node in ast.walk(ast.parse(file_of_stage(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.expr) and node not in inner and (path := place(node, module)) is not None:
            used.add(path)
            inner |= set(ast.walk(node))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "folder_written_atomically":
            path = place(node.args[0], module)
            assert path is not None
            written.add(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "write_text_atomically":
            path = place(node.args[0], module)
            written |= set() if path is None else {path}  # others lie in a folder that is written
    return used, written


@each_stage
def test_the_outs_are_the_folders_and_files_that_the_code_writes(name: str) -> None:
    assert set(map(Path, entries(name, "outs"))) == places_used(name)[1]


@each_stage
def test_the_data_deps_are_the_places_that_the_code_uses(name: str) -> None:
    used = places_used(name)[0] - {paths.UNFINISHED_DOWNLOADS}
    known = data_deps(name) + made_by(name)
    assert used
    # The whole of reports/ is passed to the writer of the evaluation, which reads and writes files in it.
    assert [str(path) for path in used if not any(touch(path, each) for each in known)] == []
    origins = [*used, OWN_FOLDER, PINNED]
    assert [str(dep) for dep in data_deps(name) if not any(touch(dep, each) for each in origins)] == []


@each_stage
def test_every_data_dep_is_made_by_an_earlier_stage_or_is_the_users_own(name: str) -> None:
    before = [path for earlier in list(STAGES)[: list(STAGES).index(name)] for path in made_by(earlier)]
    given = (OWN_FOLDER, PINNED)
    assert [str(dep) for dep in data_deps(name) if dep not in given and not any(within(dep, p) for p in before)] == []
    if name == "download":
        assert data_deps(name) == [OWN_FOLDER]


def test_no_file_is_made_by_two_stages() -> None:
    made = [path for name in STAGES for path in made_by(name)]
    assert [str(a) for a in made for b in made if a is not b and within(a, b)] == []


def test_the_plots_draw_files_that_a_stage_makes() -> None:
    made = {str(path) for name in STAGES for path in entries(name, "plots")}
    drawn = {path for each in PIPELINE["plots"] for options in each.values() for path in options["y"]}
    assert drawn
    assert drawn <= made


def test_params_yaml_is_the_default_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert Path("params.yaml").read_text(encoding="utf-8") == compose(DEFAULT_PRESET)


def test_a_declared_key_can_be_read_and_no_other() -> None:
    view = Declared(load_params(ROOT / "params.yaml"), ("seed", "tokenize.tokenizer", "split"))
    assert view.seed == read_yaml(ROOT / "params.yaml")["seed"]
    assert view.tokenize.tokenizer in ("bpe", "gpt2")
    assert view.split.near_duplicate_similarity > 0
    with pytest.raises(AttributeError, match=r"does not declare that it reads tokenize\.vocab_size"):
        _ = view.tokenize.vocab_size
    with pytest.raises(AttributeError, match="does not declare that it reads pretrain"):
        _ = view.pretrain
    with pytest.raises(AttributeError):
        _ = view.no_such_section


def test_a_stage_that_reads_an_undeclared_key_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    @stage("greedy", reads=("seed",))
    def greedy(params: Any, run: Any) -> None:
        """Reads more than it says."""
        seen.append(params.seed)
        seen.append(params.runtime.threads)
        seen.append(params.model)

    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(greedy, [])
    assert isinstance(result.exception, AttributeError)
    assert "does not declare that it reads model" in str(result.exception)
    assert len(seen) == 2


def test_a_stage_with_wrong_parameters_says_so_in_one_line_and_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    @stage("careful", reads=("seed",))
    def careful(params: Any, run: Any) -> None:
        """Is not to be reached."""
        started.append(params)

    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(re.sub(r"^seed: \d+", "seed: -1", text, flags=re.MULTILINE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(careful, [])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("groundup: params.yaml: seed ")
    assert started == []
