"""`groundup seeds` and `groundup curves` for real, on the smallest project, whose own results must stay as they are."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_pipeline import Run, hashes, make_project


def groundup(run: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a project; it runs several pipelines, which may take their time on a busy machine."""
    command = [sys.executable, "-m", "groundup.cli", *arguments]
    return subprocess.run(command, cwd=run.folder, env=run.environment, capture_output=True, text=True, timeout=1800)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A project in which no stage has run, with two seeds and a curve beside it."""
    run = make_project(tmp_path_factory.mktemp("repeated"), "repeated")
    for arguments in (("seeds", "--n", "2"), ("curves", "--rows", "10,all,9000")):
        done = groundup(run, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        run.output += done.stdout + done.stderr
    return run


def test_every_figure_is_the_one_of_each_seeds_own_summary(repeated: Run) -> None:
    result = json.loads((repeated.folder / "reports" / "seeds" / "summary.json").read_text())
    assert len(result["seeds"]) == 2
    for place, seed in enumerate(result["seeds"]):
        folder = repeated.folder / ".groundup" / "seeds" / f"seed-{seed}"
        assert re.search(rf"(?m)^seed: {seed}\b", (folder / "params.yaml").read_text())
        summary = json.loads((folder / "reports" / "summary.json").read_text())
        for key, figure in result["figures"].items():
            found = summary
            for part in key.split("."):
                found = found[part]
            assert figure["values"][place] == found
    losses = result["figures"]["language_model.bits_per_byte"]["values"]
    assert losses[0] != losses[1]
    assert any(name.startswith("classifier.accuracy less ") for name in result["differences"])


def test_it_is_said_in_words_and_with_every_value(repeated: Run) -> None:
    page = (repeated.folder / "reports" / "seeds" / "seeds.md").read_text()
    assert "classifier: accuracy, TF-IDF + logistic regression" in page
    assert "no difference beyond the noise between seeds" in page
    assert "no difference beyond the noise between seeds" in repeated.output


def test_the_curve_has_each_system_at_each_number_of_rows(repeated: Run) -> None:
    folder = repeated.folder / "reports" / "curves"
    with (folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = sorted({int(row["rows"]) for row in rows})
    assert numbers[0] == 10
    assert len(numbers) == 2
    systems = [{row["system"] for row in rows if int(row["rows"]) == n} for n in numbers]
    assert systems[0] == systems[1] >= {"pretrained", "from_random", "majority", "tfidf_logreg", "svm"}
    assert (folder / "curves.png").stat().st_size > 5_000
    assert f"| {numbers[1]} |" in (folder / "curves.md").read_text()
    assert "9000 labelled rows are left out" in repeated.output


def test_the_checkout_itself_has_no_results_of_theirs(repeated: Run) -> None:
    made = hashes(repeated.folder)
    assert {Path(name).parts[:2] for name in made} == {("reports", "seeds"), ("reports", "curves")}
    assert not (repeated.folder / "dvc.lock").exists()
    assert (repeated.folder / ".dvc" / "cache").is_dir()


def test_again_runs_no_stage_and_gives_the_same_bytes(repeated: Run) -> None:
    before = hashes(repeated.folder)
    done = groundup(repeated, "seeds", "--n", "2")
    assert done.returncode == 0, done.stderr
    assert "pretrain" not in done.stderr
    assert hashes(repeated.folder) == before
