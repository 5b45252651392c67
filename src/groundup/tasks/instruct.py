"""Following instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from groundup.config import FinetuneInstructParams
from groundup.data.batches import Epochs, bucketed_batches, cheapest_bins, pad
from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction
from groundup.data.rows import ROWS_FILE, read_rows
from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.fast_paths import taken
from groundup.files import missing_file
from groundup.generate import generate
from groundup.model.gpt import GPT, choose_trainable, set_dropout
from groundup.model.lora import merge_lora
from groundup.model.loss import IGNORE_INDEX, token_loss
from groundup.seeding import numpy_generator, seed_torch
from groundup.tasks.frozen_trunk import FrozenTrunk, fits
from groundup.tasks.language import TokenBatch
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.device import on_device
from groundup.train.loop import Observer, Outcome, train
from groundup.train.resume import Keeper


@dataclass(frozen=True)
class InstructionRows:
    """One side of the instructions: prompts with their answers as tokens, and the texts."""

    store: TokenStore
    prompt_lengths: np.ndarray
    rows: list[Instruction]

    @classmethod
    def load(cls, folder: Path) -> "InstructionRows":
        """Read a side that the split stage wrote."""
        path = folder / PROMPT_LENGTHS_FILE
        if not path.is_file():
            raise missing_file(path)
        rows = [Instruction.from_row(row) for row in read_rows(folder / ROWS_FILE)]
        return cls(TokenStore.load(folder), np.load(path, allow_pickle=False), rows)

    def prompt(self, index: int) -> np.ndarray:
        """The tokens that the model reads before it answers."""
        return self.store[index][: self.prompt_lengths[index]]

    def within(self, context_length: int) -> "InstructionRows":
        """The same rows; one that does not fit the context is without its oldest turns, as many as that takes.

        A question that does not fit even alone stays, without the turns before it.
        """
        if not any(row.history for row in self.rows):
            return self
        left_out = np.array([self._left_out(index, context_length) for index in range(len(self.rows))])
        kept = [self.store[index][start:] for index, start in enumerate(left_out)]
        offsets = np.cumsum([0, *map(len, kept)], dtype=np.int64)
        return InstructionRows(TokenStore(np.concatenate(kept), offsets), self.prompt_lengths - left_out, self.rows)

    def _left_out(self, index: int, context_length: int) -> int:
        """How many of a row's tokens belong to turns for which there is no room."""
        if not self.rows[index].history:
            return 0
        ends = np.flatnonzero(self.prompt(index) == self.store[index][-1]) + 1  # of the turns before the question
        starts = [0, *ends.tolist()]
        excess = int(self.store.lengths[index]) - 1 - context_length
        return next((start for start in starts if start >= excess), starts[-1])

    def fitting(self, context_length: int) -> np.ndarray:
        """Numbers of the rows whose prompt and answer fit into the context."""
        return np.flatnonzero(self.store.lengths - 1 <= context_length)


@dataclass
class InstructionBatch(TokenBatch):
    """Rows as tokens, each with a bin of its own or, packed, several end to end in one.

    Args:
        bins: the row numbers of each bin.
        positions, mask: of packed rows, as for `GPT.features`; None where each has a bin of its own.
    Shapes:  positions (B, T), mask (B, 1, T, T)
    """

    bins: list[np.ndarray]
    positions: Tensor | None = None
    mask: Tensor | None = None


def instruction_batch(
    rows: InstructionRows, chosen: np.ndarray, loss_on: str, device: torch.device, pack_into: int | None = None
) -> InstructionBatch:
    """Inputs and targets of some rows. The loss is on the answer and its end-of-text token, or on the prompt too.

    What is asked for is told by lengths, not by token ids: the end-of-text token that ends an answer is learned, the
    padding behind it is not.

    Args:
        pack_into: the longest bin that rows may share, in tokens, where that saves work; None: they share none.
    """
    inputs = [rows.store[row][:-1].astype(np.int64) for row in chosen]
    targets = [rows.store[row][1:].astype(np.int64) for row in chosen]
    if loss_on == "response":
        for row, asked in zip(chosen, targets, strict=True):
            asked[: rows.prompt_lengths[row] - 1] = IGNORE_INDEX
    lengths = [len(each) for each in inputs]
    bins = [[place] for place in range(len(chosen))] if pack_into is None else cheapest_bins(lengths, pack_into)
    positions = mask = None
    if len(bins) < len(chosen):
        positions, mask = (each.to(device) for each in _own_texts_only(lengths, bins))
    return InstructionBatch(
        on_device(_laid(inputs, bins, fill=0), device),
        on_device(_laid(targets, bins, fill=IGNORE_INDEX), device),
        n_targets=sum(int((each != IGNORE_INDEX).sum()) for each in targets),
        n_tokens=sum(lengths),
        bins=[chosen[each] for each in bins],
        positions=positions,
        mask=mask,
    )


def _laid(texts: list[np.ndarray], bins: list[list[int]], fill: int) -> np.ndarray:
    """Texts end to end in their bins. Shapes: -> (B, T)"""
    return pad([np.concatenate([texts[place] for place in each]) for each in bins], fill)


def _own_texts_only(lengths: list[int], bins: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Where each packed token stands in its text, and what it may look at: its own text, up to itself.

    The padding at the end of a bin counts as a text, so that it has something to look at.

    Shapes:  -> (B, T), (B, 1, T, T)
    Source:  Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"
    """
    positions = _laid([np.arange(length) for length in lengths], bins, fill=0)
    texts = _laid([np.full(length, number) for number, length in enumerate(lengths)], bins, fill=-1)
    own = texts[:, :, None] == texts[:, None, :]  # shape: (B, T, T)
    own &= np.tri(texts.shape[1], dtype=bool)
    return torch.from_numpy(positions), torch.from_numpy(own)[:, None]


class InstructTask:
    """Fine-tuning on instructions: rows of like length together, so that little is padded."""

    learning_rate_key = "finetune_instruct.learning_rate"
    alike = False

    def __init__(
        self,
        train: InstructionRows,
        validation: InstructionRows,
        tokenizer: Tokenizer,
        settings: FinetuneInstructParams,
        context_length: int,
        seed: int,
        device: torch.device,
    ) -> None:
        train, validation = train.within(context_length), validation.within(context_length)
        self.train, self.validation, self.tokenizer, self.settings = train, validation, tokenizer, settings
        self.context_length, self.seed, self.device = context_length, seed, device
        self.fitting = train.fitting(context_length)
        if not len(self.fitting) or not len(validation.fitting(context_length)):
            shortest = max(min(rows.store.lengths, default=0) for rows in (train, validation))
            raise GroundupError(
                "finetune_instruct: no instruction fits into model.context_length",
                got=f"the shortest has {shortest} tokens",
                allowed=f"at most {context_length + 1} tokens",
                do="raise model.context_length, or choose shorter instructions",
            )
        self.epochs = Epochs(self._epoch_batches, n_epochs=settings.epochs, per_step=settings.grad_accum_steps)
        self.max_steps = self.epochs.max_steps
        self._frozen_model: GPT | None = None
        self._frozen_sides: dict[str, FrozenTrunk | None] = {}

    def _epoch_batches(self, epoch: int) -> list[np.ndarray]:
        generator = numpy_generator(self.seed, "instructions", epoch)
        lengths = self.train.store.lengths[self.fitting]
        return [self.fitting[rows] for rows in bucketed_batches(lengths, self.settings.batch_size, generator)]

    def batches(self, step: int) -> list[InstructionBatch]:
        pack_into = self.context_length if self.settings.packing else None
        return [
            instruction_batch(self.train, rows, self.settings.loss_on, self.device, pack_into)
            for rows in self.epochs.rows(step)
        ]

    def _frozen(self, model: GPT, side: str) -> FrozenTrunk | None:
        """What the frozen part of a model makes of a side; None if there is none, or if it is another each time."""
        if self.settings.dropout or not model.n_frozen_blocks or not taken("frozen_trunk"):
            return None
        if self._frozen_model is not model:
            self._frozen_model, self._frozen_sides = model, {}
        if side not in self._frozen_sides:
            rows = {"train": self.train, "validation": self.validation}[side]
            fitting = set(rows.fitting(self.context_length).tolist())
            texts = [rows.store[row][: -1 if row in fitting else 0] for row in range(len(rows.store))]
            self._frozen_sides[side] = FrozenTrunk(model, texts) if fits(model, texts) else None
        return self._frozen_sides[side]

    def loss(self, model: GPT, batch: InstructionBatch) -> Tensor:
        return loss_of_batch(model, batch, self._frozen(model, "train"))

    def validate(self, model: GPT) -> dict[str, float]:
        frozen = self._frozen(model, "validation")
        return {"loss_nats": response_loss(model, self.validation, self.settings.batch_size, frozen)}

    def sample(self, model: GPT) -> str | None:
        if not self.settings.sample_tokens:
            return None
        chosen = int(self.validation.fitting(self.context_length)[0])
        row = self.validation.rows[chosen]
        given = answers(model, self.validation, [chosen], self.tokenizer, self.settings.sample_tokens, batch_size=1)[0]
        return f"{row.instruction} {row.input}".strip() + f"\n{given.text}"


def fine_tune(
    model: GPT,
    task: InstructTask,
    settings: FinetuneInstructParams,
    *,
    seed: int,
    observers: Sequence[Observer] = (),
    keeper: Keeper | None = None,
) -> Outcome:
    """Train the layers that the settings choose; the model is left with its best weights.

    Raises: as `train`.
    """
    seed_torch(seed, "lora")
    choose_trainable(model, settings.trainable, settings.lora)
    set_dropout(model, settings.dropout)
    outcome = train(model, task, settings, seed=seed, observers=observers, keeper=keeper)
    merge_lora(model)
    return outcome


def loss_of_batch(model: GPT, batch: InstructionBatch, frozen: FrozenTrunk | None = None) -> Tensor:
    """Surprise at what is asked of a batch.

    Args:
        frozen: what the frozen part of the model makes of the rows, if that is known.
    Units:  nats, summed over the targets
    """
    if frozen is not None:
        features = frozen.features(batch.bins, batch.mask)
    else:
        features = model.features(batch.input_ids, positions=batch.positions, mask=batch.mask)
    return token_loss(features, model.head_weight, batch.targets)


@torch.no_grad()
def response_loss(model: GPT, rows: InstructionRows, batch_size: int, frozen: FrozenTrunk | None = None) -> float:
    """Loss of the right answers, their end-of-text tokens included, over all rows that fit the context.

    Args:
        frozen: what the frozen part of the model makes of the rows, if that is known.
    Units:  nats per token of an answer
    """
    was_training = model.training
    model.eval()
    fitting = rows.fitting(model.config.context_length)
    order = fitting[np.argsort(rows.store.lengths[fitting], kind="stable")]
    total, n_targets = 0.0, 0
    for start in range(0, len(order), batch_size):
        batch = instruction_batch(rows, order[start : start + batch_size], "response", model.device)
        total += loss_of_batch(model, batch, frozen).item()
        n_targets += batch.n_targets
    model.train(was_training)
    return total / max(1, n_targets)


@dataclass(frozen=True)
class Answer:
    """What a model wrote, and whether it ended by itself."""

    text: str
    ended: bool


def answers(
    model: GPT, rows: InstructionRows, chosen: list[int], tokenizer: Tokenizer, max_new_tokens: int, batch_size: int
) -> list[Answer]:
    """The model's answers to some rows, greedily, in the order of `chosen`; of a long prompt its end is read."""
    room = model.config.context_length - 1
    written: dict[int, Answer] = {}
    by_length = sorted(chosen, key=lambda row: int(rows.prompt_lengths[row]))
    for start in range(0, len(by_length), batch_size):
        batch = by_length[start : start + batch_size]
        prompts = [rows.prompt(row).tolist()[-room:] for row in batch]
        new = generate(model, prompts, max_new_tokens, stop_id=tokenizer.end_of_text_id)
        for row, tokens in zip(batch, new, strict=True):
            written[row] = Answer(tokenizer.decode(tokens).strip(), ended=len(tokens) < max_new_tokens)
    return [written[row] for row in chosen]
