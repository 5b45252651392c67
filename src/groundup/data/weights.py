"""Bringing weights that somebody else trained: OpenAI's, verified, or the user's own.

Files of gigabytes are transferred once and kept beside the unfinished transfers; `data/raw/` gets a link to them. Of
the sizes whose hash the catalog does not know, the first transfer decides: what came is written into a lock of this
machine, told loudly, and held to from then on.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from groundup.config import GPT2_CONTEXT_LENGTH, GPT2_SHAPES
from groundup.data.catalog import Entry, entries
from groundup.data.fetch import Progress, fetch, mirror_folder
from groundup.data.own import OWN_FOLDER, refuse_outside_own_folder
from groundup.data.raw import RawFile
from groundup.errors import GroundupError
from groundup.files import read_json, sha256_of_file, write_json_atomically
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE

KEPT_FOLDER, LOCK_FILE = "weights", "weights.lock.json"  # below the folder of unfinished transfers
WEIGHTS_FILE, SOURCE_FILE = "model.safetensors", "source.json"
# What may lie beside weights and says what they are; Hugging Face's names for a vocabulary's files become ours.
THEIR_CONFIG_FILE = "config.json"
DESCRIPTIONS = {
    **{name: name for name in (THEIR_CONFIG_FILE, "model.json", "tokenizer.json", ENCODER_FILE, MERGES_FILE)},
    "vocab.json": ENCODER_FILE,
    "merges.txt": MERGES_FILE,
}
PICKLES = ("pytorch_model.bin", "model.pt", "model.pth")


def bring_weights(
    section: str,
    init: str,
    folder: Path,
    transfers: Path,
    progress: Callable[[str], Progress],
    tell: Callable[[str], None],
) -> list[RawFile]:
    """Put the weights that a training begins with, and what describes them, below `folder/section`.

    A training that begins without any gets a folder that says so: the stage depends on the folder in any case.

    Args:
        section: of params.yaml, whose `init` names the weights.
        transfers: where files are kept, whole or not, for the next time.
    Raises: GroundupError for a name that is unknown, a file that no source gives, or one that cannot be read.
    """
    target = folder / section
    target.mkdir(parents=True)
    write_json_atomically(target / SOURCE_FILE, {"init": init})
    entry = entries("weights").get(init)
    if entry is not None:
        kept, digest = _kept(entry, transfers, progress, tell)
        _link(kept, target / WEIGHTS_FILE)
        shape = GPT2_SHAPES[init]
        facts = {"n_layer": shape.n_layers, "n_embd": shape.d_model, "n_head": shape.n_heads}
        write_json_atomically(
            target / THEIR_CONFIG_FILE, {"model_type": "gpt2", "n_positions": GPT2_CONTEXT_LENGTH, **facts}
        )
    elif "/" in init:
        _take_own(Path(init), f"{section}.init", target)
        digest = sha256_of_file(target / WEIGHTS_FILE)
    else:
        return []
    path = target / WEIGHTS_FILE
    licence = entry.licence if entry else "your own"
    name = f"weights/{section}/{WEIGHTS_FILE}"
    return [RawFile("weights", init, name, licence, path.stat().st_size, digest, None)]


def _kept(
    entry: Entry, transfers: Path, progress: Callable[[str], Progress], tell: Callable[[str], None]
) -> tuple[Path, str]:
    """The verified file of an entry, transferred now if it is not here yet, and its sha256."""
    lock = transfers / LOCK_FILE
    locked = read_json(lock) if lock.is_file() else {}
    if entry.sha256 is None and entry.name in locked:
        entry = replace(entry, **locked[entry.name])
    path = transfers / KEPT_FOLDER / f"{entry.name}.safetensors"
    if path.is_file() and entry.sha256 and sha256_of_file(path) == entry.sha256:
        return path, entry.sha256
    path.unlink(missing_ok=True)
    fetch(entry, path, transfers, mirror_folder(), progress(entry.name))
    if entry.sha256 is not None:
        return path, entry.sha256
    _refuse_what_is_no_safetensors_file(path, entry.name)
    size_bytes, digest = path.stat().st_size, sha256_of_file(path)
    write_json_atomically(lock, {**locked, entry.name: {"size_bytes": size_bytes, "sha256": digest}})
    tell(
        f"WARNING: {entry.name} was trusted on first use, since this project does not know its hash: "
        f"{size_bytes} bytes with sha256 {digest}, from now on held to by {lock}; "
        f"compare it with the one that {entry.sources[0].url} shows"
    )
    return path, digest


def _refuse_what_is_no_safetensors_file(path: Path, name: str) -> None:
    try:
        with safe_open(path, framework="numpy"):
            return
    except (SafetensorError, OSError) as error:
        path.unlink()
        raise GroundupError(
            f"{name}: what came is no safetensors file", got=str(error), do="try again, or choose another source"
        ) from None


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _take_own(path: Path, key: str, target: Path) -> None:
    refuse_outside_own_folder(path, key)
    if path.is_dir():
        weights = path / WEIGHTS_FILE
        if not weights.is_file():
            pickles = [name for name in PICKLES if (path / name).exists()]
            shards = (path / f"{WEIGHTS_FILE}.index.json").exists()
            got = f"{pickles[0]}, a pickle, which could run any code when it is read" if pickles else None
            raise GroundupError(
                f"{key}: no {WEIGHTS_FILE} in {path}",
                got="several parts" if shards else got,
                allowed=f"one file {WEIGHTS_FILE}",
                do="save it so, for example with save_pretrained(folder, max_shard_size='100GB')",
            )
        for name, ours in DESCRIPTIONS.items():
            if (path / name).is_file():
                shutil.copyfile(path / name, target / ours)
    elif path.is_file():
        weights = path
    else:
        raise GroundupError(
            f"{key}: no such file or folder",
            got=str(path),
            allowed=f"a {WEIGHTS_FILE} or a folder with one, under {OWN_FOLDER}/",
            do=f"put it there or change {key}",
        )
    shutil.copyfile(weights, target / WEIGHTS_FILE)
