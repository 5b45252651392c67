"""What keeping states costs: the same training with and without, in turns, in one process.

Usage: python benchmarks/checkpoints.py [PAIRS]   (after `make repro`; the default model on the default corpus)
The figure is the share of time that states take at the default interval, from the time of one state and from pairs of
whole trainings. Time on a shared machine wanders, so the pairs show whether the first figure leaves something out.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from groundup.data.token_store import TokenStore
from groundup.model.gpt import GPTConfig
from groundup.model.initial import new_model
from groundup.params_file import load_params
from groundup.tasks.language import LanguageTask
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.loop import train
from groundup.train.resume import Keeper, State

STEPS = 120  # of one training of a pair
STATES_PER_TRAINING = 4  # so many, however short the training is


class TimedKeeper(Keeper):
    """A keeper that keeps a state every so many steps and adds up the time that it takes."""

    spent_s, states, step = 0.0, 0, 0

    def due(self) -> bool:
        self.step += 1
        return self.step % (STEPS // STATES_PER_TRAINING) == 0

    def save(self, state: State, *, for_longer: bool = False) -> None:
        started = time.perf_counter()
        super().save(state, for_longer=for_longer)
        self.spent_s += time.perf_counter() - started
        self.states += 1


def main(pairs: int) -> None:
    params = load_params()
    tokenizer = Tokenizer.load(Path("data/tokens/tokenizer"))
    store, validation = (TokenStore.load(Path("data/splits/corpus") / side) for side in ("train", "validation"))
    few = TokenStore(validation.tokens[: validation.offsets[20]], validation.offsets[:21])
    settings = dataclasses.replace(params.pretrain, max_steps=STEPS, evaluation_interval=STEPS, sample_tokens=0)
    device = torch.device("cpu")
    task = LanguageTask(store, few, tokenizer, settings, params.model.context_length, params.seed, device)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **vars(params.model))

    def timed(keeper: Keeper | None) -> float:
        model = new_model(config, settings.initial_weights, params.seed)
        started = time.perf_counter()
        train(model, task, settings, seed=params.seed, keeper=keeper)
        return time.perf_counter() - started

    timed(None)  # warm-up
    ratios, per_state = [], []
    for _ in range(pairs):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            keeper = TimedKeeper(Path(folder), 0.0)
            plain, kept = timed(None), timed(keeper)
            size = max(path.stat().st_size for path in Path(folder).iterdir())
        ratios.append(kept / plain)
        per_state.append(keeper.spent_s / keeper.states)
        print(f"plain {plain:.2f} s, with {keeper.states} states {kept:.2f} s, ratio {kept / plain:.4f}")
    state_s, interval_s = statistics.median(per_state), params.runtime.checkpoint_interval_s
    print(f"one state: {size / 1e6:.1f} MB, {1000 * state_s:.0f} ms (median of {pairs})")
    print(f"at one state every {interval_s:g} s: {100 * state_s / interval_s:.2f} % of the time")
    print(f"ratio of the pairs, {STATES_PER_TRAINING} states in each: median {statistics.median(ratios):.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
