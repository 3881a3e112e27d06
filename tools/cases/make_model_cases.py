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
from model_families import FAMILIES

ATOL = 2e-5
LENGTHS = (17, 5, 1, 11)


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
    if case["task"] == "seq2seq":
        run_pair(model, batch, expected, lookup)
        hook.remove()
    else:
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


def run_pair(model, batch, expected, lookup):
    """An encoder-decoder on its texts and on the same texts as targets."""
    labels = batch["labels"]
    ids = torch.full_like(labels, model.config.pad_token_id)
    ids[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == -100, model.config.pad_token_id)
    ids[:, 0] = model.config.decoder_start_token_id
    encoder = model.model.encoder.embed_tokens
    decoder = model.model.decoder.embed_tokens
    hooks = [
        each.register_forward_hook(lambda m, i, o: (o.retain_grad(), lookup.append(o)) and None)
        for each in (encoder, decoder)
        if each is not model.get_input_embeddings()
    ]
    out = model(**batch, decoder_input_ids=ids, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    out.loss.backward()
    mask, target = batch["attention_mask"], (labels != -100).long()
    for i, hidden in enumerate(out.encoder_hidden_states):
        expected[f"encoder_hidden_states.{i}"] = masked(hidden, mask)
    for i, hidden in enumerate(out.decoder_hidden_states):
        expected[f"decoder_hidden_states.{i}"] = masked(hidden, target)
    expected["logits"] = masked(out.logits, target)
    expected["loss"] = out.loss
    expected["decoder_input_ids"] = ids.to(torch.int64)
    expected["grad.inputs_embeds"] = masked(lookup[0].grad, mask)
    expected["grad.decoder_inputs_embeds"] = masked(lookup[1].grad, target)


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
        tf, prefix + {
            "seqcls": "ForSequenceClassification",
            "causal": "ForCausalLM",
            "seq2seq": "ForConditionalGeneration",
        }[task],
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
    if task in ("causal", "seq2seq"):
        labels = padded(rows, -100)
        if task == "causal":
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
