"""Makes golden cases of intruder dimensions: python tools/cases/make_intruder_cases.py FIXTURES OUT

FIXTURES holds the base models (models/<family>); OUT gets intruders/<case> with PEFT's adapter before, case.json, and expected.safetensors: the update
B·A of each layer after `reduce_intruder_dimension`, which does not depend on the signs of singular vectors. Tolerances are 2e-5, or four times what
the updates stray in float64 or with weights changed by a rounding, where that is more.
"""
import argparse
import json
import shutil
from pathlib import Path

import peft
import torch
import transformers
from peft.tuners.lora.intruders import reduce_intruder_dimension
from safetensors.torch import save_file

from make_adapter_cases import ATOL
from make_method_cases import disturb
from make_start_cases import load

CASES = {
    "llama": (dict(r=3, lora_alpha=6, target_modules=["v_proj", "up_proj"]), dict(top_k=8, threshold_epsilon=0.6, mitigation_lambda=0.3)),
}


def reduced(base, folder, options, noise=0, dtype=torch.float32):
    model = peft.PeftModel.from_pretrained(load(base, noise, dtype), str(folder)).to(dtype)
    said = []
    reduce_intruder_dimension(model, logging_sink=said.append, **options)
    layers = {n.removeprefix("base_model.model."): m for n, m in model.named_modules() if isinstance(m, peft.tuners.lora.LoraLayer)}
    return {n: m.get_delta_weight("intruder_reduced").detach().clone() for n, m in layers.items()}, said


def make(name, base, folder):
    arguments, options = CASES[name]
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    model = peft.get_peft_model(load(base, 0, torch.float32), peft.LoraConfig(**arguments))
    disturb(model, "1", name)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    expected, said = reduced(base, folder, options)
    others = [reduced(base, folder, options, noise)[0] for noise in (1, 2)] + [reduced(base, folder, options, 0, torch.float64)[0]]
    raised = {}
    for key, value in expected.items():
        error = max((value.double() - other[key].double()).abs().max().item() for other in others)
        if 4 * error > ATOL:
            raised[key] = float(f"{4 * error:.2g}")
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors", metadata={"format": "pt"})
    counts = {s.split(":")[0].removeprefix("base_model.model."): int(s.split()[-1]) if "Intruders:" in s else 0 for s in said if ":" in s}
    case = dict(
        what=f"PEFT's reduction of intruder dimensions on {name}",
        section="intruders",
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__),
        base=f"models/{name}",
        task="causal",
        options={ours: options[theirs] for ours, theirs in (("directions", "top_k"), ("threshold", "threshold_epsilon"), ("share", "mitigation_lambda")) if theirs in options},
        intruders=counts,
        expected=dict(file="expected.safetensors", tensors={"*": dict(atol=ATOL)}, atol_for=raised),
    )
    (folder / "case.json").write_text(json.dumps(case) + "\n")
    print(f"{name}: {counts}, tolerance up to {max(raised.values(), default=0)}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fixtures", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    out, models = asked.out.resolve(), (asked.fixtures / "models").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "models").exists():
        (out / "models").symlink_to(models)
    for name in CASES:
        shutil.rmtree(out / "intruders" / name, ignore_errors=True)
        make(name, out / "models" / name, out / "intruders" / name)


if __name__ == "__main__":
    main()
