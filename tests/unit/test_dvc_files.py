"""What a kill leaves of the files that DVC writes in place is mended, and whole files are left alone."""

import subprocess

import pytest
from imports import ROOT
from zc.lockfile import LockFile

from groundup.dvc_files import DAMAGED, LOCK, mend_dvc_files

WHOLE = (ROOT / "dvc.lock").read_bytes()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


def commit(folder, data):
    (folder / LOCK).write_bytes(data)
    for arguments in (["init", "--quiet"], ["add", str(LOCK)], ["commit", "--quiet", "--message", "lock"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE[: WHOLE.index(b"hash: md5", 1000) + 3],
        WHOLE[:-200] + b"\n  - pat",
        b"schema: '2.0'\nstages:\n  pretrain:\n",
    ],
)
def test_a_cut_lock_is_set_aside_for_the_committed_one(project, data):
    commit(project, WHOLE)
    (project / LOCK).write_bytes(data)
    (line,) = mend_dvc_files()
    assert "dvc.lock was cut" in line
    assert "the committed one is back" in line
    assert (project / LOCK).read_bytes() == WHOLE
    assert (project / DAMAGED).read_bytes() == data
    assert mend_dvc_files() == []


def test_without_a_commit_a_cut_lock_is_only_set_aside(project):
    (project / LOCK).write_bytes(b"")
    assert "a new one is made" in mend_dvc_files()[0]
    assert not (project / LOCK).exists()


def test_whole_files_and_missing_ones_are_left_alone(project):
    assert mend_dvc_files() == []
    (project / LOCK).write_bytes(WHOLE)
    (project / ".dvc" / "tmp" / "rwlock").write_text("{}")
    assert mend_dvc_files() == []
    assert (project / LOCK).read_bytes() == WHOLE


@pytest.mark.parametrize("data", [b"", b'{"read": {"a": [{"pid"'])
def test_a_cut_list_of_busy_paths_is_removed(project, data):
    busy = project / ".dvc" / "tmp" / "rwlock"
    busy.write_bytes(data)
    assert mend_dvc_files() == [
        f"{busy.relative_to(project)} was cut, as it is when dvc is killed while it writes it, and is removed"
    ]
    assert not busy.exists()


def test_nothing_is_touched_while_another_dvc_holds_its_lock(project):
    (project / LOCK).write_bytes(b"")
    held = LockFile(str(project / ".dvc" / "tmp" / "lock"))
    assert mend_dvc_files() == []
    held.close()
    assert len(mend_dvc_files()) == 1


def test_outside_a_project_nothing_is_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / LOCK).write_bytes(b"")
    assert mend_dvc_files() == []
    assert (tmp_path / LOCK).exists()
