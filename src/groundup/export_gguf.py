"""Language models as one GGUF file, which llama.cpp and the programs built on it run without this project's code.

The `gguf` package writes the file; it is an extra of its own, since nothing else needs it. Weights stay fp32. Linear
layers lie output first in both. llama.cpp's GPT-2 always has biases, so a model without them gets zeros.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.errors import GroundupError
from groundup.files import named_in_errors, read_json, read_utf8
from groundup.model.gpt import GPT
from groundup.tokenizer.encoding import ENCODER_FILE, MERGES_FILE, Tokenizer
from groundup.train.checkpoint import DESCRIPTION_FILE, load_model

_BLOCK_NAMES = {
    "attention_norm": "attn_norm",
    "attention.query_key_value": "attn_qkv",
    "attention.project": "attn_output",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.widen": "ffn_up",
    "feed_forward.narrow": "ffn_down",
}
_TOP_NAMES = {
    "token_embedding": "token_embd",
    "position_embedding": "position_embd",
    "final_norm": "output_norm",
    "head": "output",
}
WITHOUT_BIAS = ("token_embedding", "position_embedding", "head")
GPT2_PRE_TOKENIZER = "gpt-2"  # llama.cpp's name of GPT-2's pattern for cutting a text into words


def export_gguf(folder: Path, target: Path) -> None:
    """Write a trained language model, with its tokenizer, into a new GGUF file.

    Raises: GroundupError if the folder holds no language model, if there is something at the target already, or if the
        package gguf is not installed.
    """
    gguf = _gguf_package()
    if target.exists():
        raise GroundupError(f"{target}: there is something already", do="choose another file, or remove it first")
    facts = read_json(folder / DESCRIPTION_FILE)
    if isinstance(facts, dict) and facts.get("kind") == "classifier":
        raise GroundupError(
            f"{folder}: llama.cpp has no GPT-2 that sorts texts",
            got="classifier",
            allowed="language_model",
            do="choose a language model, or --format hf",
        )
    model, tokenizer, _ = load_model(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        named_in_errors(target),
        tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as place,
    ):
        written = Path(place) / target.name
        with contextlib.closing(gguf.GGUFWriter(written, "gpt2")) as writer:
            _describe(writer, folder, model, gguf)
            _add_tokenizer(writer, folder, tokenizer, gguf)
            for name, tensor in gguf_weights(model).items():
                writer.add_tensor(name, tensor.float().contiguous().numpy())
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            for file in writer.fout:
                os.fsync(file.fileno())
        os.replace(written, target)


def _gguf_package() -> Any:
    try:
        import gguf
    except ModuleNotFoundError as error:
        if error.name != "gguf":
            raise
        raise GroundupError(
            "--format gguf needs the package gguf, which is not installed",
            do=f"run `{sys.executable} -m pip install gguf`",
        ) from None
    return gguf


def gguf_weights(model: GPT) -> dict[str, Tensor]:
    """The model's weights under the names that GGUF has for them; a tied head is left out, as llama.cpp wants it."""
    weights: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        weights[f"{_gguf_name(layer)}.{kind}"] = tensor
        if kind == "weight" and layer not in WITHOUT_BIAS:
            weights.setdefault(f"{_gguf_name(layer)}.bias", torch.zeros(tensor.shape[0]))
    return weights


def _gguf_name(layer: str) -> str:
    """GGUF's name of one of our layers."""
    top, _, rest = layer.partition(".")
    if top == "blocks":
        number, _, part = rest.partition(".")
        return f"blk.{number}.{_BLOCK_NAMES[part]}"
    return _TOP_NAMES[top]


def _describe(writer: Any, folder: Path, model: GPT, gguf: Any) -> None:
    shape = model.config
    writer.add_type("model")
    writer.add_name(folder.resolve().name)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.d_model)
    writer.add_feed_forward_length(4 * shape.d_model)
    writer.add_block_count(shape.n_layers)
    writer.add_head_count(shape.n_heads)
    writer.add_layer_norm_eps(1e-5)


def _add_tokenizer(writer: Any, folder: Path, tokenizer: Tokenizer, gguf: Any) -> None:
    ids = read_json(folder / ENCODER_FILE)
    types = [gguf.TokenType.NORMAL] * tokenizer.vocab_size
    types[tokenizer.end_of_text_id] = gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(GPT2_PRE_TOKENIZER)
    writer.add_token_list(sorted(ids, key=ids.__getitem__))
    writer.add_token_types(types)
    writer.add_token_merges([line for line in read_utf8(folder / MERGES_FILE).split("\n")[1:] if line])
    writer.add_bos_token_id(tokenizer.end_of_text_id)
    writer.add_eos_token_id(tokenizer.end_of_text_id)
    writer.add_add_bos_token(False)
