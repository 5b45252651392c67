"""From names in the parameters to checked files in data/raw/ with a manifest; all from a mirror, without a network."""

import hashlib
import json
import shutil

import pytest
from data_helpers import contents, entry_for, messages, story

from groundup.config import DataParams, SampleParams
from groundup.data import download as download_module
from groundup.data.download import download, wanted_files
from groundup.errors import GroundupError

STORY = story(5).encode()
OTHER_STORY = story(9).encode()
SMS = "".join(f"{row.label}\t{row.text}\n" for row in messages(8)).encode()
ASKED = json.dumps([{"instruction": "Say hello.", "output": "Hello."}] * 3).encode()
MERGES = b"#version: 0.2\n"

ENTRIES = [
    entry_for(STORY, name="tale", kind="corpus", file="tale.txt"),
    entry_for(OTHER_STORY, name="saga", kind="corpus", file="saga.txt", licence="CC0"),
    entry_for(SMS, name="sms", kind="messages", file="Collection", rows=8),
    entry_for(ASKED, name="asked", kind="instructions", file="asked.json", rows=3),
    entry_for(MERGES, name="merges", kind="vocabulary", file="gpt2/vocab.bpe", rows=None),
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with a mirror that holds all files of a small catalog."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDUP_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(
        download_module, "entries", lambda kind: {entry.name: entry for entry in ENTRIES if entry.kind == kind}
    )
    for entry, data in zip(ENTRIES, (STORY, OTHER_STORY, SMS, ASKED, MERGES), strict=True):
        path = tmp_path / "mirror" / entry.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "data" / "own").mkdir(parents=True)
    return tmp_path


def wanted(corpus=("tale",), messages="sms", instructions="asked"):
    sample = SampleParams(seed=1, world_size=8, corpus_mb=0.02, messages=200, instructions=500)
    return DataParams(corpus=corpus, messages=messages, instructions=instructions, sample=sample)


def download_into(project, data, tokenizer="bpe"):
    shutil.rmtree(project / "raw", ignore_errors=True)
    return download(
        data, tokenizer, {}, project / "raw", project / "partials", lambda name: lambda done, total: None, print
    )


def refused(project, data):
    with pytest.raises(GroundupError) as caught:
        download_into(project, data)
    assert "\n" not in str(caught.value)
    assert not (project / "raw" / "manifest.json").exists()
    return str(caught.value)


def own(project, name, data):
    path = project / "data" / "own" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return f"data/own/{name}"


def test_the_wanted_files_are_those_of_the_parameters(project):
    data = wanted(corpus=("tale", "saga"))
    plain = [("corpus", "tale"), ("corpus", "saga"), ("messages", "sms"), ("instructions", "asked")]
    assert wanted_files(data, "bpe") == plain
    assert wanted_files(data, "gpt2") == [*plain, ("vocabulary", "merges")]


def test_files_of_the_catalog_come_with_a_manifest_of_their_facts(project):
    files = download_into(project, wanted(corpus=("tale", "saga")), "gpt2")
    found = contents(project / "raw")
    manifest = json.loads(found.pop("manifest.json"))
    assert found == {
        "corpus/tale.txt": STORY,
        "corpus/saga.txt": OTHER_STORY,
        "messages/Collection": SMS,
        "instructions/asked.json": ASKED,
        "vocabulary/gpt2/vocab.bpe": MERGES,
    }
    assert manifest == {"files": [vars(file) for file in files]}
    assert manifest["files"][1] == {
        "kind": "corpus",
        "name": "saga",
        "file": "corpus/saga.txt",
        "licence": "CC0",
        "size_bytes": len(OTHER_STORY),
        "sha256": hashlib.sha256(OTHER_STORY).hexdigest(),
        "rows": 1,
    }
    assert [file["rows"] for file in manifest["files"]] == [1, 1, 8, 3, None]


def test_own_files_are_copied_and_described(project):
    names = (own(project, "deep/my.txt", STORY), own(project, "sms.csv", "label,text\nham,a\nspam,b\n"))
    files = download_into(project, wanted(corpus=(names[0], "saga"), messages=names[1]))
    assert (project / "raw" / "corpus" / "my.txt").read_bytes() == STORY
    assert files[0].name == "data/own/deep/my.txt"
    assert files[0].file == "corpus/my.txt"
    assert files[0].sha256 == hashlib.sha256(STORY).hexdigest()
    assert files[0].licence == "your own"
    assert (files[2].file, files[2].rows) == ("messages/sms.csv", 2)


def test_an_unknown_name_is_refused_with_the_known_ones(project):
    said = refused(project, wanted(corpus=("tayl",)))
    assert "data.corpus: no such data set; got tayl; allowed: sample-stories, tale, saga" in said
    assert "data/own/tayl.txt" in said
    assert "data.messages: no such data set; got spam" in refused(project, wanted(messages="spam"))
    assert "got tale" in refused(project, wanted(messages="tale"))


@pytest.mark.parametrize("name", ["elsewhere/my.txt", "my.txt", "data/own/../my.txt", "../my.txt", "/etc/hostname"])
def test_a_file_outside_the_own_folder_is_refused_even_if_it_is_there(project, name):
    for path in (project / "elsewhere" / "my.txt", project / "my.txt", project / "data" / "my.txt"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(STORY)
    said = refused(project, wanted(corpus=(name,)))
    assert "data.corpus: your own files must lie in data/own/" in said
    assert f"got {name}" in said


def test_a_link_that_leads_out_of_the_own_folder_is_refused(project):
    (project / "secret.txt").write_bytes(STORY)
    (project / "data" / "own" / "link.txt").symlink_to(project / "secret.txt")
    assert "must lie in data/own/" in refused(project, wanted(corpus=("data/own/link.txt",)))


@pytest.mark.parametrize("name", ["data/own/gone.txt", "data/own/folder.txt"])
def test_an_own_file_that_is_not_there_is_named(project, name):
    (project / "data" / "own" / "folder.txt").mkdir()
    assert f"data.corpus: no such file; got {name}" in refused(project, wanted(corpus=(name,)))


def test_an_own_file_that_cannot_be_read_as_its_kind_is_refused(project):
    assert "line 1 has no label" in refused(project, wanted(messages=own(project, "my.tsv", "no tab\n")))
    assert "the file is empty" in refused(project, wanted(corpus=(own(project, "my.txt", ""),)))
    assert "not valid JSON" in refused(project, wanted(instructions=own(project, "my.json", "{")))


def test_two_own_files_of_one_name_are_refused(project):
    names = (own(project, "a/my.txt", STORY), own(project, "b/my.txt", OTHER_STORY))
    assert "data.corpus: two files have the same name; got my.txt" in refused(project, wanted(corpus=names))


@pytest.mark.parametrize("own_first", [True, False])
def test_an_own_file_named_like_one_of_the_catalog_is_refused(project, own_first):
    """Neither may take the other's place: the manifest would describe bytes that are not there."""
    name = own(project, "tale.txt", OTHER_STORY)
    corpus = (name, "tale") if own_first else ("tale", name)
    assert "two files have the same name; got tale.txt" in refused(project, wanted(corpus=corpus))


def test_a_catalog_that_is_wrong_about_the_rows_is_called_a_bug(project, monkeypatch):
    wrong = entry_for(SMS, name="sms", kind="messages", file="Collection", rows=9)
    catalog = [wrong if entry.name == "sms" else entry for entry in ENTRIES]
    monkeypatch.setattr(
        download_module, "entries", lambda kind: {entry.name: entry for entry in catalog if entry.kind == kind}
    )
    assert "sms: wrong number of rows; got 8; allowed: 9" in refused(project, wanted())
