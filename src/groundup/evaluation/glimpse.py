"""A glimpse into the models: one text coloured by surprise, where attention looks, one text in three models' hands.

These are pictures for a reader, of single texts; they measure nothing.
"""

import codecs
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.config import EvaluateParams
from groundup.data.instructions import format_prompt
from groundup.data.token_store import TokenStore
from groundup.evaluation.language import write_on
from groundup.evaluation.stories import documents_of
from groundup.files import write_text_atomically
from groundup.generate import Sampling, generate
from groundup.model.attention import CausalSelfAttention
from groundup.model.gpt import GPT, Block
from groundup.tasks.classes import Classes
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.tasks.instruct import InstructionRows
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_classifier, load_model

GLIMPSE_FILE = "glimpse.json"
DIGITS = 3  # of what is drawn; beyond these, runs on one machine agree and no eye sees more
SHOWN_TOKENS = 160  # about two paragraphs
SENTENCE_TOKENS = (8, 20)  # a shorter sentence shows little, a longer one cannot be read as a picture
SENTENCE_ENDS = (".", "!", "?", "\n")
BEGINNING = "‹start›"  # how <|endoftext|> is shown, which stands before every document
WORDS_GIVEN = 6  # of a document, for the three models to go on from
FACT = "fact"  # the kind of instruction that asks for what only the corpus tells
FROM_CORPUS, FROM_MESSAGES, FROM_INSTRUCTIONS = "corpus", "messages", "instructions"


def write_glimpse(folder: Path, seen: dict[str, Any]) -> None:
    """Write it for the report, on one line: the weights of all heads are thousands of numbers."""
    write_text_atomically(folder / GLIMPSE_FILE, json.dumps(seen, ensure_ascii=False, separators=(",", ":")) + "\n")


def glimpse(
    models: tuple[Path, Path, Path],
    corpus: TokenStore,
    messages: LabelledRows,
    instructions: InstructionRows,
    settings: EvaluateParams,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """What the report draws of single test texts: `loss`, `attention` and `three`.

    Args:
        models: folders of the language model, the classifier and the instruction follower.
        corpus, messages, instructions: their test sides.
    """
    model, tokenizer, _ = load_model(models[0], device)
    document = chosen_document(corpus, min(SHOWN_TOKENS, model.config.context_length))
    sentence = sentence_of(document, tokenizer, model.config.context_length)
    weights = attention_of(model, [tokenizer.end_of_text_id, *sentence])
    return {
        "loss": loss_by_piece(model, tokenizer, document),
        "attention": {
            "tokens": [BEGINNING, *(visible(tokenizer, token) for token in sentence)],
            # Of each query only what it may look at: itself and what came before.
            "weights": [
                [[_round(row[: at + 1]) for at, row in enumerate(head)] for head in layer] for layer in weights.tolist()
            ],
        },
        "three": side_by_side(
            models, chosen_texts(corpus, messages, instructions, tokenizer), settings, seed, device, (model, tokenizer)
        ),
    }


def chosen_document(store: TokenStore, wanted: int) -> list[int]:
    """The tokens of the document whose length is nearest to the wanted one, the first of several; no more than wanted.

    Its <|endoftext|> is left out.
    """
    nearest = int(np.abs(store.lengths - 1 - wanted).argmin())
    return [int(token) for token in store[nearest][:-1][:wanted]]


def sentence_of(document: Sequence[int], tokenizer: Tokenizer, context_length: int) -> list[int]:
    """The tokens up to the end of the first sentence that is long enough, or as many as can be shown."""
    shortest, longest = SENTENCE_TOKENS
    longest = min(longest, context_length - 1)
    for n in range(min(shortest, longest), min(longest, len(document)) + 1):
        if tokenizer.decode(document[:n]).rstrip("”\"'’)").endswith(SENTENCE_ENDS):
            return list(document[:n])
    return list(document[:longest])


@torch.no_grad()
def loss_by_piece(model: GPT, tokenizer: Tokenizer, document: Sequence[int]) -> list[dict[str, Any]]:
    """The document in pieces of whole characters, each with the summed loss of its tokens and how many they are.

    Units:  nats
    """
    ids = torch.tensor([[tokenizer.end_of_text_id, *document]], device=model.device)
    if not document:
        return []
    losses = F.cross_entropy(model(ids[:, :-1])[0].float(), ids[0, 1:], reduction="none").tolist()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces: list[dict[str, Any]] = []
    text, loss, n = "", 0.0, 0
    for token, token_loss in zip(document, losses, strict=True):
        text, loss, n = text + decoder.decode(tokenizer.decode_bytes([token])), loss + token_loss, n + 1
        if not decoder.getstate()[0]:  # no character is left half read
            pieces.append({"token": text, "tokens": n, "loss_nats": round(loss, DIGITS)})
            text, loss, n = "", 0.0, 0
    return pieces


@torch.no_grad()
def attention_of(model: GPT, tokens: Sequence[int]) -> Tensor:
    """How much each token looks at each, in every head.

    Shapes:  T tokens -> (n_layers, H, T, T), a row for who looks
    """
    was_training = model.training
    model.eval()
    ids = torch.tensor([list(tokens)], device=model.device)
    x = model.token_embedding(ids) + model.position_embedding(torch.arange(len(tokens), device=model.device))
    layers = []
    for block in model.blocks:
        assert isinstance(block, Block)
        layers.append(attention_weights(block.attention, block.attention_norm(x))[0].float().cpu())
        x = block(x)
    model.train(was_training)
    return torch.stack(layers)


def attention_weights(attention: CausalSelfAttention, x: Tensor) -> Tensor:
    """The weights that causal attention gives to its values, which the fast path never writes down.

    Shapes:  (B, T, C) -> (B, H, T, T)
    """
    batch, tokens, d_model = x.shape
    d_head = d_model // attention.n_heads
    # shape: (B, T, 3C) -> two of (B, H, T, D); the values are not needed
    q, k, _ = (
        part.view(batch, tokens, attention.n_heads, d_head).transpose(1, 2)
        for part in attention.query_key_value(x).split(d_model, dim=2)
    )
    scores = q @ k.transpose(-2, -1) / math.sqrt(d_head)
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


def visible(tokenizer: Tokenizer, token: int) -> str:
    """A token as a label: its text, or the bytes of one that is only part of a character."""
    data = tokenizer.decode_bytes([token])
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"‹{data.hex(' ')}›"


def chosen_texts(
    corpus: TokenStore, messages: LabelledRows, instructions: InstructionRows, tokenizer: Tokenizer
) -> list[dict[str, str]]:
    """A test text of each kind of data: how a document begins, a message of the rarest label, a question.

    The question is for a fact where there are such, as all three models have something to say to it.
    """
    first = documents_of(TokenStore(corpus[0], np.array([0, len(corpus[0])])), tokenizer)[0]
    chosen = [{"from": FROM_CORPUS, "text": " ".join(first.split()[:WORDS_GIVEN])}]
    rarest = min(sorted(set(messages.labels)), key=messages.labels.count)
    chosen.append(
        {"from": FROM_MESSAGES, "text": messages.texts[messages.labels.index(rarest)], "label": rarest},
    )
    single = [row for row in instructions.rows if not row.history] or instructions.rows
    asked = next((row for row in single if row.kind == FACT), single[0])
    chosen.append({"from": FROM_INSTRUCTIONS, "text": f"{asked.instruction}\n{asked.input}".strip()})
    return [row for row in chosen if row["text"].strip()]


def side_by_side(
    models: tuple[Path, Path, Path],
    texts: Sequence[dict[str, str]],
    settings: EvaluateParams,
    seed: int,
    device: torch.device,
    loaded: tuple[GPT, Tokenizer],
) -> list[dict[str, Any]]:
    """Each text with how the language model goes on, what the classifier calls it, what the instruction follower says.

    Args:
        loaded: the language model, which has been read already.
    """
    model, tokenizer = loaded
    said = [row["text"] for row in texts]
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    continued = write_on(model, tokenizer, said, settings.response_tokens, sampling, seed)

    classifier, tokenizer, facts = load_classifier(models[1], device)
    classes = Classes.of(facts)
    rows = LabelledRows.without_labels(said, tokenizer, spelled_out=facts["spelled_out"])
    probabilities = class_probabilities(class_logits(classifier, rows))
    called = [classes.names[number] for number in classes.called(probabilities)]
    told = classes.told(probabilities).tolist()

    follower, tokenizer, _ = load_model(models[2], device)
    prompts = [tokenizer.encode(format_prompt(text)) for text in said]
    answers = generate(
        follower,
        prompts,
        settings.response_tokens,
        sampling=Sampling(temperature=0),
        stop_id=tokenizer.end_of_text_id,
        seed=seed,
    )
    return [
        row
        | {
            "continued": more,
            "called": call,
            "probability": round(probability, DIGITS),
            "probability_of": classes.names[1] if classes.has_positive else call,
            "answer": tokenizer.decode(answer),
        }
        for row, more, call, probability, answer in zip(texts, continued, called, told, answers, strict=True)
    ]


def _round(row: Sequence[float]) -> list[float]:
    return [round(weight, DIGITS) for weight in row]
