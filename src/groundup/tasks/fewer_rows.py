"""Fewer labelled rows, drawn so that what is learned from more of them is learned from these too."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.seeding import numpy_generator
from groundup.tasks.classes import listed
from groundup.tasks.classify import LabelledRows


def drawn_rows(rows: LabelledRows, n: int, seed: int) -> LabelledRows:
    """Some of the rows, in their order: the first n that are drawn; all where n is 0, or more than there are.

    The classes have their shares to within one row, and each has a row. Of the same seed, the rows of a smaller n are
    among those of a larger one.

    Raises: GroundupError if there are more classes than n.
    """
    if n == 0 or n >= len(rows.labels):
        return rows
    names = sorted(set(rows.labels))
    if n < len(names):
        raise GroundupError(
            "finetune_cls.train_rows leaves a class without a row",
            got=n,
            allowed=f"{len(names)} or more, as there are {listed(names)}; 0 for all rows",
            do="raise finetune_cls.train_rows",
        )
    chosen = np.sort(draw_order(rows.labels, seed)[:n]).tolist()
    return LabelledRows(
        TokenStore.of([rows.store[row] for row in chosen]),
        [rows.texts[row] for row in chosen],
        [rows.labels[row] for row in chosen],
        [rows.best_guesses[row] for row in chosen] if rows.best_guesses else [],
    )


def draw_order(labels: Sequence[str], seed: int) -> np.ndarray:
    """All rows in the order in which they are drawn: one of each class, then always of the class furthest behind.

    Shapes:  N labels -> (N,)
    """
    counts = Counter(labels)
    waiting = {
        name: numpy_generator(seed, "labelled rows", name)
        .permutation(np.flatnonzero(np.array(labels) == name))
        .tolist()
        for name in sorted(counts)
    }
    order = [rows.pop() for rows in waiting.values()]
    drawn = dict.fromkeys(waiting, 1)
    while len(order) < len(labels):
        # Where the next row of a class belongs: its n-th in the middle of the n-th part of all.
        name = min((each for each in waiting if waiting[each]), key=lambda each: (drawn[each] + 0.5) / counts[each])
        order.append(waiting[name].pop())
        drawn[name] += 1
    return np.array(order, dtype=np.int64)
