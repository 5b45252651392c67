"""What may import what: the floors of docs/design, read from the code itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from imports import ROOT, SOURCE, imported_modules

# The floor of each package or module; imports point down, or sideways within a package.
FLOORS = {
    "groundup.errors": 0,
    "groundup.config": 0,
    "groundup.params_file": 0,
    "groundup.seeding": 0,
    "groundup.signals": 0,
    "groundup.files": 0,
    "groundup.console": 0,
    "groundup.fast_paths": 0,
    "groundup.model": 1,
    "groundup.tokenizer": 1,
    "groundup.tracking": 1,
    "groundup.presets": 1,
    "groundup.dvc_files": 1,
    "groundup.data": 2,
    "groundup.generate": 2,
    "groundup.train": 3,
    "groundup.tasks": 4,
    "groundup.evaluation": 4,
    "groundup.report": 4,
    "groundup.export": 4,
    "groundup.export_gguf": 4,
    "groundup.use": 4,
    "groundup.registry": 4,
    "groundup.judge": 4,
    "groundup.repeats": 4,
    "groundup.cli": 5,
    "stages": 5,
}
# The single files of floor 0 lean on each other; the report measures with the tasks' own losses, and the terminal sorts
# messages as they do, never the reverse. A registered model answers as the terminal does, with an interval from the
# same losses and the same metrics. The judge's scores get the same intervals, and are said in the same words.
# Repeated runs are measured as the evaluation measures.
SIDEWAYS = {
    *((lower, upper) for lower in FLOORS for upper in FLOORS if FLOORS[lower] == FLOORS[upper] == 0),
    ("groundup.evaluation", "groundup.tasks"),
    ("groundup.report", "groundup.tasks"),
    ("groundup.report", "groundup.evaluation"),
    ("groundup.use", "groundup.tasks"),
    ("groundup.judge", "groundup.evaluation"),
    ("groundup.judge", "groundup.report"),
    *(("groundup.repeats", f"groundup.{lower}") for lower in ("tasks", "evaluation", "report")),
    *(("groundup.registry", f"groundup.{lower}") for lower in ("use", "tasks", "evaluation", "report")),
}
APART = "groundup.reference"

LIGHT = ["model", "tokenizer", "train", "generate"]
# A person sees its bar; a GPU box without rich trains without it.
SHOWS_A_BAR = "groundup.train.progress"
HEAVY = ["dvc", "mlflow", "pydantic", "pandas", "click", "rich", "requests", "sklearn"]

MAY_PRINT = {"console.py", "store.py", "stage.py", "cli.py", "resume.py"}

FILES = sorted([*(SOURCE / "groundup").rglob("*.py"), *(ROOT / "stages").glob("*.py")])


def module_of(path: Path) -> str:
    base = ROOT if path.is_relative_to(ROOT / "stages") else SOURCE
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str | None:
    """The package or single file of the design that a dotted name belongs to; None for the root package itself."""
    parts = module.split(".")
    return "stages" if parts[0] == "stages" else ".".join(parts[:2]) if len(parts) > 1 else None


def project_imports(path: Path) -> set[str]:
    """The parts of the design that a file imports."""
    names = {part for name in imported_modules(path) if (part := part_of(name)) is not None}
    return {name for name in names if name != "groundup.__version__"}


def names_of_libraries(path: Path) -> set[str]:
    """The top names of everything that a file imports, anywhere in it, for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_every_file_has_a_floor() -> None:
    parts = {part_of(module_of(path)) for path in FILES} - {None, APART}
    assert parts == set(FLOORS), "give a new package its floor here and in docs/design, or remove one that is gone"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down_or_stay_in_their_package(path: Path) -> None:
    own = part_of(module_of(path))
    if own in (None, APART):
        assert project_imports(path) <= {APART}
        return
    upward = {
        name
        for name in project_imports(path)
        if name != own and (own, name) not in SIDEWAYS and FLOORS.get(name, 9) >= FLOORS[own]
    }
    assert upward == set()


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_are_absolute(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level] == []


def test_the_reference_imports_nothing_fast_and_nothing_imports_the_reference() -> None:
    reference = [path for path in FILES if module_of(path).startswith(APART)]
    assert len(reference) > 1
    for path in reference:
        assert {name for name in imported_modules(path) if not name.startswith(APART)} <= {"groundup"}
    users = [module_of(path) for path in FILES if path not in reference and APART in project_imports(path)]
    assert users == []


# A mirror may fail, so everything that trains or measures goes through `tracking`, which catches what it does. To make
# models in MLflow's form and to answer as one is nothing but MLflow's business; only the command imports that.
MAY_IMPORT_MLFLOW = ("groundup.tracking", "groundup.registry")


def test_only_tracking_and_the_registry_import_mlflow() -> None:
    users = {part_of(module_of(path)) for path in FILES if "mlflow" in names_of_libraries(path)}
    assert users == set(MAY_IMPORT_MLFLOW)
    using_the_registry = {part_of(module_of(path)) for path in FILES if "groundup.registry" in project_imports(path)}
    assert using_the_registry == {"groundup.registry", "groundup.cli"}


def test_print_is_called_only_where_a_person_is_spoken_to() -> None:
    callers = {
        path.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id == "print"
    }
    assert callers <= MAY_PRINT


# What turns bytes into running code, or a string into a command.
RUNS_CODE = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}  # YAML is read by ruamel alone
RUNNING_CODE = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_nothing_that_is_read_can_run_code(path: Path) -> None:
    found = names_of_libraries(path) & RUNS_CODE
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        if called in RUNNING_CODE:
            found.add(called)
        if called == "torch.load" and options.get("weights_only") != "True":
            found.add(called)
        if options.get("allow_pickle", "False") != "False" or options.get("shell", "False") != "False":
            found.add(called)
        if called.endswith("YAML") and options.get("typ", "'rt'") not in ("'rt'", "'safe'"):
            found.add(called)
    assert found == set()


def test_what_opens_a_port_opens_it_on_this_machine_only() -> None:
    servers = [line for line in (ROOT / "Makefile").read_text().splitlines() if "mlflow ui" in line]
    assert servers
    assert all("--host $(or $(HOST),127.0.0.1)" in line for line in servers)
    listening = {
        module_of(path)
        for path in FILES
        if names_of_libraries(path) & {"socketserver", "http", "flask", "uvicorn", "fastapi", "aiohttp"}
    }
    assert listening == set()


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_model_tokenizer_train_and_generate_import_on_a_machine_without_the_pipelines_libraries() -> None:
    modules = [
        module_of(path)
        for path in FILES
        if (part_of(module_of(path)) or "").removeprefix("groundup.") in LIGHT and module_of(path) != SHOWS_A_BAR
    ]
    assert len(modules) > 12
    printed = run_python(
        f"""
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"{{name}} is not on this machine", name=name)

sys.meta_path.insert(0, Missing())
for name in {modules!r}:
    importlib.import_module(name)
print(sorted(set(sys.modules) & set({HEAVY!r})), "torch" in sys.modules)
"""
    )
    assert printed.strip() == "[] True"


@pytest.mark.parametrize("module", ["groundup.cli", "stages.download"])
def test_help_loads_no_heavy_library(module: str) -> None:
    printed = run_python(
        f"""
import runpy, sys
sys.argv = ["command", "--help"]
try:
    runpy.run_module({module!r}, run_name="__main__")
except SystemExit as end:
    print("code", end.code, sorted(set(sys.modules) & {{"torch", "mlflow", "pandas", "dvc", "sklearn"}}))
"""
    )
    assert printed.startswith("Usage:")
    assert printed.splitlines()[-1] == "code 0 []"
