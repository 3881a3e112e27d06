"""Makes tools/golden/peft-step-cases.json: python tools/cases/make_peft_step_cases.py

LoRA and IA3 of PEFT on the golden case of every model type, on the modules that PEFT's own defaults name: one batch's loss, and the norm of its
gradient in every adapter tensor. Values of the adapters are sines, `value` below, so that nothing has to be stored. Where PEFT has no defaults for
a type, LoRA goes on all linear maps (beside experts on two of attention's), and IA3 is
left out.
"""
import json
import math

import torch
import transformers as tf
from peft import IA3Config, LoraConfig, get_peft_model
from transformers.utils import logging

from make_config_cases import ATTENTION, CLASSES, MODELS, ROOT

OUT = ROOT / "tools/golden/peft-step-cases.json"
TASKS = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM", "seqcls": "SEQ_CLS"}
METHODS = {
    "lora": lambda **targets: LoraConfig(r=2, lora_alpha=4, **targets),
    "ia3": lambda **targets: IA3Config(init_ia3_weights=False, **targets),
}


# PEFT turns "all-linear" of these into parameters of all experts at once
TARGETS = {
    "mixtral": ["q_proj", "v_proj"],
    "olmoe": ["q_proj", "v_proj"],
    "qwen3_moe": ["q_proj", "v_proj"],
    "deepseek_v3": ["q_a_proj", "o_proj"],
}


def value(shape, base, amplitude):
    count = math.prod(shape)
    index = torch.arange(1, count + 1, dtype=torch.float64)
    return (base + amplitude * torch.sin(0.37 * index + 0.11 * count)).float().reshape(shape)


def batch_of(case):
    ids = case["batch"]["input_ids"][0][:12]
    inputs = {"input_ids": torch.tensor([ids])}
    if case["task"] == "seq2seq":
        inputs["decoder_input_ids"] = torch.tensor([ids[:6]])
    return ids, inputs


def loss_of(logits):
    """Mean square of all logits: no labels, no shift."""
    return (logits**2).mean()


def step(folder, case, method, **targets):
    ids, inputs = batch_of(case)
    kind = case["model_type"]
    model = CLASSES[case["task"]].from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation=ATTENTION.get(kind, "eager")
    )
    config = METHODS[method](task_type=TASKS[case["task"]], **targets)
    model = get_peft_model(model.eval(), config).eval()
    adapters = {
        name.replace(".default", ""): p
        for name, p in model.named_parameters()
        if "lora_" in name or "ia3_" in name
    }
    with torch.no_grad():
        for p in adapters.values():
            base, amplitude = (0.0, 0.2) if method == "lora" else (1.0, 0.3)
            p.copy_(value(tuple(p.shape), base, amplitude))
    out = model(**inputs)
    loss = loss_of(out.logits)
    loss.backward()
    norms = {name: float(f"{p.grad.norm().item():.6g}") for name, p in adapters.items()}
    return {"ids": ids, "loss": loss.item(), "norms": norms}


def main():
    logging.set_verbosity_error()
    cases = {}
    for folder in sorted(MODELS.iterdir()):
        if not (folder / "case.json").exists():
            continue
        case = json.loads((folder / "case.json").read_text())
        kind = json.loads((folder / "config.json").read_text())["model_type"]
        case["model_type"] = kind
        if kind in cases:
            continue
        cases[kind] = {"fixture": folder.name, "task": case["task"]}
        for method in METHODS:
            try:
                cases[kind][method] = step(folder, case, method)
            except (ValueError, RuntimeError):  # PEFT asks for target_modules
                # a classifier of two layers would be trained and adapted at once
                if method == "lora" and kind != "distilbert":
                    targets = TARGETS.get(kind, "all-linear")
                    made = step(folder, case, method, target_modules=targets)
                    cases[kind][method] = {"targets": targets, **made}
        print(kind, *(len(cases[kind].get(m, {}).get("norms", {})) for m in METHODS), flush=True)
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
