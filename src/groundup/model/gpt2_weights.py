"""The names and layouts that GPT-2's weights have in OpenAI's and Hugging Face's files, to and from ours.

There the four projections of a block are stored input-first (a leftover of TensorFlow), so they are transposed.
"""

from torch import Tensor

from groundup.model.gpt import GPT

_BLOCK_NAMES = {
    "attention_norm": "ln_1",
    "attention.query_key_value": "attn.c_attn",
    "attention.project": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.widen": "mlp.c_fc",
    "feed_forward.narrow": "mlp.c_proj",
}
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def gpt2_name(name: str) -> str:
    """GPT-2's name of one of our weights."""
    top, _, rest = name.partition(".")
    if top == "blocks":
        number, _, rest = rest.partition(".")
        part, _, kind = rest.rpartition(".")
        return f"transformer.h.{number}.{_BLOCK_NAMES[part]}.{kind}"
    return {
        "token_embedding": "transformer.wte.",
        "position_embedding": "transformer.wpe.",
        "final_norm": "transformer.ln_f.",
        "head": "lm_head.",
    }[top] + rest


def to_gpt2(model: GPT) -> dict[str, Tensor]:
    """The model's weights as Hugging Face's `GPT2LMHeadModel` has them."""
    renamed = {gpt2_name(name): tensor for name, tensor in model.state_dict().items()}
    weights = {name: tensor.T if name.endswith(TRANSPOSED) else tensor for name, tensor in renamed.items()}
    weights.setdefault("lm_head.weight", weights["transformer.wte.weight"])  # the tied head
    return weights
