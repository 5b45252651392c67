"""The optimizers: AdamW with weight decay where it belongs, and Muon for the matrices of the blocks.

None of them is torch.optim's: the first use of those imports torch's compiler, which takes two seconds of each stage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from groundup.config import TrainingParams

EPSILON = 1e-8  # AdamW's, as usual
# Muon's update is scaled to the size that AdamW's typically has, so that both take the same learning rates.
ADAMW_UPDATE_RMS = 0.2
MUON_MOMENTUM = 0.95
# Coefficients of the quintic whose iteration drives all singular values towards 1, chosen for speed and not for
# exactness: they end between about 0.7 and 1.2.
QUINTIC = (3.4445, -4.7750, 2.0315)
ORTHOGONALISING_STEPS = 5


class Optimizer:
    """Groups of weights with their settings, and what is remembered of each weight from step to step.

    Args:
        groups: each with `params`, a list of weights, and the settings of those; one without weights is left out.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        self.param_groups = [group for group in groups if group["params"]]
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        """Update the weights that have a gradient."""
        raise NotImplementedError

    def remembered(self) -> Mapping[Tensor, Mapping[str, Tensor]]:
        """What is remembered of each weight, by its name."""
        return self.state

    def remember(self, parameter: Tensor, what: str, tensor: Tensor) -> None:
        """Put back what `remembered` gave."""
        self.state[parameter][what] = tensor


def make_optimizer(model: nn.Module, settings: TrainingParams) -> Optimizer:
    """The optimizer that `settings.optimizer` names, over the trainable weights.

    Matrices decay towards zero, biases and norm gains do not.
    Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization"; the groups are GPT-2's and GPT-3's habit.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    # The narrow matrices of LoRA have other names; they have no directions to spare for Muon to balance.
    hidden = [p for name, p in named if p.dim() == 2 and ".blocks." in f".{name}" and name.endswith(".weight")]
    if settings.optimizer != "muon":
        hidden = []
    by_muon = {id(parameter) for parameter in hidden}
    rest = [parameter for _, parameter in named if id(parameter) not in by_muon]
    shared = {"lr": settings.learning_rate, "betas": (settings.beta1, settings.beta2)}
    adamw = AdamW(
        [
            {"params": [p for p in rest if p.dim() >= 2], "weight_decay": settings.weight_decay, **shared},
            {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0, **shared},
        ]
    )
    return Muon(hidden, adamw, settings.learning_rate, settings.weight_decay) if hidden else adamw


def optimizer_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimizer remembers of each weight, under `<what>.<name of the weight>`."""
    remembered = optimizer.remembered()
    return {
        f"{what}.{name}": tensor
        for name, parameter in model.named_parameters()
        for what, tensor in remembered.get(parameter, {}).items()
    }


def load_optimizer_state(model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Let the optimizer remember what `optimizer_state` gave."""
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        what, _, name = key.partition(".")
        optimizer.remember(parameters[name], what, tensor)


class AdamW(Optimizer):
    """Each weight moves against the average of its gradients, divided by their usual size; decay is a step of its own.

    One fused operation reads and writes each number once, where separate ones would do so eight times.

    Oracle:  torch.optim.AdamW
    Source:  Kingma & Ba 2015, "Adam: A Method for Stochastic Optimization"; Loshchilov & Hutter 2019
    """

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in parameters:
                if parameter not in self.state:
                    self.state[parameter] = {
                        "step": torch.zeros((), device=parameter.device),
                        "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": torch.zeros_like(parameter),
                    }
            if not parameters:
                continue
            steps = [self.state[parameter]["step"] for parameter in parameters]
            torch._foreach_add_(steps, 1)
            beta1, beta2 = group["betas"]
            torch._fused_adamw_(
                parameters,
                [parameter.grad for parameter in parameters],
                [self.state[parameter]["exp_avg"] for parameter in parameters],
                [self.state[parameter]["exp_avg_sq"] for parameter in parameters],
                [],  # the largest averages so far, of the variant AMSGrad
                steps,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )


class Muon(Optimizer):
    """Momentum whose direction is made orthogonal, for the matrices of the blocks; AdamW does the rest.

    A gradient's momentum is often dominated by a few directions. With all its singular values set to one, rare
    directions are learned as fast as frequent ones, which makes small models need fewer steps.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale of the update is
        that of Liu et al. 2025, "Muon is Scalable for LLM Training".
    """

    def __init__(self, matrices: Iterable[Tensor], adamw: AdamW, learning_rate: float, weight_decay: float) -> None:
        super().__init__([{"params": list(matrices), "lr": learning_rate, "weight_decay": weight_decay}])
        self.adamw = adamw
        self._own = self.param_groups
        # The training loop sets the rate of every group; the groups of the inner optimizer are the same objects.
        self.param_groups = [*self._own, *adamw.param_groups]

    def remembered(self) -> Mapping[Tensor, Mapping[str, Tensor]]:
        return {**self.state, **self.adamw.state}

    def remember(self, parameter: Tensor, what: str, tensor: Tensor) -> None:
        (self if what == "momentum" else self.adamw).state[parameter][what] = tensor

    @torch.no_grad()
    def step(self) -> None:
        for group in self._own:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            gradients = [parameter.grad for parameter in parameters]
            momenta = [self.state[parameter]["momentum"] for parameter in parameters]
            torch._foreach_lerp_(momenta, gradients, 1 - MUON_MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, MUON_MOMENTUM)  # Nesterov's: one step further
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            by_shape: defaultdict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter, towards in zip(parameters, ahead, strict=True):
                # Queries, keys and values are three matrices that are stored as one.
                for part, direction in zip(_parts(parameter), _parts(towards), strict=True):
                    by_shape[_lying(part).shape].append((_lying(part), _lying(direction)))
            for shape, pairs in by_shape.items():
                updates = orthogonalised(torch.stack([direction for _, direction in pairs]).bfloat16()).float()
                scale = ADAMW_UPDATE_RMS * max(shape) ** 0.5
                torch._foreach_add_([part for part, _ in pairs], list(updates), alpha=-group["lr"] * scale)
        self.adamw.step()


def _parts(matrix: Tensor) -> tuple[Tensor, ...]:
    rows, columns = matrix.shape
    return matrix.split(columns) if rows == 3 * columns else (matrix,)


def _lying(matrix: Tensor) -> Tensor:
    """The matrix, or its transpose if it has more rows than columns."""
    return matrix.mT if matrix.size(0) > matrix.size(1) else matrix


def orthogonalised(matrices: Tensor) -> Tensor:
    """Each matrix with all its singular values moved near to one, in the number format that it has.

    Shapes:  (N, rows, columns), rows <= columns -> the same
    Source:  Jordan et al. 2024 (a Newton-Schulz iteration, in bf16).
    """
    a, b, c = QUINTIC
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ORTHOGONALISING_STEPS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b * gram + c * gram @ gram
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x
