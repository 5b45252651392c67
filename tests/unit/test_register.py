"""`groundup register`: versions, the champion, what a version holds, and what is refused."""

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import registry_helpers as small
from click.testing import CliRunner, Result
from helpers import TEXTS, byte_tokenizer, token_store, trained_tokenizer

from groundup.cli import main
from groundup.errors import GroundupError
from groundup.registry.champion import Figure, figure_of, reason_to_stay
from groundup.registry.figures import bits_error, groups_of_texts, sha256_of_texts
from groundup.registry.final import FILES, MODELS, SPLITS, dvc_md5, read_finals
from groundup.registry.register import NAMES, REQUIREMENTS, pinned_requirements
from groundup.tasks.language import score_corpus
from groundup.tracking.store import Store
from groundup.train.checkpoint import load_model

# Said by MLflow of its own types when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

ADDRESS = "http://me:pa55word@127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """MLflow's settings are environment variables, some set by the code under test; all are put back."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    small.make_project(folder)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished pipeline of one's own, outside any git checkout."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without models, since making one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        assert Store().client.search_registered_models() == []
    return folder / "mlflow.db"


@pytest.fixture
def client(project: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project's own store; the client reads it, past the code under test."""
    from mlflow.tracking import MlflowClient

    shutil.copyfile(empty_store, project / "mlflow.db")
    uri = f"sqlite:///{project / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(tracking_uri=uri)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["register", *arguments])


def registered(*arguments: str) -> list[str]:
    """What is said of each model, after checking that all went well."""
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


def refusal(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def champion(client: Any, name: str = "groundup-classifier") -> str:
    return str(client.get_model_version_by_alias(name, "champion").version)


def logged_model(client: Any, version: Any) -> Any:
    return client.get_logged_model(version.source.removeprefix("models:/"))


# --- versions and the champion


def test_the_champion_changes_only_for_a_better_figure_on_the_same_texts(client: Any, project: Path) -> None:
    (line,) = registered("classifier")
    assert line == (
        "groundup-classifier: registered as version 1, accuracy 0.9 (0.85 to 0.94); it is the champion now, the first"
    )
    (line,) = registered("classifier")
    assert line == "groundup-classifier: already registered as version 1; it is the champion"

    small.write_classifier(project, seed=5)
    small.write_reports(project, accuracy=0.93)
    (line,) = registered("classifier")
    assert (
        "version 2, accuracy 0.93 (0.85 to 0.94); the champion stays version 1: 0.93 is not above accuracy 0.9" in line
    )
    assert "`groundup register classifier --champion`" in line
    assert champion(client) == "1"

    small.write_classifier(project, seed=6)
    small.write_reports(project, accuracy=0.95, accuracy_low=0.92, accuracy_high=0.97)
    (line,) = registered("classifier")
    assert line.endswith("version 3, accuracy 0.95 (0.92 to 0.97); it is the champion now, in place of version 1")
    assert champion(client) == "3"

    (project / SPLITS / "messages" / "test" / "rows.jsonl").write_text('{"text": "easier"}\n')
    small.write_classifier(project, seed=7)
    small.write_reports(project, accuracy=1.0)
    (line,) = registered("classifier")
    assert "version 4" in line
    assert "the champion stays version 3: it was measured on another test set, or in another way" in line
    assert champion(client) == "3"
    (line,) = registered("classifier", "--champion")
    assert line.endswith("already registered as version 4; it is the champion now, in place of version 3")
    assert champion(client) == "4"
    assert len(client.search_model_versions("name = 'groundup-classifier'")) == 4


def test_all_three_are_registered_with_what_a_comparison_needs(client: Any, project: Path) -> None:
    assert [line.split(":")[0] for line in registered()] == [f"groundup-{name}" for name in NAMES]
    for final in read_finals(NAMES):
        version = client.get_model_version_by_alias(f"groundup-{final.name}", "champion")
        assert version.tags.items() >= final.digests.items()
        assert figure_of(version.tags) == final.figure()
        assert version.status == "READY"
        assert logged_model(client, version).status == "READY"
    for line in registered():
        assert line.endswith("already registered as version 1; it is the champion")


def test_a_version_is_linked_to_the_pipelines_run(client: Any, project: Path) -> None:
    from groundup.params_file import load_params
    from groundup.tracking.pipeline import open_pipeline, pipeline_key

    params = load_params()
    run_id = open_pipeline(Store(), params, pipeline_key(params))
    registered("classifier")
    version = client.get_model_version("groundup-classifier", "1")
    assert version.run_id == run_id
    assert logged_model(client, version).source_run_id == run_id


def test_another_threshold_makes_another_model_of_the_same_weights(client: Any, project: Path) -> None:
    registered("classifier")
    description = project / MODELS / "classifier" / "model.json"
    description.write_text(description.read_text().replace("0.5", "0.7"))
    small.write_reports(project)
    assert "registered as version 2" in registered("classifier")[0]
    one, two = (client.get_model_version("groundup-classifier", number).tags for number in ("1", "2"))
    assert one["weights.sha256"] == two["weights.sha256"]


def figure(value: float, low: float = 0.0, high: float = 1.0, name: str = "accuracy", test: str = "a") -> Figure:
    return Figure(name, value, low, high, 0.95, test)


@pytest.mark.parametrize(
    ("before", "new", "reason"),
    [
        (figure(0.9, 0.85, 0.94), figure(0.95), None),
        (figure(0.9, 0.85, 0.94), figure(0.94), "is not above"),
        (figure(0.9, 0.85, 0.94), figure(0.92), "is not above"),
        (figure(0.9, 0.85, 0.94), figure(0.5), "is not above"),
        (figure(0.6, 0.5, 0.7, "exact_match"), figure(0.71, name="exact_match"), None),
        (figure(0.6, 0.5, 0.7, "exact_match"), figure(0.4, name="exact_match"), "is not above"),
        (figure(2.5, 2.4, 2.6, "bits_per_byte"), figure(2.3, name="bits_per_byte"), None),
        (figure(2.5, 2.4, 2.6, "bits_per_byte"), figure(2.4, name="bits_per_byte"), "is not below"),
        (figure(2.5, 2.4, 2.6, "bits_per_byte"), figure(2.7, name="bits_per_byte"), "is not below"),
        (figure(0.9, 0.85, 0.94), figure(0.99, test="b"), "another test set"),
        (figure(0.9, 0.85, 0.94), figure(0.99, name="exact_match"), "another test set"),
        (None, figure(0.99), "without a figure"),
        (figure(0.9, 0.85, 0.94), None, "without a figure"),
    ],
)
def test_when_the_champion_stays(before: Figure | None, new: Figure | None, reason: str | None) -> None:
    said = reason_to_stay(before, new)
    assert said is None if reason is None else reason in str(said)


def test_a_figure_comes_back_from_its_tags_to_the_last_digit() -> None:
    kept = figure(np.float64(1) / 3, 0.1 + 0.2, np.float64(2) / 3)
    assert figure_of(kept.tags()) == kept
    assert all(type(value) is str for value in kept.tags().values())
    assert figure_of({}) is None
    assert figure_of({**kept.tags(), "figure.low": "much"}) is None


# --- figures


def test_the_figures_are_those_of_the_summary_with_their_intervals(project: Path) -> None:
    pretrained, classifier, instructed = (final.figure() for final in read_finals(NAMES))
    assert (classifier.value, classifier.low, classifier.high) == (0.9, 0.85, 0.94)
    assert instructed.value == 0.6
    assert instructed.low == pytest.approx(0.4618, abs=5e-5)  # Wilson's interval of 30 in 50, from a table
    assert instructed.high == pytest.approx(0.7239, abs=5e-5)
    assert pretrained.value == 2.5
    assert 0 < pretrained.high - 2.5 == pytest.approx(2.5 - pretrained.low)


def test_the_interval_of_bits_per_byte_is_that_of_resampled_groups(project: Path) -> None:
    model, tokenizer, _ = load_model(project / MODELS / "pretrained")
    store = token_store([tokenizer.encode(text) for text in small.DOCUMENTS])
    scores = [score_corpus(model, each, tokenizer, stride=40, batch_size=8) for each in groups_of_texts(store, 30)]
    bits, sizes = (np.array([getattr(score, key) for score in scores]) for key in ("loss_nats", "n_bytes"))
    bits = bits / np.log(2)
    drawn = np.random.default_rng(1).integers(len(scores), size=(20_000, len(scores)))
    rates = bits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    wanted = np.diff(np.quantile(rates, [0.025, 0.975])).item() / 2
    got = bits_error(project / MODELS / "pretrained", store, 40, 8, confidence=0.95)
    # With 30 groups Student's t is 1.043 times the normal's quantile, and resampling is narrower by sqrt(29 / 30).
    assert got == pytest.approx(1.043 * np.sqrt(30 / 29) * wanted, rel=0.05)
    assert bits_error(project / MODELS / "pretrained", store, 40, 8, confidence=0.99) > got


@pytest.mark.parametrize(("lengths", "n_groups"), [([3] * 60, 30), ([3] * 61, 30), ([7, 0, 500], 30), ([2], 30)])
def test_groups_of_texts_hold_every_token_once_in_order(lengths: list[int], n_groups: int) -> None:
    store = token_store([[index] * length for index, length in enumerate(lengths)])
    groups = groups_of_texts(store, n_groups)
    assert len(groups) == min(n_groups, sum(lengths))
    assert np.concatenate([group.tokens for group in groups]).tolist() == store.tokens.tolist()
    assert all(group.offsets[0] == 0 and group.offsets[-1] == len(group.tokens) > 0 for group in groups)
    if len(lengths) >= n_groups:  # no document is cut
        assert {int(length) for group in groups for length in group.lengths} == set(lengths)


def test_the_digest_of_texts_knows_the_texts_and_not_the_tokens() -> None:
    digests = {
        sha256_of_texts(token_store([tokenizer.encode(text) for text in TEXTS]), tokenizer)
        for tokenizer in (byte_tokenizer(), trained_tokenizer())
    }
    assert len(digests) == 1
    tokenizer = byte_tokenizer()
    joined = token_store([tokenizer.encode("".join(TEXTS))])
    assert sha256_of_texts(joined, tokenizer) not in digests


@pytest.mark.parametrize(("name", "key"), [("pretrained", "window_stride"), ("instructed", "response_tokens")])
def test_a_figure_that_was_measured_in_another_way_is_another_test(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    before = read_finals([name])[0].figure().test
    monkeypatch.setitem(small.EVALUATION, key, 17)
    small.write_reports(project)
    assert read_finals([name])[0].figure().test != before


def test_a_folders_hash_is_dvcs_own(project: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import LocalFileSystem

    system = LocalFileSystem()
    for path in (MODELS / "instructed", SPLITS, Path("params.yaml")):
        *_, known = build(HashFileDB(system, str(project / "odb")), str(path), system, "md5", dry_run=True)
        assert dvc_md5(path) == known.hash_info.value


# --- what a version holds


@pytest.fixture(scope="module")
def saved(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three models as MLflow keeps them."""
    from groundup.registry.register import save

    folder = tmp_path_factory.mktemp("saved")
    with mock.patch.dict(os.environ):
        for name in NAMES:
            save(name, made / MODELS / name, folder / name)
    return {name: folder / name for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_version_holds_code_and_weights_and_no_pickle(saved: dict[str, Path], name: str) -> None:
    files = [path for path in saved[name].rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {
        ".py",
        ".json",
        ".yaml",
        ".txt",
        ".bpe",
        ".safetensors",
        ".jinja",
        ".md",
        "",
    }
    assert [path.name for path in files if not path.suffix] == ["MLmodel"]
    assert [
        path for path in files if path.read_bytes()[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK")
    ] == []
    description = (saved[name] / "MLmodel").read_text()
    assert "model_code_path" in description
    assert "python_model" not in description
    kept = {path.name for path in (saved[name] / "artifacts" / "model").iterdir()}
    assert kept == set(FILES)
    for file in FILES:
        assert (saved[name] / "artifacts" / "model" / file).read_bytes() != b""


def test_the_requirements_are_pinned() -> None:
    pinned = pinned_requirements()
    assert all(re.fullmatch(r"[a-z-]+==\d+(\.\d+)+", line) for line in pinned)
    assert [line.split("==")[0] for line in pinned] == list(REQUIREMENTS)


def test_a_build_of_a_package_is_pinned_by_its_version_alone() -> None:
    with mock.patch("groundup.registry.register.installed_version", return_value="2.13.0+cpu"):
        assert {line.split("==")[1] for line in pinned_requirements()} == {"2.13.0"}


@pytest.fixture
def loaded(saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a saved model into this process."""
    import sys

    import mlflow.pyfunc

    monkeypatch.setattr(sys, "path", list(sys.path))  # loading puts the model's code before all else
    return lambda name: mlflow.pyfunc.load_model(str(saved[name]))


def test_the_classifier_answers_as_the_labeller_does(loaded: Any, made: Path) -> None:
    from groundup.use.labelling import load_labeller

    labeller = load_labeller(made / MODELS / "classifier")
    texts = ["the cat", "naïve café, 東京 😀", "a" * 700]
    rows = loaded("classifier").predict([{"text": text} for text in texts]).to_dict("records")
    for row, text in zip(rows, texts, strict=True):
        label, probability = labeller.say(text)
        assert row["label"] == label
        assert row["probability"] == pytest.approx(probability, abs=1e-6)
    assert len({row["probability"] for row in rows}) == 3


def test_the_language_model_writes_as_the_command_does(loaded: Any, made: Path) -> None:
    from groundup.generate import PreparedGPT, Sampling
    from groundup.use.writing import prompt_tokens, written_text

    model, tokenizer, _ = load_model(made / MODELS / "pretrained")
    writes = PreparedGPT(model)
    prompts = ["The cat", ""]
    params = {"max_tokens": 12, "temperature": 1.5, "top_k": 9, "top_p": 0.9, "seed": 4}
    rows = loaded("pretrained").predict([{"prompt": prompt} for prompt in prompts], params=params)
    wanted = [
        "".join(
            written_text(
                writes, tokenizer, prompt_tokens(tokenizer, prompt, 300), 12, sampling=Sampling(1.5, 9, 0.9), seed=4
            )
        )
        for prompt in prompts
    ]
    assert rows["text"].tolist() == wanted
    assert loaded("pretrained").predict([{"prompt": ""}], params={"seed": 4})["text"][0] != wanted[1]


def test_the_instruction_follower_answers_with_and_without_an_input(loaded: Any, made: Path) -> None:
    from groundup.data.instructions import format_prompt
    from groundup.generate import PreparedGPT, Sampling
    from groundup.use.writing import written_text

    model, tokenizer, _ = load_model(made / MODELS / "instructed")

    def wanted(*asked: str) -> str:
        prompt = tokenizer.encode(format_prompt(*asked))
        return "".join(written_text(PreparedGPT(model), tokenizer, prompt, 7, sampling=Sampling(), seed=0))

    follower = loaded("instructed")
    rows = [{"instruction": "Sort", "input": "b a"}, {"instruction": "Sort", "input": None}]
    answers = follower.predict(rows, params={"max_tokens": 7})["text"].tolist()
    assert answers == [wanted("Sort", "b a"), wanted("Sort")]
    assert answers[0] != answers[1]
    assert follower.predict([{"instruction": "Sort"}], params={"max_tokens": 7})["text"].tolist() == answers[1:]


@pytest.mark.parametrize(
    ("name", "rows", "params", "said"),
    [
        ("classifier", [{"text": "a"}, {"text": " "}], {}, "row 2 has no text under text"),
        ("classifier", [{"message": "a"}], {}, "missing inputs"),
        ("pretrained", [{"prompt": "a"}], {"temperature": -1.0}, "temperature must be 0 or more, and finite, got -1"),
        ("pretrained", [{"prompt": "a"}], {"max_tokens": 0}, "max_tokens is out of range; got 0; allowed: 1 to 4096"),
        ("pretrained", [{"prompt": "a"}], {"max_tokens": 10**9}, "max_tokens is out of range"),
        ("instructed", [{"instruction": ""}], {}, "row 1 has no text under instruction"),
        ("instructed", [{"instruction": "long " * 99}], {}, "the question is too long for the model"),
    ],
)
def test_a_wrong_request_is_the_callers_fault(
    loaded: Any, name: str, rows: list[dict[str, str]], params: dict[str, Any], said: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=re.escape(said)) as caught:
        loaded(name).predict(rows, params=params)
    assert caught.value.get_http_status_code() == 400


def test_no_rows_are_no_answers(loaded: Any) -> None:
    import pandas as pd

    assert loaded("classifier").predict(pd.DataFrame({"text": pd.Series([], dtype=str)})).empty


# --- refusals


def remove(path: str) -> Any:
    def change(project: Path) -> None:
        place = project / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    return change


def append_to(path: str) -> Any:
    def change(project: Path) -> None:
        with (project / path).open("ab") as file:
            file.write(b" ")

    return change


def without_evaluate(project: Path) -> None:
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("models/classifier"), "models/classifier: no such file or folder"),
        (remove("models"), "models/pretrained: no such file or folder"),
        (remove("reports/summary.json"), "reports/summary.json: no such file or folder"),
        (remove("data/splits"), "data/splits: no such file or folder"),
        (remove("dvc.lock"), "dvc.lock: no such file or folder"),
        (without_evaluate, "dvc.lock: the stage evaluate has not run"),
        (
            append_to("models/classifier/model.json"),
            "models/classifier does not belong to the last evaluation; got md5",
        ),
        (append_to("models/instructed/vocab.bpe"), "models/instructed does not belong to the last evaluation"),
        (append_to("reports/summary.json"), "reports/summary.json does not belong to the last evaluation"),
        (append_to("data/splits/messages/test/rows.jsonl"), "data/splits does not belong to the last evaluation"),
    ],
)
def test_what_is_missing_or_does_not_belong_together_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///nowhere.db")
    change(project)
    line = refusal()
    assert said in line
    assert "to mend it: " in line
    assert not (project / "nowhere.db").exists()


def test_tracking_that_is_off_is_refused(project: Path) -> None:
    assert "no registry to write to; got MLFLOW_TRACKING_URI=off" in refusal("classifier")


def test_an_unknown_model_is_refused(project: Path) -> None:
    assert "'chatbot' is not one of" in refusal("chatbot")


def test_a_server_that_is_down_is_one_line_soon_and_without_its_password(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ADDRESS.format(port=free.getsockname()[1])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    start = time.perf_counter()
    line = refusal()
    assert time.perf_counter() - start < 10
    assert re.search(r"MLflow at http://\*\*\*@127.0.0.1:\d+ failed: .*; to mend it: start the server", line)
    assert "pa55word" not in line


def test_a_server_that_hangs_is_given_up(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS.format(port=silent.getsockname()[1]))
        with pytest.raises(GroundupError, match="its answers take too long") as caught:
            Store(patience_s=0.2).demand(lambda client: client.search_registered_models())
    assert "pa55word" not in str(caught.value)
