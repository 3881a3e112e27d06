"""Makes the golden case of Arrow's routing with Hugging Face PEFT: python tools/cases/make_arrow_cases.py FIXTURES OUT

FIXTURES holds the base models (models/<family>). OUT/arrow_llama gets the adapters of tasks and of general knowledge as PEFT saves them, case.json
and expected.safetensors: logits of create_arrow_model for each combination. PEFT comes near a prototype in 15 steps from a random start; here
it takes 3000, so that the start plays no part.
"""
import json
import sys
import zlib
from pathlib import Path

import peft
import torch
import transformers
from peft.tuners.lora import arrow
from safetensors.torch import save_file

from make_adapter_cases import ATOL, CLASSES, compared, make_batch, run

FAMILY, TASK = "llama", "causal"
TASKS, GENERAL = ["a", "b", "c"], ["g", "h"]
COMBINATIONS = {
    "two": dict(top_k=2, router_temperature=0.5),
    "all": dict(top_k=3, router_temperature=1.0),
    "subtracted": dict(top_k=1, router_temperature=1.0, use_gks=True),
}
slow = arrow.ArrowLoraLinearLayer.top_right_singular_vec_from_BA
arrow.ArrowLoraLinearLayer.top_right_singular_vec_from_BA = lambda self, a, b: slow(self, a, b, iters=3000)


def main():
    fixtures, out = map(Path, sys.argv[1:])
    base, folder = fixtures / "models" / FAMILY, out / "arrow_llama"
    load = lambda: CLASSES[TASK].from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(zlib.crc32(b"arrow"))
    for n, name in enumerate(TASKS + GENERAL):
        config = peft.LoraConfig(r=2, lora_alpha=4 + n, target_modules=["q_proj", "v_proj", "down_proj"])
        model = peft.get_peft_model(load(), config, adapter_name="default")
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "lora_" in key:
                    parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        model.peft_config["default"].base_model_name_or_path = f"models/{FAMILY}"
        model.save_pretrained(folder / name, save_embedding_layers=False)
        (folder / name / "README.md").unlink(missing_ok=True)
    batch = make_batch(generator, load().config, TASK, (5, 3), 3)
    expected = {}
    for name, options in COMBINATIONS.items():
        general = [str(folder / g) for g in GENERAL] if options.get("use_gks") else None
        paths = [str(folder / task) for task in TASKS]
        model = arrow.create_arrow_model(load(), paths, arrow.ArrowConfig(rng_seed=1, **options), general).eval()
        with torch.no_grad():
            expected[f"logits.{name}"] = compared(run(model, batch), batch)
    save_file(
        {name: values.detach().contiguous() for name, values in expected.items()}, folder / "expected.safetensors", metadata={"format": "pt"}
    )
    case = dict(
        what=f"PEFT's create_arrow_model on {FAMILY}",
        section="adapters",
        set="own",
        kind="arrow",
        versions=dict(
            python=sys.version.split()[0], torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__
        ),
        base=f"models/{FAMILY}",
        task=TASK,
        batch=batch,
        adapter_names=TASKS,
        general_names=GENERAL,
        routes=COMBINATIONS,
        expected=dict(
            file="expected.safetensors",
            tensors={"logits.*": dict(what="token logits of each combination, positions with label -100 set to 0", atol=ATOL)},
        ),
    )
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")
    print({name: values.abs().max().item() for name, values in expected.items()})


main()
