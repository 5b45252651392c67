"""How surprised the language model is at each token of a text, and where in the text that is most."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from groundup.data.batches import batches_of_like_length, pad
from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.model.gpt import GPT
from groundup.tokenizer.encoding import Tokenizer

ROWS_AT_ONCE = 1024  # tokens whose scores of the whole vocabulary stand in memory together
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_SURPRISING, LONGEST_SHOWN = 3, 2000  # documents, and characters of one
SMALLEST_SAMPLE = 20  # documents from which on they can be drawn anew; fewer say too little of others like them

Window = tuple[np.ndarray, np.ndarray, int]  # the tokens read, those asked for, and where the latter stand in the store


@torch.no_grad()
def token_losses(model: GPT, store: TokenStore, end_of_text_id: int, *, stride: int, batch_size: int) -> np.ndarray:
    """The loss of every token, each from the tokens before it in its document, <|endoftext|> standing before them.

    The windows are those of `tasks.language.score_corpus`, so the sum is its loss.

    Shapes:  -> (N,), as the store's tokens
    Units:   nats
    Oracle:  tasks.language.score_corpus, for the sum
    Raises:  GroundupError if the store holds no text.
    """
    if not len(store.tokens) or store.tokens.min() == store.tokens.max() == end_of_text_id:
        raise GroundupError("there is no text to score", do="change the shares under split, or add text")
    losses = np.zeros(len(store.tokens), np.float32)
    was_training = model.training
    model.eval()
    windows = _windows(store, end_of_text_id, model.config.context_length, stride)
    for batch in batches_of_like_length(windows, lambda window: len(window[0]), batch_size):
        _score(model, batch, losses)
    model.train(was_training)
    return losses


def _windows(store: TokenStore, end_of_text_id: int, context_length: int, stride: int) -> Iterator[Window]:
    for index in range(len(store)):
        document = store[index].astype(np.int64)
        read = np.concatenate([[end_of_text_id], document[:-1]])
        counted = 0
        for start in range(0, max(1, len(document) - context_length + stride), stride):
            end = min(start + context_length, len(document))
            yield read[start:end], document[counted:end], int(store.offsets[index]) + counted
            counted = end


def _score(model: GPT, windows: Sequence[Window], losses: np.ndarray) -> None:
    inputs = torch.from_numpy(pad([read for read, _, _ in windows], 0)).to(model.device)
    features = model.features(inputs)  # shape: (B, T, C)
    asked = [
        features[row, len(read) - len(wanted) : len(read)] for row, (read, wanted, _) in enumerate(windows)
    ]  # of each window the last tokens
    flat = torch.cat(asked)  # shape: (N, C)
    targets = torch.from_numpy(np.concatenate([wanted for _, wanted, _ in windows])).to(model.device)
    found = [
        F.cross_entropy(F.linear(rows, model.head_weight).float(), wanted, reduction="none").cpu()
        for rows, wanted in zip(flat.split(ROWS_AT_ONCE), targets.split(ROWS_AT_ONCE), strict=True)
    ]
    places = np.concatenate([place + np.arange(len(wanted)) for _, wanted, place in windows])
    losses[places] = torch.cat(found).numpy()


def sums_of_parts(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The sum over each part of an array, such as each document. Shapes: (N,), (n_parts + 1,) -> (n_parts,)"""
    ends = np.concatenate([[0], np.cumsum(values, dtype=np.float64)])
    sums: np.ndarray = np.diff(ends[offsets])
    return sums


def resampled_parts(offsets: np.ndarray, length: int) -> np.ndarray:
    """What is drawn anew to see how sure a figure is: the documents, or pieces of them where there are only a few.

    Returns: where the parts begin and the last one ends.
    Source:  pieces: Künsch 1989, "The Jackknife and the Bootstrap for General Stationary Observations".
    """
    offsets = np.unique(offsets)  # without the empty ones
    if len(offsets) > SMALLEST_SAMPLE:
        return offsets
    pieces = [np.arange(start, end, length) for start, end in pairwise(offsets)]
    return np.concatenate([*pieces, offsets[-1:]])


def surprise_by_position(losses: np.ndarray, offsets: np.ndarray) -> list[dict[str, Any]]:
    """Loss by how many tokens of the document stand before the token; each row reaches twice as far as the last."""
    positions = np.arange(len(losses)) - np.repeat(offsets[:-1], np.diff(offsets))
    furthest = int(positions.max())
    edges = [0, 1, 4]
    while edges[-1] <= furthest:
        edges.append(2 * edges[-1])
    return _by_bins(losses, positions, edges, furthest)


def surprise_by_frequency(
    losses: np.ndarray, tokens: np.ndarray, train: np.ndarray, vocab_size: int
) -> list[dict[str, Any]]:
    """Loss by how often the token stands in the train text; each row reaches ten times as far as the last."""
    counts = np.bincount(train, minlength=vocab_size)[tokens]
    highest = int(counts.max())
    edges = [0, 1, 10]
    while edges[-1] <= highest:
        edges.append(10 * edges[-1])
    return _by_bins(losses, counts, edges, highest)


def _by_bins(losses: np.ndarray, values: np.ndarray, edges: Sequence[int], highest: int) -> list[dict[str, Any]]:
    """A row for each bin that holds a token; a bin ends before the next edge, and none beyond the highest value."""
    number = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(number, minlength=len(edges))
    sums = np.bincount(number, losses, minlength=len(edges))
    return [
        {
            "from": edges[at],
            "to": min(edges[at + 1] - 1, highest),
            "tokens": int(counts[at]),
            "loss_nats": float(sums[at] / counts[at]),
        }
        for at in np.flatnonzero(counts).tolist()
    ]


def surprise_by_document(
    bits: np.ndarray, n_bytes: np.ndarray, test: TokenStore, tokenizer: Tokenizer, floor_bits: np.ndarray | None
) -> dict[str, Any]:
    """How bits per byte differ between documents, and the documents that surprise most, with their text.

    Shapes:  bits, n_bytes, floor_bits (n_documents,)
    """
    filled = np.flatnonzero(n_bytes)
    per_byte = bits[filled] / n_bytes[filled]
    rows = []
    for at in np.argsort(-per_byte, kind="stable")[:MOST_SURPRISING].tolist():
        index = int(filled[at])
        text = tokenizer.decode(test[index].tolist())
        row: dict[str, Any] = {
            "text": text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…",
            "bits_per_byte": float(per_byte[at]),
        }
        if floor_bits is not None:
            row["floor_bits_per_byte"] = float(floor_bits[index] / n_bytes[index])
        rows.append(row)
    quantiles = {f"{each:g}": float(np.quantile(per_byte, each)) for each in QUANTILES}
    return {"documents": len(filled), "quantiles": quantiles, "most_surprising": rows}
