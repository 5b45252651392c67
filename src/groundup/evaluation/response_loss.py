"""The loss of the right answers row by row, so that it can be said how sure their mean is."""

import numpy as np
import torch
import torch.nn.functional as F

from groundup.model.gpt import GPT
from groundup.model.loss import IGNORE_INDEX
from groundup.tasks.instruct import InstructionRows, instruction_batch


@torch.no_grad()
def response_losses(model: GPT, rows: InstructionRows, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """How much each right answer surprises the model, its end-of-text token included, and of how many tokens it is.

    Only rows that fit the context are measured, in their order.

    Shapes:  -> (N,), (N,)
    Units:   nats, summed over the tokens of an answer
    Oracle:  tasks.instruct.response_loss is the one sum divided by the other
    """
    was_training = model.training
    model.eval()
    fitting = rows.fitting(model.config.context_length)
    order = np.argsort(rows.store.lengths[fitting], kind="stable")
    losses, n_targets = np.zeros(len(fitting)), np.zeros(len(fitting))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = instruction_batch(rows, fitting[places], "response", model.device)
        asked = batch.targets != IGNORE_INDEX  # shape: (B, T)
        scores = F.linear(model.features(batch.input_ids)[asked], model.head_weight).float()  # shape: (targets, V)
        nats = F.cross_entropy(scores, batch.targets[asked], reduction="none").double().cpu().numpy()
        row_of_target = asked.nonzero()[:, 0].cpu().numpy()
        losses[places] = np.bincount(row_of_target, weights=nats, minlength=len(places))
        n_targets[places] = np.bincount(row_of_target, minlength=len(places))
    model.train(was_training)
    return losses, n_targets
