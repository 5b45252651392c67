"""Reading a file of weights into a model: every name and shape is checked first, and nothing that is read can run code.

Tensors are copied in pieces, and the file is opened anew for each: a file that stays open keeps in memory all that was
read from it, so that loading would take the model's size twice.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from groundup.errors import GroundupError
from groundup.files import missing_file

PIECE_BYTES = 16 << 20
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
PICKLE_START, ZIP_START = b"\x80", b"PK\x03\x04"

Shape = tuple[int, ...]


def tensor_shapes(path: Path) -> dict[str, Shape]:
    """The shape of each tensor in a safetensors file; the numbers are not read.

    Raises: GroundupError if the file is missing, a pickle, or damaged.
    """
    if not path.is_file():
        raise missing_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        if _looks_like_a_pickle(path):
            raise GroundupError(
                f"{path}: a pickle, as torch.save writes it, which could run any code when it is read",
                allowed="weights in the safetensors format",
                do="make the model again, or let whoever made the file save it with safetensors.torch.save_file",
            ) from None
        raise GroundupError(
            f"{path}: damaged, or no safetensors file", got=str(error), do="make the model again"
        ) from None


def differences(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> list[str]:
    """What is missing, left over or of another shape, each with its name."""
    return [
        *(f"{name} is missing" for name in wanted if name not in found),
        *(f"{name} is not known" for name in found if name not in wanted),
        *(
            f"{name} has shape {found[name]}, not {shape}"
            for name, shape in wanted.items()
            if name in found and found[name] != shape
        ),
    ]


@torch.no_grad()
def copy_tensors(path: Path, targets: Iterable[tuple[str, Tensor]]) -> None:
    """Copy tensors of a file into tensors of the same shape, or into those of fewer rows, which take the first ones.

    Raises: GroundupError naming a tensor that holds other numbers than floats, or one that is infinite or none.
    """
    for name, target in targets:
        for start, piece in _pieces(path, name, len(target)):
            if piece.dtype not in FLOATS:
                raise GroundupError(
                    f"{path}: {name} holds no numbers that are weights",
                    got=str(piece.dtype),
                    allowed=", ".join(map(str, FLOATS)),
                    do="save the weights in one of these",
                )
            if not torch.isfinite(piece).all():
                raise GroundupError(
                    f"{path}: {name} holds a number that is infinite, or none at all",
                    do="take the weights of a training that went well",
                )
            target[start : start + len(piece)].copy_(piece)


def equal_in_file(path: Path, name: str, other: str, n_rows: int) -> bool:
    """Whether two tensors of a file hold the same numbers."""
    pairs = zip(_pieces(path, name, n_rows), _pieces(path, other, n_rows), strict=True)
    return all(torch.equal(piece, its) for (_, piece), (_, its) in pairs)


def _pieces(path: Path, name: str, n_rows: int) -> Iterator[tuple[int, Tensor]]:
    """The first rows of a tensor, some at a time, with the number of the first of them."""
    start, at_once = 0, 1
    while start < n_rows:
        with safe_open(path, framework="pt") as file:
            piece = file.get_slice(name)[start : min(n_rows, start + at_once)]
        yield start, piece
        start += len(piece)
        row_bytes = piece[0].numel() * piece.element_size()
        del piece
        at_once = max(1, PIECE_BYTES // row_bytes)


def _looks_like_a_pickle(path: Path) -> bool:
    """Whether a file that is no safetensors file begins as a pickle, or as the zip archive that torch.save makes."""
    with path.open("rb") as file:
        return file.read(4).startswith((PICKLE_START, ZIP_START))
