"""Makes golden cases of model families with Hugging Face transformers: python tools/cases/make_model_cases.py OUT [FAMILY ...]

For each family a folder OUT/<family> with config.json, model.safetensors, case.json and expected.safetensors: hidden states, logits, loss,
gradients, greedy continuation and a second head of a tiny model with random weights on random token ids of unequal lengths. Needs torch,
transformers and safetensors. The layout is that of the other cases below packages/testing/fixtures; tools/golden/sections/models.ts checks it.
"""
import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import torch
import transformers as tf
from safetensors.torch import save_file

ATOL = 2e-5
LENGTHS = (17, 5, 1, 11)

SPECIAL_IDS = dict(pad_token_id=0, eos_token_id=1, bos_token_id=2, cls_token_id=2, sep_token_id=1)

FAMILIES = {
    "roberta": (
        "Roberta",
        "seqcls",
        dict(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            max_position_embeddings=34,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=1,
            num_labels=3,
            hidden_act="gelu",
        ),
        [
            "roberta.embeddings.position_embeddings.weight",
            "roberta.encoder.layer.1.attention.self.key.weight",
            "classifier.dense.weight",
        ],
    ),
    "deberta-v2-convolution": (
        "DebertaV2",
        "seqcls",
        dict(
            hidden_size=24,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=40,
            max_position_embeddings=40,
            relative_attention=True,
            position_buckets=6,
            norm_rel_ebd="layer_norm",
            share_att_key=False,
            pos_att_type="c2p|p2c",
            position_biased_input=True,
            type_vocab_size=2,
            layer_norm_eps=1e-7,
            pooler_hidden_size=24,
            pooler_hidden_act="gelu",
            conv_kernel_size=3,
            conv_act="tanh",
            embedding_size=16,
            num_labels=2,
        ),
        [
            "deberta.encoder.conv.conv.weight",
            "deberta.encoder.layer.0.attention.self.pos_query_proj.weight",
            "deberta.encoder.rel_embeddings.weight",
            "deberta.embeddings.embed_proj.weight",
        ],
    ),
    "deberta-v2-plain": (
        "DebertaV2",
        "seqcls",
        dict(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=40,
            max_position_embeddings=40,
            relative_attention=True,
            max_relative_positions=8,
            share_att_key=True,
            pos_att_type=["c2p"],
            position_biased_input=False,
            type_vocab_size=0,
            pooler_hidden_size=24,
            num_labels=2,
        ),
        [
            "deberta.encoder.rel_embeddings.weight",
            "deberta.encoder.layer.1.attention.self.key_proj.weight",
            "classifier.bias",
        ],
    ),
    "distilbert": (
        "DistilBert",
        "seqcls",
        dict(
            dim=24, n_layers=2, n_heads=3, hidden_dim=44, max_position_embeddings=32, num_labels=2
        ),
        [
            "distilbert.embeddings.position_embeddings.weight",
            "distilbert.transformer.layer.0.attention.out_lin.weight",
            "distilbert.transformer.layer.1.sa_layer_norm.bias",
            "pre_classifier.weight",
        ],
    ),
    "modernbert": (
        "ModernBert",
        "seqcls",
        dict(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            local_attention=6,
            global_attn_every_n_layers=2,
            classifier_pooling="cls",
            norm_bias=True,
            classifier_bias=True,
            attention_bias=True,
            mlp_bias=True,
            num_labels=3,
            **SPECIAL_IDS,
        ),
        [
            "model.layers.0.attn.Wqkv.weight",
            "model.layers.3.mlp.Wi.bias",
            "model.final_norm.weight",
            "head.norm.weight",
        ],
    ),
    "modernbert-mean": (
        "ModernBert",
        "seqcls",
        dict(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=40,
            max_position_embeddings=64,
            local_attention=4,
            classifier_pooling="mean",
            num_labels=2,
            **SPECIAL_IDS,
        ),
        [
            "model.embeddings.tok_embeddings.weight",
            "model.layers.1.attn_norm.weight",
            "head.dense.weight",
        ],
    ),
    "gemma2": (
        "Gemma2",
        "causal",
        dict(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=64,
            sliding_window=5,
            query_pre_attn_scalar=12,
            attn_logit_softcapping=4.0,
            final_logit_softcapping=5.0,
        ),
        [
            "model.embed_tokens.weight",
            "model.layers.1.self_attn.k_proj.weight",
            "model.layers.2.post_feedforward_layernorm.weight",
            "model.norm.weight",
        ],
    ),
    "gemma3": (
        "Gemma3",
        "causal",
        dict(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=64,
            sliding_window=4,
            sliding_window_pattern=3,
            query_pre_attn_scalar=8,
        ),
        [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.q_norm.weight",
            "model.layers.2.self_attn.v_proj.weight",
            "model.layers.3.mlp.down_proj.weight",
        ],
    ),
    "phi3": (
        "Phi3",
        "causal",
        dict(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            original_max_position_embeddings=64,
            sliding_window=6,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
        ),
        [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.qkv_proj.weight",
            "model.layers.1.mlp.gate_up_proj.weight",
            "lm_head.weight",
        ],
    ),
    "phi3-longrope": (
        "Phi3",
        "causal",
        dict(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=3,
            max_position_embeddings=64,
            original_max_position_embeddings=8,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
            rope_parameters=dict(
                rope_type="longrope",
                rope_theta=10000.0,
                partial_rotary_factor=0.5,
                original_max_position_embeddings=8,
                short_factor=[1.0, 1.1],
                long_factor=[1.5, 4.0],
            ),
        ),
        ["model.embed_tokens.weight", "model.layers.1.self_attn.o_proj.weight"],
    ),
    "llama-yarn": (
        "Llama",
        "causal",
        dict(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            max_position_embeddings=64,
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=4.0,
                original_max_position_embeddings=16,
            ),
        ),
        ["model.layers.0.self_attn.o_proj.bias", "model.layers.1.mlp.down_proj.bias"],
    ),
}


def generator(*parts):
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))


def randomise(model, family):
    """Values that make every part of the network count."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator(family, name))
        if p.ndim < 2:
            p.data = p.data + 0.2 * noise
        elif any(word in name for word in ("embed", "rel_")):
            p.data = noise * (0.3 if model.config.tie_word_embeddings else 0.6)
        else:
            p.data = noise * 1.1 / math.sqrt(p[0].numel())
    model.tie_weights()


def padded(rows, value):
    width = max(map(len, rows))
    return [row + [value] * (width - len(row)) for row in rows]


def masked(tensor, mask):
    return tensor * mask.to(tensor.dtype).reshape(mask.shape + (1,) * (tensor.ndim - mask.ndim))


def run(folder, case, expected, cls):
    batch = {k: torch.tensor(v) for k, v in case["batch"].items()}
    model = cls.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager"
    ).eval()
    lookup = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda m, i, o: (o.retain_grad(), lookup.append(o)) and None
    )
    out = model(**batch, output_hidden_states=True)
    hook.remove()
    out.loss.backward()
    mask = batch["attention_mask"]
    for i, hidden in enumerate(out.hidden_states):
        expected[f"hidden_states.{i}"] = masked(hidden, mask)
    expected["logits"] = masked(out.logits, mask) if case["task"] == "causal" else out.logits
    expected["loss"] = out.loss
    expected["grad.inputs_embeds"] = lookup[0].grad
    parameters = dict(model.named_parameters())
    for name in case["gradient_weights"]:
        expected[f"grad.weight.{name}"] = parameters[name].grad
    case["parameter_names"] = list(parameters)
    return model


def second_head(folder, case, expected):
    model = tf.AutoModelForSequenceClassification.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager", num_labels=3
    ).eval()
    model.score.weight.data = (
        torch.randn(model.score.weight.shape, generator=generator(folder.name, "score")) * 0.3
    )
    expected["seqcls.weight.score.weight"] = model.score.weight
    inputs = {k: torch.tensor(case["batch"][k]) for k in ("input_ids", "attention_mask")}
    labels = [0, 2, 1, 1]
    case["sequence_classification"] = {"num_labels": 3, "labels": labels}
    with torch.no_grad():
        out = model(**inputs, labels=torch.tensor(labels))
    expected["seqcls.logits"], expected["seqcls.loss"] = out.logits, out.loss


def generate(folder, model, case, expected, rows, pad, end):
    prompts = [row[:n] for row, n in zip(rows, (6, 3, 1))]
    width = max(map(len, prompts))
    ids = [[pad] * (width - len(p)) + p for p in prompts]
    mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    case["generation"] = {
        "padding_side": "left",
        "input_ids": ids,
        "attention_mask": mask,
        "max_new_tokens": 8,
        "pad_token_id": pad,
        "eos_token_id": end,
    }
    with torch.no_grad():
        expected["generate.greedy"] = model.generate(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(mask),
            do_sample=False,
            num_beams=1,
            max_new_tokens=8,
            pad_token_id=pad,
            eos_token_id=end,
            use_cache="longrope" not in folder.name,
        )  # a cache keeps keys turned by the short factors


def make(out, family):
    prefix, task, settings, gradients = FAMILIES[family]
    folder = out / family
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config_class = getattr(tf, f"{prefix}TextConfig" if prefix == "Gemma3" else f"{prefix}Config")
    config = config_class(vocab_size=60, **settings)
    cls = getattr(
        tf, prefix + {"seqcls": "ForSequenceClassification", "causal": "ForCausalLM"}[task]
    )
    model = cls(config)
    randomise(model, family)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    pad = config.pad_token_id if config.pad_token_id is not None and config.pad_token_id < 60 else 0
    end = (
        config.eos_token_id
        if isinstance(config.eos_token_id, int) and config.eos_token_id < 60
        else 3
    )
    numbers = generator(family, "ids")
    rows = [torch.randint(4, 60, (n,), generator=numbers).tolist() for n in LENGTHS]
    batch = {
        "input_ids": padded(rows, pad),
        "attention_mask": padded([[1] * len(r) for r in rows], 0),
    }
    if getattr(config, "type_vocab_size", 0) > 1:
        batch["token_type_ids"] = [[0 if i < 4 else 1 for i in range(max(LENGTHS))] for _ in rows]
    if task == "causal":
        labels = padded(rows, -100)
        labels[0][:3] = [-100] * 3
        batch["labels"] = labels
    else:
        batch["labels"] = [b % config.num_labels for b in range(len(rows))]
    case = {
        "what": f"tiny {family} model on random ids",
        "section": "models",
        "model_type": config.model_type,
        "class": cls.__name__,
        "task": task,
        "versions": {"torch": torch.__version__, "transformers": tf.__version__},
        "batch": batch,
        "gradient_weights": gradients,
    }
    expected = {}
    loaded = run(folder, case, expected, cls)
    if task == "causal":
        generate(folder, loaded, case, expected, rows, pad, end)
        second_head(folder, case, expected)
    exact = ("generate.*", "seqcls.weight.*")
    case["expected"] = {
        "file": "expected.safetensors",
        "tensors": {**{name: {"atol": None} for name in exact}, "*": {"atol": ATOL}},
    }
    save_file(
        {k: v.detach().contiguous().clone() for k, v in expected.items()},
        str(folder / "expected.safetensors"),
    )
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n", encoding="utf-8")
    print(f"{family}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for each in sys.argv[2:] or FAMILIES:
        make(Path(sys.argv[1]), each)
