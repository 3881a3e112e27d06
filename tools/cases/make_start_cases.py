"""Makes golden cases of LoRA's starts from data: python tools/cases/make_start_cases.py FIXTURES OUT [--salt SALT] [CASE ...]

FIXTURES holds the base models (models/<family>); OUT gets starts/<case> with case.json and expected.safetensors: what A and B start with, α and rank of
each layer, the losses of three AdamW steps from there and A and B then. Singular vectors have no sign of their own: the check turns its
own as PEFT's are (EVA's signs are settled). PEFT decomposes EVA's inputs and LoRA-GA's gradients by torch.svd_lowrank, which is random: it is made exact
here, and how far PEFT's own way strays from that is printed. Tolerances are 2e-5, or four times what these results stray in float64 or with weights
changed by a rounding, where that is more.
"""
import argparse
import json
import shutil
from pathlib import Path

import peft
import torch
import transformers
from peft.tuners.lora.config import CordaConfig, EvaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from safetensors.torch import save_file

from make_adapter_cases import ATOL, make_batch, run
from make_method_cases import generator

STEPS, LR = 3, 0.005
QV = ["q_proj", "v_proj"]
# family, PEFT's arguments, and the same in the toolkit's words
CASES = {
    "eva_llama": ("llama", dict(r=3, lora_alpha=6, target_modules=QV, init_lora_weights="eva", eva_config=EvaConfig(rho=2.0)),
                  dict(rank=3, alpha=6, targets=QV, init="eva", dataStart=dict(rho=2))),
    "eva_whitened_gpt2": ("gpt2", dict(r=4, lora_alpha=4, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0, whiten=True, tau=0.9)),
                          dict(rank=4, alpha=4, targets=["c_attn", "mlp.c_proj"], init="eva", dataStart=dict(rho=1, whiten=True, tau=0.9))),
    "corda_ipm_gpt2": ("gpt2", dict(r=3, lora_alpha=6, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights="corda", corda_config=CordaConfig(corda_method="ipm")),
                       dict(rank=3, alpha=6, targets=["c_attn"], init="corda")),
    "corda_kpm_llama": ("llama", dict(r=2, lora_alpha=3, target_modules=["v_proj"], init_lora_weights="corda", corda_config=CordaConfig(corda_method="kpm")),
                        dict(rank=2, alpha=3, targets=["v_proj"], init="corda", dataStart=dict(mode="kpm"))),
    "lora_ga_llama": ("llama", dict(r=2, lora_alpha=4, target_modules=QV, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig()),
                      dict(rank=2, alpha=4, targets=QV, init="lora_ga")),
    "lora_ga_weight_mistral": ("mistral", dict(r=2, lora_alpha=4, target_modules=["k_proj"], init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(direction="ArBr", scale="weight_svd")),
                               dict(rank=2, alpha=4, targets=["k_proj"], init="lora_ga", dataStart=dict(direction="ArBr", scale="weight_svd"))),
    "lora_ga_a2r_mistral": ("mistral", dict(r=2, lora_alpha=3, target_modules=["k_proj"], init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(direction="A2rBr", scale="gd_scale")),
                            dict(rank=2, alpha=3, targets=["k_proj"], init="lora_ga", dataStart=dict(direction="A2rBr", scale="gd_scale"))),
    "lora_ga_b2r_mistral": ("mistral", dict(r=2, lora_alpha=4, target_modules=["v_proj"], init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(direction="ArB2r", scale="stable", stable_gamma=8)),
                            dict(rank=2, alpha=4, targets=["v_proj"], init="lora_ga", dataStart=dict(direction="ArB2r", scale="stable", stableGamma=8))),
    "lora_ga_unit_mistral": ("mistral", dict(r=2, lora_alpha=4, use_rslora=True, target_modules=["q_proj"], init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig(direction="A2rBr", scale="unit")),
                             dict(rank=2, alpha=4, rankStabilized=True, targets=["q_proj"], init="lora_ga", dataStart=dict(direction="A2rBr", scale="unit"))),
}


def load(base, noise, dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    for name, parameter in model.named_parameters() if noise else []:
        parameter.data *= 1 + 6e-8 * torch.randn(parameter.shape, generator=generator(noise, name))
    return model.to(dtype).eval()


def tensors(batch):
    return {name: torch.tensor(values) for name, values in batch.items()}


def exact_svd(matrix, q=6, niter=2, M=None):
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    return u[:, :q], s[:q], vh[:q].T


def measure(base, arguments, batches, noise=0, dtype=torch.float32, is_exact=True):
    own, torch.svd_lowrank = torch.svd_lowrank, exact_svd if is_exact else torch.svd_lowrank
    try:
        return measured(base, arguments, batches, noise, dtype)
    finally:
        torch.svd_lowrank = own


def measured(base, arguments, batches, noise, dtype):
    torch.manual_seed(7 + noise)
    model = load(base, noise, dtype)
    config = peft.LoraConfig(task_type="CAUSAL_LM", **{k: v for k, v in arguments.items()})
    kind = arguments["init_lora_weights"]

    def backward():
        for batch in batches:
            run(model, batch).loss.backward()

    if kind == "corda":  # its covariance is of one sequence at a time
        rows = [[ids[: sum(mask)]] for batch in batches for ids, mask in zip(batch["input_ids"], batch["attention_mask"])]
        preprocess_corda(model, config, run_model=lambda: [model(input_ids=torch.tensor(each)) for each in rows])
    if kind == "lora_ga":
        preprocess_loraga(model, config, backward)
    adapted = peft.get_peft_model(model, config)
    if kind == "eva":
        peft.initialize_lora_eva_weights(adapted, [tensors(batch) for batch in batches], show_progress_bar=False)
    adapted.eval()
    layers = {n: m for n, m in adapted.named_modules() if isinstance(m, peft.tuners.lora.LoraLayer)}
    of = lambda name: name.removeprefix("base_model.model.")
    matrices = {n: (m.lora_A["default"].weight, m.lora_B["default"].weight) for n, m in layers.items()}
    expected = {f"A.{of(n)}": a.detach().clone() for n, (a, _) in matrices.items()}
    expected.update({f"B.{of(n)}": b.detach().clone() for n, (_, b) in matrices.items()})
    strengths = {of(n): dict(rank=m.r["default"], scaling=m.scaling["default"]) for n, m in layers.items()}
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=LR, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        loss = run(adapted, batches[step % len(batches)]).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    expected.update({f"trained.A.{of(n)}": a.detach() for n, (a, _) in matrices.items()})
    expected.update({f"trained.B.{of(n)}": b.detach() for n, (_, b) in matrices.items()})
    return {name: value.float() for name, value in expected.items()}, strengths, losses


def distance(name, ours, theirs):
    """Largest difference of an element; of A's rows and B's columns whatever their sign."""
    ours, theirs = ours.double(), theirs.double()
    if ours.shape != theirs.shape:
        return 0  # another distribution of ranks is no matter of rounding
    if "A." in name:
        theirs = theirs * torch.where((ours * theirs).sum(1) < 0, -1.0, 1.0)[:, None]
    if "B." in name:
        theirs = theirs * torch.where((ours * theirs).sum(0) < 0, -1.0, 1.0)[None]
    return (ours - theirs).abs().max().item()


def make(name, base, folder, salt):
    family, arguments, ours = CASES[name]
    source = generator(salt, name, "batch")
    model_config = load(base, 0, torch.float32).config
    batches = [make_batch(source, model_config, "causal", lengths, 3) for lengths in ((14, 9), (12, 12), (8, 15), (13, 10))]
    for batch in batches:  # tokens that do not count
        batch["labels"][0][1:4] = [-100] * 3
    expected, strengths, losses = measure(base, arguments, batches)
    others = [measure(base, arguments, batches, noise) for noise in (1, 2, 3)]
    if arguments["init_lora_weights"] != "corda":  # which PEFT makes in float32 alone
        others.append(measure(base, arguments, batches, 0, torch.float64))
    raised = {}
    for key, value in expected.items():
        error = max(distance(key, value, other[key]) for other, _, _ in others)
        if 4 * error > ATOL:
            raised[key] = float(f"{4 * error:.2g}")
    loss_atol = max([ATOL] + [4 * abs(a - b) for _, _, other in others for a, b in zip(losses, other)])
    folder.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in sorted(expected.items())}, folder / "expected.safetensors", metadata={"format": "pt"})
    case = dict(
        what=f"PEFT's start {arguments['init_lora_weights']} on {family}",
        section="starts",
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__),
        base=f"models/{family}",
        task="causal",
        options=ours,
        strengths=strengths,
        batches=batches,
        training=dict(lr=LR, betas=[0.9, 0.98], eps=1e-8, weight_decay=0, steps=STEPS, losses=losses, atol_loss=loss_atol),
        expected=dict(file="expected.safetensors", tensors={"*": dict(atol=ATOL)}, atol_for=raised),
    )
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    random, random_strengths, _ = measure(base, arguments, batches, is_exact=False)
    strays = {factor: max(distance(k, v, random[k]) for k, v in expected.items() if k.startswith(factor)) for factor in ("A", "B")}
    print(f"{name}: losses {losses}, tolerance up to {max(raised.values(), default=0)}, of losses {loss_atol}")
    print(f"  {json.dumps(strengths)}\n  PEFT's random decomposition strays by {strays}, same ranks: {strengths == random_strengths}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fixtures", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--salt", default="1")
    asked = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    out, models = asked.out.resolve(), (asked.fixtures / "models").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "models").exists():
        (out / "models").symlink_to(models)
    for name in CASES:
        if asked.cases and not any(name.startswith(each) for each in asked.cases):
            continue
        folder = out / "starts" / name
        shutil.rmtree(folder, ignore_errors=True)
        make(name, out / "models" / CASES[name][0], folder, asked.salt)


if __name__ == "__main__":
    main()
