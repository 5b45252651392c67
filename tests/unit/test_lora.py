import pytest
import torch
from helpers import LORA, tiny_gpt

from groundup.config import LoraParams
from groundup.model.gpt import GPTClassifier, choose_trainable
from groundup.model.lora import LoraLinear, merge_lora

INPUT_IDS = torch.randint(31, (3, 12), generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([12, 5, 1])
ALL_TARGETS = LORA.targets


def lora(**changes):
    return LoraParams(**{"rank": 3, "alpha": 6.0, "targets": ALL_TARGETS, **changes})


def as_if_trained(model):
    """Changes that are no longer zero."""
    torch.manual_seed(5)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, LoraLinear):
                layer.up.normal_(std=0.2)
    return model


def trainable_names(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("targets", [ALL_TARGETS, ("query_key_value",), ("project", "narrow")])
def test_beside_each_target_stand_two_narrow_matrices_and_only_they_train(targets):
    model = tiny_gpt()
    choose_trainable(model, "lora", lora(targets=targets))
    place = {"query_key_value": "attention", "project": "attention", "widen": "feed_forward", "narrow": "feed_forward"}
    assert trainable_names(model) == {
        f"blocks.{n}.{place[name]}.{name}.{part}" for n in (0, 1) for name in targets for part in ("down", "up")
    }
    sizes = {"query_key_value": (16, 48), "project": (16, 16), "widen": (16, 64), "narrow": (64, 16)}
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * 3 * sum(sum(sizes[t]) for t in targets)


def test_a_classifier_trains_its_head_too():
    model = GPTClassifier(tiny_gpt(), 2)
    choose_trainable(model, "lora", lora(targets=("widen",)))
    assert {name for name in trainable_names(model) if "widen" not in name} == {"class_head.weight", "class_head.bias"}


def test_before_training_the_model_is_what_it_was():
    model = tiny_gpt().eval()
    before = model(INPUT_IDS)
    choose_trainable(model, "lora", lora())
    assert torch.equal(model(INPUT_IDS), before)


def test_rank_0_is_the_frozen_model():
    frozen, of_rank_0 = GPTClassifier(tiny_gpt(), 2), GPTClassifier(tiny_gpt(), 2)
    of_rank_0.load_state_dict(frozen.state_dict())
    choose_trainable(frozen, "head")
    choose_trainable(of_rank_0, "lora", lora(rank=0))
    assert trainable_names(of_rank_0) == trainable_names(frozen) == {"class_head.weight", "class_head.bias"}
    assert torch.equal(of_rank_0(INPUT_IDS, LENGTHS), frozen(INPUT_IDS, LENGTHS))
    language_model = tiny_gpt()
    choose_trainable(language_model, "lora", lora(rank=0))
    assert trainable_names(language_model) == set()


def test_what_is_added_is_the_product_scaled_by_alpha_over_rank():
    layer = torch.nn.Linear(4, 5)
    beside = LoraLinear(layer, rank=2, alpha=6.0)
    torch.nn.init.normal_(beside.up)
    x = torch.randn(7, 4)
    wanted = x @ (layer.weight + 3.0 * beside.up @ beside.down).T + layer.bias
    torch.testing.assert_close(beside(x), wanted)


def test_merged_equals_unmerged_and_has_the_weights_of_a_plain_model():
    for model, arguments in ((tiny_gpt(), (INPUT_IDS,)), (GPTClassifier(tiny_gpt(), 2), (INPUT_IDS, LENGTHS))):
        names = list(model.eval().state_dict())
        before = model(*arguments)
        choose_trainable(model, "lora", lora())
        unmerged = as_if_trained(model)(*arguments)
        merge_lora(model)
        assert list(model.state_dict()) == names
        torch.testing.assert_close(model(*arguments), unmerged, rtol=0, atol=1e-5)
        assert (unmerged - before).abs().max() > 0.01


def test_the_frozen_matrices_get_no_gradient():
    model = as_if_trained(tiny_gpt())
    choose_trainable(model, "lora", lora())
    model(INPUT_IDS).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == trainable_names(model)
