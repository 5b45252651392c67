"""Writing whole files and folders: a reader sees the old content or the new, and a failure leaves nothing behind."""

import errno
import hashlib
import json
import os

import pytest
from data_helpers import contents, hidden_files

from groundup import files
from groundup.errors import GroundupError
from groundup.files import (
    FileParts,
    decoded,
    folder_written_atomically,
    read_json,
    read_json_objects,
    read_utf8,
    replace_folder,
    sha256_of_file,
    with_plain_line_ends,
    write_bytes_atomically,
    write_json_atomically,
    write_json_objects_atomically,
    write_text_atomically,
)


@pytest.fixture
def failing_replace(monkeypatch):
    """os.replace fails as it does on a full disk; returns what was to be renamed."""
    calls = []

    def fail(source, target):
        calls.append((str(source), str(target)))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(os, "replace", fail)
    return calls


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "c.bin"
    write_bytes_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert hidden_files(tmp_path) == []


def test_a_written_file_can_be_read_by_others(tmp_path):
    write_bytes_atomically(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old and longer", encoding="utf-8")
    write_text_atomically(path, "neu ü")
    assert path.read_bytes() == "neu ü".encode()


def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path, failing_replace):
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="No space left"):
        write_text_atomically(path, "new")
    assert failing_replace
    assert contents(tmp_path) == {"a.txt": b"old"}


def test_json_ends_with_a_newline_and_keeps_characters_as_they_are(tmp_path):
    write_json_atomically(tmp_path / "a.json", {"ä": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "ä" in text
    assert text.endswith("}\n")
    assert read_json(tmp_path / "a.json") == {"ä": [1, 2.5, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_numbers_that_json_does_not_have(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomically(tmp_path / "a.json", {"loss": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [(b'{"a": 1,\n}', "not valid JSON at line 2"), (b'{"a": "\xff"}', "not UTF-8 text at byte 7"), (b"", "line 1")],
)
def test_broken_json_is_named_with_its_place(tmp_path, data, said):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(GroundupError) as caught:
        read_json(tmp_path / "a.json")
    assert said in str(caught.value)
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize("read", [read_json, read_utf8])
def test_a_missing_file_is_named_and_points_to_dvc_repro(tmp_path, read):
    with pytest.raises(GroundupError, match=r"gone\.txt: no such file.*dvc repro"):
        read(tmp_path / "gone.txt")


def test_a_folder_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "data" / "raw"
    with folder_written_atomically(target) as folder:
        (folder / "x").write_text("1", encoding="utf-8")
        assert not target.exists()
        assert folder.parent == target.parent
    assert contents(target) == {"x": b"1"}
    assert target.stat().st_mode & 0o777 == 0o755
    assert hidden_files(tmp_path) == []


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "raw"
    target.mkdir()
    (target / "stale").write_text("old", encoding="utf-8")
    with folder_written_atomically(target) as folder:
        (folder / "fresh").write_text("new", encoding="utf-8")
        assert contents(target) == {"stale": b"old"}
    assert contents(target) == {"fresh": b"new"}
    assert hidden_files(tmp_path) == []


@pytest.mark.parametrize("kind", [GroundupError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_folder_and_nothing_else(tmp_path, kind):
    target = tmp_path / "raw"
    target.mkdir()
    (target / "stale").write_text("old", encoding="utf-8")

    def fill():
        with folder_written_atomically(target) as folder:
            (folder / "half").write_text("new", encoding="utf-8")
            raise kind("stop")

    with pytest.raises(kind):
        fill()
    assert contents(tmp_path) == {"raw/stale": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_new_folder_that_cannot_be_renamed_leaves_nothing(tmp_path, failing_replace):
    with pytest.raises(OSError, match="No space left"), folder_written_atomically(tmp_path / "raw") as folder:
        (folder / "x").write_text("1", encoding="utf-8")
    assert failing_replace
    assert list(tmp_path.iterdir()) == []


def test_the_old_folder_is_put_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    old, new = tmp_path / "raw", tmp_path / "new"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "x").write_text(text, encoding="utf-8")
    rename = os.replace

    def fail_for_new(source, target):
        if source == new:
            raise OSError(errno.EIO, "broken disk", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail_for_new)
    with pytest.raises(OSError, match="broken disk"):
        replace_folder(new, old)
    assert contents(old) == {"x": b"old"}
    assert hidden_files(tmp_path) == []


def test_an_old_folder_that_cannot_be_set_aside_stays_and_nothing_is_left(tmp_path, failing_replace):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x").write_text("old", encoding="utf-8")
    with pytest.raises(OSError, match="No space left"), folder_written_atomically(tmp_path / "raw") as folder:
        (folder / "x").write_text("new", encoding="utf-8")
    assert len(failing_replace) == 1
    assert contents(tmp_path) == {"raw/x": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_an_old_folder_that_cannot_be_put_back_is_not_thrown_away(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "x").write_text("old", encoding="utf-8")
    rename = os.replace

    def fail_after_the_first(source, target):
        monkeypatch.setattr(os, "replace", lambda source, target: fail(target))
        rename(source, target)

    def fail(target):
        raise OSError(errno.EIO, "broken disk", str(target))

    monkeypatch.setattr(os, "replace", fail_after_the_first)
    with pytest.raises(OSError, match="broken disk"), folder_written_atomically(tmp_path / "raw") as folder:
        (folder / "x").write_text("new", encoding="utf-8")
    assert list(contents(tmp_path).values()) == [b"old"]


def test_the_hash_of_a_file_is_sha256(tmp_path):
    data = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(data)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()


def test_text_comes_without_byte_order_mark_and_with_plain_line_ends(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo\nthree\r\n")
    assert read_utf8(tmp_path / "a") == "one\ntwo\nthree\n"


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r\n"])
def test_a_file_without_text_is_called_empty(tmp_path, data):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(GroundupError, match=r"a\.txt: the file is empty"):
        read_utf8(tmp_path / "a.txt")


def test_text_that_is_not_utf8_is_named_by_line_and_byte(tmp_path):
    (tmp_path / "a.txt").write_bytes("first\nsecond café\n".encode("latin-1"))
    with pytest.raises(GroundupError) as caught:
        read_utf8(tmp_path / "a.txt")
    assert "line 2 is not UTF-8" in str(caught.value)
    assert "byte 0xe9" in str(caught.value)
    assert "iconv" in str(caught.value)


def test_json_written_twice_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_json_atomically(tmp_path / name, {"z": 1, "a": [0.1]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_bytes()) == {"z": 1, "a": [0.1]}


@pytest.mark.parametrize(
    "values", [[], [{}], [{"a": 1.5, "b": None}, {"ü": "x\n  }\n", "c": [1, {"d": []}]}, {"e": {}}]]
)
def test_objects_written_one_by_one_are_the_bytes_of_the_list(tmp_path, values):
    write_json_atomically(tmp_path / "list", values)
    write_json_objects_atomically(tmp_path / "objects", iter(values))
    assert (tmp_path / "objects").read_bytes() == (tmp_path / "list").read_bytes()
    assert list(read_json_objects(tmp_path / "objects")) == values


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data.replace(b":", b"", 1)])
def test_a_damaged_list_of_objects_is_refused_in_one_line(tmp_path, damage):
    write_json_objects_atomically(tmp_path / "a", [{"b": 1}, {"b": 2}])
    (tmp_path / "a").write_bytes(damage((tmp_path / "a").read_bytes()))
    with pytest.raises(GroundupError, match=r"a: a damaged list.*dvc repro"):
        list(read_json_objects(tmp_path / "a"))


def test_a_missing_list_of_objects_is_named(tmp_path):
    with pytest.raises(GroundupError, match="no such file"):
        list(read_json_objects(tmp_path / "gone"))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_part_of_a_file_is_its_text_whatever_the_blocks_are(tmp_path, monkeypatch, size):
    monkeypatch.setattr(files, "BLOCK_BYTES", size)
    text = "ä漢🙂\r\n\r\r\nb\r"
    (tmp_path / "a").write_bytes(b"before" + text.encode() + b"behind")
    parts = FileParts(tmp_path / "a")
    blocks = list(parts.blocks(6, 6 + len(text.encode())))
    assert max(map(len, blocks)) <= size
    assert "".join(decoded(blocks)) == text
    assert "".join(with_plain_line_ends(decoded(blocks))) == text.replace("\r\n", "\n")


def test_a_file_is_closed_when_nobody_can_ask_for_its_parts(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    parts = FileParts(tmp_path / "a")
    assert parts.read(1, 3) == b"bc"
    file = parts._file
    del parts
    assert file.closed


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_byte_that_is_not_utf8_is_named_by_its_line_wherever_the_blocks_end(tmp_path, monkeypatch, size):
    monkeypatch.setattr(files, "BLOCK_BYTES", size)
    for data, said in (
        (b"one\nt\xc3\xbc\n\nthr\xfce\n", r"line 4 .* 0xfc"),
        (b"one\ntw\xe6\xbc", r"line 2 .* 0xe6"),
        (b"\xef\xbb\xbfone\ntw\xc3\n", r"line 2 .* 0xc3"),
    ):
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(GroundupError, match=said):
            read_utf8(tmp_path / "a")
