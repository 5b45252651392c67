"""The three files of the sample world: written whole or not at all, without network, in little memory."""

import json
import socket
import tracemalloc

import numpy as np
import pytest

from groundup.config import SampleParams
from groundup.data.corpus import read_documents
from groundup.data.instructions import read_instructions
from groundup.data.messages import read_messages
from groundup.data.raw import read_raw
from groundup.data.sample import make
from groundup.data.sides import make_tokenizer, write_sides, write_tokens
from groundup.data.token_store import SURPRISAL_FILE, TokenStore

SAMPLE = SampleParams(seed=1, world_size=8, corpus_mb=0.05, messages=300, instructions=600)


def silent(done, total):
    pass


@pytest.mark.parametrize(
    ("name", "file", "reader"),
    [
        ("sample-stories", "s.jsonl", lambda path: read_documents(path, "s")),
        ("sample-messages", "m.csv", read_messages),
        ("sample-instructions", "i.jsonl", read_instructions),
    ],
)
def test_each_file_is_read_as_its_kind_and_has_the_rows_that_were_counted(tmp_path, name, file, reader):
    rows = make.make_sample(name, SAMPLE, tmp_path / file, silent)
    assert len(reader(tmp_path / file)) == rows > 50
    first = (tmp_path / file).read_bytes()
    make.make_sample(name, SAMPLE, tmp_path / file, silent)
    assert (tmp_path / file).read_bytes() == first


def test_what_the_generator_knows_comes_through_the_files(tmp_path):
    make.make_sample("sample-stories", SAMPLE, tmp_path / "s.jsonl", silent)
    make.make_sample("sample-messages", SAMPLE, tmp_path / "m.csv", silent)
    make.make_sample("sample-instructions", SAMPLE, tmp_path / "i.jsonl", silent)
    assert all(document.surprisal_bits > 0 for document in read_documents(tmp_path / "s.jsonl", "s"))
    assert {row.best_guess for row in read_messages(tmp_path / "m.csv")} == {"ham", "spam"}
    assert all(row.kind and row.group for row in read_instructions(tmp_path / "i.jsonl"))


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path, monkeypatch):
    def breaks(world, seed, size):
        yield "One document.", 1.0
        raise RuntimeError("no more")

    monkeypatch.setattr(make, "sample_stories", breaks)
    with pytest.raises(RuntimeError, match="no more"):
        make.make_sample("sample-stories", SAMPLE, tmp_path / "s.jsonl", silent)
    assert not list(tmp_path.iterdir())


def test_ten_megabytes_take_no_more_memory_than_one(tmp_path, monkeypatch):
    document = "x" * 10_000

    monkeypatch.setattr(make, "sample_stories", lambda world, seed, size: ((document, 1.0) for _ in range(1_000)))
    tracemalloc.start()
    make.make_sample("sample-stories", SAMPLE, tmp_path / "s.jsonl", silent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "s.jsonl").stat().st_size > 10_000_000
    assert peak < 1_000_000


def test_progress_ends_at_the_size_of_the_file(tmp_path):
    calls = []
    make.make_sample("sample-stories", SAMPLE, tmp_path / "s.jsonl", lambda *call: calls.append(call))
    size = (tmp_path / "s.jsonl").stat().st_size
    assert calls[-1] == (size, size)


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_the_first_three_stages_need_no_network(tmp_path, monkeypatch, no_sockets):
    from groundup.data.download import download
    from groundup.params_file import load_params
    from groundup.presets import compose

    text = (
        compose("sample").replace("corpus_mb: 6.0 ", "corpus_mb: 0.1 ").replace("vocab_size: 1536", "vocab_size: 400")
    )
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROUNDUP_MIRROR", raising=False)
    params = load_params()
    raw_folder, tokens, splits = (tmp_path / name for name in ("raw", "tokens", "splits"))
    files = download(
        params.data, params.tokenize.tokenizer, {}, raw_folder, tmp_path / "partial", lambda name: silent, print
    )
    assert {file.licence for file in files} == {"MIT"}
    raw = read_raw(raw_folder)
    tokenizer = make_tokenizer(raw, raw_folder, params.tokenize, params.split, params.seed)
    write_tokens(raw, tokenizer, tokens)
    report = write_sides(tokens, splits, params.split, params.seed)
    assert report["leaks"] == report["near_leaks"] == report["instructions"]["group_leaks"] == 0
    for side in ("train", "validation", "test"):
        bits = np.load(splits / "corpus" / side / SURPRISAL_FILE)
        assert len(bits) == len(TokenStore.load(splits / "corpus" / side))
    rows = (splits / "instructions" / "test" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(row)["group"] for row in rows)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 50_000_000
