"""params.yaml: everything wrong in it is said at once, one line each, under its dotted key."""

import json
import math

import pytest
from data_helpers import ROOT, raw_params, seeded, with_values, without_key
from hypothesis import given
from hypothesis import strategies as st

from groundup.config import Params, flatten, training_sections
from groundup.errors import GroundupError, InvalidParamsError
from groundup.params_file import known_keys, load_params, parse_params, read_yaml
from groundup.presets import compose, preset_names

PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


def problems_of(raw):
    """The lines that are said about parameters that must be refused."""
    with pytest.raises(InvalidParamsError) as caught:
        parse_params(raw, "params.yaml")
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.problems)
    assert all(line.startswith("params.yaml: ") for line in lines)
    return lines


def only_problem_of(raw):
    lines = problems_of(raw)
    assert len(lines) == 1, lines
    return lines[0]


def yaml_file(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_there_are_presets_to_check():
    assert {"small", "micro"} <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_shipped_preset_is_a_valid_params_file(name, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert name in preset_names()
    params = load_params(yaml_file(tmp_path, compose(name)))
    assert isinstance(params, Params)
    assert params.model.d_model % params.model.n_heads == 0
    assert math.isclose(params.split.train + params.split.validation + params.split.test, 1.0)


def test_the_project_has_a_valid_params_file():
    assert load_params(ROOT / "params.yaml").seed >= 0


def test_values_come_as_they_stand():
    params = parse_params(raw_params())
    assert params.data.corpus == ("the-verdict",)
    assert params.model.d_model == 32
    assert params.pretrain.sample_prompt == "I had"
    assert params.model.tie_weights is True
    assert params.split.add_to_corpus == ()


@pytest.mark.parametrize(("written", "value"), [("3e-4", 3e-4), ("3.0e-4", 3e-4), ("1E-3", 1e-3), ("1", 1.0)])
def test_a_number_is_a_float_however_it_is_written(tmp_path, written, value):
    raw = with_values(raw_params(), pretrain__learning_rate="HERE", pretrain__min_learning_rate=0.0)
    text = json.dumps(raw).replace('"HERE"', written)  # JSON is YAML too
    assert load_params(yaml_file(tmp_path, text)).pretrain.learning_rate == value


@pytest.mark.parametrize("written", ["3e-4", "3E-4", "3.0e-4", "0.0003", "+.3e-3"])
def test_yaml_reads_every_form_of_a_small_number_as_a_float(tmp_path, written):
    assert read_yaml(yaml_file(tmp_path, f"rate: {written}\n")) == {"rate": 3e-4}


def test_yaml_is_read_by_version_1_2(tmp_path):
    read = read_yaml(yaml_file(tmp_path, "a: yes\nb: on\nc: 010\nd: true\n"))
    assert read == {"a": "yes", "b": "on", "c": 10, "d": True}


def test_an_unknown_key_gets_a_suggestion():
    raw = with_values(raw_params(), pretrain__learning_rat=1.0)
    line = only_problem_of(raw)
    assert "pretrain.learning_rat is not a known key" in line
    assert "did you mean pretrain.learning_rate?" in line


def test_an_unknown_section_gets_a_suggestion():
    assert "did you mean pretrain?" in only_problem_of(with_values(raw_params(), pretrian={"max_steps": 1}))


def test_an_unknown_key_like_no_other_points_to_the_complete_preset():
    line = only_problem_of(with_values(raw_params(), xyzzyxyzzy=1))
    assert "xyzzyxyzzy is not a known key" in line
    assert "did you mean" not in line
    assert "presets/sample.yaml" in line


@pytest.mark.parametrize("key", ["seed", "model.n_heads", "finetune_cls.positive_label", "runtime", "split.test"])
def test_a_missing_key_is_named(key):
    line = only_problem_of(without_key(raw_params(), key))
    assert f"params.yaml: {key} is missing" in line


def test_every_key_of_a_stage_is_required():
    for key in known_keys():
        assert f"{key} is missing" in only_problem_of(without_key(raw_params(), key))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("model__d_model", "32", "integer"),
        ("model__d_model", 32.0, "integer"),
        ("model__d_model", True, "integer"),
        ("model__bias", 1, "boolean"),
        ("model__bias", "yes", "boolean"),
        ("pretrain__learning_rate", "3e-4", "number"),
        ("pretrain__sample_prompt", 5, "string"),
        ("data__corpus", "the-verdict", "array"),
        ("data__messages", ["sms-spam"], "string"),
        ("model", 3, "section with keys"),
        ("pretrain__precision", "fp16", "'fp32'"),
        ("tokenize__tokenizer", "wordpiece", "'gpt2'"),
        ("finetune_cls__trainable", "most", "'last_block'"),
        ("finetune_instruct__loss_on", "prompt", "'response'"),
        ("finetune_instruct__packing", "sometimes", "boolean"),
    ],
)
def test_a_wrong_type_is_named_with_what_is_allowed(key, value, allowed):
    line = only_problem_of(with_values(raw_params(), **{key: value}))
    assert f"{key.replace('__', '.')} has a wrong value" in line
    assert "; got " in line
    assert allowed in line.split("allowed:")[1]


def test_a_wrong_item_of_a_list_is_named_by_its_place():
    line = only_problem_of(with_values(raw_params(), tokenize__train_on=["corpus", "books"]))
    assert "tokenize.train_on.1 has a wrong value; got books" in line


def test_a_key_without_a_value_is_said_to_have_none():
    line = only_problem_of(with_values(raw_params(), pretrain__max_steps=None))
    assert "pretrain.max_steps has a wrong value" in line
    assert "; got " in line


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("seed", -1, "0"),
        ("seed", 2**53 + 1, str(2**53)),
        ("tokenize__vocab_size", 256, "257"),
        ("split__train", 0.0, "greater than 0"),
        ("split__test", 1.0, "less than 1"),
        ("split__near_duplicate_similarity", 0.0, "greater than 0"),
        ("split__near_duplicate_similarity", 1.5, "1"),
        ("model__context_length", 1, "2"),
        ("model__n_layers", 0, "1"),
        ("model__dropout", 1.0, "less than 1"),
        ("pretrain__learning_rate", 0.0, "greater than 0"),
        ("pretrain__batch_size", 0, "1"),
        ("pretrain__warmup_steps", -1, "0"),
        ("pretrain__beta2", 1.0, "less than 1"),
        ("finetune_cls__epochs", 0, "1"),
        ("evaluate__top_p", 0.0, "greater than 0"),
        ("evaluate__confidence", 1.0, "less than 1"),
        ("evaluate__temperature", -0.1, "0"),
        ("evaluate__ngram_order", 13, "less than or equal to 12"),
        ("evaluate__ngram_order", -1, "greater than or equal to 0"),
        ("runtime__threads", -1, "0"),
        ("runtime__threads", 1025, "1024"),
    ],
)
def test_a_number_out_of_range_is_named_with_its_limit(key, value, allowed):
    line = only_problem_of(with_values(raw_params(), **{key: value}))
    assert key.replace("__", ".") in line
    assert allowed in line.split("allowed:")[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokenize__vocab_size", 257),
        ("model__dropout", 0.0),
        ("evaluate__top_p", 1.0),
        ("evaluate__temperature", 0.0),
        ("evaluate__ngram_order", 0),
        ("evaluate__ngram_order", 12),
        ("split__near_duplicate_similarity", 1.0),
        ("seed", 0),
        ("evaluate__window_stride", 192),
        ("pretrain__sample_tokens", 191),
    ],
)
def test_a_number_at_its_limit_is_allowed(key, value):
    section, _, name = key.rpartition("__")
    params = parse_params(with_values(raw_params(), **{key: value}))
    assert getattr(getattr(params, section) if section else params, name) == value


def test_each_temperature_of_the_samples_is_checked():
    line = only_problem_of(with_values(raw_params(), evaluate__sample_temperatures=[0.3, -0.1]))
    assert "evaluate.sample_temperatures.1 has a wrong value; got -0.1" in line
    params = parse_params(with_values(raw_params(), evaluate__sample_temperatures=[0, 2.5]))
    assert params.evaluate.sample_temperatures == (0.0, 2.5)


FLOAT_KEYS = ["pretrain__learning_rate", "pretrain__max_grad_norm", "evaluate__temperature", "pretrain__weight_decay"]


@pytest.mark.parametrize("key", [*FLOAT_KEYS, "split__train", "pretrain__beta1"])
def test_not_a_number_is_refused(key):
    line = only_problem_of(with_values(raw_params(), **{key: math.nan}))
    assert f"{key.replace('__', '.')} has a wrong value; got nan" in line


@pytest.mark.parametrize("key", FLOAT_KEYS)
def test_infinity_is_refused(key):
    line = only_problem_of(with_values(raw_params(), **{key: math.inf}))
    assert f"{key.replace('__', '.')} has a wrong value; got inf" in line


def test_all_problems_are_said_at_once():
    raw = with_values(
        without_key(raw_params(), "model.n_layers"),
        pretrain__learning_rate=-1.0,
        finetune_cls__epochs="three",
        split__tran=0.7,
        evaluate__prompts="one",
    )
    lines = problems_of(raw)
    keys = ["model.n_layers", "pretrain.learning_rate", "finetune_cls.epochs", "split.tran", "evaluate.prompts"]
    assert len(lines) == len(keys)
    for key in keys:
        assert sum(line.startswith(f"params.yaml: {key} ") for line in lines) == 1


def test_all_problems_between_keys_are_said_at_once():
    raw = with_values(
        raw_params(), model__n_heads=5, split__train=0.8, evaluate__window_stride=500, runtime__device="gpu"
    )
    assert len(problems_of(raw)) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__n_heads": 5}, "model.d_model is not divisible by model.n_heads; got d_model 32, n_heads 5"),
        ({"split__test": 0.2}, "do not add up to 1; got 1.1"),
        ({"data__corpus": []}, "data.corpus names no text"),
        ({"data__corpus": ["the-verdict", "the-verdict"]}, "data.corpus names a text twice"),
        ({"tokenize__train_on": []}, "tokenize.train_on is empty"),
        ({"tokenize__tokenizer": "gpt2"}, "tokenize.vocab_size does not fit tokenize.tokenizer gpt2; got 512"),
        ({"pretrain__min_learning_rate": 1.0}, "pretrain.min_learning_rate is above pretrain.learning_rate"),
        ({"finetune_instruct__min_learning_rate": 1.0}, "finetune_instruct.min_learning_rate is above"),
        ({"pretrain__warmup_steps": 9}, "pretrain.warmup_steps is above pretrain.max_steps; got 9; allowed: at most 8"),
        ({"evaluate__window_stride": 193}, "evaluate.window_stride is longer than model.context_length"),
        ({"pretrain__sample_tokens": 192}, "pretrain.sample_tokens does not fit into model.context_length"),
        ({"finetune_instruct__sample_tokens": 192}, "finetune_instruct.sample_tokens does not fit"),
        ({"evaluate__sample_tokens": 192}, "evaluate.sample_tokens does not fit"),
        ({"evaluate__response_tokens": 300}, "evaluate.response_tokens does not fit"),
        ({"runtime__device": "tpu"}, "runtime.device is unknown; got tpu"),
    ],
)
def test_values_that_do_not_go_together_are_refused(changes, said):
    line = only_problem_of(with_values(raw_params(), **changes))
    assert said in line
    assert "to mend it: " in line


@pytest.mark.parametrize("device", ["cuda:x", "cuda:", "cuda:-1", "cpu:one", "cuda:0:1", ""])
def test_a_device_that_torch_could_not_read_is_refused(device):
    assert "runtime.device is unknown" in only_problem_of(with_values(raw_params(), runtime__device=device))


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_known_devices_are_allowed(device):
    assert parse_params(with_values(raw_params(), runtime__device=device)).runtime.device == device


def test_gpt2_needs_its_own_vocabulary_size():
    raw = with_values(raw_params(), tokenize__tokenizer="gpt2", tokenize__vocab_size=50257, tokenize__train_on=[])
    assert parse_params(raw).tokenize.vocab_size == 50257


def test_the_shares_may_differ_from_1_by_rounding():
    raw = with_values(raw_params(), split__train=0.7, split__validation=0.1 + 0.1, split__test=0.1)
    assert parse_params(raw).split.validation == 0.2


@seeded
@given(st.integers(1, 8), st.integers(1, 64))
def test_heads_must_divide_the_features(n_heads, d_model):
    raw = with_values(raw_params(), model__n_heads=n_heads, model__d_model=d_model)
    if d_model % n_heads == 0:
        assert parse_params(raw).model.n_heads == n_heads
    else:
        assert "not divisible" in only_problem_of(raw)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nmodel: {a: 1\n", "not valid YAML at line"),
        ("seed: 1\nseed: 2\n", "seed"),
        ("model:\n\tbias: true\n", "not valid YAML at line 2"),
        ("a: *nothing\n", "not valid YAML at line 1"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
    ],
)
def test_broken_yaml_is_said_in_one_line(tmp_path, text, said):
    with pytest.raises(GroundupError) as caught:
        load_params(yaml_file(tmp_path, text))
    assert said in str(caught.value)
    assert "params.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    with pytest.raises(GroundupError, match=r'not valid YAML at line 2; got found duplicate key "seed"'):
        load_params(yaml_file(tmp_path, "seed: 1\nseed: 2\n"))


def test_params_that_are_not_utf8_are_named_by_byte(tmp_path):
    with pytest.raises(GroundupError, match=r"params\.yaml: not UTF-8 text at byte 9"):
        load_params(yaml_file(tmp_path, b"label: ha\xe4m\n"))


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "- 1\n- 2\n", "word\n"])
def test_a_params_file_without_sections_is_said_in_one_line(tmp_path, text):
    with pytest.raises(GroundupError) as caught:
        load_params(yaml_file(tmp_path, text))
    assert "the whole file has a wrong value" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_section_is_named(tmp_path):
    assert "model has a wrong value" in only_problem_of(with_values(raw_params(), model=None))


def test_a_missing_params_file_is_named(tmp_path):
    with pytest.raises(GroundupError, match=r"gone\.yaml: no such file"):
        load_params(tmp_path / "gone.yaml")


def test_values_that_json_does_not_have_are_refused(tmp_path):
    with pytest.raises(GroundupError, match="holds a value that JSON has no form for"):
        load_params(yaml_file(tmp_path, "seed: 2020-01-01\n"))
    with pytest.raises(GroundupError, match="holds a value that JSON has no form for"):
        load_params(yaml_file(tmp_path, "seed: &a [*a]\n"))


def test_known_keys_are_the_keys_of_the_complete_preset():
    def dotted(raw, prefix=""):
        for key, value in raw.items():
            yield prefix + key
            if isinstance(value, dict):
                yield from dotted(value, f"{prefix}{key}.")

    assert sorted(known_keys()) == sorted(dotted(raw_params()))


def test_flatten_gives_every_value_under_its_dotted_key():
    flat = flatten(parse_params(raw_params()))
    assert flat["model.d_model"] == 32
    assert flat["seed"] == 1
    assert flat["data.corpus"] == ["the-verdict"]
    sections = {key.rpartition(".")[0] for key in known_keys() if "." in key}
    assert sorted(flat) == sorted(key for key in known_keys() if key not in sections)


def test_flatten_takes_nested_mappings_too():
    assert flatten({"a": {"b": {"c": (1, 2)}}, "d": None}) == {"a.b.c": [1, 2], "d": None}


def test_training_sections_are_the_three_that_train():
    params = parse_params(raw_params())
    assert [name for name, _ in training_sections(params)] == ["pretrain", "finetune_cls", "finetune_instruct"]
    assert training_sections(params)[0][1] is params.pretrain


def test_params_cannot_be_changed_after_they_were_checked():
    params = parse_params(raw_params())
    with pytest.raises(AttributeError):
        params.model.d_model = 7
