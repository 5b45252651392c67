"""Repeated runs: their statistics, the parameters of each, and the copies that they run in."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import classifier_settings
from imports import ROOT
from report_helpers import VERSUS
from scipy import stats

from groundup.config import flatten
from groundup.errors import GroundupError, InvalidParamsError, StoppedBySignal
from groundup.params_file import load_params, parse_params, read_yaml
from groundup.repeats.curves import (
    Point,
    _points,
    cells,
    curves_as_markdown,
    epochs_for,
    numbers_of_rows,
    write_curves,
)
from groundup.repeats.figures import as_json, gather
from groundup.repeats.project_copy import ProjectCopy, _reason, only_one, with_changes
from groundup.repeats.seeds import changes_of, run_seeds
from groundup.repeats.spread import BETTER, NO_DIFFERENCE, WORSE, spread
from groundup.repeats.terminal import print_seeds
from groundup.repeats.words import seeds_as_markdown

VALUES = [0.981, 0.974, 0.99, 0.985, 0.9712]


# --- statistics


def test_mean_deviation_and_interval_are_the_text_books() -> None:
    found = spread(VALUES, 0.95)
    low, high = stats.t.interval(0.95, len(VALUES) - 1, loc=np.mean(VALUES), scale=stats.sem(VALUES))
    assert (found.mean, found.deviation) == pytest.approx((np.mean(VALUES), stats.tstd(VALUES)))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.values == tuple(VALUES)


def test_an_interval_over_paired_differences_excludes_zero_where_the_paired_t_test_does() -> None:
    generator = np.random.default_rng(0)
    for gain in (0.0, 0.5, 1.0, 1.5):
        ours, theirs = generator.normal(gain, 1, 6), generator.normal(0, 1, 6)
        found = spread((ours - theirs).tolist(), 0.95)
        p_value = stats.ttest_rel(ours, theirs).pvalue
        assert (found.verdict() == NO_DIFFERENCE) == (p_value >= 0.05)


def test_runs_that_share_rows_have_a_wider_interval() -> None:
    alone, shared = spread(VALUES, 0.9), spread(VALUES, 0.9, overlap=1 / 7)
    wider = (shared.high - shared.low) / (alone.high - alone.low)
    assert wider == pytest.approx(((1 / 5 + 1 / 7) / (1 / 5)) ** 0.5)
    assert shared.deviation == alone.deviation


@pytest.mark.parametrize(
    ("differences", "lower_is_better", "said"),
    [
        ([0.02, 0.021, 0.019], False, BETTER),
        ([0.02, 0.021, 0.019], True, WORSE),
        ([-0.02, -0.021, -0.019], False, WORSE),
        ([-0.02, -0.021, -0.019], True, BETTER),
        ([0.02, -0.03, 0.01], False, NO_DIFFERENCE),
        ([0.0, 0.0, 0.0], False, NO_DIFFERENCE),
        ([0.25, 0.25], False, BETTER),
    ],
)
def test_a_difference_is_said_in_words(differences: list[float], lower_is_better: bool, said: str) -> None:
    assert spread(differences, 0.95).verdict(lower_is_better) == said


# --- what is gathered


def summary(accuracy: float, svm: float, bits: float, **more: Any) -> dict[str, Any]:
    return {
        "language_model": {"bits_per_byte": bits, "baselines": {"kneser_ney": {"bits_per_byte": bits + 0.5}}},
        "classifier": {
            "accuracy": accuracy,
            "rows": 50,
            "baselines": {"svm": {"accuracy": svm}, "majority": {"accuracy": 0.8}},
            **more,
        },
        "instruct": {"exact_match": 0.5, "from_random": {"exact_match": 0.25, "by_kind": {"sum": {"exact_match": 0}}}},
    }


SUMMARIES = {
    1: summary(0.96, 0.96, 1.9, best_possible=0.99),
    2: summary(0.98, 0.97, 2.0),
    4: summary(0.97, 0.98, 1.95),
}


def test_each_difference_is_taken_seed_by_seed_and_losses_are_better_where_lower() -> None:
    result = gather(SUMMARIES, 0.95, 0.0, {3: "pretrain: no"})
    found = {(each.headline.key, each.other): each for each in result.differences}
    assert set(found) == {
        ("bits_per_byte", "kneser_ney"),
        ("accuracy", "svm"),
        ("accuracy", "majority"),
        ("exact_match", "from_random"),
    }
    assert found["accuracy", "svm"].spread.values == pytest.approx((0.0, 0.01, -0.01))
    assert found["accuracy", "svm"].verdict == NO_DIFFERENCE
    assert found["accuracy", "majority"].verdict == BETTER
    assert found["bits_per_byte", "kneser_ney"].verdict == BETTER
    assert result.seeds == [1, 2, 4]
    assert "classifier.best_possible" not in result.figures  # which not all seeds have
    assert result.figures["classifier.baselines.svm.accuracy"].values == (0.96, 0.97, 0.98)


def test_the_file_holds_every_value_and_can_be_written_as_json() -> None:
    written = as_json(gather(SUMMARIES, 0.95, 1 / 7, {3: "pretrain: no"}))
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["figures"]["classifier.accuracy"]["values"] == [0.96, 0.98, 0.97]
    assert (written["figures"]["classifier.accuracy"]["min"], written["failed"]) == (0.96, {"3": "pretrain: no"})
    assert written["overlap"] == 0.142857
    assert written["differences"]["classifier.accuracy less svm"]["verdict"] == NO_DIFFERENCE


def test_page_and_terminal_say_the_same(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    result = gather(SUMMARIES, 0.95, 1 / 7, {3: "pretrain: no"})
    page = seeds_as_markdown(result)
    print_seeds(result)
    shown = capsys.readouterr().out
    for said in (
        "classifier, accuracy: no difference beyond the noise between seeds, against n-gram SVM (+0.0 points",
        "classifier, accuracy: better than calling all the same (+17.0 points, likely",
        "language model, bits per byte: better than kneser ney (-0.5000, likely",
        "instruction follower, exact match: better than the same from random weights",
        "Seed 3 failed and has no part in this: pretrain: no",
        "96.0 %  98.0 %  97.0 %",
        "Seeds 1, 2, 4: each cuts the same texts anew",
    ):
        assert said in page
        assert said in shown
    assert "each with texts of its own" in seeds_as_markdown(gather(SUMMARIES, 0.95, 0.0, {}))


# --- parameters


def test_an_interval_of_few_seeds_is_shown_no_wider_than_the_figure_can_be() -> None:
    result = gather({1: summary(1.0, 0.9, 1.9), 2: summary(0.6, 0.9, 2.9)}, 0.95, 0.0, {})
    page = seeds_as_markdown(result)
    assert "| classifier: accuracy | 80.0 % | 28.3 % | 0.0 % to 100.0 % | 100.0 %  60.0 % |" in page
    assert "(-10.0 points, likely -100.0 to +100.0)" in page
    assert "| -3.9531 to 8.7531 |" in page.replace("language model: bits per byte | 2.4000 | 0.7071 ", "")


def test_the_runs_differ_in_the_seed_alone_or_in_the_generated_texts_too() -> None:
    params = load_params(ROOT / "params.yaml")
    assert changes_of(params, params.seed + 3, data_seeds=False) == {"seed": params.seed + 3}
    assert changes_of(params, params.seed + 3, data_seeds=True) == {
        "seed": params.seed + 3,
        "data.sample.seed": params.data.sample.seed + 3,
    }


def test_changed_parameters_are_the_only_ones_that_change_and_comments_stay() -> None:
    text = (ROOT / "params.yaml").read_text()
    changed = with_changes(text, {"seed": 77, "data.sample.seed": 5, "finetune_cls.from_random": True})
    before, after = (flatten(parse_params(_read(each))) for each in (text, changed))
    assert {key for key in before if before[key] != after[key]} == {
        "seed",
        "data.sample.seed",
        "finetune_cls.from_random",
    }
    assert (after["seed"], after["data.sample.seed"]) == (77, 5)
    assert "# tokens" in changed
    with pytest.raises(InvalidParamsError, match="seed has a wrong value; got -1"):
        with_changes(text, {"seed": -1})


def _read(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)


# --- curves


@pytest.mark.parametrize(("asked", "numbers"), [("10,all", [10, 0]), (" 300, 30 ", [300, 30]), ("all", [0])])
def test_numbers_of_rows_are_read(asked: str, numbers: list[int]) -> None:
    assert numbers_of_rows(asked) == numbers


@pytest.mark.parametrize("asked", ["", "0", "-3", "1.5", "ten", "10,,30", "10,All"])
def test_other_words_are_refused(asked: str) -> None:
    with pytest.raises(GroundupError, match=r"--rows; got .*allowed: numbers from 1 on, and all") as e:
        numbers_of_rows(asked)
    assert "\n" not in str(e.value)


def test_numbers_beyond_the_rows_are_left_out_and_said() -> None:
    labels, told = ["ham"] * 40 + ["spam"] * 10, []
    assert _points([300, 10, 0, 50, 10], labels, told.append) == [10, 0]
    assert told == ["50 labelled rows are left out: there are 50", "300 labelled rows are left out: there are 50"]
    assert _points([10], labels, told.append) == [10]
    with pytest.raises(GroundupError, match="leaves a class without a row; got 1; allowed: 2 or more"):
        _points([1, 10], labels, told.append)
    with pytest.raises(GroundupError, match="no number of rows is left"):
        _points([300], labels, told.append)


LABELS = ["ham"] * 900 + ["spam"] * 100


@pytest.mark.parametrize("n", [2, 10, 33, 300, 999])
@pytest.mark.parametrize("balance", ["natural", "balanced"])
def test_fewer_rows_make_as_many_steps_by_more_epochs(n: int, balance: str) -> None:
    settings = classifier_settings(batch_size=16, grad_accum_steps=2, epochs=3, class_balance=balance)
    # of all rows: 1000, or 2 * 100 where they are balanced, in steps of 32
    steps = 3 * (32 if balance == "natural" else 7)
    epochs = epochs_for(settings, LABELS, n, seed=1)
    share = max(1, round(n * 0.1))
    per_epoch = -(-(n if balance == "natural" else 2 * share) // 32)
    assert epochs * per_epoch >= steps
    assert (epochs - 1) * per_epoch < steps
    assert epochs_for(settings, LABELS, 0, seed=1) == 3


def test_table_picture_and_page_of_a_curve(tmp_path: Path) -> None:
    def figures(accuracy: float) -> dict[str, float]:
        return {"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01, "f1": accuracy}

    points = [
        Point(
            n,
            figures(0.9 + n / 1e4)
            | {
                "rows": 500,
                "confidence": 0.95,
                "from_random": figures(0.8)
                | {"versus": VERSUS | {"low": 0.01, "mcnemar_p": 0.2 if n == 10 else 0.001}},
                "baselines": {"svm": figures(0.85)},
            },
        )
        for n in (10, 700)
    ]
    write_curves(tmp_path / "curves", points)
    lines = (tmp_path / "curves" / "curves.csv").read_text().splitlines()
    assert lines[0] == "rows,system,accuracy,accuracy_low,accuracy_high,f1"
    assert lines[1] == "10,pretrained,0.901,0.891,0.911,0.901"
    assert len(lines) == 7
    before = (tmp_path / "curves" / "curves.png").read_bytes()
    write_curves(tmp_path / "curves", points)
    assert (tmp_path / "curves" / "curves.png").read_bytes() == before
    page = curves_as_markdown(points)
    assert "| labelled rows | GPT, pretrained | GPT, random weights | n-gram SVM |" in page
    assert cells(points)[1] == ["700", "97.0 % (0.970)", "80.0 % (0.800)", "85.0 % (0.850)"]
    assert "With 10 labelled rows: Pretraining buys +10.1 points" in page
    assert page.count("no difference beyond chance") == 1


# --- copies


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a copy is made of, without the code's bulk."""
    root = tmp_path / "checkout"
    for name, text in {
        "dvc.yaml": "stages: {}\n",
        ".dvcignore": "__pycache__/\n",
        "constraints.txt": "torch==2\n",
        ".dvc/config": "[core]\n    analytics = false\n",
        "src/groundup/one.py": "1\n",
        "src/groundup/__pycache__/one.pyc": "no source\n",
        "stages/two.py": "2\n",
        "data/own/mine.txt": "my text\n",
        "reports/summary.json": "{}\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    return root


def test_a_copy_has_code_pipeline_own_texts_and_its_own_parameters(checkout: Path) -> None:
    copy = ProjectCopy(checkout, checkout / ".groundup" / "seeds" / "seed-7", checkout / ".dvc" / "cache")
    copy.refresh({"seed": 7})
    made = {str(path.relative_to(copy.folder)) for path in copy.folder.rglob("*") if path.is_file()}
    assert made == {
        "dvc.yaml",
        ".dvcignore",
        "constraints.txt",
        ".dvc/config",
        ".dvc/config.local",
        "params.yaml",
        "src/groundup/one.py",
        "stages/two.py",
        "data/own/mine.txt",
    }
    assert read_yaml(copy.folder / "params.yaml")["seed"] == 7
    assert f"dir = {checkout.resolve()}/.dvc/cache" in (copy.folder / ".dvc" / "config.local").read_text()
    assert (copy.folder / "data/own/mine.txt").samefile(checkout / "data/own/mine.txt")
    assert not (copy.folder / "data/own/mine.txt").is_symlink()


def test_a_copy_follows_the_checkout_and_keeps_its_results(checkout: Path) -> None:
    copy = ProjectCopy(checkout, checkout / ".groundup" / "seeds" / "seed-7", checkout / ".dvc" / "cache")
    copy.refresh({"seed": 7})
    (copy.folder / "models").mkdir()
    (copy.folder / "models" / "weights").write_text("made here")
    untouched = (copy.folder / "dvc.yaml").stat().st_mtime_ns
    (checkout / "stages/two.py").rename(checkout / "stages/three.py")
    os.replace(_written(checkout / "new", "my other text\n"), checkout / "data/own/mine.txt")
    _written(checkout / "src/groundup/one.py", "one\n")
    copy.refresh({"seed": 8})
    assert not (copy.folder / "stages/two.py").exists()
    assert (copy.folder / "stages/three.py").read_text() == "2\n"
    assert (copy.folder / "src/groundup/one.py").read_text() == "one\n"
    assert (copy.folder / "data/own/mine.txt").read_text() == "my other text\n"
    assert (copy.folder / "models/weights").read_text() == "made here"
    assert (copy.folder / "dvc.yaml").stat().st_mtime_ns == untouched
    assert read_yaml(copy.folder / "params.yaml")["seed"] == 8


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_copys_environment_has_its_code_and_the_checkouts_store(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for name, value in {"DVC_ROOT": str(checkout), "DVC_STAGE": "x", "GROUNDUP_MIRROR": "m", "PYTHONPATH": "p"}.items():
        monkeypatch.setenv(name, value)
    copy = ProjectCopy(checkout, checkout / "copy", checkout / "cache")
    values = copy.environment()
    assert "DVC_ROOT" not in values
    assert "DVC_STAGE" not in values
    assert values["PYTHONPATH"] == f"{copy.folder / 'src'}:p"
    assert values["MLFLOW_TRACKING_URI"] == f"sqlite:///{checkout.resolve()}/mlflow.db"
    assert values["GROUNDUP_MIRROR"] == str(checkout.resolve() / "m")
    assert values["PATH"].split(":")[0] == str(Path(sys.executable).parent)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (["x\n", "groundup: the disk is full\n", "ERROR: failed to reproduce 'pretrain'\n"], "the disk is full"),
        (["Traceback\n", "ERROR: failed to reproduce 'pretrain'\n", "\n"], "failed to reproduce 'pretrain'"),
        (["Traceback\n", "ValueError: 3\n", "\n"], "ValueError: 3"),
        ([], "it said nothing"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(said: list[str], reason: str) -> None:
    assert _reason(said) == reason


def test_a_second_one_is_refused(checkout: Path) -> None:
    with only_one(checkout), pytest.raises(GroundupError, match="already runs in this folder"), only_one(checkout):
        pass
    with only_one(checkout):
        pass


WORKER = """
import os, signal, sys, time

def stop(number, frame):
    # Not print, which may be at work when the signal comes: "ready" is heard before it returns.
    os.write(1, f"kept {os.getpgrp() == os.getpid()}\\n".encode())
    sys.exit(130)

ignored = signal.signal(signal.SIGINT, stop) == signal.SIG_IGN
print("ready", ignored, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ignored", [False, True], ids=["in front", "behind a shell's &"])
def test_a_signal_lets_the_work_in_a_copy_end_and_is_raised_then(checkout: Path, number: int, ignored: bool) -> None:
    copy = ProjectCopy(checkout, checkout / "copy", checkout / "cache")
    copy.refresh({})
    (copy.folder / "src" / "worker.py").write_text(WORKER)
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line.strip())
        if line.startswith("ready"):
            os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignored else signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(StoppedBySignal) as stopped:
            copy._run(hear, "worker")
        assert signal.getsignal(signal.SIGINT) is (signal.SIG_IGN if ignored else before)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["ready False", "kept True"]
    assert stopped.value.exit_code == 128 + number


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_nothing_goes_on_when_the_command_itself_is_killed(checkout: Path) -> None:
    copy = ProjectCopy(checkout, checkout / "copy", checkout / "cache")
    copy.refresh({})
    (copy.folder / "src" / "worker.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    runs_it = (
        "from pathlib import Path; from groundup.repeats.project_copy import ProjectCopy\n"
        f"copy = ProjectCopy(Path({str(checkout)!r}), Path({str(copy.folder)!r}), Path('cache'))\n"
        "copy._run(lambda line: print(line, end='', flush=True), 'worker')"
    )
    command = subprocess.Popen([sys.executable, "-c", runs_it], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert command.stdout is not None
    with command:
        worker = int(command.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        command.kill()
    for _ in range(600):
        stat = Path(f"/proc/{worker}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("it went on")


def test_a_signal_between_two_commands_starts_no_second(checkout: Path) -> None:
    copy = ProjectCopy(checkout, checkout / "copy", checkout / "cache")
    copy.refresh({})
    (copy.folder / "src" / "worker.py").write_text("print('done')")
    with pytest.raises(StoppedBySignal):
        copy._run(lambda line: os.kill(os.getpid(), signal.SIGTERM), "worker")


def test_texts_that_are_not_generated_cannot_be_made_anew(checkout: Path) -> None:
    text = (checkout / "params.yaml").read_text()
    changes = {"data.corpus": ["the-verdict"], "data.messages": "sms-spam", "data.instructions": "instruction-data"}
    (checkout / "params.yaml").write_text(with_changes(text, changes))
    with pytest.raises(GroundupError, match="--data-seeds makes generated texts anew, and this run has none"):
        run_seeds(checkout, 2, True, lambda line: None)
    assert not (checkout / ".groundup").exists()
