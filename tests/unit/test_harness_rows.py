"""The rows that benchmarks/harness.py gives to lm-evaluation-harness, and the tasks that read them."""

import runpy

from imports import ROOT
from ruamel.yaml import YAML

from groundup.data.sample.skills import statement
from groundup.data.sample.world import World

harness = runpy.run_path(str(ROOT / "benchmarks" / "harness.py"))


def task(name):
    return YAML(typ="safe").load(ROOT / "benchmarks" / "harness" / f"{name}.yaml")


def test_each_fact_is_asked_once_with_one_right_end_among_all_ends():
    world = World(1, 8)
    rows = harness["fact_rows"](world)
    told = [statement(being, attribute) for being in world.beings for attribute in being.attributes]
    asked = [f"{row['statement']} {row['choices'][row['right']]}" for row in rows]
    assert sorted(asked) == sorted(sentence[0].upper() + sentence[1:] for sentence in told)
    for row in rows:
        assert row["question"].endswith("?")
        assert len(set(row["choices"])) == len(row["choices"]) > 2
        assert all(choice and choice == choice.strip() for choice in row["choices"])
        assert len({choice.split(" ")[0] for choice in row["choices"]}) > 1, "a word that all ends share tells nothing"


def test_a_fact_has_the_ends_that_its_world_knows():
    (row,) = [row for row in harness["fact_rows"](World(1, 8)) if row["statement"] == "The colour of the fox is"]
    assert sorted(row["choices"]) == sorted(World(1, 8).colours)


def test_nobody_can_be_its_own_friend():
    friends = [row for row in harness["fact_rows"](World(1, 8)) if row["statement"].startswith("The friend of")]
    assert len(friends) == 16
    for row in friends:
        assert len(row["choices"]) == 7
        assert not any(f" {choice} is" in row["statement"] for choice in row["choices"])


def test_the_tasks_read_what_is_written():
    for name in ("facts", "answers"):
        files = task(name)["dataset_kwargs"]["data_files"]
        assert files == {"test": f"{harness['PLACE'].as_posix()}/{name}.jsonl"}
        assert task(name)["task"] == harness[name.upper()]
    assert task("facts_asked")["include"] == "facts.yaml"
    assert task("facts_asked")["task"] == harness["ASKED"]
    assert task("answers")["generation_kwargs"]["max_gen_toks"] == harness["LONGEST_ANSWER"]
