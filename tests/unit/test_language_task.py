"""Pretraining's batches, and scores that count every token once."""

import math

import numpy as np
import pytest
import torch
from helpers import CPU, byte_tokenizer, pretrain_settings, tiny_gpt, token_store, trained_tokenizer

from groundup.errors import GroundupError
from groundup.tasks.language import CorpusScore, LanguageTask, score_corpus

CONTEXT = 6


def documents(tokenizer) -> list[list[int]]:
    """Texts shorter than, as long as and longer than the context, with <|endoftext|> behind each, and an empty one."""
    texts = ["the cat", "a", "", "the cat sat on the mat.", "sat"]
    return [[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in texts]


def model_for(tokenizer):
    return tiny_gpt(vocab_size=tokenizer.vocab_size, context_length=CONTEXT).double()


def scored_one_by_one(model, docs: list[list[int]], end_of_text_id: int, stride: int) -> float:
    """Each token's surprise, from the first of the windows (one every `stride` tokens) that reaches it."""
    total = 0.0
    for doc in docs:
        tokens = [end_of_text_id, *doc]
        for place in range(len(doc)):
            start = 0
            while start + CONTEXT <= place:
                start += stride
            with torch.no_grad():
                scores = model(torch.tensor([tokens[start : place + 1]]))[0, -1]
            total -= scores.log_softmax(dim=0)[doc[place]].item()
    return total


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_every_token_is_scored_once_at_any_stride_and_batch_size(stride, batch_size):
    tokenizer = trained_tokenizer(270)
    docs, model = documents(tokenizer), model_for(tokenizer)
    score = score_corpus(model, token_store(docs), tokenizer, stride=stride, batch_size=batch_size)
    assert score.n_targets == sum(map(len, docs))
    assert score.n_bytes == len("the cat" + "a" + "the cat sat on the mat." + "sat")
    # Each batch is scored in fp32 in the end, whatever the model: a few roundings of 2^-24.
    expected = scored_one_by_one(model, docs, tokenizer.end_of_text_id, stride)
    assert score.loss_nats == pytest.approx(expected, rel=1e-6)


def test_more_context_for_each_token_changes_the_score():
    tokenizer = byte_tokenizer()
    store, model = token_store(documents(tokenizer)), model_for(tokenizer)
    losses = {score_corpus(model, store, tokenizer, stride=stride, batch_size=9).loss_nats for stride in (1, 3, 6)}
    assert len(losses) == 3


def test_bits_per_byte_of_a_model_that_knows_nothing_are_those_of_a_fair_die():
    tokenizer = byte_tokenizer()
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    with torch.no_grad():
        model.token_embedding.weight.zero_()  # the tied head too: every token is equally likely
    text = "naïve"  # 5 letters, 6 bytes, each a token; with <|endoftext|> 7 targets of log2(257) bits
    store = token_store([[*tokenizer.encode(text), tokenizer.end_of_text_id]])
    figures = score_corpus(model, store, tokenizer, stride=6, batch_size=2).figures()
    assert figures["loss_nats"] == pytest.approx(math.log(257), rel=1e-6)
    assert figures["perplexity"] == pytest.approx(257, rel=1e-5)
    assert figures["bits_per_byte"] == pytest.approx(7 * math.log2(257) / 6, rel=1e-6)


def test_figures_are_those_of_the_definitions():
    figures = CorpusScore(loss_nats=8 * math.log(2), n_targets=4, n_bytes=16).figures()
    assert figures == pytest.approx({"loss_nats": 2 * math.log(2), "perplexity": 4.0, "bits_per_byte": 0.5})
    assert math.isfinite(CorpusScore(loss_nats=1e9, n_targets=1, n_bytes=1).figures()["perplexity"])


@pytest.mark.parametrize("docs", [[], [[256]], [[256], [256]]])
def test_a_store_without_text_cannot_be_scored(docs):
    with pytest.raises(GroundupError, match="no text to score"):
        score_corpus(tiny_gpt(vocab_size=257), token_store(docs), byte_tokenizer(), stride=2, batch_size=2)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_model_in_its_mode_and_uses_no_dropout(training):
    tokenizer = byte_tokenizer()
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT, dropout=0.5).train(training)
    store = token_store(documents(tokenizer))
    first = score_corpus(model, store, tokenizer, stride=4, batch_size=2)
    assert model.training is training
    assert score_corpus(model, store, tokenizer, stride=4, batch_size=2) == first


def task(n_tokens: int = 200, seed: int = 0, **changes) -> LanguageTask:
    tokenizer = byte_tokenizer()
    numbers = np.arange(n_tokens) % 256
    store = token_store([numbers.tolist()])
    return LanguageTask(store, store, tokenizer, pretrain_settings(**changes), CONTEXT, seed, CPU)


def test_the_target_of_each_token_is_the_next_one():
    [batch] = task(batch_size=4).batches(3)
    assert batch.input_ids.shape == batch.targets.shape == (4, CONTEXT)
    # The text counts upwards, so the next token is one more.
    assert torch.equal(batch.targets, batch.input_ids + 1)
    assert batch.n_targets == batch.n_tokens == 4 * CONTEXT


def test_a_step_takes_its_batches_one_after_the_other():
    single, triple = task(grad_accum_steps=1), task(grad_accum_steps=3)
    one_by_one = [single.batches(step)[0].input_ids for step in range(6)]
    together = [batch.input_ids for step in range(2) for batch in triple.batches(step)]
    assert all(torch.equal(one, other) for one, other in zip(one_by_one, together, strict=True))
    assert len({tuple(ids.flatten().tolist()) for ids in together}) == 6


@pytest.mark.parametrize("grad_accum_steps", [1, 2])
def test_growing_batches_and_windows_are_the_beginnings_of_full_ones(grad_accum_steps):
    full = task(batch_size=4, grad_accum_steps=grad_accum_steps)
    growing = task(
        batch_size=4, grad_accum_steps=grad_accum_steps, batch_warmup_steps=3, length_warmup_steps=CONTEXT // 2
    )
    for step, (rows, length) in enumerate([(1, 2), (2, 4), (4, CONTEXT), (4, CONTEXT)]):
        for all_of_it, some in zip(full.batches(step), growing.batches(step), strict=True):
            assert torch.equal(some.input_ids, all_of_it.input_ids[:rows, :length])
            assert torch.equal(some.targets, all_of_it.targets[:rows, :length])
            assert some.n_targets == some.n_tokens == rows * length


def test_only_batches_that_do_not_grow_are_alike():
    assert task().alike
    assert not task(batch_warmup_steps=3).alike
    assert not task(length_warmup_steps=3).alike


def test_a_corpus_that_fills_one_batch_is_taken_and_one_token_less_is_refused():
    needed = (4 + 1) * CONTEXT + 1
    assert task(needed, batch_size=4).batches(0)[0].n_targets == 4 * CONTEXT
    with pytest.raises(GroundupError, match=f"corpus is too short for one batch; .*allowed: {needed} tokens") as e:
        task(needed - 1, batch_size=4)
    assert "\n" not in str(e.value)


def test_validation_is_the_score_of_all_of_the_validation_side():
    one = task(batch_size=3)
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    score = score_corpus(model, one.validation, one.tokenizer, stride=CONTEXT, batch_size=3)
    assert one.validate(model) == score.figures()
    assert score.n_targets == 200


def test_the_loss_is_summed_over_all_targets():
    one, model = task(batch_size=2), tiny_gpt(vocab_size=257, context_length=CONTEXT)
    [batch] = one.batches(0)
    log_probabilities = model(batch.input_ids).log_softmax(dim=-1)
    expected = -log_probabilities.gather(2, batch.targets[..., None]).sum().item()
    assert one.loss(model, batch).item() == pytest.approx(expected, rel=1e-5)  # a sum of 12 in fp32, in another order


def test_the_sample_begins_with_its_prompt_and_is_the_same_each_time():
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    one = task(sample_prompt="To be", sample_tokens=9)
    sample = one.sample(model)
    assert sample.startswith("To be")
    assert len(sample) > len("To be")
    assert one.sample(model) == sample
    assert task(sample_prompt="To be", sample_tokens=9, seed=1).sample(model) != sample
    assert task(sample_tokens=0).sample(model) is None
