"""How one vector comes of the features of a text's tokens."""

import json
from typing import Any, get_args

import pytest
import torch
from helpers import byte_tokenizer, tiny_gpt

from groundup.config import Pooling
from groundup.errors import GroundupError
from groundup.export import export_model
from groundup.model.gpt import GPTClassifier, pooled
from groundup.train.checkpoint import load_classifier, save_model

LENGTHS = torch.tensor([5, 1, 3])


def slowly(features: torch.Tensor, lengths: torch.Tensor, pooling: str) -> torch.Tensor:
    """The same, text by text and without padding."""
    rows = [text[:length] for text, length in zip(features, lengths.tolist(), strict=True)]
    how = {"last": lambda row: row[-1], "mean": lambda row: row.mean(dim=0), "max": lambda row: row.max(dim=0).values}
    return torch.stack([how[pooling](row) for row in rows])


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("below_zero", [False, True])
def test_it_is_that_of_each_text_alone(pooling, below_zero):
    """Also where all features are negative, so that neither padding nor a zero for it may win."""
    features = torch.randn(3, 5, 4, dtype=torch.double, requires_grad=True)
    given = features - 10.0 if below_zero else features
    ours, theirs = pooled(given, LENGTHS, pooling), slowly(given, LENGTHS, pooling)
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    (one,), (other,) = (torch.autograd.grad(each, features, upstream, retain_graph=True) for each in (ours, theirs))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_scores_do_not_depend_on_what_stands_behind_a_text(pooling):
    torch.manual_seed(0)
    model = GPTClassifier(tiny_gpt(), 2, pooling).double().eval()
    input_ids = torch.randint(0, 31, (3, 5))
    changed = torch.where(torch.arange(5) < LENGTHS[:, None], input_ids, (input_ids + 1) % 31)
    with torch.no_grad():
        scores = model(input_ids, LENGTHS)
        torch.testing.assert_close(model(changed, LENGTHS), scores)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = model(input_ids[row : row + 1, :length], LENGTHS[row : row + 1])
            torch.testing.assert_close(alone[0], scores[row])


def saved(folder, pooling: Pooling) -> GPTClassifier:
    model = GPTClassifier(tiny_gpt(vocab_size=257), 2, pooling).eval()
    facts: dict[str, Any] = {"labels": ["ham", "spam"], "threshold": 0.5, "threshold_for": "accuracy"}
    folder.mkdir()
    save_model(folder, model, byte_tokenizer(), facts | {"spelled_out": False})
    return model


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_a_saved_classifier_pools_as_before(tmp_path, pooling):
    model = saved(tmp_path / "model", pooling)
    again, _, facts = load_classifier(tmp_path / "model")
    assert again.pooling == facts["pooling"] == pooling
    input_ids = torch.randint(0, 257, (3, 5))
    torch.testing.assert_close(again(input_ids, LENGTHS), model(input_ids, LENGTHS))


def test_a_classifier_of_before_the_key_reads_the_last_token(tmp_path):
    saved(tmp_path / "model", "last")
    description = tmp_path / "model" / "model.json"
    facts = json.loads(description.read_text())
    del facts["pooling"], facts["spelled_out"]
    description.write_text(json.dumps(facts))
    model, _, facts = load_classifier(tmp_path / "model")
    assert (model.pooling, facts["spelled_out"]) == ("last", False)


def test_an_unknown_pooling_is_refused_in_one_line(tmp_path):
    saved(tmp_path / "model", "last")
    description = tmp_path / "model" / "model.json"
    description.write_text(description.read_text().replace('"last"', '"first"'))
    with pytest.raises(GroundupError, match="pooling must be one of last, mean, max, got first") as refused:
        load_classifier(tmp_path / "model")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_what_has_no_place_in_the_stock_class_is_not_exported(tmp_path, pooling):
    saved(tmp_path / "model", pooling)
    with pytest.raises(GroundupError, match=f"got finetune_cls.pooling {pooling}; allowed: last") as refused:
        export_model(tmp_path / "model", tmp_path / "exported")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "exported").exists()
