"""A small project in a temporary folder, and the stages run in it as `dvc repro` would run them."""

import shutil

import pytest
from fault_helpers import REFUSED, Project, fill_own_folder, small_params


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many inputs were refused, counted by what was said of each: two that got the same line count as one."""
    if REFUSED:
        terminalreporter.write_line(f"bad inputs refused, each with a line of its own: {len(REFUSED)}")


def quiet_environment(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("MLFLOW_TRACKING_URI", "off")
    patch.setenv("GROUNDUP_MIRROR", "")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "DVC_ROOT"):
        patch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with own texts and parameters, in which no stage has run."""
    quiet_environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    fill_own_folder(tmp_path)
    made = Project(tmp_path)
    made.write_params(small_params())
    return made


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory):
    """A project in which the stages up to pretrain have run once."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        quiet_environment(patch)
        patch.chdir(folder)
        fill_own_folder(folder)
        made = Project(folder)
        made.write_params(small_params())
        for name in ("download", "tokenize", "split", "pretrain"):
            result = made.run(name)
            assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def finished(finished_folder, project):
    """A fresh copy of a project in which the stages up to pretrain have run."""
    shutil.copytree(finished_folder, project.folder, dirs_exist_ok=True)
    return project
