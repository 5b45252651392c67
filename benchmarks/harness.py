"""lm-evaluation-harness on exported models, and this project's own numbers for the same questions beside it.

Usage: python benchmarks/harness.py
First: make repro; pip install --constraint constraints.txt --editable '.[harness]'
It writes the rows of the three tasks in `benchmarks/harness/`, exports four models, and runs `lm_eval` on each, which
fetches nothing. Then it answers the same rows with the models as they are here, and ends with an error if a
log-likelihood, an answer or an accuracy is another.
"""

import dataclasses
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from groundup.data.instructions import format_prompt
from groundup.data.sample.skills import question, statement
from groundup.data.sample.world import Attribute, Being, World
from groundup.evaluation.answers import exact_match
from groundup.export import export_model
from groundup.model.gpt import GPT
from groundup.model.initial import new_model
from groundup.params_file import load_params
from groundup.tasks.instruct import InstructionRows, answers
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model, save_model

TASKS = Path(__file__).parent / "harness"
PLACE = Path("exports/harness")
CLOSE_NATS = 1e-3
LONGEST_ANSWER = 64  # tokens, as in benchmarks/harness/answers.yaml
FACTS, ASKED, ANSWERS = "groundup_facts", "groundup_facts_asked", "groundup_answers"
NAMES = (FACTS, ASKED, ANSWERS)


def fact_rows(world: World) -> list[dict[str, Any]]:
    """Every fact of the world: its question, how the answer begins, all ends it could have, and which one is right."""
    rows = []
    for being in world.beings:
        for attribute in being.attributes:
            sentences = [statement(each, attribute) for each in _alternatives(world, being, attribute)]
            right = sentences.index(statement(being, attribute))
            begin = _shared_words(sentences)
            choices = [sentence.removeprefix(f"{begin} ") for sentence in sentences]
            asked = f"{_capital(question(being, attribute))}?"
            rows.append({"question": asked, "statement": _capital(begin), "choices": choices, "right": right})
    return rows


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _alternatives(world: World, being: Being, attribute: Attribute) -> list[Being]:
    """The being with each value that the attribute has in this world."""
    sort = world.people if being.is_person else world.animals
    values: dict[Attribute, list[Any]] = {
        "home": list(world.places),
        "food": list(world.foods),
        "friend": [other.name for other in sort if other is not being],
        "colour": list(world.colours),
        "job": list(world.jobs),
    }
    return [dataclasses.replace(being, **{attribute: value}) for value in values[attribute]]


def _shared_words(sentences: list[str]) -> str:
    """The words with which all sentences begin."""
    words = zip(*(sentence.split(" ") for sentence in sentences), strict=False)
    return " ".join(column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, words))


def write_rows(name: str, rows: list[dict[str, Any]]) -> None:
    (PLACE / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run_harness(model: str) -> dict[str, Any]:
    """The harness's results, and under `samples` what it did row by row."""
    output = PLACE / "results" / model
    command = [
        *("lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={PLACE / model}"),
        *("--include_path", str(TASKS), "--tasks", ",".join(NAMES), "--device", "cpu", "--batch_size", "32"),
        *("--log_samples", "--output_path", str(output)),
    ]
    print("$", " ".join(command), flush=True)
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(PLACE.resolve() / "cache")}
    subprocess.run([sys.executable, "-m", *command], env=os.environ | offline, check=True)
    (results,) = output.rglob("results_*.json")
    found = json.loads(results.read_text(encoding="utf-8"))["results"]
    samples = {}
    for task in NAMES:
        (file,) = output.rglob(f"samples_{task}_[0-9]*.jsonl")
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        samples[task] = sorted(rows, key=lambda row: row["doc_id"])
    return {**found, "samples": samples}


@torch.no_grad()
def log_likelihood(model: GPT, tokenizer: Tokenizer, text: str, end: str) -> float:
    """How likely the model finds it that a text goes on so.

    Units:  nats
    """
    before, after = tokenizer.encode(text), tokenizer.encode(end)
    scores = model(torch.tensor([before + after]))[0, len(before) - 1 : -1].log_softmax(dim=-1)
    return float(scores.gather(1, torch.tensor(after)[:, None]).sum())


def check_facts(
    model: GPT, tokenizer: Tokenizer, facts: list[dict[str, Any]], found: dict[str, Any], task: str
) -> float:
    """How far the harness's log-likelihoods are from ours at most.

    Raises: AssertionError if it is far, or if the harness counts another number of right choices.
    """
    furthest, n_right = 0.0, 0
    for row, sample in zip(facts, found["samples"][task], strict=True):
        assert sample["doc"] == row
        text = row["statement"] if task == FACTS else f"{row['question']} {row['statement']}"
        ours = [log_likelihood(model, tokenizer, text, f" {choice}") for choice in row["choices"]]
        theirs = [float(response[0]) for response in sample["filtered_resps"]]
        furthest = max(furthest, *(abs(a - b) for a, b in zip(ours, theirs, strict=True)))
        n_right += ours.index(max(ours)) == row["right"]
    assert furthest < CLOSE_NATS, f"log-likelihoods differ by {furthest} nats"
    assert abs(found[task]["acc,none"] - n_right / len(facts)) < 1e-9, (found[task], n_right / len(facts))
    return furthest


def check_answers(model: GPT, tokenizer: Tokenizer, test: InstructionRows, found: dict[str, Any]) -> None:
    """Compare the harness's answers with ours.

    Raises: AssertionError if one is another, or if the harness counts another number of right ones.
    """
    written = answers(model, test, list(range(len(test.rows))), tokenizer, LONGEST_ANSWER, batch_size=32)
    theirs = [sample["filtered_resps"][0].strip() for sample in found["samples"][ANSWERS]]
    assert [answer.text for answer in written] == theirs, "answers differ"
    right = [exact_match(answer.text, row.output) for answer, row in zip(written, test.rows, strict=True)]
    assert abs(found[ANSWERS]["exact_match,none"] - sum(right) / len(right)) < 1e-9, (found[ANSWERS], sum(right))


def main() -> None:
    if importlib.util.find_spec("lm_eval") is None:
        sys.exit(
            "lm_eval is not installed; to mend it: pip install --constraint constraints.txt --editable '.[harness]'"
        )
    params = load_params()
    world = World(params.data.sample.seed, params.data.sample.world_size)
    test = InstructionRows.load(Path("data/splits/instructions/test"))
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    facts = fact_rows(world)
    write_rows("facts", facts)
    prompts = [{"prompt": format_prompt(row.instruction, row.input), "answer": row.output} for row in test.rows]
    write_rows("answers", prompts)
    folders = {name: Path("models") / name for name in ("pretrained", "instructed")}
    folders["from_random"] = folders["instructed"] / "from_random"
    lines = []
    with tempfile.TemporaryDirectory() as place:
        folders["random"] = Path(place)
        model, tokenizer, _ = load_model(folders["pretrained"])
        save_model(folders["random"], new_model(model.config, "gpt2", params.seed), tokenizer, {})
        for name, folder in folders.items():
            export_model(folder, PLACE / name)
            found = run_harness(name)
            model, tokenizer, _ = load_model(folder)
            apart = max(check_facts(model, tokenizer, facts, found, task) for task in (FACTS, ASKED))
            check_answers(model, tokenizer, test, found)
            shares = [found[FACTS]["acc,none"], found[ASKED]["acc,none"], found[ANSWERS]["exact_match,none"]]
            lines.append(f"{name:12} {' '.join(f'{share:8.1%}' for share in shares)}   {apart:.1e} nats")
    chance = sum(1 / len(row["choices"]) for row in facts) / len(facts)
    print(f"{len(facts)} facts (by chance {chance:.1%}), {len(prompts)} instructions")
    print("All answers are the same as ours, and so are the log-likelihoods up to the last column.")
    print(f"{'model':12} {'facts':>8} {'asked':>8} {'answers':>8}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
