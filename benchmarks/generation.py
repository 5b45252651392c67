"""How fast this project writes beside `transformers`: the same weights, prompts and number of new tokens, in one run.

Usage: python benchmarks/generation.py [--rounds 3] [--shapes default small gpt2-124m] [--device cuda]

Both write greedily with a cache of keys and values, fp32 against fp32 and bf16 weights against bf16 weights, one text
and sixteen at a time. What is made ready once for any number of texts (ours lays out its weights, the peer rounds its
own to bf16) is told as the time of a first text of four tokens, and not counted again. The ways go in turns, round
after round, each precision in a process of its own, as one who writes would have it, so that a slow minute of a shared
machine meets both. A ratio is taken within a round, and the median of the rounds is told with the lowest and the
highest. In fp32 both must write the same tokens; told for bf16 is how much of a text is written as in fp32, until the
first other token. Results go to `benchmarks/results/generation.json`, or `generation_gpu.json`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from machine import gpt2_config, in_a_process, write_results

OURS, PEER = "groundup", "transformers"
PRECISIONS, BATCH_SIZES = ("fp32", "bf16"), (1, 16)
PROMPT_TOKENS, NEW_TOKENS = 16, 128
# Wider than training begins with: with GPT-2's 0.02 an untrained model only repeats its last token, and scores that
# nearly tie would turn rounding into other texts.
STD = 0.05


@dataclass(frozen=True)
class Shape:
    """A GPT-2 of some size, and how often it writes its texts to be timed."""

    vocab_size: int
    context_length: int
    d_model: int
    n_layers: int
    n_heads: int
    times: int


SHAPES = {
    "default": Shape(1536, 192, 192, 3, 3, 5),
    "small": Shape(8192, 256, 384, 6, 6, 2),
    "gpt2-124m": Shape(50257, 1024, 768, 12, 12, 1),
}
Write = Callable[[list[list[int]], int, str], list[list[int]]]


def random_model(shape: Shape) -> Any:
    """The weights of every way."""
    import torch

    from groundup.model.gpt import GPT, GPTConfig

    torch.manual_seed(0)
    model = GPT(GPTConfig(shape.vocab_size, shape.context_length, shape.d_model, shape.n_layers, shape.n_heads))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(STD * torch.randn_like(parameter))
    return model.eval()


def groundup(shape: Shape, device: str) -> Write:
    from groundup.generate import PreparedGPT
    from groundup.params_file import load_params
    from groundup.train.precision import prepare_runtime

    model = random_model(shape).to(prepare_runtime(replace(load_params().runtime, device=device)))
    prepared = {"fp32": PreparedGPT(model), "bf16": PreparedGPT(model, "bf16")}

    def write(prompts: list[list[int]], n_tokens: int, precision: str) -> list[list[int]]:
        return prepared[precision].generate(prompts, n_tokens)

    return write


def hugging_face(shape: Shape, device: str) -> Write:
    """With the cache that grows: the static one was no faster here."""
    import torch
    from transformers import GPT2LMHeadModel

    from groundup.model.gpt2_weights import to_gpt2

    model = GPT2LMHeadModel(gpt2_config(shape, bos_token_id=0, eos_token_id=0)).eval()
    model.load_state_dict(to_gpt2(random_model(shape)), strict=True)
    model.generation_config.eos_token_id = None

    def write(prompts: list[list[int]], n_tokens: int, precision: str) -> list[list[int]]:
        model.to(device, torch.bfloat16 if precision == "bf16" else torch.float32)
        input_ids = torch.tensor(prompts, device=device)
        with torch.inference_mode():
            texts = model.generate(
                input_ids,
                attention_mask=torch.ones_like(input_ids),
                do_sample=False,
                use_cache=True,
                max_new_tokens=n_tokens,
                min_new_tokens=n_tokens,
                pad_token_id=0,
            )
        return texts[:, input_ids.shape[1] :].tolist()

    return write


WAYS: dict[str, Callable[[Shape, str], Write]] = {OURS: groundup, PEER: hugging_face}


def measured(way: str, shape: Shape, device: str, precision: str) -> dict[str, Any]:
    """Tokens a second and the texts of a way, for each batch size, in this process."""
    import torch

    write = WAYS[way](shape, device)
    torch.set_float32_matmul_precision("highest")  # fp32 is to be fp32 on a GPU too, or the texts could not be the same
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(shape.vocab_size, (max(BATCH_SIZES), PROMPT_TOKENS), generator=generator).tolist()
    found = {}
    for size in BATCH_SIZES:
        began = time.perf_counter()
        write(prompts[:size], 4, precision)
        first_s = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(shape.times):
            texts = write(prompts[:size], NEW_TOKENS, precision)
        spent = (time.perf_counter() - began) / shape.times
        found[cell(precision, size)] = {
            "first_s": first_s,
            "tokens_per_s": size * NEW_TOKENS / spent,
            "texts": texts,
        }
    return found


def cell(precision: str, batch_size: int) -> str:
    return f"{precision}, {batch_size} text{'s' if batch_size > 1 else ''}"


def share_in_common(texts: list[list[int]], others: list[list[int]]) -> float:
    """How much of the texts comes before the first token that is another."""
    common = 0
    for text, other in zip(texts, others, strict=True):
        differs = [one != two for one, two in zip(text, other, strict=True)]
        common += differs.index(True) if True in differs else len(text)
    return common / sum(map(len, texts))


def compared(name: str, rounds: int, device: str) -> list[dict[str, Any]]:
    """A row for each precision and batch size: medians over the rounds, and how many times as fast ours was."""
    found: list[dict[str, dict[str, Any]]] = [{way: {} for way in WAYS} for _ in range(rounds)]
    for each in found:
        for precision in PRECISIONS:
            for way in WAYS:
                settings = ("--shapes", name, "--device", device, "--precision", precision)
                each[way] |= in_a_process(__file__, way, *settings)
    rows = []
    for precision in PRECISIONS:
        for size in BATCH_SIZES:
            this = cell(precision, size)
            exact = found[0][PEER][cell("fp32", size)]["texts"]
            ratios = [each[OURS][this]["tokens_per_s"] / each[PEER][this]["tokens_per_s"] for each in found]
            as_in_fp32 = {way: share_in_common(found[0][way][this]["texts"], exact) for way in WAYS}
            if precision == "fp32" and as_in_fp32[OURS] != 1:
                sys.exit(f"{name}, {this}: ours wrote other tokens after {as_in_fp32[OURS]:.0%} of the texts")
            rows.append(
                {
                    "what": this,
                    "tokens_per_s": {
                        way: round(statistics.median(each[way][this]["tokens_per_s"] for each in found)) for way in WAYS
                    },
                    "first_s": {
                        way: round(statistics.median(each[way][this]["first_s"] for each in found), 2) for way in WAYS
                    },
                    "as_in_fp32": {way: round(share, 3) for way, share in as_in_fp32.items()},
                    "ours_is_faster": [
                        round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))
                    ],
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--way", choices=WAYS, help="measure one way in this process")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of that way")
    told = parser.parse_args()
    if told.way:
        print(json.dumps(measured(told.way, SHAPES[told.shapes[0]], told.device, told.precision)))
        return
    results = {}
    for name in told.shapes:
        results[name] = compared(name, told.rounds, told.device)
        print(f"\n{name}: {SHAPES[name]}")
        heads = "as in fp32   first text, s   ours is faster (median, lowest, highest)"
        print(f"{'tokens/s':16}{OURS:>12}{PEER:>14}   {heads}")
        for row in results[name]:
            speeds = f"{row['tokens_per_s'][OURS]:>12,}{row['tokens_per_s'][PEER]:>14,}"
            shares = "  ".join(f"{share:4.0%}" for share in row["as_in_fp32"].values())
            first = "  ".join(f"{each:6.2f}" for each in row["first_s"].values())
            print(
                f"{row['what']:16}{speeds}   {shares}   {first}   "
                + "  ".join(f"{each:.2f}" for each in row["ours_is_faster"])
            )
    found = {"rounds": told.rounds, "new_tokens": NEW_TOKENS, "shapes": results}
    print(f"\n-- {write_results('generation' if told.device == 'cpu' else 'generation_gpu', found)}")


if __name__ == "__main__":
    main()
