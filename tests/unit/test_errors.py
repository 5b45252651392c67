"""Messages of the error family: one line each, with what was wrong, what was got, what is allowed, what to do."""

from groundup.errors import GroundupError, InvalidParamsError, shorten


def test_a_message_says_what_was_wrong_got_allowed_and_what_to_do():
    error = GroundupError("data.corpus: no such file", got="a.txt", allowed="a path", do="change data.corpus")
    assert str(error) == ("data.corpus: no such file; got a.txt; allowed: a path; to mend it: change data.corpus")


def test_parts_that_were_not_given_are_left_out():
    assert str(GroundupError("it broke")) == "it broke"
    assert str(GroundupError("it broke", do="mend it")) == "it broke; to mend it: mend it"


def test_a_falsy_value_that_was_got_is_still_shown():
    assert str(GroundupError("too few", got=0)) == "too few; got 0"
    assert str(GroundupError("no switch", got=False)) == "no switch; got False"


def test_line_breaks_in_any_part_do_not_break_the_message_into_lines():
    error = GroundupError("first\nsecond", got="a\r\nb\tc", allowed="x\n\ny", do="one\ntwo")
    assert str(error) == "first second; got a b c; allowed: x y; to mend it: one two"


def test_a_long_value_is_cut_and_marked_as_cut():
    text = str(GroundupError("too long", got="z" * 500))
    assert text.endswith("z…")
    assert len(text) == len("too long; got ") + 80


def test_a_value_at_the_limit_is_not_cut():
    assert shorten("z" * 80) == "z" * 80
    assert shorten("z" * 81) == "z" * 79 + "…"
    assert shorten("abcdef", limit=4) == "abc…"


def test_values_that_are_no_text_are_shown_as_they_would_be_typed():
    assert shorten(["a", 1]) == "['a', 1]"
    assert shorten("a") == "a"
    assert shorten(None) == "None"


def test_invalid_params_show_one_line_for_each_problem():
    problems = [GroundupError("seed is missing"), GroundupError("model.bias is\nwrong", got=3)]
    error = InvalidParamsError(problems)
    assert str(error).split("\n") == ["seed is missing", "model.bias is wrong; got 3"]
    assert error.problems == problems
    assert isinstance(error, GroundupError)
