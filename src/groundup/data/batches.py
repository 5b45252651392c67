"""Which sequences make up a batch: pure functions of seed and step, so that nothing is replayed to resume."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import numpy as np

from groundup.data.token_store import TokenStore
from groundup.seeding import numpy_generator

Item = TypeVar("Item")

# Documents among which the one that fills a window best is looked for.
LOOKAHEAD = 64
STRETCH = 32  # batches whose rows are sorted by length together
# Earlier tokens that a token may look at for what the rest of it costs: some 600 at 192 features, 1,700 to 2,900 at 768
# (steps of as many tokens, in rows of 54 to 1,024, on a CPU). The lowest serves all; by its own, 768 would gain 1-5 %.
LOOKS_FOR_A_TOKEN = 600


def window_starts(n_tokens: int, context_length: int, batch_size: int, seed: int, batch: int) -> np.ndarray:
    """Where the windows of one batch of next-token training begin.

    The tokens are cut into windows of `context_length` tokens; an epoch reads each once, in random order, but for
    those that do not fill a last batch. Where the first window begins is drawn anew each epoch, so that the model does
    not see the same cuts again.

    Args:
        batch: counts batches from the start of training.
    Shapes:  (batch_size,)
    Raises:  ValueError if the tokens do not fill one batch.
    """
    n_windows = (n_tokens - 1 - context_length) // context_length  # one window is given up for the random beginning
    batches_per_epoch = n_windows // batch_size
    if batches_per_epoch < 1:
        raise ValueError(f"{n_tokens} tokens do not fill a batch of {batch_size} windows of {context_length} tokens")
    epoch, position = divmod(batch, batches_per_epoch)
    shift, order = _epoch_of_windows(n_windows, context_length, seed, epoch)
    return shift + context_length * order[position * batch_size : (position + 1) * batch_size]


@lru_cache(maxsize=4)
def _epoch_of_windows(n_windows: int, context_length: int, seed: int, epoch: int) -> tuple[int, np.ndarray]:
    generator = numpy_generator(seed, "windows", epoch)
    return int(generator.integers(context_length)), generator.permutation(n_windows)


def windows_of_documents(
    documents: TokenStore, context_length: int, first_id: int, batch_size: int, seed: int, batch: int
) -> np.ndarray:
    """The windows of one batch of next-token training, each beginning with a document.

    An epoch takes the documents in random order, but of the next few the longest that a window still has room for. What
    room is left takes the beginning of a document that begins the next window again, whole, so that every document is
    read from its beginning, as it is when it is scored or written. Of one that is longer than a window the rest goes on
    in the next.

    Args:
        first_id: the token that stands before the first document of a window (<|endoftext|>).
        batch: counts batches from the start of training.
    Shapes:  (batch_size, context_length + 1)
    Raises:  ValueError if the documents do not fill one batch.
    """
    epoch = 0
    while batch >= (n_batches := _windows_in_epoch(documents, context_length, seed, epoch) // batch_size):
        if n_batches < 1:
            raise ValueError(
                f"{len(documents.tokens)} tokens do not fill a batch of {batch_size} windows of {context_length} tokens"
            )
        batch -= n_batches
        epoch += 1
    pieces, places = _epoch_of_documents(documents, context_length, seed, epoch)
    windows = np.empty((batch_size, context_length + 1), dtype=np.int64)
    windows[:, 0] = first_id
    for row, window in enumerate(places[batch * batch_size : (batch + 1) * batch_size]):
        filled = 1
        for start, end in pieces[window]:
            windows[row, filled : filled + end - start] = documents.tokens[start:end]
            filled += end - start
    return windows


@lru_cache(maxsize=1024)
def _windows_in_epoch(documents: TokenStore, context_length: int, seed: int, epoch: int) -> int:
    """Kept for many epochs, as the windows are not, so that a late batch is found without making them all again."""
    return len(_epoch_of_documents(documents, context_length, seed, epoch)[1])


@lru_cache(maxsize=2)
def _epoch_of_documents(
    documents: TokenStore, context_length: int, seed: int, epoch: int
) -> tuple[list[list[tuple[int, int]]], np.ndarray]:
    """The windows of an epoch, each as stretches (start, end) of tokens, and the order in which they are read."""
    generator = numpy_generator(seed, "documents", epoch)
    waiting = generator.permutation(len(documents)).tolist()[::-1]
    lengths = np.diff(documents.offsets).tolist()
    windows: list[list[tuple[int, int]]] = []
    window: list[tuple[int, int]] = []
    room = context_length
    while waiting:
        near = range(len(waiting) - 1, max(-1, len(waiting) - 1 - LOOKAHEAD), -1)
        # The first of a window is whichever comes, so that documents of all lengths are read from the first position.
        fits = [place for place in near if lengths[waiting[place]] <= room] if window else []
        chosen = waiting.pop(max(fits, key=lambda place: lengths[waiting[place]]) if fits else -1)
        start, end = int(documents.offsets[chosen]), int(documents.offsets[chosen + 1])
        while start < end:
            taken = min(room, end - start)
            window.append((start, start + taken))
            room -= taken
            if start + taken < end and end - start <= context_length:
                taken = 0  # it was cut, but the next window has room for all of it
            start += taken
            if room == 0:
                windows.append(window)
                window, room = [], context_length
    return windows, generator.permutation(len(windows))


def bucketed_batches(
    lengths: Sequence[int] | np.ndarray, batch_size: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """All rows once, in batches of rows of like length, the batches in random order.

    Rows are shuffled, sorted by length within stretches of many batches, cut into batches; little is padded, and
    which rows meet in a batch still changes from epoch to epoch.

    Shapes:  lengths (N,) -> arrays of at most `batch_size` row numbers
    """
    order = generator.permutation(len(lengths))
    stretch = STRETCH * batch_size
    batches = []
    for start in range(0, len(order), stretch):
        rows = order[start : start + stretch]
        rows = rows[np.argsort(np.asarray(lengths)[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def batches_of_like_length(
    items: Iterable[Item], length_of: Callable[[Item], int], batch_size: int
) -> Iterator[list[Item]]:
    """All items once, in batches that need little padding: sorted by length within stretches of many batches."""
    waiting = iter(items)
    while stretch := list(islice(waiting, STRETCH * batch_size)):
        stretch.sort(key=length_of)
        yield from (stretch[at : at + batch_size] for at in range(0, len(stretch), batch_size))


def packed(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Rows laid end to end in bins of at most `limit` tokens: the longest first, each where it leaves the least room.

    Shapes:  lengths (N,) -> the row numbers of each bin, every row in one
    Raises:  ValueError if a row is longer than a bin.
    Source:  best fit decreasing, Johnson et al. 1974, "Worst-Case Performance Bounds for Simple One-Dimensional Packing
        Algorithms"
    """
    bins: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # room and number of each bin, the fullest first
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        length = lengths[row]
        if length > limit:
            raise ValueError(f"a row of {length} tokens does not fit into a bin of {limit}")
        place = bisect_left(rooms, (length, 0))
        room, chosen = rooms.pop(place) if place < len(rooms) else (limit, len(bins))
        if chosen == len(bins):
            bins.append([])
        bins[chosen].append(row)
        insort(rooms, (room - length, chosen))
    return bins


def cheapest_bins(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """The rows in bins of at most `limit` tokens, of whichever width takes the least work, padding and all.

    Wide bins pad little, but attention compares each token with a whole bin. Where nothing is saved, each row has a bin
    of its own, in the order given, as without packing.

    Shapes:  lengths (N,) -> the row numbers of each bin
    """

    def work(bins: list[list[int]]) -> int:
        width = max(sum(lengths[row] for row in each) for each in bins)
        return len(bins) * width * (LOOKS_FOR_A_TOKEN + width)

    widths = {max(*lengths, -(-sum(lengths) // n_bins)) for n_bins in range(1, len(lengths) + 1)}
    ways = (packed(lengths, width) for width in sorted(widths) if width <= limit)
    return min([[row] for row in range(len(lengths))], *ways, key=work)  # of equals the first


class Epochs:
    """The batches of rows that each optimizer step sees, epoch after epoch.

    Args:
        batches_of: the batches of an epoch, by its number; a pure function.
        per_step: batches that make up one optimizer step; the last step of an epoch may have fewer.
    """

    def __init__(self, batches_of: Callable[[int], list[np.ndarray]], *, n_epochs: int, per_step: int) -> None:
        self._batches_of = lru_cache(maxsize=2)(batches_of)
        self._per_step = per_step
        self._steps_per_epoch = -(-len(self._batches_of(0)) // per_step)
        self.max_steps = n_epochs * self._steps_per_epoch

    def rows(self, step: int) -> list[np.ndarray]:
        """Row numbers of each batch of a step."""
        epoch, position = divmod(step, self._steps_per_epoch)
        return self._batches_of(epoch)[position * self._per_step : (position + 1) * self._per_step]


def pad(rows: Sequence[np.ndarray], fill: int, length: int | None = None) -> np.ndarray:
    """Rows of different lengths as one array, filled up on the right.

    Args:
        length: T; None means that of the longest row.
    Shapes:  B arrays of up to T -> (B, T)
    """
    padded = np.full((len(rows), length or max(len(row) for row in rows)), fill, dtype=np.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded
