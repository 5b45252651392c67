"""A finished pretraining that is to be longer: it goes on where its schedule allows, and says so where it does not."""

import shutil

import pytest

SETTINGS = {
    "pretrain__log_interval": 1,
    "pretrain__evaluation_interval": 2,
    "pretrain__warmup_steps": 1,
    "pretrain__decay_steps": 2,
}


def made_by(project, steps):
    project.set(pretrain__max_steps=steps)
    result = project.run("pretrain")
    assert result.exit_code == 0, result.output
    return {name: data for name, data in project.results().items() if "pretrain" in name}, result.stderr


@pytest.mark.parametrize(("schedule", "goes_on_after"), [("constant", 5), ("warmup_stable_decay", 3), ("cosine", None)])
def test_a_longer_run_ends_with_the_bytes_of_one_that_was_long_from_the_start(finished, schedule, goes_on_after):
    finished.set(pretrain__schedule=schedule, **SETTINGS)
    made_by(finished, 5)
    longer, said = made_by(finished, 9)
    assert "pretrain.max_steps was raised from 5 to 9" in said
    if goes_on_after is None:
        assert "the training begins anew: a cosine leaves no state" in said
        assert "goes on after step" not in said
    else:
        assert f"pretrain goes on after step {goes_on_after}" in said
    for place in ("checkpoints", "models", "reports"):
        shutil.rmtree(finished.folder / place)
    assert made_by(finished, 9)[0] == longer
