"""What a person sees: mistakes in one line with exit code 1, and a bar only for what comes over the network."""

import pytest

from groundup.console import LINE_WIDTH, download_progress, make_console, said_in_one_line
from groundup.errors import GroundupError, InvalidParamsError


def said(capsys, error):
    """Exit code, standard output and standard error of a block that raises."""
    with pytest.raises(SystemExit) as caught, said_in_one_line():
        raise error
    shown = capsys.readouterr()
    assert shown.out == ""
    return caught.value.code, shown.err


def test_a_mistake_is_one_line_on_standard_error_and_exit_code_1(capsys):
    assert said(capsys, GroundupError("no such file", do="make it")) == (
        1,
        "groundup: no such file; to mend it: make it\n",
    )


def test_each_wrong_parameter_has_its_own_line(capsys):
    error = InvalidParamsError([GroundupError("seed is missing"), GroundupError("model.bias is missing")])
    assert said(capsys, error) == (1, "groundup: seed is missing\ngroundup: model.bias is missing\n")


def test_a_long_line_is_not_wrapped(capsys):
    code, err = said(capsys, GroundupError("word " * 100))
    assert code == 1
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(28, "No space left on device", "data/raw"),
            "groundup: data/raw: No space left on device; to mend it: make room on the disk, then run `dvc repro`, "
            "which goes on from what is whole\n",
        ),
        (
            PermissionError(13, "Permission denied", "a.txt"),
            "groundup: a.txt: Permission denied; to mend it: give yourself the right, for example `chmod -R u+rwX .`\n",
        ),
        (OSError(5, "Input/output error", "a.txt"), "groundup: a.txt: Input/output error\n"),
        (OSError("odd"), "groundup: a file: odd\n"),
    ],
)
def test_what_the_system_refuses_is_one_line_too(capsys, error, line):
    assert said(capsys, error) == (1, line)


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("a bug"), AssertionError("a bug")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)), said_in_one_line():
        raise error


def test_nothing_is_said_when_nothing_is_wrong(capsys):
    with said_in_one_line():
        result = 1
    assert result == 1
    assert capsys.readouterr() == ("", "")


def test_the_console_writes_to_standard_error_in_a_fixed_width(capsys):
    console = make_console()
    assert console.width == LINE_WIDTH
    console.print("shown")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "shown" in shown.err


def test_a_transfer_shows_its_name_and_leaves_standard_output_alone(capsys):
    with download_progress() as progress:
        update = progress("tale [odd]")
        update(10, 100)
        update(100, 100)
    assert capsys.readouterr().out == ""


def test_names_that_look_like_markup_do_not_break_the_bar(capsys):
    with download_progress() as progress:
        progress("[/b] name")(1, 2)
    assert capsys.readouterr().out == ""


def test_a_file_without_a_transfer_shows_no_bar(capsys):
    with download_progress() as progress:
        progress("from-a-mirror")
    assert "from-a-mirror" not in capsys.readouterr().err
