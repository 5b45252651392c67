"""The evaluation of the language model on the test side of the corpus."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.data.token_store import SURPRISAL_FILE, TokenStore
from groundup.errors import GroundupError
from groundup.evaluation.compression import Compressed, compressed
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.intervals import bootstrap, interval_of, ratio_of_sums
from groundup.evaluation.ngram import NgramModel
from groundup.evaluation.overlap import copied_share, longest_overlaps, passage
from groundup.evaluation.stories import Checker, documents_of, figures_of_copies, judge_stories, write_stories
from groundup.evaluation.surprise import (
    resampled_parts,
    sums_of_parts,
    surprise_by_document,
    surprise_by_frequency,
    surprise_by_position,
    token_losses,
)
from groundup.generate import Sampling, generate
from groundup.model.gpt import GPT
from groundup.seeding import derive_seed
from groundup.tasks.language import CorpusScore
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model


def evaluate_language_model(
    folder: Path,
    corpus: Path,
    settings: EvaluateParams,
    seed: int,
    device: torch.device,
    checker: Checker | None = None,
) -> Evaluated:
    """How well the model predicts the test text, beside simpler ways and the floor, and what it writes.

    Args:
        corpus: the folder with the sides of the corpus.
        checker: reads the stories by the rules of their world, where there are rules.
    """
    train, test = TokenStore.load(corpus / "train"), TokenStore.load(corpus / "test")
    model, tokenizer, _ = load_model(folder, device)
    losses = token_losses(
        model, test, tokenizer.end_of_text_id, stride=settings.window_stride, batch_size=settings.batch_size
    )
    floor = floor_bits(corpus / "test", len(test))
    written = {
        temperature: write_on(
            model,
            tokenizer,
            settings.prompts,
            settings.sample_tokens,
            Sampling(temperature, settings.top_k, settings.top_p),
            seed,
        )
        for temperature in settings.sample_temperatures
    }
    samples: list[dict[str, Any]] = [
        {"prompt": prompt, "text": written[temperature][number], "temperature": temperature}
        for number, prompt in enumerate(settings.prompts)
        for temperature in settings.sample_temperatures
    ]
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    written_stories = write_stories(model, tokenizer, settings.stories, sampling, seed, settings.batch_size)
    with ThreadPoolExecutor() as beside:  # compressors take seconds, and let Python go on
        sizes = beside.submit(compressed, train, test, tokenizer)
        known = documents_of(train, tokenizer)
        of_stories, stories = judge_stories(written_stories, known, checker) if written_stories else ({}, [])
        add_copies([*samples, *stories], known)
        figures = prediction_figures(
            losses, train, test, tokenizer, floor, settings, seed, model.config.context_length, sizes.result
        )
    if stories:
        figures["stories"] = of_stories | figures_of_copies(stories)
    return Evaluated(figures, samples, stories, surprise_detail(losses, train, test, tokenizer, floor))


def prediction_figures(
    losses: np.ndarray,
    train: TokenStore,
    test: TokenStore,
    tokenizer: Tokenizer,
    floor: np.ndarray | None,
    settings: EvaluateParams,
    seed: int,
    context_length: int,
    sizes: Callable[[], Compressed],
) -> dict[str, Any]:
    """Loss, perplexity and bits per byte with their bounds, the same of simpler ways to predict, and the floor.

    What is drawn anew for the bounds are documents; where there are only a few, pieces of them as long as the context.

    Args:
        sizes: waits for the compressed sizes and gives them.
    Shapes:  losses (N,), floor (n_documents,)
    """
    lengths = tokenizer.token_lengths[test.tokens]
    n_bytes = int(lengths.sum())
    score = CorpusScore(float(losses.sum(dtype=np.float64)), len(losses), n_bytes)
    figures: dict[str, Any] = {**score.figures(), "tokens": score.n_targets, "bytes": n_bytes}
    parts = resampled_parts(test.offsets, context_length)
    nats, bytes_of_parts = sums_of_parts(losses, parts), sums_of_parts(lengths, parts)
    bits = nats / math.log(2)

    def bounds(numerator: np.ndarray, denominator: np.ndarray, name: str) -> dict[str, float]:
        if len(numerator) < 2:  # one part is like itself however often it is drawn
            return {}
        resampled = bootstrap(ratio_of_sums(numerator, denominator), len(numerator), seed)
        if not len(resampled):
            return {}
        low, high = interval_of(resampled, settings.confidence)
        return {f"{name}_low": low, f"{name}_high": high}

    figures |= bounds(nats, np.diff(parts).astype(np.float64), "loss_nats")
    figures |= bounds(bits, bytes_of_parts, "bits_per_byte")
    if floor is not None:
        figures["floor_bits_per_byte"] = float(floor.sum()) / n_bytes
        figures["ratio_to_floor"] = figures["bits_per_byte"] / figures["floor_bits_per_byte"]
        filled = floor[test.lengths > 0]
        if len(filled) == len(bits):
            figures |= bounds(bits, filled, "ratio_to_floor")

    def bits_of(order: int) -> np.ndarray:
        return sums_of_parts(NgramModel(train, order, tokenizer.vocab_size).losses(test), parts) / math.log(2)

    unigram = bits_of(1)
    ngram = bits_of(settings.ngram_order) if settings.ngram_order else None
    figures["baselines"] = {"unigram": {"bits_per_byte": float(unigram.sum()) / n_bytes}, **sizes().figures()}
    if ngram is not None:
        per_byte = float(ngram.sum()) / n_bytes
        figures["baselines"]["ngram"] = {"bits_per_byte": per_byte, "order": settings.ngram_order}
        figures["minus_ngram"] = {
            "bits_per_byte": figures["bits_per_byte"] - per_byte,
            **bounds(bits - ngram, bytes_of_parts, "bits_per_byte"),
        }
    return figures


def surprise_detail(
    losses: np.ndarray, train: TokenStore, test: TokenStore, tokenizer: Tokenizer, floor: np.ndarray | None
) -> dict[str, Any]:
    """Where in the test text the model is surprised: by place in the document, by frequency of the token, by document.

    Shapes:  losses (N,), floor (n_documents,)
    """
    bits = sums_of_parts(losses, test.offsets) / math.log(2)
    n_bytes = sums_of_parts(tokenizer.token_lengths[test.tokens], test.offsets)
    return {
        "by_position": surprise_by_position(losses, test.offsets),
        "by_frequency": surprise_by_frequency(losses, test.tokens, train.tokens, tokenizer.vocab_size),
        "by_document": surprise_by_document(bits, n_bytes, test, tokenizer, floor),
    }


def add_copies(rows: Sequence[dict[str, Any]], known: Sequence[str]) -> None:
    """Write into each row how long the longest part of its text is that stands in a known one, and where.

    A prompt is not part of the text, for the model has not written it.

    Units:   `overlap` in characters
    """
    for row, overlap in zip(rows, longest_overlaps([row["text"] for row in rows], known), strict=True):
        row["overlap"] = overlap.length
        row["copied_share"] = round(copied_share(overlap, row["text"]), 4)
        row["passage"] = passage(overlap, known)


def floor_bits(side: Path, n_documents: int) -> np.ndarray | None:
    """The bits that one who knows how the documents were made still needs for each; None where that is not known.

    Shapes:  -> (n_documents,)
    Raises:  GroundupError if the file is not one finite number a document, positive in all.
    """
    path = side / SURPRISAL_FILE
    if not path.is_file():
        return None
    try:
        bits: np.ndarray = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise GroundupError(f"{path}: damaged", got=str(error), do="remove the folder and run `dvc repro`") from None
    if bits.shape != (n_documents,) or not np.isfinite(bits).all() or bits.sum() <= 0:
        raise GroundupError(
            f"{path}: does not fit the tokens beside it",
            got=f"{bits.size} numbers, {float(bits.sum()):g} bits",
            allowed=f"{n_documents} finite numbers",
            do="remove the folder and run `dvc repro`",
        )
    return bits


def write_on(
    model: GPT, tokenizer: Tokenizer, prompts: Sequence[str], max_new_tokens: int, sampling: Sampling, seed: int
) -> list[str]:
    """How the model goes on after each prompt, up to the end-of-text token."""
    tokens = [[tokenizer.end_of_text_id, *tokenizer.encode(prompt)] for prompt in prompts]
    new = generate(
        model,
        tokens,
        max_new_tokens,
        sampling=sampling,
        stop_id=tokenizer.end_of_text_id,
        seed=derive_seed(seed, "evaluate"),
    )
    return [tokenizer.decode(each) for each in new]
