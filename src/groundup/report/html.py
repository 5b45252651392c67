"""The report as one page: made from the files under `reports/` alone, so that each number in it can be traced.

The page needs no network and no script. Nothing in it tells when or where it was made: the same files give the same
bytes.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from groundup.data.catalog import CATALOG, GENERATED
from groundup.errors import shorten
from groundup.evaluation.glimpse import FROM_CORPUS, FROM_INSTRUCTIONS, FROM_MESSAGES, GLIMPSE_FILE
from groundup.evaluation.marks import BREAK_MARK
from groundup.files import read_json
from groundup.report.charts import Axis, Series, attention_map, attention_overview, line_chart
from groundup.report.html_classifier import classifier_part
from groundup.report.html_common import (
    NARROW,
    Figures,
    Files,
    baselines_with,
    count,
    digits,
    interval,
    loss_chart,
    percent,
    pretty,
)
from groundup.report.html_verdicts import remarks, verdicts
from groundup.report.say import of_every_kind
from groundup.report.tables import METRICS_FILE

PINNED = Path("constraints.txt")
# Of the pinned packages those that figures depend on; the rest is in the file.
PINNED_SHOWN = ("dvc", "matplotlib", "mlflow", "numpy", "pandas", "safetensors", "scikit-learn", "tiktoken", "torch")

SHOWN_STORIES, SHOWN_ANSWERS = 4, 6
SHOWN_BREAK = 12  # characters that are marked where a story breaks a rule, and the rest of the word
MOST_MAPS = 48  # small attention maps; of more heads, the mean of each layer
# How likely the model thought a token that came, from the least surprise to the most.
CHANCES = (
    (0.5, "over 50 %"),
    (0.2, "20 to 50 %"),
    (0.05, "5 to 20 %"),
    (0.01, "1 to 5 %"),
    (0.0, "under 1 %"),
)
ALL_FIGURES_LEAVE_OUT = ("confusion", "per_class")  # of many classes they are thousands, and stand in tables


def render_html(reports: Path, folder: Path, settings: Mapping[str, Any], pinned: Path = PINNED) -> str:
    """The whole report as one HTML page.

    Args:
        reports, folder: what all stages, and the evaluation, have written.
        settings: the values of `params.yaml` under dotted keys.
        pinned: the file of the versions that are installed.
    Raises: GroundupError if a file that every run has is missing or damaged.
    """
    files = Files(reports, folder)
    summary = read_json(reports / "summary.json")
    split = read_json(reports / "split" / METRICS_FILE)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("groundup.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": percent, "count": count, "digits": digits, "pretty": pretty}
    environment.globals |= {"break_mark": BREAK_MARK}
    return environment.get_template("report.html.jinja").render(
        style=Markup(environment.get_template("report.css.jinja").render()),
        run=run_facts(files, settings),
        verdicts=list(verdicts(summary)),
        remarks=remarks(files),
        summary=summary,
        split=split,
        language=language_part(files, summary["language_model"]),
        classifier=classifier_part(files, summary["classifier"], split, settings),
        instruct=instruct_part(files, summary["instruct"]),
        glimpse=glimpse_part(files),
        data=data_part(files, split, settings),
        settings=settings,
        pinned=pinned_versions(pinned),
        figures=list(all_figures(summary)),
    )


# --- what was run


def run_facts(files: Files, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the first paragraph says."""
    pretrain = files.metrics("pretrain")
    return {
        "parameters": pretrain.get("parameters"),
        "steps": pretrain.get("steps"),
        "tokens": pretrain.get("tokens"),
        "tuned": {name: figures for name in ("finetune_cls", "finetune_instruct") if (figures := files.metrics(name))},
        "seed": settings.get("seed"),
    }


# --- the language model


def language_part(files: Files, figures: Figures) -> dict[str, Any]:
    detail = files.json(files.folder / "language_detail.json", {})
    others = baselines_with(figures, "bits_per_byte")
    rows = [("this model", "own", figures["bits_per_byte"], interval(figures, "bits_per_byte", digits))]
    rows += [
        (name, "other", row["bits_per_byte"], interval(row, "bits_per_byte", digits)) for name, row in others.items()
    ]
    if "floor_bits_per_byte" in figures:
        rows.append(("floor: who knows every rule", "bound", figures["floor_bits_per_byte"], ""))
    rows.append(("plain bytes", "other", 8.0, ""))
    stories = files.samples("stories.json")
    keeps = [row for row in stories if row.get("keeps_rules") is True]
    breaks = [row for row in stories if row.get("keeps_rules") is False]
    shown = of_every_kind(keeps, SHOWN_STORIES // 2) + of_every_kind(breaks, SHOWN_STORIES // 2)
    return {
        "figures": figures,
        "compared": sorted(rows, key=lambda row: row[2]),
        "ranges": any(likely for *_, likely in rows),
        "losses": loss_chart(files, "pretrain"),
        "by_position": detail_chart(detail.get("by_position"), "place in the context (tokens)", "position"),
        "by_frequency": detail_chart(detail.get("by_frequency"), "times seen in training", "frequency"),
        "prompts": by_prompt(files.samples("language_model_samples.json")),
        "stories": [story_parts(row) for row in (shown or stories[:SHOWN_STORIES])],
        "n_stories": len(stories),
    }


def detail_chart(rows: Sequence[Figures] | None, label: str, by: str) -> Markup | None:
    """Loss by where a token stands, or by how often it was seen; each point is the middle of its stretch."""
    points = [
        (math.sqrt(max(row["from"], 0.5) * max(row["to"], 0.5)), row["loss_nats"])
        for row in rows or ()
        if row.get("tokens") and row.get("loss_nats") is not None
    ]
    if len(points) < 2:
        return None
    said = f"Loss by {by}: {points[0][1]:.3g} nats at {points[0][0]:.3g}, {points[-1][1]:.3g} at {points[-1][0]:.3g}."
    return line_chart([Series("test", points, "s0", dots=True)], Axis(label, log=True), Axis("nats per token"), said)


def by_prompt(samples: Sequence[Figures]) -> list[dict[str, Any]]:
    """The continuations of each prompt beside each other."""
    found: dict[str, list[Figures]] = {}
    for row in samples:
        found.setdefault(row["prompt"], []).append(row)
    return [{"prompt": prompt, "written": rows} for prompt, rows in found.items()]


def story_parts(story: Figures) -> dict[str, Any]:
    """A story, cut where the rules could follow it no further."""
    before, found, after = story.get("broke_at", "").partition(BREAK_MARK)
    text = story["text"]
    at = text.find(before + after) if found else -1
    cut = at + len(before) if at >= 0 else len(text)
    end = text.find(" ", cut + SHOWN_BREAK)
    end = len(text) if end < 0 else end
    return {"kept": text[:cut], "broken": text[cut:end], "rest": text[end:], "broke": at >= 0, "story": story}


# --- the instruction follower

ANSWER_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("exact match", "exact_match", percent),
    ("exact match on facts", "facts_exact_match", percent),
    ("token F1", "token_f1", digits),
    ("ROUGE-L", "rouge_l", digits),
    ("ended by itself", "ended", percent),
    ("repeats itself", "repeats", percent),
    ("words for each that was wanted, mean", "length_ratio_mean", digits),
    ("wrong, and by heart from the training", "memorised", percent),
    ("loss of the right answers (nats per token)", "response_loss_nats", digits),
)


def instruct_part(files: Files, figures: Figures) -> dict[str, Any]:
    other = figures.get("from_random", {})
    samples = files.samples("instruct_samples.json")
    right = [row for row in samples if row["exact_match"]]
    wrong = [row for row in samples if not row["exact_match"]]
    kinds = figures.get("by_kind", {})
    return {
        "figures": figures,
        "compared": bool(other),
        "rows": [
            {
                "name": words,
                "value": written(figures[key]),
                "interval": interval(figures, key, written),
                "other": written(other[key]) if key in other else "",
            }
            for words, key, written in ANSWER_FIGURES
            if isinstance(figures.get(key), float | int)
        ],
        "versus": other.get("versus", {}),
        "parts": [
            (words, figures[key])
            for words, key in (
                ("with one right answer", "checkable"),
                ("whose answer no training row has", "new_answers"),
            )
            if figures.get(key, {}).get("rows")
        ],
        "kinds": [
            {
                "name": name,
                "interval": interval(row, "exact_match", lambda value: percent(value, 0)),
                "rows": row["rows"],
                "exact_match": row["exact_match"],
                "other": other.get("by_kind", {}).get(name, {}).get("exact_match"),
            }
            for name, row in sorted(kinds.items(), key=lambda each: (-each[1]["exact_match"], each[0]))
        ],
        "losses": loss_chart(files, "finetune_instruct"),
        "right": of_every_kind(right, SHOWN_ANSWERS),
        "wrong": of_every_kind(wrong, SHOWN_ANSWERS),
    }


# --- looking inside


def glimpse_part(files: Files) -> dict[str, Any]:
    found = files.json(files.folder / GLIMPSE_FILE, {})
    origins = {
        FROM_CORPUS: "the beginning of a test document",
        FROM_MESSAGES: "a test message",
        FROM_INSTRUCTIONS: "a test instruction",
    }
    return {
        "three": [row | {"origin": origins.get(row["from"], row["from"])} for row in found.get("three", [])],
        "pieces": [coloured(row) for row in found.get("loss", [])],
        "legend": [(level, words) for level, (_, words) in enumerate(CHANCES)],
        "attention": attention_part(found["attention"]) if found.get("attention", {}).get("weights") else None,
    }


def coloured(piece: Figures) -> dict[str, Any]:
    """A piece of text with its level of surprise and the number in words."""
    chance = math.exp(-piece["loss_nats"])
    level = next(level for level, (least, _) in enumerate(CHANCES) if chance >= least)
    return {
        "token": piece["token"],
        "level": level,
        "said": f"{piece['loss_nats']:.2f} nats: it gave this a chance of {100 * chance:.2g}{NARROW}%",
    }


def attention_part(found: Figures) -> dict[str, Any]:
    """All heads small, and two large: the one that looks most at the token before, and the one that looks further back.

    Where there are too many heads, the small maps are the means of the layers.
    """
    tokens, layers = found["tokens"], found["weights"]
    heads = [(i, j) for i, layer in enumerate(layers) for j in range(len(layer))]

    def mean_weight(head: tuple[int, int], looks: Callable[[list[float]], float]) -> float:
        rows = layers[head[0]][head[1]][2:]  # the first two tokens have nothing to choose from
        return sum(map(looks, rows)) / max(1, len(rows))

    before = max(heads, key=lambda head: mean_weight(head, lambda row: row[-2]))
    further = max(
        [head for head in heads if head != before] or heads,
        key=lambda head: mean_weight(head, lambda row: sum(row[1:-2])),
    )
    large = [
        ("looks most at the token just before", before),
        ("looks most at words further back", further),
    ]
    if before == further:
        large = large[:1]
    ringed = [head for _, head in large]
    mean = len(heads) > MOST_MAPS
    shown = [[_mean_rows(layer)] for layer in layers] if mean else layers
    what = "the mean of all heads of each layer" if mean else "every head of every layer"
    return {
        "large": [
            {
                "what": what_it_does,
                "name": f"layer {i + 1}, head {j + 1}",
                "chart": attention_map(
                    tokens,
                    layers[i][j],
                    f"Attention of layer {i + 1}, head {j + 1}: a square for each pair of tokens, darker where one "
                    f"looks more at the other. This head {what_it_does}.",
                ),
            }
            for what_it_does, (i, j) in large
        ],
        "overview": attention_overview(
            shown, "mean" if mean else "head", [] if mean else ringed, f"Small attention maps of {what}."
        ),
        "mean": mean,
        "n_layers": len(layers),
        "n_heads": len(layers[0]),
        "sentence": "".join(tokens[1:]).strip(),
    }


def _mean_rows(heads: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    return [[sum(weights) / len(weights) for weights in zip(*rows, strict=True)] for rows in zip(*heads, strict=True)]


# --- data, settings, all figures

LICENCES = {entry.name: (entry.licence, entry.about) for entry in CATALOG}
LICENCES |= {made.name: (made.licence, made.about) for made in GENERATED}


def data_part(files: Files, split: Figures, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Where the texts come from, how many there are on each side, and whether any stands on two."""
    tokenized = files.metrics("tokenize")
    kinds = []
    for kind in ("corpus", "messages", "instructions"):
        of_kind = split.get(kind, {})
        kinds.append(
            {
                "name": kind,
                "texts": of_kind.get("texts", {}),
                "leaks": of_kind.get("leaks"),
                "near_leaks": of_kind.get("near_leaks"),
                "copies_left_out": of_kind.get("copies_left_out"),
                "tokens": tokenized.get(kind, {}).get("tokens"),
                "bytes_per_token": tokenized.get(kind, {}).get("bytes_per_token"),
            }
        )
    return {
        "kinds": [kind for kind in kinds if kind["texts"]],
        "sources": sources(settings),
        "vocab_size": tokenized.get("vocab_size"),
    }


def sources(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """The data sets by name, with who may use them how."""
    names = [
        (kind, name)
        for kind in ("corpus", "messages", "instructions")
        for name in _listed(settings.get(f"data.{kind}"))
    ]
    own = ("your own", "a file of the user's own")
    return [
        {"kind": kind, "name": name, "licence": LICENCES.get(name, own)[0], "about": LICENCES.get(name, own)[1]}
        for kind, name in names
    ]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def pinned_versions(path: Path) -> list[tuple[str, str]]:
    """Package and version of the lines of a constraints file that figures depend on."""
    if not path.is_file():
        return []
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return [(name, version.split(";")[0].strip()) for name, version in pairs if name.lower() in PINNED_SHOWN]


def all_figures(value: Figures, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every number of the summary under its dotted key."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            if key not in ALL_FIGURES_LEAVE_OUT:
                yield from all_figures(inner, f"{prefix}{shorten(key, 60)}.")
        else:
            yield prefix + key, pretty(inner)
