"""Whatever one key of params.yaml is changed to, the stages that read it run, or refuse it with its key named."""

import shutil

import pytest
from fault_helpers import RESULTS, STAGES, small_params
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundup.config import flatten
from groundup.params_file import parse_params

STAGE_OF_SECTION = {
    "data": "download",
    "tokenize": "tokenize",
    "split": "split",
    "model": "pretrain",
    "pretrain": "pretrain",
    "finetune_cls": "finetune-cls",
    "finetune_instruct": "finetune-instruct",
    "runtime": "pretrain",
    "seed": "pretrain",
}
KEYS = [key for key in sorted(flatten(parse_params(small_params()))) if not key.startswith("evaluate.")]
# A training may be as long as one likes; a test may not.
LASTS = ("max_steps", "epochs", "language_steps", "grad_accum_steps", "corpus_mb", "messages", "instructions")

small_numbers = st.integers(-2, 40) | st.floats(-1.5, 1.5) | st.sampled_from([0.0, 1.0, 1e-9, 1e-300])
large_numbers = st.sampled_from([10**9, 2**53, 2**63, 10**30, 1e9, 1e300, float("nan"), float("inf")])
others = st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers() | st.text(max_size=3), max_size=2)
WORDS = """gpt2 bpe copying documents anywhere adamw muon fp32 bf16 auto constant cosine warmup_stable_decay head
    last_block last_two_blocks all balanced natural ham spam accuracy f1 response cpu cuda:7 data/own/story.txt sms-spam
    corpus messages"""
choices = st.sampled_from(WORDS.split())


@st.composite
def changes(draw):
    key = draw(st.sampled_from(KEYS))
    lasts = key.split(".")[-1] in LASTS or key == "data.sample.world_size"
    return key, draw(small_numbers | others | choices if lasts else small_numbers | large_numbers | others | choices)


@pytest.fixture
def ready(project):
    """A project in which every stage up to pretrain has run, with room in the context for instructions."""
    project.set(model__context_length=256)
    for stage in ("download", "tokenize", "split", "pretrain"):
        assert project.run(stage).exit_code == 0
    return project


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(change=changes())
def test_one_changed_key_runs_or_is_refused_by_name(ready, change):
    key, value = change
    stage = STAGE_OF_SECTION[key.split(".")[0]]
    usual, fresh = ready.params, ready.results()
    try:
        ready.set(**{key.replace(".", "__"): value})
        result = ready.run(stage)
        if result.exit_code:
            lines = [line for line in result.stderr.split("\n") if line.startswith("groundup: ")]
            assert result.exit_code == 1, result.output
            assert isinstance(result.exception, SystemExit), result.exception
            assert lines
            # Of a file that was named in the wrong place, the file is what is wrong.
            assert all(key in line or line.startswith(f"groundup: {value}") for line in lines), lines
    finally:
        ready.write_params(usual)
        for place in (*RESULTS, "checkpoints"):
            shutil.rmtree(ready.folder / place, ignore_errors=True)
        for name, data in fresh.items():
            (ready.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (ready.folder / name).write_bytes(data)


def test_every_stage_but_the_last_is_tried():
    assert set(STAGE_OF_SECTION.values()) == set(STAGES) - {"evaluate"}
    assert len(KEYS) > 80
