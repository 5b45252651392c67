"""Having answers graded: what was asked once is kept, and what the scores say together."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.errors import GroundupError
from groundup.evaluation.answer_figures import contents, interval_of_mean
from groundup.evaluation.intervals import wilson_interval
from groundup.files import read_json, read_utf8, write_json_atomically
from groundup.judge.server import Server
from groundup.judge.verdict import GOOD, HIGHEST, LOWEST, RUBRIC_FILE, Verdict, case_of, read_verdict
from groundup.report.say import of_every_kind, percent
from groundup.report.tables import rounded

SAMPLES_FILE = Path("reports") / "evaluate" / "instruct_samples.json"
FOLDER = Path(".groundup") / "judge"
LOG_FILE, REPORT_FILE = "log.jsonl", "report.json"
NEEDED = {"instruction", "input", "wanted", "answer", "exact_match", "checkable", "kind", "group"}
# Landis and Koch 1977 call agreement "moderate" from here on.
LEAST_KAPPA = 0.4

Samples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Graded:
    """Answers with what the judge said of each, None where its reply could not be read; how many it was asked for."""

    samples: Samples
    verdicts: list[Verdict | None]
    asked: int


def read_answers(path: Path, limit: int | None) -> Samples:
    """Answers that the evaluation wrote; of a limited number every kind has its share.

    Raises: GroundupError if there are none, or if they were written by an older version.
    """
    samples = read_json(path)
    if not isinstance(samples, list) or not all(isinstance(row, dict) and row.keys() >= NEEDED for row in samples):
        raise GroundupError(f"{path}: no answers as this version writes them", do="write them again with `dvc repro`")
    if not samples:
        raise GroundupError(f"{path}: no answers in it", do="run `dvc repro` with instructions that have a test side")
    return of_every_kind(samples, len(samples) if limit is None else limit)


def append_to_log(folder: Path) -> Callable[[dict[str, Any]], None]:
    """For `Server`: a line for each try."""
    folder.mkdir(parents=True, exist_ok=True)

    def append(entry: dict[str, Any]) -> None:
        with (folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    return append


def grade(samples: Samples, server: Server, folder: Path, progress: Callable[[int], None]) -> Graded:
    """Ask for a verdict on every answer that the model has not yet been asked about with this rubric.

    A reply is kept as soon as it has come, so that whatever ends the work, only what is missing is asked again.

    Args:
        progress: told how many more answers have their reply.
    """
    rubric = read_utf8(RUBRIC_FILE)
    verdicts, asked = [], 0
    for sample in samples:
        case = case_of(sample)
        path = folder / f"{_sha256(server.model, rubric, case)}.json"
        reply = _kept(path)
        if reply is None:
            reply, asked = server.ask(f"{rubric}\n{case}\n"), asked + 1
            write_json_atomically(path, {"model": server.model, "reply": _utf8(reply)})
        verdicts.append(read_verdict(reply))
        progress(1)
    return Graded(samples, verdicts, asked)


def _sha256(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _utf8(text: str) -> str:
    """The text without halves of characters, which JSON can spell and a file cannot hold."""
    return text.encode(errors="replace").decode()


def _kept(path: Path) -> str | None:
    """A reply of an earlier run; None if there is none, or if its file is damaged."""
    try:
        reply = read_json(path)["reply"]
    except (GroundupError, KeyError, TypeError):
        return None
    return reply if isinstance(reply, str) else None


def judge_report(graded: Graded, model: str, confidence: float, seed: int) -> dict[str, Any]:
    """What the scores say together and by kind, how far they go with exact match, and every verdict.

    Replies that could not be read are counted, and are in no mean.
    """
    pairs = list(zip(graded.samples, graded.verdicts, strict=True))
    read = [(sample, verdict) for sample, verdict in pairs if verdict]
    figures: dict[str, Any] = {"rows": len(pairs), "unread": len(pairs) - len(read)}
    if read:
        scores = np.array([float(verdict.score) for _, verdict in read])
        groups = contents([sample for sample, _ in read])
        low, high = interval_of_mean(scores, np.ones(len(scores)), groups, confidence, seed)
        figures |= {"mean_score": float(scores.mean()), "mean_score_low": low, "mean_score_high": high}
        figures["good"] = float(np.mean(scores >= GOOD))
        figures["scores"] = {str(score): int(np.sum(scores == score)) for score in range(LOWEST, HIGHEST + 1)}
    by_kind: dict[str, dict[str, float]] = {}
    for kind in sorted({sample["kind"] for sample, _ in pairs} - {""}):
        of_it = [verdict for sample, verdict in pairs if sample["kind"] == kind]
        marks = [verdict.score for verdict in of_it if verdict]
        by_kind[kind] = {"rows": len(of_it), "unread": len(of_it) - len(marks)}
        by_kind[kind] |= {"mean_score": float(np.mean(marks))} if marks else {}
    checkable = [
        (bool(sample["exact_match"]), verdict.score >= GOOD) for sample, verdict in read if sample["checkable"]
    ]
    return {
        "model": model,
        "rubric_sha256": hashlib.sha256(RUBRIC_FILE.read_bytes()).hexdigest(),
        **rounded(figures | {"by_kind": by_kind, "agreement": agreement(checkable, confidence)}),
        "verdicts": [
            {key: sample[key] for key in ("instruction", "input", "wanted", "answer", "kind", "exact_match")}
            | {"score": verdict.score if verdict else None, "reason": _utf8(verdict.reason) if verdict else None}
            for sample, verdict in pairs
        ],
    }


def agreement(pairs: Sequence[tuple[bool, bool]], confidence: float) -> dict[str, float]:
    """How often the judge is pleased exactly where an answer is right, of those that have one right answer.

    Cohen's kappa is 0 for a judge that guesses and 1 for one that always agrees; there is none where both are always
    of one opinion, since then nothing shows whether the judge can tell.

    Args:
        pairs: whether the answer is right, and whether the judge is pleased with it.
    Source:  Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    if not pairs:
        return {"rows": 0}
    n, same = len(pairs), sum(right == pleased for right, pleased in pairs)
    low, high = wilson_interval(same, n, confidence)
    right, pleased = (sum(column) / n for column in zip(*pairs, strict=True))
    by_chance = right * pleased + (1 - right) * (1 - pleased)
    return {
        "rows": n,
        "share": same / n,
        "low": low,
        "high": high,
        "pleased_but_wrong": sum(pleased and not right for right, pleased in pairs),
        "displeased_but_right": sum(right and not pleased for right, pleased in pairs),
    } | ({"kappa": (same / n - by_chance) / (1 - by_chance)} if by_chance < 1 else {})


def report_words(report: Mapping[str, Any], asked: int) -> list[str]:
    """The report in some lines."""
    n_read = report["rows"] - report["unread"]
    lines = [
        f"{report['model']} gave {n_read} of {report['rows']} answers a score; {asked} were asked for now, "
        f"{report['unread']} replies could not be read."
    ]
    if not n_read:
        return lines
    lines.append(
        f"Mean score {report['mean_score']:.2f} of {HIGHEST} ({report['mean_score_low']:.2f} to "
        f"{report['mean_score_high']:.2f}); {percent(report['good'])} are good ({GOOD} or {HIGHEST})."
    )
    marks = sorted((row["mean_score"], kind, row) for kind, row in report["by_kind"].items() if "mean_score" in row)
    if marks:
        lines.append("By kind: " + ", ".join(f"{kind} {mark:.2f} ({row['rows']})" for mark, kind, row in marks) + ".")
    beside = report["agreement"]
    if not beside["rows"]:
        return [*lines, "No answer can be checked, so nothing shows whether this judge can tell right from wrong."]
    lines.append(
        f"Beside exact match, on {beside['rows']} answers that can be checked: they agree on "
        f"{percent(beside['share'])} ({percent(beside['low'])} to {percent(beside['high'])}). The judge is pleased "
        f"with {beside['pleased_but_wrong']} wrong ones, displeased with {beside['displeased_but_right']} right ones."
    )
    if "kappa" not in beside:
        lines.append("Both say the same of every answer: nothing shows whether this judge can tell right from wrong.")
    elif beside["kappa"] < LEAST_KAPPA:
        lines.append(
            f"Cohen's kappa is {beside['kappa']:.2f}: this judge hardly tells right from wrong; do not trust it."
        )
    else:
        lines.append(f"Cohen's kappa is {beside['kappa']:.2f} (0: it guesses, 1: it always agrees).")
    return lines
