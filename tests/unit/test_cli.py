"""The `groundup` command: what it says, where it says it, and with which exit code."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from imports import ROOT

from groundup import __version__
from groundup.cli import main


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped presets and the default parameters."""
    for path in [*(ROOT / "presets").glob("*.yaml"), ROOT / "params.yaml"]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def failed_in_one_line(result: Result) -> str:
    """The line, after checking that there is one, that it stands on standard error, and that the exit code is 1."""
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("groundup: ")
    return line


def edit(old: str, new: str) -> None:
    """Replace the first match of a pattern in `params.yaml`."""
    text, count = re.subn(old, new, Path("params.yaml").read_text(encoding="utf-8"), count=1)
    assert count == 1
    Path("params.yaml").write_text(text, encoding="utf-8")


def test_help_names_the_commands() -> None:
    result = call("--help")
    assert result.exit_code == 0
    names = "preset check track summary seeds curves generate chat classify export register judge"
    for name in names.split():
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself(name: str) -> None:
    result = call(name, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()[2].split()) >= 4


def test_the_version_is_the_packages() -> None:
    assert __version__ in call("--version").stdout


def test_an_unknown_command_is_refused() -> None:
    assert "No such command 'fly'" in failed_in_one_line(call("fly"))


def test_check_accepts_the_default_parameters() -> None:
    result = call("check")
    assert result.exit_code == 0
    assert result.stdout == "params.yaml is valid\n"


def test_check_tells_every_problem_in_a_line_of_its_own() -> None:
    edit(r"  learning_rate: \S+", "  learning_rate: fast")
    edit(r"seed: \d+", "seed: -1")
    edit("n_layers:", "n_layer:")
    result = call("check")
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("groundup: params.yaml: ") for line in lines)
    told = " ".join(lines)
    for key in ("pretrain.learning_rate", "seed", "model.n_layers is missing", "model.n_layer is not a known key"):
        assert key in told
    assert len(lines) == 4


def test_check_without_a_parameters_file_says_what_to_do() -> None:
    Path("params.yaml").unlink()
    assert "params.yaml: no such file" in failed_in_one_line(call("check"))


@pytest.mark.parametrize(
    ("labels", "positive", "said"),
    [
        ("abcd", "spam", "finetune_cls.positive_label is for two labels, and these messages have 4; got spam"),
        ("ab", "spam", "finetune_cls.positive_label is not a label of the messages; got spam; allowed: a or b"),
        ("ab", '""', 'not a label of the messages; got ""; allowed: a or b'),
        ("a", "a", "mine.tsv: a classifier needs rows of at least two labels"),
        ("abcd", '""', ""),
        ("ab", "b", ""),
    ],
)
def test_check_looks_at_the_labels_of_own_messages(project: Path, labels: str, positive: str, said: str) -> None:
    (project / "data" / "own").mkdir(parents=True)
    rows = "".join(f"{label}\ttext {number}\n" for label in labels for number in range(3))
    (project / "data" / "own" / "mine.tsv").write_text(rows)
    edit(r"messages: sample-messages", "messages: data/own/mine.tsv")
    edit(r"positive_label: spam", f"positive_label: {positive}")
    if said:
        assert said in failed_in_one_line(call("check"))
    else:
        assert call("check").exit_code == 0


def test_check_of_a_folder_in_the_files_place_is_no_traceback() -> None:
    Path("params.yaml").unlink()
    Path("params.yaml").mkdir()
    assert "params.yaml" in failed_in_one_line(call("check"))


def test_preset_writes_params_yaml_once() -> None:
    first, second = call("preset", "micro"), call("preset", "micro")
    assert first.stdout == "params.yaml now holds the preset micro\n"
    assert second.stdout == "params.yaml already holds the preset micro\n"
    assert call("check").exit_code == 0


def test_preset_flags_only_print() -> None:
    before = Path("params.yaml").read_bytes()
    result = call("preset", "micro", "--flags")
    assert result.exit_code == 0
    assert any(flag.startswith("pretrain.max_steps=") for flag in shlex.split(result.stdout))
    assert Path("params.yaml").read_bytes() == before


def test_an_unknown_preset_is_refused_with_the_names_there_are() -> None:
    before = Path("params.yaml").read_bytes()
    line = failed_in_one_line(call("preset", "hughe"))
    assert "got hughe" in line
    assert "micro" in line
    assert "small" in line
    assert Path("params.yaml").read_bytes() == before


def test_a_preset_is_not_half_written_over_params_that_are_damaged() -> None:
    Path("params.yaml").write_text("seed: [1\n", encoding="utf-8")
    assert "params.yaml: not valid YAML" in failed_in_one_line(call("preset", "micro", "--flags"))
    assert call("preset", "micro").exit_code == 0
    assert call("check").exit_code == 0


@pytest.mark.parametrize("command", ["summary", "track"])
def test_a_command_about_results_says_what_to_do_before_there_are_any(command: str) -> None:
    line = failed_in_one_line(call(command))
    assert "reports/summary.json" in line
    assert "dvc repro" in line
    assert not Path("mlflow.db").exists()


def test_wrong_parameters_stop_track_before_it_does_anything(project: Path) -> None:
    edit(r"seed: \d+", "seed: one")
    assert "seed" in failed_in_one_line(call("track"))
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml", "presets"]
