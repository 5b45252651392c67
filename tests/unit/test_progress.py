"""A training as lines in a log and as a bar in a terminal."""

import io

import pytest
from rich.console import Console

from groundup.train import progress
from groundup.train.loop import Outcome, TrainRow
from groundup.train.progress import TrainingProgress


def told(view: TrainingProgress, outcome: Outcome, sample: str = "To be") -> None:
    view.started(20)
    view.logged(TrainRow(step=10, tokens=640, loss_nats=3.25, learning_rate=0.01, grad_norm=1.0), 12345.6)
    view.validated({"step": 10, "tokens": 640, "loss_nats": 3.125, "accuracy": 0.75})
    view.sampled(10, sample)
    view.ended(outcome)


def test_without_a_terminal_each_validation_and_sample_is_a_line_on_standard_error(capsys):
    told(TrainingProgress("pretrain"), Outcome(steps=20, best_step=10, best_loss_nats=3.125))
    out, err = capsys.readouterr()
    assert out == ""  # left to results
    assert err.splitlines() == [
        "pretrain step 10  validation loss_nats 3.1250  accuracy 0.7500  12,346 tokens/s",
        "    sample: To be",
        "pretrain done, best step 10 (validation loss 3.1250 nats)",
    ]


def test_an_early_stop_is_told(capsys):
    told(TrainingProgress("pretrain"), Outcome(steps=15, best_step=10, best_loss_nats=3.125, stopped_early=True))
    assert capsys.readouterr().err.splitlines()[-1] == (
        "pretrain stopped early, no better since step 10 (validation loss 3.1250 nats)"
    )


@pytest.mark.parametrize("text", ["[bold]loud[/bold]", "[/]", "[red", "a [link=x]b"])
def test_a_sample_is_shown_as_it_is_even_if_it_looks_like_markup(capsys, text):
    told(TrainingProgress("pretrain"), Outcome(best_step=10, best_loss_nats=3.0), sample=text)
    assert f"    sample: {text}" in capsys.readouterr().err.splitlines()


def test_a_long_sample_with_line_breaks_stays_one_line(capsys):
    told(TrainingProgress("pretrain"), Outcome(best_step=10, best_loss_nats=3.0), sample="To be\nor not " * 40)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "To be ⏎ or not" in lines[1]
    assert lines[1].endswith("…")


def test_a_terminal_shows_a_bar_with_loss_and_speed_that_is_gone_at_the_end(monkeypatch):
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=160, highlight=False, color_system=None)
    monkeypatch.setattr(progress, "make_console", lambda: console)
    with TrainingProgress("pretrain") as view:
        view.started(20)
        assert view.bar.live.is_started
        _see_a_training(view, terminal)
    assert not view.bar.live.is_started


def _see_a_training(view: TrainingProgress, terminal: io.StringIO) -> None:
    view.logged(TrainRow(step=10, tokens=640, loss_nats=3.25, learning_rate=0.01, grad_norm=1.0), 12345.6)
    view.bar.refresh()
    shown = terminal.getvalue()
    assert "pretrain" in shown
    assert "10/20" in shown
    assert "loss 3.250" in shown
    assert "12,346 tokens/s" in shown
    view.ended(Outcome(steps=20, best_step=10, best_loss_nats=3.125))
    assert "done, best step 10" in terminal.getvalue()
