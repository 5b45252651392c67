"""Choosing the next token, and writing a text with it, the slow way: everything is read again for each new token.

Source: the book's chapter 5.
"""

import math
from collections.abc import Callable, Sequence


def next_token(logits: Sequence[float], temperature: float, top_k: int, top_p: float, draw: float) -> int:
    """Choose a token.

    Args:
        logits: a score for each token of the vocabulary.
        temperature: 0 takes the likeliest token; below 1 sharpens the choice, above 1 flattens it.
        top_k: tokens that stay in the running, the likeliest ones; 0 keeps all.
        top_p: the fewest tokens stay whose probabilities reach this; 1.0 keeps all.
        draw: a number in [0, 1), the only randomness.
    Source:  top-k: Fan et al. 2018; top-p: Holtzman et al. 2020; the book's section 5.3
    """
    # Likeliest first; of equals the earlier one. By rank, not by score, so that exactly k stay even if some are equal.
    ranked = sorted(range(len(logits)), key=lambda token_id: (-logits[token_id], token_id))
    if temperature == 0:
        return ranked[0]
    kept = ranked[: min(top_k, len(ranked))] if top_k else ranked

    largest = logits[kept[0]]  # taken off every score, so that exp never overflows
    powers = [math.exp((logits[token_id] - largest) / temperature) for token_id in kept]
    probabilities = [power / sum(powers) for power in powers]

    reached = 0.0
    running: list[tuple[int, float]] = []
    for token_id, probability in zip(kept, probabilities, strict=True):
        if reached >= top_p:
            break  # the likelier tokens already reach p
        running.append((token_id, probability))
        reached += probability

    # The tokens lie side by side on a line as long as their probabilities; the draw says where on it to look.
    place = draw * reached
    for token_id, probability in running:
        if place < probability:
            return token_id
        place -= probability
    return running[-1][0]  # only rounding can lead here


def generate(
    scores_after: Callable[[list[int]], Sequence[float]],
    prompt: Sequence[int],
    max_new_tokens: int,
    context_length: int,
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    stop_id: int | None = None,
    draws: Sequence[float] = (),
) -> list[int]:
    """What a model writes after a prompt, without the prompt and without the stop token.

    Args:
        scores_after: the model: the scores of the token that follows some tokens.
        draws: a number in [0, 1) for each new token; greedy writing needs none.
    """
    text = list(prompt)
    start = 0  # of the part of the text that the model reads
    for number in range(max_new_tokens):
        if len(text) - start > context_length:
            # Half a context is read on, not all of it but one token: then a cache need not start over at every token.
            start = len(text) - max(1, context_length // 2)
        draw = draws[number] if draws else 0.0
        token_id = next_token(scores_after(text[start:]), temperature, top_k, top_p, draw)
        if token_id == stop_id:
            break
        text.append(token_id)
    return text[len(prompt) :]
