"""The evaluation of the language model on the test side of the corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.data.token_store import SURPRISAL_FILE, TokenStore
from groundup.errors import GroundupError
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.stories import Checker, documents_of, judge_stories, write_stories
from groundup.generate import Sampling, generate
from groundup.model.gpt import GPT
from groundup.seeding import derive_seed
from groundup.tasks.language import score_corpus
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
    """Loss, perplexity and bits per byte of the test text, how near that is to the floor, and what the model writes.

    Args:
        corpus: the folder with the sides of the corpus.
        checker: reads the stories by the rules of their world, where there are rules.
    """
    test = TokenStore.load(corpus / "test")
    model, tokenizer, _ = load_model(folder, device)
    score = score_corpus(model, test, tokenizer, stride=settings.window_stride, batch_size=settings.batch_size)
    figures: dict[str, Any] = {**score.figures(), "tokens": score.n_targets, "bytes": score.n_bytes}
    bits = floor_bits(corpus / "test", len(test))
    if bits is not None:
        figures["floor_bits_per_byte"] = bits / score.n_bytes
        figures["ratio_to_floor"] = figures["bits_per_byte"] / figures["floor_bits_per_byte"]
    sampling = Sampling(settings.temperature, settings.top_k, settings.top_p)
    written = write_on(model, tokenizer, settings.prompts, settings.sample_tokens, sampling, seed)
    samples = [{"prompt": prompt, "text": text} for prompt, text in zip(settings.prompts, written, strict=True)]
    stories: list[dict[str, Any]] = []
    if settings.stories:
        written_stories = write_stories(model, tokenizer, settings.stories, sampling, seed, settings.batch_size)
        known = documents_of(TokenStore.load(corpus / "train"), tokenizer)
        figures["stories"], stories = judge_stories(written_stories, known, checker)
    return Evaluated(figures, samples, stories)


def floor_bits(side: Path, n_documents: int) -> float | None:
    """The bits that one who knows how the documents were made still needs for them; None where that is not known.

    Units:  bits, summed over all documents
    Raises: GroundupError if the file is not one positive number a document.
    """
    path = side / SURPRISAL_FILE
    if not path.is_file():
        return None
    try:
        bits = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise GroundupError(f"{path}: damaged", got=str(error), do="remove the folder and run `dvc repro`") from None
    if bits.shape != (n_documents,) or not np.isfinite(bits).all() or bits.sum() <= 0:
        raise GroundupError(
            f"{path}: does not fit the tokens beside it",
            got=f"{bits.size} numbers, {float(bits.sum()):g} bits",
            allowed=f"{n_documents} finite numbers",
            do="remove the folder and run `dvc repro`",
        )
    return float(bits.sum())


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
