"""The download stage when its sources fail: no network, a wrong mirror, a bad archive, a full disk."""

import contextlib
import errno
import os
import re
import shutil
import socket
import threading
import time

import pytest
from data_helpers import entry_for, local_site, story, zip_bytes
from fault_helpers import FILES_UP_TO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundup.data import download as download_module
from groundup.data import fetch
from groundup.data.catalog import Source
from groundup.data.fetch import CHUNK_BYTES

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


@settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, 30 * len(TALE) - 1))
def test_a_transfer_cut_at_any_byte_is_finished_by_the_next_run(project, sources, cut):
    long_tale = TALE * 30
    for place in (".groundup", "data/raw"):
        shutil.rmtree(project.folder / place, ignore_errors=True)
    with local_site() as site:
        place = site.serve("/tale.txt", long_tale, cut_after=cut)
        sources(place, size_bytes=len(long_tale), sha256=entry_for(long_tale).sha256)
        (line,) = project.refuses("download")
        assert "the next try goes on from there" in line
        assert project.run("download").exit_code == 0
        kept = int((site.ranges_asked("/tale.txt")[1] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
    assert 0 <= cut - kept < CHUNK_BYTES  # of what had come, less than one piece is fetched again
    assert project.results()["data/raw/corpus/tale.txt"] == long_tale


def test_a_file_that_is_served_in_small_pieces_with_pauses_arrives(project, sources):
    def slowly(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(TALE)))
        request.end_headers()
        for start in range(0, len(TALE), len(TALE) // 10):
            request.wfile.write(TALE[start : start + len(TALE) // 10])
            request.wfile.flush()
            time.sleep(0.02)

    with local_site() as site:
        sources(site.answer_with("/tale.txt", slowly))
        assert project.run("download").exit_code == 0
    assert project.results()["data/raw/corpus/tale.txt"] == TALE


def test_a_server_that_falls_silent_is_left_after_a_while_and_the_next_run_finishes(project, sources, monkeypatch):
    monkeypatch.setattr(fetch, "READ_TIMEOUT_S", 0.2)
    left, silences = threading.Event(), [True]

    def falls_silent(request):
        request.send_response(200)
        request.send_header("Content-Length", str(len(TALE)))
        request.end_headers()
        with contextlib.suppress(ConnectionError):
            request.wfile.write(TALE[:100])
            if silences:
                silences.pop()
                left.wait(30)
            request.wfile.write(TALE[100:])

    with local_site() as site:
        sources(site.answer_with("/tale.txt", falls_silent))
        (line,) = project.refuses("download")
        left.set()
        assert "no answer in time" in line or "no connection" in line
        assert project.run("download").exit_code == 0
    assert project.results()["data/raw/corpus/tale.txt"] == TALE


@pytest.mark.parametrize("target", ["nowhere", "itself", "another scheme", "a login page"])
def test_a_redirect_that_leads_to_no_file_is_said_in_one_line(finished, sources, nowhere, target):
    def answer(request):
        request.send_response(302)
        request.send_header("Location", places[target])
        request.send_header("Content-Length", "0")
        request.end_headers()

    with local_site() as site:
        here = site.answer_with("/tale.txt", answer)
        page = site.serve("/login", b"<html>please log in</html>")
        places = {"nowhere": nowhere, "itself": here, "another scheme": "file:///etc/hostname", "a login page": page}
        sources(here)
        (line,) = finished.refuses("download")
        said = {
            "nowhere": "no connection",
            "itself": "TooManyRedirects",
            "another scheme": "InvalidSchema",
            "a login page": f"has 26 bytes, not {len(TALE)}",
        }
        assert said[target] in line or "stopped after 26" in line
        site.serve("/tale.txt", TALE)
        assert finished.run("download").exit_code == 0
    assert finished.results()["data/raw/corpus/tale.txt"] == TALE


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
    assert ": No space left on device; to mend it: make room on the disk" in line
    assert name in line


def test_a_first_run_on_a_full_disk_leaves_no_result(project, monkeypatch):
    full_disk(monkeypatch, "raw")
    assert "data/raw: No space left on device; to mend it: make room" in project.refuses("download")[0]
    assert not (project.folder / "data" / "raw").exists()


# A stage in a process of its own, whose catalog holds one entry more.
WITH_ENTRY = """
from groundup.data import download as module
from groundup.data.catalog import Entry, Source
found = module.entries
module.entries = lambda kind: {{"tale": {entry!r}}} if kind == "corpus" else found(kind)
"""


def test_a_disk_that_is_full_in_the_middle_of_a_download_keeps_what_came(project):
    long_tale = TALE * 60
    project.set(data__corpus=["tale"])
    with local_site() as site:
        entry = entry_for(long_tale, site.serve("/tale.txt", long_tale), name="tale", file="tale.txt")
        with_entry = WITH_ENTRY.format(entry=entry)
        (line,) = project.refuses("download", first=f"{with_entry}\n{FILES_UP_TO.format(100_000)}")
        assert re.match(r"\.groundup/downloads/\w+\.part: File too large; to mend it: make room on the disk", line)
        (kept,) = (project.folder / ".groundup" / "downloads").iterdir()
        size = kept.stat().st_size
        assert 0 < size <= 100_000
        done = project.run_apart("download", with_entry)
        assert done.returncode == 0, done.stderr
        assert site.ranges_asked("/tale.txt") == [None, f"bytes={size}-"]
    assert project.results()["data/raw/corpus/tale.txt"] == long_tale


def test_a_full_disk_under_own_files_is_one_line(project):
    (line,) = project.refuses("download", first=FILES_UP_TO.format(2_000))
    assert re.match(r"data/\.raw\.\w+/corpus/story\.txt: File too large; to mend it: make room", line)
