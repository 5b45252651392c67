"""Reading back what download brought, by its manifest."""

import json

import pytest
from data_helpers import instructions, messages, story

from groundup.data.raw import MANIFEST_FILE, count_rows, read_raw
from groundup.errors import GroundupError


def manifest_line(kind, name, file):
    return {"kind": kind, "name": name, "file": file, "licence": "", "size_bytes": 1, "sha256": "", "rows": None}


@pytest.fixture
def folder(tmp_path):
    for kind in ("corpus", "messages", "instructions"):
        (tmp_path / kind).mkdir()
    (tmp_path / "corpus" / "a.txt").write_text(story(3), encoding="utf-8")
    (tmp_path / "corpus" / "b.txt").write_text("One.\n<|endoftext|>\nTwo.\n", encoding="utf-8")
    rows = "".join(f"{row.label}\t{row.text}\n" for row in messages(8))
    (tmp_path / "messages" / "sms").write_text(rows, encoding="utf-8")
    answers = json.dumps([vars(row) for row in instructions(4)])
    (tmp_path / "instructions" / "rows.json").write_text(answers, encoding="utf-8")
    files = [
        manifest_line("corpus", "data/own/b.txt", "corpus/b.txt"),
        manifest_line("corpus", "story", "corpus/a.txt"),
        manifest_line("messages", "sms-spam", "messages/sms"),
        manifest_line("instructions", "rows", "instructions/rows.json"),
        manifest_line("vocabulary", "gpt2-merges", "vocabulary/gpt2/vocab.bpe"),
    ]
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({"files": files}), encoding="utf-8")
    return tmp_path


def test_texts_are_read_in_the_order_of_the_manifest(folder):
    raw = read_raw(folder)
    assert [document.text for document in raw.documents] == ["One.\n", "Two.\n", story(3)]
    assert [document.source for document in raw.documents] == ["data/own/b.txt", "data/own/b.txt", "story"]
    assert [document.whole_source for document in raw.documents] == [False, False, True]
    assert raw.messages == messages(8)
    assert raw.instructions == instructions(4)


def test_a_file_that_no_manifest_names_is_not_read(folder):
    (folder / "corpus" / "stray.txt").write_text("stray", encoding="utf-8")
    assert len(read_raw(folder).documents) == 3


def test_rows_are_counted_by_kind(folder):
    assert count_rows("corpus", folder / "corpus" / "b.txt") == 2
    assert count_rows("messages", folder / "messages" / "sms") == 8
    assert count_rows("instructions", folder / "instructions" / "rows.json") == 4
    assert count_rows("vocabulary", folder / "vocabulary" / "gpt2" / "vocab.bpe") is None


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(GroundupError, match=r"manifest\.json: no such file.*dvc repro"):
        read_raw(tmp_path / "raw")


def test_a_file_of_the_manifest_that_is_gone_is_named(folder):
    (folder / "messages" / "sms").unlink()
    with pytest.raises(GroundupError, match=r"messages/sms: no such file"):
        read_raw(folder)


@pytest.mark.parametrize("manifest", ["{}", "[]", "null", '{"files": [{"kind": "corpus"}]}', '{"files": 3}'])
def test_a_manifest_of_another_shape_is_refused_in_one_line(folder, manifest):
    (folder / MANIFEST_FILE).write_text(manifest, encoding="utf-8")
    with pytest.raises(GroundupError, match=r"manifest\.json") as caught:
        read_raw(folder)
    assert "\n" not in str(caught.value)
