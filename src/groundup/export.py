"""Models as folders that Hugging Face's `transformers` loads without this project's code, with the same numbers.

A language model becomes a `GPT2LMHeadModel`, a classifier a `GPT2ForSequenceClassification`. Where those have no place
for something, or want something more: a model without biases gets biases of zero, and the bias of the class head goes
into that of the final norm, which the class head alone reads (and which has room for it where there are at most as many
classes as features). The tokenizer is one `tokenizer.json`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.errors import GroundupError
from groundup.files import folder_written_atomically, read_json, read_utf8, write_json_atomically
from groundup.model.gpt import GPT, GPTClassifier
from groundup.model.gpt2_weights import to_gpt2
from groundup.tokenizer.bpe import END_OF_TEXT
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE, Tokenizer
from groundup.train.checkpoint import DESCRIPTION_FILE, load_classifier, load_model, write_safetensors

LOST_IN_SCORES = 1e-4  # what the class head's bias may lose on its way
PAD = "<|pad|>"  # of exported classifiers alone: a message ends with <|endoftext|>, which cannot be padding as well


def export_model(folder: Path, target: Path) -> None:
    """Write a trained model, of either kind, into a new folder in Hugging Face's form.

    Raises: GroundupError if the folder holds no model, or if there is something at the target already.
    """
    if target.exists():
        raise GroundupError(f"{target}: there is something already", do="choose another folder, or remove it first")
    facts = read_json(folder / DESCRIPTION_FILE)
    if isinstance(facts, dict) and facts.get("kind") == "classifier":
        classifier, tokenizer, facts = load_classifier(folder)
        weights, config = _classifier_weights(classifier), _classifier_config(classifier, tokenizer, facts)
        pad = PAD
    else:
        model, tokenizer, facts = load_model(folder)
        weights, config = _with_biases(to_gpt2(model), model), _language_config(model, tokenizer)
        if model.config.tie_weights:
            del weights["lm_head.weight"]  # it is the embedding, and is stored once
        pad = END_OF_TEXT
    with folder_written_atomically(target) as new:
        write_safetensors(new / "model.safetensors", weights, {"format": "pt"})
        write_json_atomically(new / "config.json", config)
        write_json_atomically(new / "tokenizer_config.json", _tokenizer_config(tokenizer, config["n_positions"], pad))
        (new / "tokenizer.json").write_text(json.dumps(_tokenizer_file(folder, tokenizer, pad)), encoding="utf-8")


def _with_biases(weights: dict[str, Tensor], model: GPT) -> dict[str, Tensor]:
    """Zeros for the biases that a model has not, since GPT-2 always has them."""
    width = model.config.d_model
    sizes = {"ln_1": width, "attn.c_attn": 3 * width, "attn.c_proj": width}
    sizes |= {"ln_2": width, "mlp.c_fc": 4 * width, "mlp.c_proj": width}
    names = {
        f"transformer.h.{n}.{part}.bias": size for n in range(model.config.n_layers) for part, size in sizes.items()
    }
    names["transformer.ln_f.bias"] = width
    return {name: torch.zeros(size) for name, size in names.items()} | weights


def _classifier_weights(classifier: GPTClassifier) -> dict[str, Tensor]:
    if classifier.pooling != "last":
        raise GroundupError(
            "GPT2ForSequenceClassification reads a text's last token, and this classifier all of them",
            got=f"finetune_cls.pooling {classifier.pooling}",
            allowed="last",
            do="train with finetune_cls.pooling: last",
        )
    weights = _with_biases(to_gpt2(classifier.trunk), classifier.trunk)
    del weights["lm_head.weight"]
    head = classifier.class_head
    # Hugging Face's class head has no bias. It reads nothing but the final norm: a shift there that the head turns into
    # the bias does the same.
    shift = torch.linalg.pinv(head.weight.detach().double()) @ head.bias.detach().double()
    before = weights["transformer.ln_f.bias"].double()
    weights["transformer.ln_f.bias"] = (before + shift).float()
    arrived = head.weight.detach().double() @ (weights["transformer.ln_f.bias"].double() - before)
    lost = float((arrived - head.bias.detach().double()).abs().max())
    if lost > LOST_IN_SCORES:
        raise GroundupError(
            "the class head's bias has no place in GPT2ForSequenceClassification, whose class head has none",
            got=f"{head.out_features} classes and {head.in_features} features; scores would be {lost:.2g} off",
            allowed="at most as many classes as model.d_model, with class weights that do not depend on each other",
            do="train with a larger model.d_model or with fewer labels",
        )
    weights["score.weight"] = head.weight.detach()
    embedding = weights["transformer.wte.weight"]
    weights["transformer.wte.weight"] = torch.cat([embedding, torch.zeros(1, embedding.shape[1])])  # the padding's
    return weights


def _config(model: GPT, tokenizer: Tokenizer) -> dict[str, Any]:
    shape = model.config
    return {
        "model_type": "gpt2",
        "vocab_size": shape.vocab_size,
        "n_positions": shape.context_length,
        "n_embd": shape.d_model,
        "n_layer": shape.n_layers,
        "n_head": shape.n_heads,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": shape.dropout,
        "embd_pdrop": shape.dropout,
        "attn_pdrop": shape.dropout,
        "bos_token_id": tokenizer.end_of_text_id,
        "eos_token_id": tokenizer.end_of_text_id,
        "dtype": "float32",
    }


def _language_config(model: GPT, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        **_config(model, tokenizer),
        "architectures": ["GPT2LMHeadModel"],
        "tie_word_embeddings": model.config.tie_weights,
    }


def _classifier_config(classifier: GPTClassifier, tokenizer: Tokenizer, facts: dict[str, Any]) -> dict[str, Any]:
    labels, threshold = facts["labels"], facts["threshold"]
    return {
        **_config(classifier.trunk, tokenizer),
        "architectures": ["GPT2ForSequenceClassification"],
        "vocab_size": classifier.config.vocab_size + 1,
        "pad_token_id": classifier.config.vocab_size,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": "single_label_classification",
        # Of the last of two labels' probability; transformers keeps it and does not use it.
        **({} if threshold is None else {"threshold": threshold}),
        "spelled_out": facts["spelled_out"],  # whether it reads a text as `tasks.classify.spelled` gives it; kept, too
    }


def _tokenizer_config(tokenizer: Tokenizer, context_length: int, pad: str) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "pad_token": pad,
        "padding_side": "right" if pad == PAD else "left",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
    }


def _tokenizer_file(folder: Path, tokenizer: Tokenizer, pad: str) -> dict[str, Any]:
    """The vocabulary as the `tokenizers` library reads it; a classifier's ends each text with <|endoftext|>."""
    specials = [END_OF_TEXT] + ([PAD] if pad == PAD else [])
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    ends_texts = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            END_OF_TEXT: {"id": END_OF_TEXT, "ids": [tokenizer.end_of_text_id], "tokens": [END_OF_TEXT]}
        },
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": tokenizer.end_of_text_id + number,
                "content": content,
                "special": True,
                **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
            }
            for number, content in enumerate(specials)
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": ends_texts if pad == PAD else byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": read_json(folder / ENCODER_FILE),
            "merges": [line.split(" ") for line in read_utf8(folder / MERGES_FILE).split("\n")[1:] if line],
        },
    }
