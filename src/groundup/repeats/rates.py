"""Looking for the learning rate of pretraining: the same short training at several, and what each comes to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from groundup.config import SCRATCH, Params
from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.model.gpt import GPTConfig
from groundup.model.initial import new_model
from groundup.tasks.language import LanguageTask
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.loop import DivergedError, train
from groundup.train.memory import refuse_what_cannot_fit
from groundup.train.precision import prepare_runtime

FACTOR = 2.0  # between neighbouring rates; a training hardly notices less
VALIDATION_TOKENS = 50_000  # that tell the losses of two rates apart


def search(loss_at: Callable[[float], float], start: float, at_most: int) -> dict[float, float]:
    """Losses at rates around `start`: both neighbours first, then on past the best until it has a worse one beside it.

    Args:
        loss_at: infinity for a training that broke down.
        at_most: rates to try, 3 or more.
    """
    losses = {rate: loss_at(rate) for rate in (start, start * FACTOR, start / FACTOR)}
    while len(losses) < at_most:
        best = min(losses, key=lambda rate: losses[rate])
        if min(losses) < best < max(losses) and losses[best] < math.inf:
            break
        # Where all broke down, it is downwards that there may be a better one.
        beyond = best * FACTOR if best == max(losses) and losses[best] < math.inf else min(losses) / FACTOR
        losses[beyond] = loss_at(beyond)
    return dict(sorted(losses.items()))


def loss_after(params: Params, tokens: Path, splits: Path, steps: int) -> Callable[[float], float]:
    """The validation loss, in nats per token, of a training of so many steps at a rate; each begins anew.

    Raises: GroundupError if pretraining does not begin with random weights, or if the model or the text does not do.
    """
    if params.pretrain.init != SCRATCH:
        raise GroundupError(
            "pretrain.init: learning rates are tried on random weights",
            got=params.pretrain.init,
            allowed=SCRATCH,
            do="set pretrain.init to scratch, or choose the rate by hand",
        )
    device = prepare_runtime(params.runtime)
    tokenizer = Tokenizer.load(tokens)
    train_side, validation = (TokenStore.load(splits / "corpus" / side) for side in ("train", "validation"))
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **vars(params.model))
    refuse_what_cannot_fit(config, device)
    settings = replace(
        params.pretrain,
        max_steps=steps,
        warmup_steps=min(params.pretrain.warmup_steps, steps // 5),
        decay_steps=min(params.pretrain.decay_steps, steps // 2),
        batch_warmup_steps=min(params.pretrain.batch_warmup_steps, steps // 2),
        length_warmup_steps=min(params.pretrain.length_warmup_steps, steps // 2),
        min_learning_rate=0.0,
        evaluation_interval=steps,
        weight_average=0.0,
        sample_tokens=0,
    )
    few = first_documents(validation, VALIDATION_TOKENS)

    def loss_at(rate: float) -> float:
        its = replace(settings, learning_rate=rate)
        task = LanguageTask(train_side, few, tokenizer, its, config.context_length, params.seed, device)
        model = new_model(config, its.initial_weights, params.seed).to(device)
        try:
            return train(model, task, its, seed=params.seed).best_loss_nats
        except DivergedError:
            return math.inf

    return loss_at


def first_documents(store: TokenStore, n_tokens: int) -> TokenStore:
    """The first documents of a store, up to about so many tokens and at least one; of a long one its beginning."""
    n_documents = max(1, int(np.searchsorted(store.offsets, n_tokens, side="right")) - 1)
    end = min(int(store.offsets[n_documents]), max(1, n_tokens))
    return TokenStore(store.tokens[:end], np.minimum(store.offsets[: n_documents + 1], end))


def in_words(losses: dict[float, float], now: float, steps: int, max_steps: int) -> list[str]:
    """A line for each rate, and what follows from them.

    Args:
        steps, max_steps: of the trainings that were tried, and of the one that the rate is for.
    """
    lines = [f"{rate:10.2g}   {_loss_in_words(loss)}" for rate, loss in losses.items()]
    best = min(losses, key=lambda rate: losses[rate])
    if losses[best] == math.inf:
        return [*lines, "No rate gave a loss; is the text what it should be?"]
    said = f"{best:.2g} has the lowest loss after {steps} steps"
    if best in (min(losses), max(losses)):
        said += ", and it is the last that was tried: the best may lie further on"
    if best == now:
        return [*lines, f"{said}; pretrain.learning_rate is that already."]
    gain = f", {losses[now] - losses[best]:.3f} nats below {now:.2g}" if losses[now] < math.inf else ""
    if best > now and steps < max_steps / 2:  # it often leads at first, and is overtaken later
        do = f"short trainings favour high rates, and yours has {max_steps} steps; compare again with more --steps"
    else:
        do = f"set pretrain.learning_rate to {best:.2g}"
    return [*lines, f"{said}{gain}: {do}."]


def _loss_in_words(loss: float) -> str:
    return "broke down" if loss == math.inf else f"{loss:.4f} nats"
