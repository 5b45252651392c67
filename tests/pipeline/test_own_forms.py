"""A project with labels of four classes and with conversations, through all seven stages and what follows."""

import csv
import importlib
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from imports import ROOT
from ruamel.yaml import YAML

from groundup.cli import main
from groundup.files import read_json
from groundup.params_file import load_params
from groundup.presets import compose
from groundup.report.record import record_reports

STAGES = ["download", "tokenize_text", "split", "pretrain", "finetune_cls", "finetune_instruct", "evaluate"]
LABELS = ["billing", "broken", "delivery", "thanks"]
SETTINGS: dict[str, Any] = {
    "data.corpus": ["data/own/notes.jsonl"],
    "data.messages": "data/own/tickets.csv",
    "data.instructions": "data/own/chats.jsonl",
    "tokenize.vocab_size": 300,
    "tokenize.train_on": ["corpus", "messages", "instructions"],
    "model.context_length": 256,
    "finetune_cls.positive_label": "",
    "finetune_cls.class_balance": "balanced",
    "finetune_cls.epochs": 4,
    "finetune_cls.batch_size": 8,
    "finetune_cls.learning_rate": 0.01,
    "finetune_instruct.batch_size": 8,
    "evaluate.prompts": ["The"],
    "runtime.device": "cpu",
    "runtime.threads": 1,
}


def write_own_data(folder: Path) -> None:
    """Tickets whose first word tells their class, notes, and chats of one and of two turns in both forms."""
    draw = random.Random(11)
    letters = "bdfgklmnprstvz"

    def words(n: int) -> str:
        return " ".join("".join(draw.choice(letters) + draw.choice("aeiou") for _ in range(3)) for _ in range(n))

    folder.mkdir(parents=True)
    tickets = [(label, f"{label[:4]} {words(5)}") for n, label in enumerate(LABELS) for _ in range(16 + 8 * n)]
    draw.shuffle(tickets)
    with (folder / "tickets.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *tickets])
    notes = [{"text": f"The {words(30)}."} for _ in range(60)]
    chats: list[dict[str, Any]] = []
    for number in range(30):
        turns = [(f"What is {words(2)}?", f"It is {words(1)}.") for _ in range(1 + number % 2)]
        if number % 3:
            said = [{"role": "system", "content": "Be short."}] if number % 5 == 0 else []
            for asked, answered in turns:
                said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
            chats.append({"messages": said})
        else:
            pairs = [({"from": "human", "value": a}, {"from": "gpt", "value": b}) for a, b in turns]
            chats.append({"conversations": [each for pair in pairs for each in pair]})
    for name, rows in (("notes", notes), ("chats", chats)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_params(folder: Path, **changes: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        params = YAML(typ="safe").load(compose("micro"))
    for key, value in (SETTINGS | changes).items():
        section, name = key.split(".")
        params[section][name] = value
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)


def run(stage: str) -> Result:
    module = importlib.import_module(f"stages.{stage}")
    return CliRunner().invoke(getattr(module, stage.removesuffix("_text")), [])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_own_data(folder / "data" / "own")
        write_params(folder)
        for stage in STAGES:
            result = run(stage)
            assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def project(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def command(*arguments: str, given: str = "") -> str:
    result = CliRunner().invoke(main, list(arguments), input=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_classifier_has_four_classes_and_no_threshold(project: Path) -> None:
    facts = read_json(project / "models" / "classifier" / "model.json")
    assert facts["labels"] == LABELS
    assert facts["threshold"] is None
    figures = read_json(project / "reports" / "summary.json")["classifier"]
    assert set(figures["per_class"]) == set(figures["confusion"]) == set(LABELS)
    assert {row["support"] for row in figures["per_class"].values()} == {2, 3, 4}
    assert figures["baselines"]["tfidf_logreg"]["accuracy"] == 1.0  # a word tells each class
    assert figures["baselines"]["majority"]["accuracy"] == pytest.approx(4 / 11, abs=1e-4)
    assert "threshold" not in read_json(project / "reports" / "finetune_cls" / "metrics.json")


def test_report_and_summary_speak_of_four_classes(project: Path) -> None:
    report = (project / "reports" / "evaluate" / "report.md").read_text()
    assert "macro F1 of 4 classes" in report
    assert all(f"| {label} | " in report for label in LABELS)
    assert "Classifier: sorts messages into 4 classes" in command("summary")
    assert record_reports(load_params(), project / "reports", project / "dvc.lock") is None  # tracking is off here


def test_a_file_is_labelled_with_the_most_probable_class(project: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(command("classify", "--file", "data/own/tickets.csv"))))
    assert {row["predicted"] for row in rows} <= set(LABELS)
    assert all(0.25 <= float(row["probability"]) <= 1 for row in rows)


def test_each_answer_of_a_chat_is_a_row_and_chats_stay_whole(project: Path) -> None:
    sides = {}
    n_rows = 0
    for side in ("train", "validation", "test"):
        for line in (project / "data" / "splits" / "instructions" / side / "rows.jsonl").read_text().splitlines():
            row = json.loads(line)
            n_rows += 1
            assert ("history" in row) <= bool(row["group"])
            if row["group"]:
                assert sides.setdefault(row["group"], side) == side
    assert n_rows == 45
    assert len(sides) == 15
    samples = read_json(project / "reports" / "evaluate" / "instruct_samples.json")
    turns = {len(row.get("history", [])) for row in samples}
    assert turns == {0, 1}
    assert " in turn 2 of a conversation, " in (project / "reports" / "evaluate" / "report.md").read_text()
    assert command("chat", "--turns", "1", "--tokens", "3", given="What is it?\nAnd?\n").count("\n") == 2


def test_an_exported_classifier_knows_the_names_of_its_classes(project: Path, tmp_path: Path) -> None:
    command("export", "models/classifier", "--out", str(tmp_path / "exported"))
    config = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert config["id2label"] == {str(number): label for number, label in enumerate(LABELS)}
    assert "threshold" not in config


@pytest.mark.parametrize("positive", ["spam", "thanks"])
def test_a_positive_label_of_four_is_refused_and_the_old_classifier_stays(project: Path, positive: str) -> None:
    before = (project / "models" / "classifier" / "model.safetensors").read_bytes()
    params = (project / "params.yaml").read_bytes()
    write_params(project, **{"finetune_cls.positive_label": positive})
    try:
        result = run("finetune_cls")
    finally:
        (project / "params.yaml").write_bytes(params)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("groundup: ")]
    assert f"positive_label is for two labels, and these messages have 4; got {positive}; allowed: " in line
    assert (project / "models" / "classifier" / "model.safetensors").read_bytes() == before
