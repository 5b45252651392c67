"""Sorting messages into classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.config import FinetuneClsParams, PretrainParams, TrainingParams
from groundup.data.batches import Epochs, bucketed_batches, pad
from groundup.data.rows import ROWS_FILE, read_rows
from groundup.data.token_store import TokenStore
from groundup.fast_paths import taken
from groundup.model.gpt import GPT, GPTClassifier, set_dropout
from groundup.model.loss import IGNORE_INDEX, token_loss
from groundup.seeding import numpy_generator
from groundup.tasks.classes import label_numbers
from groundup.tasks.frozen_trunk import FrozenTrunk, fits
from groundup.tasks.language import LanguageTask
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.device import on_device
from groundup.train.loop import Observer, Outcome, train
from groundup.train.resume import Keeper

# Longer batches are padded to a multiple, so that there are few shapes of them and freed memory fits what comes next.
# With texts of 20 to 256 tokens the heap grew to 7.0 GB where a step needs 1.8; so it grows to 5.6, and goes faster.
FEW_TOKENS = 64
ROUNDED_TO = 32


@dataclass
class LabelledBatch:
    """Padded messages with their lengths and classes. Shapes: (B, T), (B,), (B,)."""

    input_ids: Tensor
    lengths: Tensor
    labels: Tensor
    n_targets: int
    n_tokens: int
    rows: np.ndarray


@dataclass(frozen=True)
class LabelledRows:
    """One side of the messages: tokens, texts, and labels as words.

    Args:
        best_guesses: what one who knew how the messages were made would call each; empty where nobody knows.
    """

    store: TokenStore
    texts: list[str]
    labels: list[str]
    best_guesses: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> "LabelledRows":
        """Read a side that the split stage wrote."""
        rows = read_rows(folder / ROWS_FILE)
        return cls(
            TokenStore.load(folder),
            [row["text"] for row in rows],
            [row["label"] for row in rows],
            [row.get("best_guess", "") for row in rows],
        )

    @classmethod
    def without_labels(cls, texts: Sequence[str], tokenizer: Tokenizer, *, spelled_out: bool) -> "LabelledRows":
        """Texts as a classifier reads them. Args: as for `as_read`."""
        return cls(_tokens_read(texts, tokenizer, spelled_out), list(texts), [""] * len(texts))

    def as_read(self, tokenizer: Tokenizer, *, spelled_out: bool) -> "LabelledRows":
        """The rows with the tokens that a classifier reads, which may be more than those of the texts.

        Args:
            spelled_out: whether it reads each text `spelled`.
        """
        return replace(self, store=_tokens_read(self.texts, tokenizer, spelled_out)) if spelled_out else self

    def tokens(self, index: int, context_length: int) -> np.ndarray:
        """A message's tokens; of one longer than the context its beginning, with the end-of-text token last."""
        tokens = self.store[index]
        return tokens if len(tokens) <= context_length else np.append(tokens[: context_length - 1], tokens[-1])


def spelled(text: str) -> str:
    """A text, and on the next line the same letter by letter, where each letter is a token of its own.

    A token says nothing of the letters in it, so words that differ by one, or numbers of one form, are as different to
    a model as any two. Letters that stand beside it tell, and where words are new or changed they are what is known.
    """
    return f"{text}\n{' '.join(text)}"


def _tokens_read(texts: Sequence[str], tokenizer: Tokenizer, spelled_out: bool) -> TokenStore:
    read = map(spelled, texts) if spelled_out else texts
    return TokenStore.of(list(tokenizer.encode_arrays(read, with_end=True)))


class ClassifyTask:
    """Fine-tuning of a classifier: messages of like length together, so that little is padded."""

    learning_rate_key = "finetune_cls.learning_rate"
    alike = False

    def __init__(
        self,
        train: LabelledRows,
        validation: LabelledRows,
        classes: list[str],
        settings: FinetuneClsParams,
        context_length: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.train, self.validation, self.settings = train, validation, settings
        self.context_length, self.seed, self.device = context_length, seed, device
        self.labels = label_numbers(train.labels, classes, "train")
        self.validation_labels = label_numbers(validation.labels, classes, "validation")
        self.n_classes = len(classes)
        self.epochs = Epochs(self._epoch_batches, n_epochs=settings.epochs, per_step=settings.grad_accum_steps)
        self.max_steps = self.epochs.max_steps
        self._frozen_sides: dict[str, FrozenTrunk | None] = {}

    def _epoch_batches(self, epoch: int) -> list[np.ndarray]:
        generator = numpy_generator(self.seed, "messages", epoch)
        rows = np.arange(len(self.labels))
        if self.settings.class_balance == "balanced":
            # All rows of the rarest class, and as many of each other one, drawn anew each epoch.
            of_class = [rows[self.labels == number] for number in range(self.n_classes)]
            size = min(len(each) for each in of_class)
            rows = np.concatenate([np.sort(generator.choice(each, size, replace=False)) for each in of_class])
        lengths = self.train.store.lengths[rows]
        return [rows[chosen] for chosen in bucketed_batches(lengths, self.settings.batch_size, generator)]

    def batches(self, step: int) -> list[LabelledBatch]:
        return [self._batch(rows) for rows in self.epochs.rows(step)]

    def _batch(self, rows: np.ndarray) -> LabelledBatch:
        tokens = [self.train.tokens(row, self.context_length) for row in rows]
        input_ids, lengths = as_tensors(tokens, self.context_length, self.device)
        labels = on_device(self.labels[rows], self.device)
        return LabelledBatch(input_ids, lengths, labels, n_targets=len(rows), n_tokens=sum(map(len, tokens)), rows=rows)

    def _frozen(self, model: GPTClassifier, side: str) -> FrozenTrunk | None:
        """What the frozen part of the trunk makes of a side; None if there is none, or if it is another each time."""
        if side not in self._frozen_sides:
            self._frozen_sides[side] = None
            same = not self.settings.dropout and not self.settings.language_weight
            if same and model.trunk.n_frozen_blocks > 0 and taken("frozen_trunk"):
                rows = {"train": self.train, "validation": self.validation}[side]
                texts = [rows.tokens(index, self.context_length) for index in range(len(rows.labels))]
                if fits(model.trunk, texts):
                    self._frozen_sides[side] = FrozenTrunk(model.trunk, texts)
        return self._frozen_sides[side]

    def loss(self, model: GPTClassifier, batch: LabelledBatch) -> Tensor:
        """Surprise at the classes; that at the messages' own tokens pulls on the weights beside it, and is not shown.

        So the loss of the training compares with that of the validation. The surprise at a token counts
        `language_weight` times as much as that at a class, on average over the tokens of a batch.
        Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", 3.2.
        """
        if (frozen := self._frozen(model, "train")) is not None:
            scores = model.class_head(frozen.pooled(batch.rows, model.pooling))
            return F.cross_entropy(scores.float(), batch.labels, reduction="sum")
        features = model.trunk.features(batch.input_ids)
        sorting = F.cross_entropy(model.scores(features, batch.lengths).float(), batch.labels, reduction="sum")
        if not (self.settings.language_weight and torch.is_grad_enabled()):
            return sorting
        inside = torch.arange(1, features.shape[1], device=features.device) < batch.lengths[:, None]
        targets = batch.input_ids[:, 1:].masked_fill(~inside, IGNORE_INDEX)
        writing = token_loss(features[:, :-1], model.trunk.head_weight, targets)
        share = self.settings.language_weight * batch.n_targets / max(1, batch.n_tokens - batch.n_targets)
        return sorting + share * (writing - writing.detach())

    def validate(self, model: GPTClassifier) -> dict[str, float]:
        logits = class_logits(model, self.validation, frozen=self._frozen(model, "validation"))
        wanted = torch.from_numpy(self.validation_labels)
        return {
            "loss_nats": F.cross_entropy(logits, wanted).item(),
            "accuracy": (logits.argmax(dim=1) == wanted).double().mean().item(),
        }

    def sample(self, model: GPTClassifier) -> str | None:
        return None


def as_tensors(tokens: list[np.ndarray], context_length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token arrays padded on the right, and how long each is.

    Shapes:  B arrays of at most context_length -> (B, T), (B,)
    """
    lengths = [len(each) for each in tokens]
    longest = max(lengths)
    if longest > FEW_TOKENS:
        longest = min(-(-longest // ROUNDED_TO) * ROUNDED_TO, context_length)
    return on_device(pad(tokens, fill=0, length=longest), device), torch.tensor(lengths, device=device)


def learn_to_write(
    model: GPT,
    rows: LabelledRows,
    validation: LabelledRows,
    tokenizer: Tokenizer,
    settings: FinetuneClsParams,
    *,
    seed: int,
    observers: Sequence[Observer] = (),
    keeper: Keeper | None = None,
) -> Outcome:
    """Next-token training on the messages, so that a classifier of them begins with weights that know how they go on.

    All weights are trained, whatever `trainable` says.
    Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification".

    Raises: GroundupError if the messages are too short for one batch; as `train`.
    """
    shared = {each.name: getattr(settings, each.name) for each in fields(TrainingParams)}
    writing = PretrainParams(
        **shared
        | {
            "batch_size": settings.language_batch_size,
            "learning_rate": settings.language_learning_rate,
            "evaluation_interval": settings.language_steps,
        },
        init="scratch",
        max_steps=settings.language_steps,
        windows="documents",
        batch_warmup_steps=0,
        length_warmup_steps=0,
        initial_weights="gpt2",
        sample_prompt="",
        sample_tokens=0,
    )
    set_dropout(model, settings.dropout)
    task = LanguageTask(
        rows.store,
        validation.store,
        tokenizer,
        writing,
        model.config.context_length,
        seed,
        model.device,
        text="finetune_cls: the text of the train messages",
        remedy="set finetune_cls.language_steps to 0, or lower finetune_cls.language_batch_size",
        learning_rate_key="finetune_cls.language_learning_rate",
    )
    return train(model, task, writing, seed=seed, observers=observers, keeper=keeper)


@torch.no_grad()
def class_logits(
    model: GPTClassifier, rows: LabelledRows, batch_size: int = 64, frozen: FrozenTrunk | None = None
) -> Tensor:
    """The scores of every message, in the order of the rows, on the CPU.

    Args:
        frozen: what the frozen part of the trunk makes of the rows, if that is known.
    Shapes:  N rows -> (N, n_classes)
    """
    was_training = model.training
    model.eval()
    order = np.argsort(rows.store.lengths, kind="stable")
    logits = torch.zeros(len(order), model.class_head.out_features)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        if frozen is not None:
            logits[chosen] = model.class_head(frozen.pooled(chosen, model.pooling)).float().cpu()
            continue
        context_length = model.config.context_length
        texts = [rows.tokens(row, context_length) for row in chosen]
        input_ids, lengths = as_tensors(texts, context_length, model.device)
        logits[chosen] = model(input_ids, lengths).float().cpu()
    model.train(was_training)
    return logits


def class_probabilities(logits: Tensor) -> np.ndarray:
    """How probable each class is.

    Shapes:  (N, K) -> (N, K)
    """
    return logits.double().softmax(dim=1).numpy()
