"""What the report says of the language model: beside what it stands, and where it is surprised."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.report.say import percent
from groundup.report.tables import rounded

DETAIL_FILE = "language_detail.json"
POSITIONS_PLOT = "loss_by_position.png"


def rounded_throughout(value: Any) -> Any:
    """Figures as files show them, those within lists too."""
    if isinstance(value, Mapping):
        return {key: rounded_throughout(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded_throughout(inner) for inner in value]
    return rounded(value)


def predictors(figures: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Ways to predict the test text, from the worst to the best: a name, bits per byte, and within which bounds."""
    baselines = figures["baselines"]
    rows = [
        ("plain bytes", 8.0, ""),
        ("how frequent each token is", baselines["unigram"]["bits_per_byte"], ""),
        *((f"{name}, on its own", baselines[f"{name}_alone"]["bits_per_byte"], "") for name in ("xz", "zstd", "bzip2")),
        *(
            (f"{name}, after {row['read_bytes']} bytes of the train text", row["bits_per_byte"], "")
            for name, row in baselines.items()
            if "read_bytes" in row
        ),
        ("**GPT**", figures["bits_per_byte"], between(figures, "bits_per_byte")),
    ]
    if "ngram" in baselines:
        rows.append((ngram_name(figures), baselines["ngram"]["bits_per_byte"], ""))
    if "floor_bits_per_byte" in figures:
        rows.append(("one who knows the rules and the world", figures["floor_bits_per_byte"], ""))
    return sorted(rows, key=lambda row: -row[1])


def ngram_name(figures: Mapping[str, Any]) -> str:
    return f"counts of up to {figures['baselines']['ngram']['order']} tokens (Kneser-Ney)"


def between(figures: Mapping[str, Any], key: str) -> str:
    """The bounds of a figure; empty where there are none."""
    return f"{figures[f'{key}_low']:.3f} to {figures[f'{key}_high']:.3f}" if f"{key}_low" in figures else ""


def ngram_words(figures: Mapping[str, Any]) -> str:
    """Whether the model beats counting, in a sentence."""
    difference = figures["minus_ngram"]
    amount = f"{abs(difference['bits_per_byte']):.3f} bits per byte"
    bounds = between(difference, "bits_per_byte")
    if bounds and difference["bits_per_byte_low"] <= 0 <= difference["bits_per_byte_high"]:
        return f"Against counting the difference is {amount} ({bounds}): inside the noise."
    direction = "fewer" if difference["bits_per_byte"] < 0 else "more"
    said = f"The GPT needs {amount} {direction} than counting"
    return f"{said} (difference {bounds})." if bounds else f"{said}; the text is too short to tell how sure that is."


def span(row: Mapping[str, Any]) -> str:
    """From where to where a row of a table reaches."""
    return str(row["from"]) if row["from"] == row["to"] else f"{row['from']} to {row['to']}"


def position_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the beginning of a document costs beside the rest, in a sentence."""
    first, last, lowest = rows[0], rows[-1], min(rows, key=lambda row: row["loss_nats"])
    said = f"The first token of a document costs {first['loss_nats']:.3f} nats"
    if last is not first:
        said += f"; one with {span(last)} tokens before it costs {last['loss_nats']:.3f}"
    if lowest not in (first, last):
        said += f", and {lowest['loss_nats']:.3f} with {span(lowest)}, the lowest"
    return f"{said}."


def copy_words(stories: Mapping[str, Any]) -> str:
    """How much of the stories is copied word for word, in a sentence."""
    return (
        f"The longest part of a document that stands word for word in the train text is "
        f"{stories['longest_copy_median']:.0f} characters long in the middle of all documents, and "
        f"{stories['longest_copy_max']} at most; {percent(stories['half_copied'])} are copied by half or more in "
        "one piece."
    )


def overlap_words(row: Mapping[str, Any]) -> str:
    """How much of one text is copied in one piece."""
    return f"{row['overlap']} characters, {percent(row['copied_share'])} of it"
