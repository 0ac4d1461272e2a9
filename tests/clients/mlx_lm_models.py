"""Runs models of mlx-lm with random weights; a worker of tools/clients.

Prints a line of JSON a model: its name and the tokens of greedy decoding, or the error.
"""

import argparse
import dataclasses
import importlib
import json
import sys
import time
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model, save_model

PROMPT = [1, 5, 9, 33, 7]
# What any of the models takes of these becomes its configuration.
SETTINGS = {
    "attention_bias": False,
    "attn_logit_softcapping": 50.0,
    "attention_multiplier": 1.0,
    "embedding_multiplier": 1.0,
    "final_logit_softcapping": 30.0,
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_size": 64,
    "conv_kernel": 4,
    "intermediate_size": 128,
    "layer_norm_bias": True,
    "layer_norm_eps": 1e-5,
    "layer_norm_epsilon": 1e-5,
    "logits_scaling": 1.0,
    "max_position_embeddings": 128,
    "mlp_bias": False,
    "mlp_only_layers": [],
    "moe_intermediate_size": 64,
    "moe_layer_freq": 1,
    "n_ctx": 128,
    "n_embd": 64,
    "n_head": 4,
    "n_layer": 2,
    "n_positions": 128,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "norm_epsilon": 1e-5,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_local_experts": 4,
    "decoder_sparse_step": 1,
    "partial_rotary_factor": 0.5,
    "query_pre_attn_scalar": 16.0,
    "residual_multiplier": 1.0,
    "rms_norm_eps": 1e-5,
    "rope_local_base_freq": 10000.0,
    "rope_theta": 10000.0,
    "shared_expert_intermediate_size": 64,
    "sliding_window": 16,
    "sliding_window_pattern": 2,
    "state_size": 16,
    "tie_word_embeddings": True,
    "time_step_rank": 8,
    "use_bias": False,
    "use_conv_bias": True,
    "use_qk_norm": True,
    "use_qkv_bias": False,
    "vocab_size": 256,
}


def build(name, settings):
    module = importlib.import_module(f"mlx_lm.models.{name}")
    names = {f.name for f in dataclasses.fields(module.ModelArgs)}
    chosen = {k: v for k, v in settings.items() if k in names}
    model = module.Model(module.ModelArgs(model_type=name, **chosen))
    weights = []
    for i, (key, value) in enumerate(sorted(tree_flatten(model.parameters()))):
        if mx.issubdtype(value.dtype, mx.floating):
            random = mx.random.uniform(-0.3, 0.3, value.shape, key=mx.random.key(i))
            value = random.astype(value.dtype)
        weights.append((key, value))
    model.update(tree_unflatten(weights))
    return model


def decode(model, count):
    steps = generate_step(mx.array(PROMPT), model, max_tokens=count)
    return [int(token) for token, _ in steps][:count]


def small(name, precision):
    model = build(name, SETTINGS)
    if precision == "bfloat16":
        model.set_dtype(mx.bfloat16)
    elif precision == "4bit":
        nn.quantize(model, group_size=32, bits=4)
    mx.eval(model.parameters())
    return {"tokens": decode(model, 16)}


LARGE = {
    **SETTINGS, "hidden_size": 1024, "num_hidden_layers": 8, "intermediate_size": 2816,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 4096,
}  # fmt: skip


def large(folder):
    """Tokens of a model whose weights are saved in `folder`, and how long they took."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_model(folder, build("llama", LARGE))
        config = {"model_type": "llama", **LARGE}
        (folder / "config.json").write_text(json.dumps(config))
    model, _ = load_model(folder, lazy=True)
    begin = time.perf_counter()
    tokens = decode(model, 8)
    return {"tokens": tokens, "s": time.perf_counter() - begin, "peak": mx.get_peak_memory()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", help="names with commas, or a folder with --large")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--limit", help="a strict limit of the engine; Plimsoll only")
    options = parser.parse_args()
    if options.limit:
        mx.set_memory_limit(options.limit, strict=True)
    for name in options.models.split(","):
        try:
            out = large(Path(name)) if options.large else small(name, options.precision)
        except Exception as e:
            out = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps({"name": name, **out}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
