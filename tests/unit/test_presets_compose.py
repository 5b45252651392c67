"""How a preset is merged and how a value is written for DVC, on small made-up files."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from imports import ROOT
from ruamel.yaml import YAML

from groundup.config import flatten
from groundup.errors import GroundupError, InvalidParamsError
from groundup.params_file import load_params, read_yaml
from groundup.presets import COMPLETE, FOLDER, as_dvc_flags, compose, use


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / FOLDER).mkdir()
    complete = (ROOT / "presets" / f"{COMPLETE}.yaml").read_bytes()
    (tmp_path / FOLDER / f"{COMPLETE}.yaml").write_bytes(complete)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_preset(values: dict[str, Any], name: str = "mine") -> None:
    with (FOLDER / f"{name}.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(values, file)


def test_a_name_without_a_preset_is_refused_with_the_names_there_are() -> None:
    write_preset({"seed": 2}, "other")
    with pytest.raises(GroundupError, match=f"got smal; allowed: other, {COMPLETE}"):
        compose("smal")


def test_a_name_cannot_leave_the_folder_of_presets(project: Path) -> None:
    (project / "outside.yaml").write_text("seed: 2\n")
    with pytest.raises(GroundupError):
        compose("../no-such-file")


def test_the_complete_preset_is_copied_byte_for_byte() -> None:
    assert compose(COMPLETE) == (FOLDER / f"{COMPLETE}.yaml").read_text(encoding="utf-8")


def test_a_preset_that_changes_nothing_gives_the_values_of_the_complete_one() -> None:
    (FOLDER / "mine.yaml").write_text("# nothing yet\n")
    use(COMPLETE)
    expected = load_params()
    use("mine")
    assert load_params() == expected


def test_a_list_takes_the_place_of_a_list_and_a_section_is_merged() -> None:
    write_preset({"evaluate": {"prompts": ["one"]}, "model": {"n_layers": 2}})
    use("mine")
    params = load_params()
    assert params.evaluate.prompts == ("one",)
    assert params.model.n_layers == 2
    assert params.model.n_heads == read_yaml(FOLDER / f"{COMPLETE}.yaml")["model"]["n_heads"]


@pytest.mark.parametrize("value", [5, "word", [1], None])
def test_a_section_cannot_be_replaced_by_a_value(value: Any) -> None:
    write_preset({"model": value})
    with pytest.raises(InvalidParamsError, match="model"):
        compose("mine")


def test_all_wrong_values_of_a_preset_are_told_at_once() -> None:
    write_preset({"model": {"dropout": 2.0, "n_heads": 0}, "pretrain": {"precision": "fp7"}})
    with pytest.raises(InvalidParamsError) as caught:
        compose("mine")
    lines = str(caught.value).splitlines()
    assert [line.split()[1] for line in lines] == ["model.n_heads", "model.dropout", "pretrain.precision"]


def test_long_lists_and_prompts_stay_on_one_line_with_their_comment() -> None:
    write_preset({"data": {"corpus": [f"data/own/{number:03d}.txt" for number in range(40)]}})
    text = compose("mine")
    assert "\n  prompts: [" in text
    assert "tokens between windows over the test text" in text
    use("mine")
    assert len(load_params().data.corpus) == 40


FLAG_VALUES: list[tuple[str, str, Any]] = [
    ("pretrain", "weight_decay", 1e-05),
    ("pretrain", "learning_rate", 0.5),
    ("pretrain", "learning_rate", 100.0),
    ("pretrain", "weight_decay", 0.0),
    ("pretrain", "min_learning_rate", 2.5e-13),
    ("pretrain", "weight_decay", 0.12345678901234567),
    ("pretrain", "batch_size", 1),
    ("model", "bias", False),
    ("model", "tie_weights", False),
    ("split", "add_to_corpus", ["messages"]),
    ("tokenize", "train_on", ["corpus"]),
    ("data", "corpus", ["data/own/my file, the second.txt", "the-verdict"]),
    ("data", "messages", "data/own/a=b.tsv"),
    ("pretrain", "sample_prompt", ""),
    ("pretrain", "sample_prompt", " "),
    ("pretrain", "sample_prompt", "ROMEO"),
    ("pretrain", "sample_prompt", 'It\'s "so"'),
    ("pretrain", "sample_prompt", "back\\slash\\"),
    ("pretrain", "sample_prompt", "${seed} {a: b} [c] #d"),
    ("pretrain", "sample_prompt", "två år – 東京 🎈"),
    ("pretrain", "sample_prompt", "First:\nsecond\tthird"),
    ("pretrain", "sample_prompt", "true"),
    ("pretrain", "sample_prompt", "null"),
    ("pretrain", "sample_prompt", "nan"),
    ("pretrain", "sample_prompt", "12"),
    ("pretrain", "sample_prompt", "\\${seed} \\' \\\\'"),
    ("evaluate", "prompts", ["yes, I do", "no", "true", "It's", "a\\'b"]),
]


@pytest.mark.parametrize(("section", "key", "value"), FLAG_VALUES)
def test_a_flag_gives_dvc_the_very_value_of_the_preset(section: str, key: str, value: Any) -> None:
    write_preset({section: {key: value}})
    use(COMPLETE)
    flags = shlex.split(as_dvc_flags("mine"))
    assert len(flags) == 2
    assert flags[1].startswith(f"{section}.{key}=")
    apply_overrides("params.yaml", [flags[1]])
    assert flatten(load_params())[f"{section}.{key}"] == value


def test_only_what_differs_from_params_yaml_becomes_a_flag() -> None:
    write_preset({"model": {"n_layers": 2, "d_model": 24}})
    use("mine")
    write_preset({"model": {"n_layers": 2, "d_model": 48}}, "other")
    assert as_dvc_flags("other") == "-S model.d_model=48"
    assert as_dvc_flags("mine") == ""
