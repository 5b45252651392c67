"""Fetching against a real web server on this machine: nothing is trusted before its size and hash are right."""

import io
import os
import random
import socket
import zipfile
from pathlib import Path

import pytest
from data_helpers import contents, entry_for, hidden_files, local_site, zip_bytes

from groundup.data.catalog import Source
from groundup.data.fetch import CHUNK_BYTES, SourceFailedError, extract_member, fetch, mirror_folder
from groundup.errors import GroundupError

DATA = b"".join(b"line %06d of a made-up text\n" % number for number in range(8000))  # several chunks
WRONG = DATA.replace(b"made-up", b"altered")


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with local_site() as site:
        yield site


class Fetched:
    """One call's surroundings: where the file goes, where partial transfers wait, what was reported."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "raw" / "corpus" / "tiny.txt"
        self.partials = folder / "partials"
        self.mirror = folder / "mirror"
        self.progress: list[tuple[int, int]] = []

    def __call__(self, entry, mirror=None):
        return fetch(entry, self.target, self.partials, mirror, lambda done, total: self.progress.append((done, total)))

    def fails(self, entry, mirror=None) -> str:
        """The message of a fetch that must fail; the target is then as it was, with no temporary files near it."""
        before = self.target.read_bytes() if self.target.exists() else None
        with pytest.raises(GroundupError) as caught:
            self(entry, mirror)
        assert (self.target.read_bytes() if self.target.exists() else None) == before
        if self.target.parent.exists():
            assert hidden_files(self.target.parent) == []
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def in_mirror(self, name: str, data: bytes) -> Path:
        path = self.mirror / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def left(self) -> dict[str, bytes]:
        return contents(self.partials)


@pytest.fixture
def fetched(tmp_path):
    return Fetched(tmp_path)


def closed_url() -> str:
    """A URL on this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/gone"


def test_a_file_comes_from_its_url(site, fetched):
    url = site.serve("/a", DATA)
    assert fetched(entry_for(DATA, url)) == url
    assert fetched.target.read_bytes() == DATA
    assert fetched.left() == {}
    assert hidden_files(fetched.target.parent) == []


def test_progress_grows_to_the_size_of_the_file(site, fetched):
    fetched(entry_for(DATA, site.serve("/a", DATA)))
    done = [done for done, _ in fetched.progress]
    assert len(done) > 1
    assert done == sorted(done)
    assert done[-1] == len(DATA)
    assert {total for _, total in fetched.progress} == {len(DATA)}


def test_a_mirror_is_asked_first(site, fetched):
    path = fetched.in_mirror("tiny.txt", DATA)
    assert fetched(entry_for(DATA, site.serve("/a", DATA)), fetched.mirror) == str(path)
    assert fetched.target.read_bytes() == DATA
    assert site.asked == []
    assert path.read_bytes() == DATA


def test_a_file_in_a_folder_of_the_mirror_is_found(fetched):
    fetched.in_mirror("gpt2/vocab.bpe", DATA)
    fetched(entry_for(DATA, closed_url(), file="gpt2/vocab.bpe"), fetched.mirror)
    assert fetched.target.read_bytes() == DATA


@pytest.mark.parametrize("wrong", [WRONG, DATA[:-1], DATA + b"x", b""], ids=["other", "short", "long", "empty"])
def test_a_mirror_with_other_bytes_is_passed_over(site, fetched, wrong):
    fetched.in_mirror("tiny.txt", wrong)
    url = site.serve("/a", DATA)
    assert fetched(entry_for(DATA, url), fetched.mirror) == url
    assert fetched.target.read_bytes() == DATA


def test_without_a_network_a_wrong_mirror_is_named_with_its_failure(fetched):
    fetched.in_mirror("tiny.txt", WRONG)
    said = fetched.fails(entry_for(DATA, closed_url()), fetched.mirror)
    assert "tiny: no source gave the file" in said
    assert str(fetched.mirror / "tiny.txt")[:40] in said
    assert "GROUNDUP_MIRROR" in said
    assert f"{len(DATA)} bytes with sha256 " in said


def test_a_file_that_the_mirror_lacks_comes_from_the_url(site, fetched):
    fetched.mirror.mkdir()
    assert fetched(entry_for(DATA, site.serve("/a", DATA)), fetched.mirror).endswith("/a")


def test_urls_are_tried_in_order(site, fetched):
    entry = entry_for(DATA, site.fail("/1", 404), site.serve("/2", DATA), site.serve("/3", DATA))
    assert fetched(entry) == site.url + "/2"
    assert [path for path, _ in site.asked] == ["/1", "/2"]


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_an_http_error_is_named_by_its_status(site, fetched, status):
    assert f"HTTP status {status}" in fetched.fails(entry_for(DATA, site.fail("/a", status)))
    assert fetched.left() == {}


def test_every_failure_is_named(site, fetched):
    urls = [site.fail("/1", 404), site.serve("/2", WRONG), closed_url()]
    said = fetched.fails(entry_for(DATA, *urls))
    assert "HTTP status 404" in said
    assert "sha256" in said
    assert "no connection" in said
    assert all(url in said for url in urls)


def test_wrong_bytes_of_the_right_size_are_refused_and_not_kept(site, fetched):
    assert len(WRONG) == len(DATA)
    said = fetched.fails(entry_for(DATA, site.serve("/a", WRONG)))
    assert "the transfer has sha256 " in said
    assert fetched.left() == {}


def test_a_file_that_was_there_stays_when_a_fetch_fails(site, fetched):
    fetched.target.parent.mkdir(parents=True)
    fetched.target.write_bytes(b"of an earlier run")
    fetched.fails(entry_for(DATA, site.serve("/a", WRONG)))
    assert fetched.target.read_bytes() == b"of an earlier run"


def test_too_few_bytes_in_all_are_refused(site, fetched):
    said = fetched.fails(entry_for(DATA, site.serve("/a", DATA[:-5])))
    assert f"has {len(DATA) - 5} bytes, not {len(DATA)}" in said
    assert fetched.left() == {}


def test_more_bytes_than_declared_in_the_catalog_are_not_even_read(site, fetched):
    said = fetched.fails(entry_for(DATA, site.serve("/a", DATA * 3)))
    assert f"offers {3 * len(DATA)} bytes, more than the {len(DATA)} allowed" in said
    assert fetched.progress == []


def test_more_bytes_than_declared_without_a_length_stop_the_transfer(site, fetched):
    said = fetched.fails(entry_for(DATA, site.serve_undeclared("/a", DATA * 3)))
    assert f"sent more than the {len(DATA)} bytes allowed" in said
    assert fetched.left() == {}
    assert max(done for done, _ in fetched.progress) <= len(DATA)


def test_a_file_of_undeclared_length_is_fine_if_its_bytes_are(site, fetched):
    fetched(entry_for(DATA, site.serve_undeclared("/a", DATA)))
    assert fetched.target.read_bytes() == DATA


@pytest.mark.parametrize("cut", [1, 70_000, 200_000, len(DATA) - 1])
def test_a_broken_transfer_goes_on_where_it_stopped(site, fetched, cut):
    entry = entry_for(DATA, site.serve("/a", DATA, cut_after=cut))
    assert "the next try goes on" in fetched.fails(entry)
    (kept,) = fetched.left().values()
    assert kept == DATA[: len(kept)]
    assert cut - CHUNK_BYTES < len(kept) <= cut  # at most the chunk that was under way is lost
    fetched(entry)
    assert site.ranges_asked("/a") == [None, f"bytes={len(kept)}-" if kept else None]
    assert fetched.target.read_bytes() == DATA
    assert fetched.left() == {}


def test_progress_of_a_resumed_transfer_counts_what_was_there(site, fetched):
    entry = entry_for(DATA, site.serve("/a", DATA, cut_after=100_000))
    fetched.fails(entry)
    fetched.progress.clear()
    fetched(entry)
    assert fetched.progress[0][0] > CHUNK_BYTES
    assert fetched.progress[-1] == (len(DATA), len(DATA))


def test_a_server_that_ignores_range_sends_the_file_anew(site, fetched):
    entry = entry_for(DATA, site.serve("/a", DATA, cut_after=70_000, ranges=False))
    fetched.fails(entry)
    fetched(entry)
    assert site.ranges_asked("/a") == [None, f"bytes={CHUNK_BYTES}-"]
    assert fetched.target.read_bytes() == DATA


def test_a_kept_transfer_of_wrong_bytes_is_thrown_away_once_it_is_found_out(site, fetched):
    fetched.fails(entry_for(DATA, site.serve("/a", WRONG, cut_after=70_000)))
    entry = entry_for(DATA, site.serve("/a", DATA))
    assert "sha256" in fetched.fails(entry)  # a wrong beginning with the right end
    assert fetched.left() == {}
    fetched(entry)
    assert fetched.target.read_bytes() == DATA


def test_a_broken_transfer_is_no_start_for_another_url(site, fetched):
    first, second = site.serve("/1", DATA, cut_after=70_000), site.serve("/2", DATA)
    assert fetched(entry_for(DATA, first, second)) == second
    assert site.ranges_asked("/2") == [None]
    assert fetched.target.read_bytes() == DATA


def test_a_transfer_that_was_whole_already_is_used_on_416(site, fetched):
    entry = entry_for(DATA, site.serve("/a", DATA, cut_after=70_000))
    fetched.fails(entry)
    (name,) = fetched.left()
    (fetched.partials / name).write_bytes(DATA)  # as if the process had been killed before the check
    fetched(entry)
    assert site.ranges_asked("/a")[-1] == f"bytes={len(DATA)}-"
    assert fetched.target.read_bytes() == DATA
    assert fetched.left() == {}


def test_416_on_wrong_bytes_is_refused_and_they_are_thrown_away(site, fetched):
    entry = entry_for(DATA, site.serve("/a", DATA, cut_after=70_000))
    fetched.fails(entry)
    (name,) = fetched.left()
    (fetched.partials / name).write_bytes(WRONG)
    assert "sha256" in fetched.fails(entry)
    assert fetched.left() == {}


@pytest.mark.parametrize("member", [None, "text.txt"])
def test_416_without_a_kept_transfer_is_a_failure_of_that_source_only(site, fetched, member):
    entry = entry_for(DATA, Source(site.fail("/1", 416), member=member), site.serve("/2", DATA))
    assert fetched(entry) == site.url + "/2"
    assert fetched.target.read_bytes() == DATA


def test_a_member_comes_out_of_an_archive(site, fetched):
    url = site.serve("/z.zip", zip_bytes({"readme": b"about", "text.txt": DATA}))
    assert fetched(entry_for(DATA, Source(url, member="text.txt"))) == url
    assert fetched.target.read_bytes() == DATA
    assert fetched.left() == {}


def test_an_archive_goes_on_where_it_stopped_too(site, fetched):
    archive = zip_bytes({"padding": random.Random(1).randbytes(100_000), "text.txt": DATA})
    entry = entry_for(DATA, Source(site.serve("/z.zip", archive, cut_after=90_000), member="text.txt"))
    fetched.fails(entry)
    fetched(entry)
    assert site.ranges_asked("/z.zip") == [None, f"bytes={CHUNK_BYTES}-"]
    assert fetched.target.read_bytes() == DATA


def damaged_zip() -> bytes:
    """An archive whose compressed bytes are broken: the directory reads well, the member does not."""
    archive = bytearray(zip_bytes({"text.txt": DATA}))
    archive[60:200] = b"\xff" * 140
    return bytes(archive)


def encrypted_zip() -> bytes:
    """An archive that says of its member that it is encrypted."""
    archive = bytearray(zip_bytes({"text.txt": DATA}))
    archive[6] |= 1
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


def oddly_packed_zip() -> bytes:
    """An archive whose member is packed by a method that nobody knows."""
    archive = bytearray(zip_bytes({"text.txt": DATA}))
    archive[8:10] = b"\x63\x00"
    at = archive.index(b"PK\x01\x02") + 10
    archive[at : at + 2] = b"\x63\x00"
    return bytes(archive)


BAD_ARCHIVES = {
    "climbing": (zip_bytes({"../x": b"out", "text.txt": DATA}), "a path that leads out of its folder: ../x"),
    "climbing inside": (zip_bytes({"a/../../x": b"out", "text.txt": DATA}), "leads out of its folder"),
    "backslashes": (zip_bytes({"..\\x": b"out", "text.txt": DATA}), "leads out of its folder"),
    "absolute": (zip_bytes({"/tmp/x": b"out", "text.txt": DATA}), "leads out of its folder: /tmp/x"),
    "link": (zip_bytes({"text.txt": DATA}, link="way-out"), "the archive holds a link: way-out"),
    "no member": (zip_bytes({"other.txt": DATA}), "the archive holds no text.txt"),
    "no archive": (b"<html>moved</html>", "not a zip archive"),
    "bomb": (zip_bytes({"text.txt": DATA * 40}), f"unpacks to more than the {len(DATA)} bytes allowed"),
    "too short": (zip_bytes({"text.txt": DATA[:-1]}), f"text.txt in the archive has {len(DATA) - 1} bytes"),
    "other bytes": (zip_bytes({"text.txt": WRONG}), "text.txt in the archive has sha256"),
    "damaged": (damaged_zip(), "damaged"),
    "encrypted": (encrypted_zip(), "archive"),
    "oddly packed": (oddly_packed_zip(), "archive"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_bad_archive_is_refused_and_leaves_nothing(site, fetched, tmp_path, name):
    archive, said = BAD_ARCHIVES[name]
    fetched.target.parent.mkdir(parents=True)
    fetched.target.write_bytes(b"of an earlier run")
    assert said in fetched.fails(entry_for(DATA, Source(site.serve("/z.zip", archive), member="text.txt")))
    assert contents(tmp_path) == {"raw/corpus/tiny.txt": b"of an earlier run"}
    assert not Path("/tmp/x").exists()


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_after_a_bad_archive_the_next_source_is_tried(site, fetched, name):
    bad = Source(site.serve("/z.zip", BAD_ARCHIVES[name][0]), member="text.txt")
    good = site.serve("/text", DATA)
    assert fetched(entry_for(DATA, bad, good)) == good


def test_a_bomb_is_not_unpacked_beyond_the_limit(tmp_path):
    (tmp_path / "z.zip").write_bytes(zip_bytes({"text.txt": bytes(50_000_000)}))
    with pytest.raises(SourceFailedError, match="unpacks to more than"):
        extract_member(tmp_path / "z.zip", "text.txt", tmp_path / "out", limit_bytes=1000)
    assert (tmp_path / "out").stat().st_size <= 1000


def test_extraction_writes_the_member_and_nothing_else(tmp_path):
    (tmp_path / "z.zip").write_bytes(zip_bytes({"a/b.txt": b"one", "c.txt": b"two"}))
    extract_member(tmp_path / "z.zip", "a/b.txt", tmp_path / "out", limit_bytes=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "z.zip"]
    assert (tmp_path / "out").read_bytes() == b"one"


def test_the_archives_of_these_tests_are_what_they_seem():
    with zipfile.ZipFile(io.BytesIO(BAD_ARCHIVES["climbing"][0])) as archive:
        assert archive.namelist() == ["../x", "text.txt"]
    with zipfile.ZipFile(io.BytesIO(BAD_ARCHIVES["absolute"][0])) as archive:
        assert archive.namelist()[0] == "/tmp/x"


def test_a_full_disk_leaves_no_temporary_file(fetched, monkeypatch):
    fetched.in_mirror("tiny.txt", DATA)

    def fail(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        fetched(entry_for(DATA), fetched.mirror)
    assert contents(fetched.target.parent) == {}


def test_the_mirror_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("GROUNDUP_MIRROR", "~/files")
    assert mirror_folder() == Path.home() / "files"
    monkeypatch.setenv("GROUNDUP_MIRROR", "")
    assert mirror_folder() is None
    monkeypatch.delenv("GROUNDUP_MIRROR")
    assert mirror_folder() is None
