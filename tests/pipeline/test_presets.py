"""The presets that the project ships: each is a complete, valid and commented `params.yaml`."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from imports import ROOT

from groundup.config import flatten
from groundup.errors import GroundupError
from groundup.params_file import known_keys, load_params, parse_params, read_yaml
from groundup.presets import COMPLETE, FOLDER, as_dvc_flags, compose, preset_names, use

NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
SHIPPED = {name: (ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8") for name in NAMES}

each_preset = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped presets, in which a test may write `params.yaml`."""
    (tmp_path / FOLDER).mkdir()
    for name, text in SHIPPED.items():
        (tmp_path / FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def composed(name: str) -> dict[str, Any]:
    """A preset's values under dotted keys, read as a run reads them."""
    path = Path(f"{name}.composed.yaml")
    path.write_text(compose(name), encoding="utf-8")
    return flatten(load_params(path))


def leaves(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, inner in value.items():
        flat.update(leaves(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {prefix + key: inner})
    return flat


def test_the_presets_are_found() -> None:
    assert preset_names() == NAMES
    assert {COMPLETE, "micro"} <= set(NAMES)


@each_preset
def test_a_preset_composes_to_every_key_with_its_own_values(name: str) -> None:
    values = composed(name)
    sections = {key.rpartition(".")[0] for key in known_keys() if "." in key}
    assert set(values) == {key for key in known_keys() if key not in sections}
    own = leaves(read_yaml(FOLDER / f"{name}.yaml"))
    assert own
    assert {key: values[key] for key in own} == own
    complete = composed(COMPLETE)
    assert {key: value for key, value in values.items() if key not in own} == {
        key: value for key, value in complete.items() if key not in own
    }


@each_preset
def test_a_preset_other_than_the_complete_one_holds_only_what_it_changes(name: str) -> None:
    own, complete = leaves(read_yaml(FOLDER / f"{name}.yaml")), composed(COMPLETE)
    repeated = [key for key, value in own.items() if complete[key] == value]
    assert repeated == [] or name == COMPLETE


@each_preset
def test_the_comments_of_the_complete_preset_survive(name: str) -> None:
    """Each comment stands behind its own key, so that `params.yaml` explains itself whichever preset it holds."""

    def comments(text: str) -> dict[str, str]:
        found, section = {}, ""
        for line in text.splitlines():
            key = line.split(":")[0]
            if line and not line.startswith((" ", "#")):
                section = key
            if " #" in line and ":" in line:
                found[f"{section}/{key.strip()}"] = line.split(" #", 1)[1].strip()
        return found

    expected = comments(SHIPPED[COMPLETE])
    assert len(expected) > 25
    assert comments(compose(name)) == expected


@each_preset
def test_the_composed_file_says_where_it_comes_from(name: str) -> None:
    first = compose(name).splitlines()[0]
    assert first.startswith("#")
    assert name == COMPLETE or f"presets/{name}.yaml" in first


@each_preset
def test_using_a_preset_twice_changes_the_file_once(name: str) -> None:
    assert use(name) is True
    before = Path("params.yaml").read_bytes()
    assert use(name) is False
    assert Path("params.yaml").read_bytes() == before
    assert flatten(load_params()) == composed(name)


def test_going_from_one_preset_to_another_and_back_gives_the_same_bytes() -> None:
    texts = []
    for name in (COMPLETE, "micro", COMPLETE, "micro"):
        use(name)
        texts.append(Path("params.yaml").read_bytes())
    assert texts[:2] == texts[2:]
    assert texts[0] != texts[1]


@each_preset
@pytest.mark.parametrize("start", NAMES)
def test_the_flags_for_dvc_turn_params_yaml_into_the_preset(start: str, name: str) -> None:
    use(start)
    flags = shlex.split(as_dvc_flags(name))
    assert flags[::2] == ["-S"] * (len(flags) // 2)
    assert (flags == []) == (start == name)
    # What `dvc exp run -S` does with each flag's value.
    apply_overrides("params.yaml", flags[1::2])
    assert flatten(load_params()) == composed(name)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("pretrain:\n  lerning_rate: 1.0e-3\n", "pretrain.lerning_rate"),
        ("modell:\n  d_model: 8\n", "modell"),
        ("seeed: 3\n", "seeed"),
    ],
)
def test_an_unknown_key_in_a_preset_is_refused_by_name(change: str, named: str) -> None:
    (FOLDER / "mine.yaml").write_text(change, encoding="utf-8")
    with pytest.raises(GroundupError, match=rf"presets/mine\.yaml: {named} is not a known key"):
        use("mine")
    assert not Path("params.yaml").exists()


def test_a_value_that_is_not_allowed_in_a_preset_is_refused_and_params_yaml_stays() -> None:
    use(COMPLETE)
    before = Path("params.yaml").read_bytes()
    (FOLDER / "mine.yaml").write_text("model:\n  n_heads: 5\n  dropout: 1.5\n", encoding="utf-8")
    with pytest.raises(GroundupError, match=r"presets/mine\.yaml.*model\.dropout"):
        use("mine")
    assert Path("params.yaml").read_bytes() == before


def test_the_preset_for_tests_is_small_and_needs_only_the_short_story() -> None:
    micro = parse_params(read_yaml_text(compose("micro")))
    assert micro.data.corpus == ("the-verdict",)
    assert micro.pretrain.max_steps <= 20
    assert micro.model.d_model <= 64


def read_yaml_text(text: str) -> Any:
    Path("text.yaml").write_text(text, encoding="utf-8")
    return read_yaml(Path("text.yaml"))
