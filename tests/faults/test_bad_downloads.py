"""The download stage when its sources fail: no network, a wrong mirror, a bad archive, a full disk."""

import errno
import os
import socket
import subprocess
import sys

import pytest
from data_helpers import ROOT, entry_for, local_site, story, zip_bytes

from groundup.data import download as download_module
from groundup.data.catalog import Source

TALE = story(20).encode()
WRONG = TALE.replace(b"lanterns", b"ladders ")


@pytest.fixture
def nowhere():
    """A URL on this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/tale.txt"


@pytest.fixture
def sources(project, monkeypatch):
    """Makes the parameters ask for one catalog entry that comes from the given sources."""

    def use(*places, **facts):
        entry = entry_for(TALE, *places, name="tale", file="tale.txt", **facts)
        found = download_module.entries
        monkeypatch.setattr(
            download_module, "entries", lambda kind: {"tale": entry} if kind == "corpus" else found(kind)
        )
        project.set(data__corpus=["tale"])

    return use


@pytest.fixture
def mirror(project, monkeypatch):
    """Puts a file into a mirror that the stage is told of."""
    folder = project.folder / "mirror"
    folder.mkdir()
    monkeypatch.setenv("GROUNDUP_MIRROR", str(folder))

    def put(data):
        (folder / "tale.txt").write_bytes(data)

    return put


def test_a_right_mirror_is_enough_without_a_network(project, sources, mirror, nowhere):
    sources(nowhere)
    mirror(TALE)
    result = project.run("download")
    assert result.exit_code == 0, result.output
    assert project.results()["data/raw/corpus/tale.txt"] == TALE


@pytest.mark.parametrize("before", ["nothing", "everything"])
def test_without_network_and_mirror_the_stage_says_what_to_do(request, sources, nowhere, before):
    project = request.getfixturevalue("project" if before == "nothing" else "finished")
    sources(nowhere)
    (line,) = project.refuses("download")
    assert "tale: no source gave the file" in line
    assert "no connection" in line
    assert "connect to the internet, or set GROUNDUP_MIRROR to a folder that holds tale.txt" in line


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "no such file in the mirror"),
        (b"", "has 0 bytes"),
        (TALE[:-100], f"has {len(TALE) - 100} bytes, not {len(TALE)}"),
        (WRONG, "has sha256 "),
        (b"\xff" * len(TALE), "has sha256 "),
    ],
    ids=["missing", "empty", "truncated", "other bytes", "not UTF-8"],
)
@pytest.mark.parametrize("before", ["nothing", "everything"])
def test_a_wrong_mirror_is_not_trusted(request, sources, mirror, nowhere, before, data, said, monkeypatch):
    project = request.getfixturevalue("project" if before == "nothing" else "finished")
    monkeypatch.setenv("GROUNDUP_MIRROR", "mirror")  # a short name, so that the whole reason fits into the line
    sources(nowhere)
    if data is not None:
        mirror(data)
    (line,) = project.refuses("download")
    assert "mirror/tale.txt" in line
    assert said in line


def test_bytes_as_pinned_that_are_no_text_are_refused(project, monkeypatch, mirror):
    data = b"caf\xe9\n"
    entry = entry_for(data, name="tale", file="tale.txt")
    monkeypatch.setattr(download_module, "entries", lambda kind: {"tale": entry})
    project.set(data__corpus=["tale"])
    mirror(data)
    assert "line 1 is not UTF-8 text" in project.refuses("download")[0]


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (zip_bytes({"../tale.txt": TALE, "tale.txt": TALE}), "a path that leads out of its folder"),
        (zip_bytes({"/tale.txt": TALE, "tale.txt": TALE}), "a path that leads out of its folder"),
        (zip_bytes({"tale.txt": TALE}, link="way-out"), "the archive holds a link"),
        (zip_bytes({"saga.txt": TALE}), "the archive holds no tale.txt"),
        (zip_bytes({"tale.txt": TALE * 100}), "unpacks to more than"),
        (zip_bytes({"tale.txt": WRONG}), "sha256"),
        (b"<html>gone</html>", "not a zip archive"),
    ],
    ids=["climbing", "absolute", "link", "no member", "bomb", "other bytes", "no archive"],
)
def test_a_bad_archive_is_refused_and_nothing_of_it_is_kept(project, sources, archive, said):
    with local_site() as site:
        sources(Source(site.serve("/z.zip", archive), member="tale.txt"))
        (line,) = project.refuses("download")
    assert said in line
    assert not (project.folder.parent / "tale.txt").exists()
    assert list((project.folder / ".groundup" / "downloads").iterdir()) == []


def test_a_broken_transfer_is_finished_by_the_next_run(project, sources):
    long_tale = TALE * 30
    with local_site() as site:
        sources(
            site.serve("/tale.txt", long_tale, cut_after=100_000),
            size_bytes=len(long_tale),
            sha256=entry_for(long_tale).sha256,
        )
        assert "the next try goes on" in project.refuses("download")[0]
        result = project.run("download")
        first, second = site.ranges_asked("/tale.txt")
    assert result.exit_code == 0, result.output
    assert first is None
    assert second.startswith("bytes=")
    assert project.results()["data/raw/corpus/tale.txt"] == long_tale


def full_disk(monkeypatch, name):
    """From now on a rename to this name fails as on a full disk."""
    rename = os.replace

    def replace(source, target):
        if os.path.basename(target) == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("download", "story.txt"),
        ("download", "manifest.json"),
        ("download", "raw"),
        ("tokenize", "encoder.json"),
        ("tokenize", "tokens"),
        ("split", "rows.jsonl"),
        ("split", "splits"),
        ("pretrain", "model.json"),
        ("pretrain", "pretrained"),
    ],
)
def test_a_full_disk_is_one_line_and_the_earlier_results_stay(finished, monkeypatch, stage, name):
    full_disk(monkeypatch, name)
    (line,) = finished.refuses(stage)
    assert line.endswith(": No space left on device")
    assert name in line


def test_a_first_run_on_a_full_disk_leaves_no_result(project, monkeypatch):
    full_disk(monkeypatch, "raw")
    assert project.refuses("download")[0].endswith("data/raw: No space left on device")
    assert not (project.folder / "data" / "raw").exists()


def test_a_file_that_grows_beyond_what_the_system_allows_is_one_line(project):
    """A real failure of write(), not a pretended one: the process may write files of 2,000 bytes only."""
    code = (
        "import resource, signal\n"
        "from stages.download import download\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "download([])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    before = project.everything()
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=project.folder, check=False
    )
    assert ended.returncode == 1
    assert [line for line in ended.stderr.split("\n") if line.strip()] == ["groundup: a file: File too large"]
    assert project.everything() == before
