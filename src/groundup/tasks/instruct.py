"""Following instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from groundup.config import FinetuneInstructParams
from groundup.data.batches import Epochs, bucketed_batches, pad
from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction
from groundup.data.rows import ROWS_FILE, read_rows
from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.files import missing_file
from groundup.generate import generate
from groundup.model.gpt import GPT, choose_trainable, set_dropout
from groundup.model.lora import merge_lora
from groundup.model.loss import IGNORE_INDEX, token_loss
from groundup.seeding import numpy_generator, seed_torch
from groundup.tasks.language import TokenBatch
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.loop import Observer, Outcome, train
from groundup.train.resume import Keeper

FROM_RANDOM = "from_random"  # beside the instructed model: the same training without what pretraining had taught


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


def instruction_batch(rows: InstructionRows, chosen: np.ndarray, loss_on: str, device: torch.device) -> TokenBatch:
    """Inputs and targets of some rows. The loss is on the answer and its end-of-text token, or on the prompt too.

    What is asked for is told by lengths, not by token ids: the end-of-text token that ends an answer is learned, the
    padding behind it is not.
    """
    tokens = [rows.store[row].astype(np.int64) for row in chosen]
    inputs = pad([each[:-1] for each in tokens], fill=0)
    targets = pad([each[1:] for each in tokens], fill=IGNORE_INDEX)
    if loss_on == "response":
        for index, row in enumerate(chosen):
            targets[index, : rows.prompt_lengths[row] - 1] = IGNORE_INDEX
    return TokenBatch(
        torch.from_numpy(inputs).to(device),
        torch.from_numpy(targets).to(device),
        n_targets=int((targets != IGNORE_INDEX).sum()),
        n_tokens=sum(len(each) - 1 for each in tokens),
    )


class InstructTask:
    """Fine-tuning on instructions: rows of like length together, so that little is padded."""

    learning_rate_key = "finetune_instruct.learning_rate"

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

    def _epoch_batches(self, epoch: int) -> list[np.ndarray]:
        generator = numpy_generator(self.seed, "instructions", epoch)
        lengths = self.train.store.lengths[self.fitting]
        return [self.fitting[rows] for rows in bucketed_batches(lengths, self.settings.batch_size, generator)]

    def batches(self, step: int) -> list[TokenBatch]:
        return [
            instruction_batch(self.train, rows, self.settings.loss_on, self.device) for rows in self.epochs.rows(step)
        ]

    def loss(self, model: GPT, batch: TokenBatch) -> Tensor:
        return token_loss(model.features(batch.input_ids), model.head_weight, batch.targets)

    def validate(self, model: GPT) -> dict[str, float]:
        return {"loss_nats": response_loss(model, self.validation, self.settings.batch_size)}

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


@torch.no_grad()
def response_loss(model: GPT, rows: InstructionRows, batch_size: int) -> float:
    """Loss of the right answers, their end-of-text tokens included, over all rows that fit the context.

    Units:  nats per token of an answer
    """
    was_training = model.training
    model.eval()
    fitting = rows.fitting(model.config.context_length)
    order = fitting[np.argsort(rows.store.lengths[fitting], kind="stable")]
    total, n_targets = 0.0, 0
    for start in range(0, len(order), batch_size):
        batch = instruction_batch(rows, order[start : start + batch_size], "response", model.device)
        total += token_loss(model.features(batch.input_ids), model.head_weight, batch.targets).item()
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
