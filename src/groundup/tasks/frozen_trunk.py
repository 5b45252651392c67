"""What the frozen first blocks of a classifier's trunk make of each text, computed once for all epochs.

Where only the upper layers train, what reaches them does not change from epoch to epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from groundup.data.batches import pad
from groundup.model.gpt import GPT

LARGEST = 2 << 30  # bytes of numbers that are kept; with more text the trunk runs each time
BATCH_SIZE = 64


class FrozenTrunk:
    """The shortcut before the first block that trains, for all tokens of all texts.

    Args:
        texts: tokens of each text, within the context.
    """

    def __init__(self, trunk: GPT, texts: Sequence[np.ndarray]) -> None:
        self.trunk, self.first_block = trunk, trunk.n_frozen_blocks
        self._hidden: list[Tensor] = [torch.empty(0)] * len(texts)
        order = np.argsort([len(text) for text in texts], kind="stable")
        with torch.no_grad():
            for start in range(0, len(order), BATCH_SIZE):
                chosen = order[start : start + BATCH_SIZE]
                input_ids = torch.from_numpy(pad([texts[row] for row in chosen], fill=0)).to(trunk.device)
                for row, hidden in zip(chosen, trunk.hidden(input_ids, self.first_block), strict=True):
                    self._hidden[row] = hidden[: len(texts[row])].clone()

    def features_of_last(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """The feature of each text's last token, after the layers that train. Shapes: (B, C)"""
        chosen = [self._hidden[row] for row in rows]
        lengths = torch.tensor([len(each) for each in chosen], device=self.trunk.device)
        hidden = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)  # shape: (B, T, C)
        return self.trunk.features_of_last(hidden, lengths, self.first_block)


def fits(trunk: GPT, texts: Sequence[np.ndarray]) -> bool:
    """Whether what is kept of the texts is small enough."""
    return 4 * trunk.config.d_model * sum(map(len, texts)) <= LARGEST
