"""What the report draws of single texts is what the models do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import CPU, byte_tokenizer, tiny_gpt, token_store, trained_tokenizer
from test_evaluate import asked, instruction_rows, labelled, settings

from groundup.data.instructions import format_prompt
from groundup.evaluation.glimpse import (
    BEGINNING,
    attention_of,
    attention_weights,
    chosen_document,
    chosen_texts,
    glimpse,
    loss_by_piece,
    sentence_of,
    visible,
    write_glimpse,
)
from groundup.model.gpt import GPTClassifier
from groundup.model.layers import gelu
from groundup.train.checkpoint import save_model

TEXT = "naïve 東京, 😀 — and the end."


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_the_weights_are_those_that_the_model_attends_with(n_heads: int, bias: bool) -> None:
    """Put back into the block they give its output."""
    model = tiny_gpt(3, n_heads=n_heads, bias=bias).eval()
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2]])
    x = model.token_embedding(ids) + model.position_embedding(torch.arange(7))
    with torch.no_grad():
        layers = attention_of(model, ids[0].tolist())
        assert layers.shape == (2, n_heads, 7, 7)
        for block, weights in zip(model.blocks, layers, strict=True):
            normed = block.attention_norm(x)
            v = block.attention.query_key_value(normed).split(16, dim=2)[2].view(1, 7, n_heads, -1).transpose(1, 2)
            context = (weights @ v).transpose(1, 2).reshape(1, 7, 16)
            y = x + block.attention.project(context)
            fed = block.feed_forward
            y = y + fed.narrow(gelu(fed.widen(block.feed_forward_norm(y))))
            x = block(x)
            torch.testing.assert_close(y, x, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(attention_weights(block.attention, normed)[0], weights)
    assert torch.equal(layers, layers.tril())
    torch.testing.assert_close(layers.sum(dim=-1), torch.ones(2, n_heads, 7))


def test_looking_leaves_a_model_in_training_as_it_was() -> None:
    model = tiny_gpt(0, dropout=0.5).train()
    torch.testing.assert_close(attention_of(model, [1, 2, 3]), attention_of(model, [1, 2, 3]))
    assert model.training


def test_the_losses_are_those_of_the_tokens_and_pieces_are_whole_characters() -> None:
    tokenizer = trained_tokenizer()
    model = tiny_gpt(1, vocab_size=tokenizer.vocab_size, context_length=64)
    document = tokenizer.encode(TEXT)
    pieces = loss_by_piece(model, tokenizer, document)
    assert "".join(piece["token"] for piece in pieces) == TEXT
    assert sum(piece["tokens"] for piece in pieces) == len(document)
    assert max(piece["tokens"] for piece in pieces) > 1  # so that characters of several tokens are among them
    ids = torch.tensor([[tokenizer.end_of_text_id, *document]])
    with torch.no_grad():
        losses = F.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:], reduction="none")
    assert sum(piece["loss_nats"] for piece in pieces) == pytest.approx(losses.sum().item(), abs=1e-3 * len(pieces))
    assert pieces[0]["loss_nats"] == pytest.approx(losses[0].item(), abs=1e-3)


def test_a_character_that_is_cut_off_at_the_end_is_left_out() -> None:
    tokenizer = byte_tokenizer()
    model = tiny_gpt(0, vocab_size=257, context_length=12)
    pieces = loss_by_piece(model, tokenizer, tokenizer.encode("a東")[:3])
    assert [piece["token"] for piece in pieces] == ["a"]
    assert loss_by_piece(model, tokenizer, []) == []


def test_a_token_that_is_part_of_a_character_is_shown_as_bytes() -> None:
    tokenizer = byte_tokenizer()
    first, *_ = tokenizer.encode("東")
    assert visible(tokenizer, first) == "‹e6›"
    assert visible(tokenizer, tokenizer.encode("x")[0]) == "x"


@pytest.mark.parametrize(
    ("lengths", "wanted", "chosen"), [([3, 9, 5], 5, 2), ([4, 6], 5, 0), ([90], 5, 0), ([1], 5, 0)]
)
def test_the_document_is_the_one_of_the_length_that_is_wanted(lengths: list[int], wanted: int, chosen: int) -> None:
    store = token_store([[number] * length + [30] for number, length in enumerate(lengths)])
    assert chosen_document(store, wanted) == [chosen] * min(wanted, lengths[chosen])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Ben sat down. He slept.", "Ben sat down."),
        ("No. Not he. Why?", "No. Not he."),  # the first is too short to show much
        ("“Go now, Ben.” He went.", "“Go now, Ben.”"[:20]),
        ("a very long sentence without an end", "a very long sentence"),
        ("tiny", "tiny"),
        ("", ""),
    ],
)
def test_the_sentence_is_whole_where_it_can_be(text: str, sentence: str) -> None:
    tokenizer = byte_tokenizer()
    found = tokenizer.decode(sentence_of(tokenizer.encode(text), tokenizer, 64))
    assert sentence.startswith(found) if "“" in text else found == sentence
    assert (
        len(sentence_of(tokenizer.encode(text), tokenizer, 6)) <= 5
    )  # with what stands before it, it fits the context


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = (tmp_path / "pretrained", tmp_path / "classifier", tmp_path / "instructed")
    facts: dict[str, Any] = {"labels": ["ham", "spam"], "threshold": 0.5}
    for number, folder in enumerate(made):
        trunk = tiny_gpt(number, vocab_size=257, context_length=24)
        folder.mkdir()
        save_model(
            folder, GPTClassifier(trunk, 2) if number == 1 else trunk, byte_tokenizer(), facts if number == 1 else {}
        )
    return made


def sides(folder: Path, kinds: list[str] | None = None) -> tuple[Any, Any, Any]:
    tokenizer = byte_tokenizer()
    corpus = token_store([[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in (TEXT, "The red fox sat.")])
    messages = labelled(folder / "messages", ["a", "free 東京", "b"], ["ham", "spam", "ham"])
    rows = [row | {"kind": kind} for row, kind in zip(asked(3), kinds or [""] * 3, strict=True)]
    return corpus, messages, instruction_rows(folder / "instructions", rows)


def test_a_glimpse_of_the_three_models_is_whole_and_the_same_each_time(
    models: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    texts = sides(tmp_path)
    seen = glimpse(models, *texts, settings(), 1, CPU)
    assert seen == glimpse(models, *texts, settings(), 1, CPU)
    write_glimpse(tmp_path, seen)
    assert json.loads((tmp_path / "glimpse.json").read_text(encoding="utf-8")) == seen
    attention = seen["attention"]
    assert attention["tokens"][0] == BEGINNING
    n = len(attention["tokens"])
    assert [len(row) for row in attention["weights"][1][1]] == list(range(1, n + 1))
    assert [row["from"] for row in seen["three"]] == ["corpus", "messages", "instructions"]
    assert [row.get("label") for row in seen["three"]] == [None, "spam", None]
    for row in seen["three"]:
        assert row["called"] == ("spam" if row["probability"] >= 0.5 else "ham")
        assert row["probability_of"] == "spam"
        assert isinstance(row["continued"], str)


def test_the_texts_for_all_three_are_one_of_each_kind(tmp_path: Path) -> None:
    corpus, messages, instructions = sides(tmp_path, ["sum", "fact", ""])
    tokenizer = byte_tokenizer()
    chosen = chosen_texts(corpus, messages, instructions, tokenizer)
    assert [row["text"] for row in chosen] == ["naïve 東京, 😀 — and the", "free 東京", "q1"]
    assert format_prompt(chosen[2]["text"])
    without = chosen_texts(corpus, messages, sides(tmp_path / "other")[2], tokenizer)
    assert without[2]["text"] == "q0"
    empty = token_store([[tokenizer.end_of_text_id]])
    assert [row["from"] for row in chosen_texts(empty, messages, instructions, tokenizer)] == [
        "messages",
        "instructions",
    ]


def test_a_glimpse_of_more_than_two_classes_names_the_one_that_is_called(
    models: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    facts = {"labels": ["a", "b", "c"], "threshold": None}
    save_model(folder, GPTClassifier(tiny_gpt(5, vocab_size=257, context_length=24), 3), byte_tokenizer(), facts)
    corpus, messages, instructions = sides(tmp_path)
    seen = glimpse((models[0], folder, models[2]), corpus, messages, instructions, settings(), 1, CPU)
    assert all(row["probability_of"] == row["called"] for row in seen["three"])
    assert all(row["probability"] >= np.float64(0.333) for row in seen["three"])
