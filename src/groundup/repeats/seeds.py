"""The whole pipeline over several seeds."""

from pathlib import Path
from typing import Any

from groundup.config import Params
from groundup.data.catalog import generated
from groundup.errors import GroundupError
from groundup.files import read_json, write_json_atomically, write_text_atomically
from groundup.params_file import PARAMS_FILE, load_params
from groundup.repeats.figures import SeedsResult, as_json, gather
from groundup.repeats.project_copy import PLACE, ProjectCopy, Tell, cache_folder, only_one, prepare_tracking
from groundup.repeats.words import seeds_as_markdown

SEEDS_REPORT = Path("reports/seeds")


def run_seeds(root: Path, n: int, data_seeds: bool, tell: Tell) -> SeedsResult:
    """Run the pipeline for n seeds from the one of `params.yaml` on, one after the other, and write what came of it.

    The seed decides the split, the vocabulary that is learned from its train side, the random weights and the order of
    batches. A seed that is done is not run again unless code, parameters or data have changed.

    Args:
        data_seeds: also makes the generated texts anew for each seed.
        tell: is given a line for each thing that happens.
    Raises: GroundupError if parameters are wrong, nothing is generated that could be made anew, another process is at
        it, or fewer than two seeds came to an end; StoppedBySignal.
    """
    params = load_params(root / PARAMS_FILE)
    if data_seeds and not _is_generated(params):
        raise GroundupError(
            "--data-seeds makes generated texts anew, and this run has none",
            got=", ".join([*params.data.corpus, params.data.messages, params.data.instructions]),
            do="leave it out, or choose the preset sample",
        )
    runs = {seed: changes_of(params, seed, data_seeds) for seed in range(params.seed, params.seed + n)}
    with only_one(root):
        prepare_tracking()
        cache = cache_folder(root)
        copies = {}
        for seed, changes in runs.items():  # all of them first, so that work on the code meanwhile divides no two
            name = f"seed-{seed}-data" if data_seeds else f"seed-{seed}"
            copies[seed] = ProjectCopy(root, root / PLACE / "seeds" / name, cache)
            copies[seed].refresh(changes)
        summaries, failed = {}, {}
        for place, (seed, copy) in enumerate(copies.items(), 1):
            tell(f"seed {seed} ({place} of {n}), in {copy.folder}")
            reason = copy.repro(tell=lambda stage: tell(f"  {stage}"))
            if reason:
                failed[seed] = reason
                tell(f"seed {seed} failed, the others go on: {reason}")
            else:
                summaries[seed] = read_json(copy.folder / "reports" / "summary.json")
    if len(summaries) < 2:
        raise GroundupError(
            "fewer than two seeds came to an end, which tells nothing of the noise between them",
            got=f"{len(summaries)} of {n}",
            do=f"see repro.log in the folders of {PLACE / 'seeds'}",
        )
    overlap = 0.0 if data_seeds else params.split.test / params.split.train
    result = gather(summaries, params.evaluate.confidence, overlap, failed)
    write_json_atomically(root / SEEDS_REPORT / "summary.json", as_json(result))
    write_text_atomically(root / SEEDS_REPORT / "seeds.md", seeds_as_markdown(result))
    return result


def changes_of(params: Params, seed: int, data_seeds: bool) -> dict[str, Any]:
    """The parameters that make the run of a seed of this one."""
    changes: dict[str, Any] = {"seed": seed}
    if data_seeds:
        changes["data.sample.seed"] = params.data.sample.seed + seed - params.seed
    return changes


def _is_generated(params: Params) -> bool:
    data = params.data
    return bool(
        set(data.corpus) & set(generated("corpus"))
        or data.messages in generated("messages")
        or data.instructions in generated("instructions")
    )
