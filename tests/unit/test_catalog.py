"""The catalog against the facts of the files it names, written down here a second time on purpose."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

from groundup.config import GPT2_CONTEXT_LENGTH, GPT2_SHAPES
from groundup.data.catalog import CATALOG, Source, entries
from groundup.model.gpt import GPTConfig

RAW_GITHUB = "https://raw.githubusercontent.com"
OPENAI = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"
HUGGING_FACE = "https://huggingface.co/openai-community/gpt2/resolve/main"
REVISIONS = {
    "gpt2": "607a30d783dfa663caf39e06633721c8d4cfcd7e",
    "gpt2-medium": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da",
    "gpt2-large": "32b71b12589c2f8d625668d2335a01cac3249519",
    "gpt2-xl": "15ea56dee5df4983c59b2538573817e1667135e2",
}

# name: (kind, file, bytes, sha256, rows, licence)
FACTS = {
    "the-verdict": (
        "corpus",
        "the-verdict.txt",
        20479,
        "b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f",
        1,
        "public domain",
    ),
    "tinyshakespeare": (
        "corpus",
        "tinyshakespeare.txt",
        1115394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1,
        "public domain",
    ),
    "sms-spam": (
        "messages",
        "SMSSpamCollection",
        477907,
        "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
        5574,
        "CC BY 4.0",
    ),
    "instruction-data": (
        "instructions",
        "instruction-data.json",
        203524,
        "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
        1100,
        "Apache 2.0",
    ),
    "gpt2-merges": (
        "vocabulary",
        "gpt2/vocab.bpe",
        456318,
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        None,
        "MIT",
    ),
    "gpt2-encoder": (
        "vocabulary",
        "gpt2/encoder.json",
        1042301,
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        None,
        "MIT",
    ),
    "gpt2": (
        "weights",
        "gpt2/model.safetensors",
        548105171,
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
        None,
        "MIT",
    ),
    "gpt2-medium": ("weights", "gpt2-medium/model.safetensors", 1_521_000_000, None, None, "MIT"),
    "gpt2-large": ("weights", "gpt2-large/model.safetensors", 3_249_000_000, None, None, "MIT"),
    "gpt2-xl": ("weights", "gpt2-xl/model.safetensors", 6_434_000_000, None, None, "MIT"),
}

# name: where the file is, in the order in which to try
SOURCES = {
    "the-verdict": [
        Source(f"{RAW_GITHUB}/rasbt/LLMs-from-scratch/main/ch02/01_main-chapter-code/the-verdict.txt"),
    ],
    "tinyshakespeare": [Source(f"{RAW_GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt")],
    "sms-spam": [
        Source("https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip", member="SMSSpamCollection"),
        Source(f"{RAW_GITHUB}/justmarkham/pydata-dc-2016-tutorial/master/sms.tsv"),
    ],
    "instruction-data": [
        Source(f"{RAW_GITHUB}/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/instruction-data.json")
    ],
    "gpt2-merges": [Source(f"{OPENAI}/vocab.bpe"), Source(f"{HUGGING_FACE}/merges.txt")],
    "gpt2-encoder": [Source(f"{OPENAI}/encoder.json"), Source(f"{HUGGING_FACE}/vocab.json")],
    **{
        name: [Source(f"https://huggingface.co/openai-community/{name}/resolve/{revision}/model.safetensors")]
        for name, revision in REVISIONS.items()
    },
}


def test_the_catalog_names_exactly_the_known_files():
    assert sorted(entry.name for entry in CATALOG) == sorted(FACTS)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_an_entry_states_the_facts_of_its_file(entry):
    found = (entry.kind, entry.file, entry.size_bytes, entry.sha256, entry.rows, entry.licence)
    assert found == FACTS[entry.name]


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_an_entry_lists_its_sources_in_order(entry):
    assert list(entry.sources) == SOURCES[entry.name]


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_an_entry_is_safe_to_fetch(entry):
    path = PurePosixPath(entry.file)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256 or "0" * 64)
    assert entry.sha256 or entry.kind == "weights"
    assert entry.sources
    assert all(urlsplit(source.url).scheme == "https" for source in entry.sources)
    assert entry.about


def test_names_files_and_hashes_stand_once():
    for field in ("name", "file", "sha256"):
        values = [value for entry in CATALOG if (value := getattr(entry, field)) is not None]
        assert len(set(values)) == len(values)


def test_entries_are_found_by_kind_and_name():
    assert sorted(entries("corpus")) == ["the-verdict", "tinyshakespeare"]
    assert sorted(entries("vocabulary")) == ["gpt2-encoder", "gpt2-merges"]
    assert all(entry.kind == "messages" for entry in entries("messages").values())


def test_the_description_of_the_messages_agrees_with_the_count_of_rows():
    spam_collection = entries("messages")["sms-spam"]
    assert spam_collection.rows == 4827 + 747
    assert "4,827 ham and 747 spam" in spam_collection.about


def test_gpt2_files_lie_where_the_tokenizer_looks_for_them():
    from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE

    assert {entry.file for entry in entries("vocabulary").values()} == {f"gpt2/{ENCODER_FILE}", f"gpt2/{MERGES_FILE}"}


@pytest.mark.parametrize("name", sorted(GPT2_SHAPES))
def test_the_limit_of_a_weights_file_leaves_room_for_its_numbers_and_little_more(name):
    """What is not pinned must not fill a disk; the numbers are four bytes each, and each block has a mask of bytes."""
    shape = GPT2_SHAPES[name]
    config = GPTConfig(50257, GPT2_CONTEXT_LENGTH, shape.d_model, shape.n_layers, shape.n_heads)
    numbers = 4 * config.n_parameters
    with_masks_of_floats = numbers + 4 * shape.n_layers * GPT2_CONTEXT_LENGTH**2
    assert numbers < entries("weights")[name].size_bytes < 1.001 * with_masks_of_floats
