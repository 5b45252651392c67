"""The page: it stands alone, it can be read by everybody, and it says nothing but what the files say."""

import copy
import csv
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from report_pages import (
    FULL_SUMMARY,
    HOSTILE,
    ROOT,
    SMALL_SUMMARY,
    page,
    settings,
    write_full,
    write_many,
    write_small,
)

from groundup.errors import GroundupError
from groundup.report.charts import (
    MOST_POINTS,
    Axis,
    Series,
    attention_overview,
    line_chart,
    short_number,
    thinned,
)
from groundup.report.html import (
    all_figures,
    attention_part,
    coloured,
    pinned_versions,
    sources,
    story_parts,
)
from groundup.report.html_verdicts import verdicts

FORTY = [f"class {n}" for n in range(40)]
KINDS: dict[str, Callable[[Path], Path]] = {
    "small": write_small,
    "full": write_full,
    "three classes": lambda reports: write_many(reports, ["bill", HOSTILE, "praise"]),
    "forty classes": lambda reports: write_many(reports, FORTY),
}
VOID = {"meta", "link", "br", "img", "input", "hr", "circle", "path", "rect"}


class Read(HTMLParser):
    """A page as a tree flattened: tags with their attributes in order, and the text in each."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.wrong: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))

    def named(self, *tags: str) -> list[tuple[str, dict[str, str | None]]]:
        return [(tag, attributes) for tag, attributes in self.tags if tag in tags]

    def text(self) -> str:
        return "".join(data for place, data in self.texts if "style" not in place)


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(KINDS[request.param](tmp_path_factory.mktemp("made") / "reports"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_full(tmp_path_factory.mktemp("full") / "reports")


def test_the_page_stands_alone(made: str) -> None:
    read = Read(made)
    assert len(made.encode()) < 3_000_000
    assert "://" not in made
    assert not read.named("script", "iframe", "object", "embed", "img", "base", "form")
    assert [attributes["href"] for _, attributes in read.named("link")] == ["data:,"]
    assert not re.search(r"url\(|@import|@font-face", made)
    for _, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "action")]
    assert all((attributes["href"] or "").startswith("#") for _, attributes in read.named("a"))


def test_the_page_is_whole(made: str) -> None:
    read = Read(made)
    assert read.wrong == []
    assert read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(attributes["href"] or "")[1:] for _, attributes in read.named("a")}
    targets |= {attributes["aria-labelledby"] or "" for _, attributes in read.tags if "aria-labelledby" in attributes}
    assert targets <= set(ids)


def test_everybody_can_read_it(made: str) -> None:
    read = Read(made)
    assert read.named("html")[0][1]["lang"] == "en"
    assert "width=device-width" in (read.named("meta")[1][1]["content"] or "")
    levels = [int(tag[1]) for tag, _ in read.named("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    pictures = read.named("svg")
    for _, attributes in pictures:
        said = attributes.get("role") == "img" and len(attributes.get("aria-label") or "") > 20
        assert said or attributes.get("aria-hidden") == "true"
    assert len(read.named("table")) == len(read.named("caption"))
    assert all(attributes.get("scope") in ("col", "row") for _, attributes in read.named("th"))
    assert made.index('class="skip"') < made.index("<header")


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.1, contrast ratio."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_words_stand_out_from_what_is_behind_them_in_light_and_dark(full: Path) -> None:
    style = page(full).split("<style>")[1].split("</style>")[0]
    schemes = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    assert len(schemes) == 3  # light, dark, paper
    for scheme in schemes:
        colours = {
            name: "#" + "".join(2 * digit for digit in value[1:]) if len(value) == 4 else value
            for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]+)", scheme)
        }
        for ink in ("ink", "soft", "own", "good", "bad", "bound"):
            for ground in ("paper", "panel"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, scheme[:60])
        # The deepest shades that words stand on: of the confusion's squares and of a surprising token.
        for tint, share in (("own-rgb", 0.4), ("warm-rgb", 0.56)):
            (found,) = re.findall(rf"--{tint}: (\d+) (\d+) (\d+)", scheme)
            numbers = [int(n) for n in found]
            paper = [int(colours["paper"][at : at + 2], 16) for at in (1, 3, 5)]
            mixed = [round(share * n + (1 - share) * p) for n, p in zip(numbers, paper, strict=True)]
            assert contrast(colours["ink"], "#{:02x}{:02x}{:02x}".format(*mixed)) >= 4.5, (tint, scheme[:60])


def test_a_hostile_text_is_only_ever_text(full: Path, tmp_path: Path) -> None:
    html = page(full)
    assert "<script" not in html
    assert "<img" not in html
    summary = json.loads(json.dumps(FULL_SUMMARY).replace(json.dumps(HOSTILE)[1:-1], "kind"))
    plain = page(write_full(tmp_path / "plain", summary, "plain"))
    assert [tag for tag, _ in Read(html).tags] == [tag for tag, _ in Read(plain).tags]
    shown = Read(html).text().count("document.title='hostile'")
    assert shown >= 30
    assert "東京 {{ 7 * 7 }}" in Read(html).text()
    assert "東京 49" not in Read(html).text()


def test_a_setting_of_the_users_own_is_text_too(full: Path) -> None:
    html = page(full, **{"data.corpus": [HOSTILE], "pretrain.init": HOSTILE})
    assert "<script" not in html
    assert "a file of the user" in html


def test_the_same_files_give_the_same_bytes_wherever_they_lie(full: Path, tmp_path: Path) -> None:
    again = write_full(tmp_path / "else" / "where")
    assert page(full) == page(again)
    assert str(tmp_path) not in page(again)


def leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


@pytest.mark.parametrize("keys", [keys for keys in leaves(FULL_SUMMARY) if "confusion" not in keys], ids=".".join)
def test_no_figure_is_hard_coded(keys: tuple[str, ...], full: Path, tmp_path: Path) -> None:
    """Beside the list of all figures, in which each stands."""
    changed = copy.deepcopy(FULL_SUMMARY)
    inner = changed
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] += 7

    def without_the_list(html: str) -> str:
        return html.split("<summary>Every figure of the summary")[0]

    for folder, summary in (("was", FULL_SUMMARY), ("is", changed)):
        write_full(tmp_path / folder, summary)
    was, now = page(tmp_path / "was"), page(tmp_path / "is")
    assert was != now
    # That random weights were asked as often stands in the list alone; the confidence is told from the settings.
    hidden = ("from_random" in keys and keys[-1] == "rows") or keys[-1] == "confidence"
    assert (without_the_list(was) != without_the_list(now)) != hidden


NUMBER = re.compile(
    r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=\N{NARROW NO-BREAK SPACE}%|\b)(\N{NARROW NO-BREAK SPACE}%)?"
)


def numbers_in_files(reports: Path) -> set[float]:
    """All numbers that a page could show, and how many texts of a kind there are."""
    found: set[float] = set()

    def take(value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                take(inner)
        elif isinstance(value, list):
            for inner in value:
                take(inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.add(float(value))

    for path in reports.rglob("*.json"):
        take(json.loads(path.read_text(encoding="utf-8")))
    for path in reports.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            found |= {float(each) for each in row.values() if re.fullmatch(r"-?[\d.]+(e-?\d+)?", each or "")}
        if path.name == "confusion.csv":
            found |= {float(n) for n in Counter((row["is"], row["called"]) for row in rows).values()} | {0.0}
    take(settings())
    return found


def test_every_number_of_the_tables_and_verdicts_stands_in_a_file(tmp_path: Path) -> None:
    reports = write_full(tmp_path / "reports", text="plain")
    known = numbers_in_files(reports) | {8.0}  # bits of a byte
    # In sentences stand differences of two figures, and shares of one in another.
    derived = {
        round(100 * abs(value), places)
        for a in known
        for b in known
        for value in (a - b, 1 - a / b if b else 0.0)
        for places in (0, 1)
    }
    checked = 0
    read = Read(page(reports))
    for place, data in read.texts:
        if not {"td", "article"} & set(place) or "pre" in place:
            continue
        for match in NUMBER.finditer(data.replace(",", "")):
            text, is_percent = match.group(0).split("\N{NARROW NO-BREAK SPACE}")[0], match.group(1)
            places = len(text.partition(".")[2])
            value, unit = float(text), (100 if is_percent else 1)
            fits = any(math.isclose(round(unit * each, places), value, abs_tol=1e-9) for each in known)
            assert fits or ("p" in place and value in derived), (data, text)
            checked += 1
    assert checked > 150


def test_what_a_run_has_not_is_left_out(tmp_path: Path) -> None:
    text = Read(page(write_small(tmp_path / "small"))).text()
    for absent in ("floor", "Written from nothing", "from random", "best possible", "Looking inside", "None", "nan"):
        assert absent not in text.split("Glossary")[-2] + text.split("Baseline, floor")[0]
    assert "What the curves and figures say" not in text
    full = Read(page(write_full(tmp_path / "full"))).text()
    for present in (
        "floor",
        "Written from nothing",
        "from random",
        "best possible",
        "Looking inside",
        "pretrain.max_steps",
    ):
        assert present in full


@pytest.mark.parametrize("missing", ["summary.json", "split/metrics.json"])
def test_an_unfinished_pipeline_has_no_page(missing: str, tmp_path: Path) -> None:
    reports = write_small(tmp_path)
    (reports / missing).unlink()
    with pytest.raises(GroundupError, match=f"{missing}: no such file"):
        page(reports)


def test_every_part_names_its_files(full: Path) -> None:
    """And all of them are there, or stand in git."""
    html = page(full)
    named = set(re.findall(r"<code>((?:reports|src|params|constraints)[\w./]*)</code>", html))
    made = {str(Path("reports") / path.relative_to(full)) for path in full.rglob("*") if path.is_file()}
    outside = {name for name in named if not name.startswith("reports/")}
    assert named - outside <= made
    assert all((ROOT / name).exists() for name in outside)
    used = made - {f"reports/{stage}/metrics.json" for stage in ("finetune_cls", "finetune_instruct")}
    assert used <= named
    sections = html.split("<section")[1:]
    assert [section[:40] for section in sections if 'class="source"' not in section] == [
        ' id="glossary" aria-labelledby="glossary-h'[:40]
    ]


def test_warnings_come_first(full: Path) -> None:
    html = page(full)
    assert html.index("It was still improving.") < html.index('<span class="level">Good')


# --- verdicts


def test_each_model_has_a_verdict_beside_what_it_is_compared_with() -> None:
    language, classifier, instruct = verdicts(FULL_SUMMARY)
    assert [mark.kind for mark in language.marks] == ["own", "other", "other", "bound"]
    assert language.interval == "1.912 to 2.046"
    assert "20.1" in language.sentence
    assert "15\N{NARROW NO-BREAK SPACE}% fewer than the best simple way" in language.sentence
    assert [mark.name for mark in classifier.marks] == [
        "this model",
        "majority class",
        "TF-IDF + logistic regression",
        "best possible",
    ]
    assert "8.9 points less often right: a difference that may be chance" in classifier.sentence
    assert [mark.value for mark in instruct.marks] == [0.1234, 0.0517]
    for verdict in (language, classifier, instruct):
        assert all(verdict.low <= mark.value <= verdict.high for mark in verdict.marks)


def test_a_model_that_a_baseline_beats_is_not_praised() -> None:
    summary = copy.deepcopy(SMALL_SUMMARY)
    summary["classifier"]["baselines"]["tfidf_logreg"]["accuracy"] = 0.9512
    summary["language_model"]["baselines"] = {"xz": {"bits_per_byte": 1.5}}
    language, classifier, _ = verdicts(summary)
    assert classifier.sentence.endswith("is 13.9 points more often right.")
    assert "33\N{NARROW NO-BREAK SPACE}% more than the best simple way, xz" in language.sentence


def test_a_difference_inside_the_noise_is_called_that_where_the_two_were_compared() -> None:
    """Also where the other's accuracy lies outside of this one's interval."""
    summary = copy.deepcopy(SMALL_SUMMARY)
    row = summary["classifier"]["baselines"]["tfidf_logreg"]
    row["accuracy"] = 0.6999
    sentences = []
    for low, p_value in ((0.01, 0.001), (-0.01, 0.001), (0.01, 0.2)):
        row["versus"] = {"accuracy_difference": 0.1126, "low": low, "high": 0.2, "mcnemar_p": p_value}
        _, classifier, _ = verdicts(summary)
        sentences.append("may be chance" in classifier.sentence)
    assert sentences == [False, True, True]


# --- parts


def test_a_story_is_cut_where_the_rules_end() -> None:
    story = {"text": "Ben had two hats and ate them.", "broke_at": "two hats ▶and ate"}
    part = story_parts(story)
    assert (part["kept"], part["broken"], part["rest"]) == ("Ben had two hats ", "and ate them.", "")
    assert "".join(part[key] for key in ("kept", "broken", "rest")) == story["text"]
    whole = story_parts({"text": "Fine.", "broke_at": ""})
    assert (whole["kept"], whole["rest"], whole["broke"]) == ("Fine.", "", False)
    assert not story_parts({"text": "Fine."})["broke"]


@pytest.mark.parametrize(("loss", "level"), [(0.0, 0), (0.69, 0), (0.70, 1), (1.7, 2), (3.5, 3), (4.7, 4), (90.0, 4)])
def test_a_token_is_coloured_by_the_chance_it_was_given(loss: float, level: int) -> None:
    assert coloured({"token": "x", "loss_nats": loss})["level"] == level


def test_the_large_attention_maps_are_the_heads_that_do_what_is_said_of_them() -> None:
    at_start = [[1.0], [0.9, 0.1], [0.9, 0.05, 0.05], [0.9, 0.03, 0.03, 0.04]]
    before = [[1.0], [0.9, 0.1], [0.1, 0.8, 0.1], [0.1, 0.0, 0.8, 0.1]]
    back = [[1.0], [0.9, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.0, 0.1]]
    part = attention_part({"tokens": ["‹start›", "a", " b", " c"], "weights": [[at_start, before], [back, at_start]]})
    assert [map["name"] for map in part["large"]] == ["layer 1, head 2", "layer 2, head 1"]
    assert part["sentence"] == "a b c"
    assert not part["mean"]
    one = attention_part({"tokens": ["‹start›"], "weights": [[[[1.0]]]]})
    assert len(one["large"]) == 1


def test_of_very_many_heads_the_means_are_shown() -> None:
    head = [[1.0], [0.25, 0.75]]
    part = attention_part({"tokens": ["‹start›", "a"], "weights": [[head] * 10] * 6})
    assert part["mean"]
    assert part["overview"].count("<g ") == 6


def test_licences_are_the_catalogs() -> None:
    found = sources({"data.corpus": ["tinyshakespeare", "data/own/mine.txt"], "data.messages": "sms-spam"})
    assert [(row["name"], row["licence"]) for row in found] == [
        ("tinyshakespeare", "public domain"),
        ("data/own/mine.txt", "your own"),
        ("sms-spam", "CC BY 4.0"),
    ]


def test_the_pinned_versions_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "constraints.txt"
    path.write_text("# a comment of torch==0\ntorch==2.13.0 ; python_version > '3'\nother==1\nnumpy==2.1\n")
    assert pinned_versions(path) == [("torch", "2.13.0"), ("numpy", "2.1")]
    assert pinned_versions(tmp_path / "none") == []
    assert len(pinned_versions(ROOT / "constraints.txt")) >= 8


def test_the_list_of_figures_has_all_but_those_of_classes() -> None:
    figures = dict(all_figures(FULL_SUMMARY))
    assert figures["classifier.baselines.tfidf_logreg.accuracy"] == "0.7239"
    assert not [key for key in figures if "confusion" in key]


# --- charts


def test_many_points_are_thinned_and_no_spike_is_lost() -> None:
    points = [(float(x), 1.0 + 5 * (x == 777) - 0.5 * (x == 1234)) for x in range(5000)]
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert {(777.0, 6.0), (1234.0, 0.5), points[0], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert thinned(points[:50]) == points[:50]


@pytest.mark.parametrize(
    ("points", "log"),
    [
        ([], False),
        ([(1.0, 2.0)], False),
        ([(1.0, 2.0)], True),
        ([(0.0, 0.0), (5.0, 0.0)], True),
        ([(0.0, -3.0), (5.0, 7.0)], True),
        ([(1.0, 1e-9), (2.0, 1e9)], True),
        ([(1.0, math.inf), (2.0, 3.0), (3.0, math.nan)], False),
        ([(1.0, 5.0), (2.0, 5.0)], True),
    ],
)
def test_a_chart_can_be_drawn_of_any_points(points: list[tuple[float, float]], log: bool) -> None:
    chart = line_chart([Series("a", points, "s0", dots=True)], Axis("x"), Axis("y", log=log), "What is seen.")
    assert not re.search(r"nan|inf", chart)
    places = [float(each) for each in re.findall(r'c[xy]="([\d.-]+)"', chart)]
    assert all(0 <= each <= 420 for each in places)
    assert len(places) == 2 * sum(math.isfinite(y) for _, y in points)


def test_a_chart_draws_what_it_is_given() -> None:
    chart = line_chart([Series("a", [(0.0, 0.0), (1.0, 1.0)], "s1")], Axis("x", 0, 1), Axis("y", 0, 1), "<said>")
    start, end = re.search(r'class="curve s1" d="M([\d. ]+)L([\d. ]+)"', chart).groups()  # type: ignore[union-attr]
    (x0, y0), (x1, y1) = (map(float, each.split()) for each in (start, end))
    assert x0 < x1
    assert y0 > y1  # up is less in a picture
    assert "&lt;said&gt;" in chart
    assert "<said>" not in chart


def test_the_shades_of_the_small_maps_follow_the_weights() -> None:
    chart = attention_overview([[[[1.0], [0.0, 1.0]]]], "head", [], "What is seen.")
    assert re.findall(r'fill-opacity="([\d.]+)" d="([^"]+)"', chart) == [("1", "M0 0h1v1h-1zM1 1h1v1h-1z")]


@pytest.mark.parametrize(("value", "said"), [(0.001, "0.001"), (2500, "2500"), (25000, "25k"), (1.5e6, "1.5M")])
def test_axis_numbers_are_short(value: float, said: str) -> None:
    assert short_number(value) == said


def test_the_confusion_of_many_classes_lists_the_pairs_taken_for_each_other(tmp_path: Path) -> None:
    html = page(write_many(tmp_path / "many", FORTY))
    assert "most often taken for each other" in html
    few = page(write_many(tmp_path / "few", ["a", "b", "c"]))
    assert 'class="confusion"' in few


def test_the_positive_class_is_the_one_the_settings_name_though_its_name_comes_first(tmp_path: Path) -> None:
    html = page(write_full(tmp_path, text="plain"), **{"finetune_cls.positive_label": "ham"})
    assert "is to find “ham”" in Read(html).text()
    headings = re.findall(r'<th scope="col" class="n">(\w+)</th>', html.split('class="confusion"')[1])
    assert headings[:2] == ["spam", "ham"]


def test_a_summary_with_keys_that_nobody_has_heard_of_is_shown_in_the_list(tmp_path: Path) -> None:
    summary = copy.deepcopy(SMALL_SUMMARY)
    summary["language_model"]["something_new"] = {"deep": 0.125, "none": None}
    html = page(write_small(tmp_path / "r", summary))
    assert "language_model.something_new.deep" in html
