"""What the frozen first blocks of a model make of each text, computed once for all epochs.

Where only the upper layers train, what reaches them does not change from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from groundup.config import Pooling
from groundup.data.batches import pad
from groundup.model.gpt import GPT, pooled

LARGEST = 2 << 30  # bytes of numbers that are kept; with more text the trunk runs each time
BATCH_SIZE = 64


class FrozenTrunk:
    """The shortcut before the first block that trains, for all tokens of all texts.

    Args:
        texts: tokens of each text, within the context; of an empty one nothing is kept.
    """

    def __init__(self, trunk: GPT, texts: Sequence[np.ndarray]) -> None:
        self.trunk, self.first_block = trunk, trunk.n_frozen_blocks
        self._hidden: list[Tensor] = [torch.empty(0)] * len(texts)
        lengths = np.array([len(text) for text in texts])
        order = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]
        with torch.no_grad():
            for start in range(0, len(order), BATCH_SIZE):
                chosen = order[start : start + BATCH_SIZE]
                input_ids = torch.from_numpy(pad([texts[row] for row in chosen], fill=0)).to(trunk.device)
                for row, hidden in zip(chosen, trunk.hidden(input_ids, self.first_block), strict=True):
                    self._hidden[row] = hidden[: len(texts[row])].clone()

    def features(self, bins: Sequence[Sequence[int] | np.ndarray], mask: Tensor | None = None) -> Tensor:
        """The features of all tokens, after the layers that train, of texts that lie end to end in bins.

        Shapes:  B bins, mask as for `GPT.features` -> (B, T, C)
        """
        joined = [torch.cat([self._hidden[row] for row in each]) for each in bins]
        hidden = torch.nn.utils.rnn.pad_sequence(joined, batch_first=True)  # shape: (B, T, C)
        return self.trunk.features_of(hidden, self.first_block, mask)

    def pooled(self, rows: Sequence[int] | np.ndarray, pooling: Pooling) -> Tensor:
        """One vector for each text, of its features after the layers that train. Shapes: (B, C)"""
        chosen = [self._hidden[row] for row in rows]
        lengths = torch.tensor([len(each) for each in chosen], device=self.trunk.device)
        hidden = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)  # shape: (B, T, C)
        if pooling == "last":
            return self.trunk.features_of_last(hidden, lengths, self.first_block)
        return pooled(self.trunk.features_of(hidden, self.first_block), lengths, pooling)


def fits(trunk: GPT, texts: Sequence[np.ndarray]) -> bool:
    """Whether what is kept of the texts is small enough."""
    return 4 * trunk.config.d_model * sum(map(len, texts)) <= LARGEST
