"""Makes the golden cases of X-LoRA with Hugging Face PEFT: python tools/cases/make_xlora_cases.py FIXTURES OUT

FIXTURES holds the base models (models/<family>). OUT/adapters/<case> gets the LoRA adapters as PEFT saves them (expert_<n>), the classifier with its
config, case.json, expected.safetensors and train.json as make_method_cases.py describes them. PEFT 0.21 saves neither whole: it takes numbers of
layers for names of adapters, and leaves out what it so takes for another adapter's. Here the classifier's state is written as it is, under the names
that PEFT loads; the config's paths are made relative.
"""
import json
import sys
import zlib
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

import make_method_cases
from make_adapter_cases import ATOL, make_batch
from make_method_cases import Case, TRAINING, disturb, generator, others, tolerances
from method_cases import c

EXPERTS = [
    dict(r=1, lora_alpha=3, target_modules=["qkv_proj", "down_proj"]),
    dict(r=2, lora_alpha=2, target_modules=["down_proj"], use_rslora=True),
    dict(r=1, lora_alpha=4, target_modules=["qkv_proj"], layers_to_transform=[1]),
]
EMBEDDING = [dict(r=1, lora_alpha=2, target_modules=["embed_tokens", "q_proj"]), dict(r=1, lora_alpha=3, target_modules=["q_proj"])]
SALT = "4"  # with which each adapter is chosen behind the first token, whose query and key have no gradient
P, G = ("phi3", "causal"), ("gemma3", "causal")
CASES = {
    "type_xlora_phi3": (EXPERTS, c(P, "XLora", dict(merge=False), xlora_depth=2, xlora_size=4, layerwise_scalings=True, scaling_pass_value=0.3,
        top_k_lora=2, enable_softmax_topk=True, softmax_temperature=0.7, global_scaling_weight=1.5, use_trainable_adapters=True)),
    "type_xlora_gemma3": (EMBEDDING, c(G, "XLora", dict(merge=False), xlora_dropout_p=0.0)),
}


class XloraCase(Case):
    def load(self):
        model = super().load()
        model.config.use_cache = False
        return model

    def config(self):
        adapters = {str(n): str(self.folder / f"expert_{n}") for n, _ in enumerate(self.experts)}
        return peft.XLoraConfig(task_type="CAUSAL_LM", hidden_size=self.load().config.hidden_size, adapters=adapters, **self.arguments)

    @property
    def experts(self):
        return CASES[self.name][0]

    def make_adapter(self):
        torch.manual_seed(zlib.crc32(f"{self.salt}/{self.name}".encode()) & 0x7FFFFFFF)
        for n, options in enumerate(self.experts):
            expert = peft.get_peft_model(self.load(), peft.LoraConfig(task_type="CAUSAL_LM", **options))
            disturb(expert, self.salt, f"{self.name}/{n}")
            expert.peft_config["default"].base_model_name_or_path = str(self.base)
            expert.save_pretrained(self.folder / f"expert_{n}", save_embedding_layers=False)
            (self.folder / f"expert_{n}" / "README.md").unlink(missing_ok=True)
        model = peft.get_peft_model(self.load(), self.config())
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "xlora_classifier" in name:
                    parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator(self.salt, self.name, name)))
        model.peft_config["default"].base_model_name_or_path = str(self.base)
        model.peft_config["default"].inference_mode = True
        model.peft_config["default"].save_pretrained(str(self.folder))
        file = self.folder / "adapter_config.json"
        config = json.loads(file.read_text())
        config["adapters"] = {name: Path(path).name for name, path in config["adapters"].items()}
        file.write_text(json.dumps(config, indent=2, sort_keys=True))
        state = {name: value.contiguous() for name, value in model.state_dict().items() if "xlora_classifier" in name}
        save_file(state, self.folder / "adapter_model.safetensors", metadata={"format": "pt"})

    def adapted(self, trainable=False, dtype=torch.float32):
        model = peft.get_peft_model(self.load(), self.config())
        loaded = peft.set_peft_model_state_dict(model, load_file(str(self.folder / "adapter_model.safetensors")))
        assert not loaded.unexpected_keys
        return model.to(dtype).eval()

    def keep(self, expected, prefix, model, values):
        """The adapters' under the names that they have beside each other, while they train along."""
        state = values if values is not None else model.state_dict()
        for name, value in state.items():
            if "xlora_classifier" in name:
                expected[prefix + name] = value.clone()
            elif values is not None:
                parts = 2 if "embedding" in name else 3  # of `lora_embedding_A.0`, `lora_A.0.weight`
                path, matrix, number, *rest = name.replace("base_model.lora_model.model.", "").rsplit(".", parts)
                expected[f"{prefix}base_model.model.{path}.xlora_{number}.{'.'.join([matrix, *rest])}"] = value.clone()


def make(name, base, folder):
    folder.mkdir(parents=True)
    make_method_cases.CASES[name] = CASES[name][1]
    case = XloraCase(name, folder, base, SALT)
    case.make_adapter()
    source, config = generator(SALT, name, "batch"), case.load().config
    batch = make_batch(source, config, case.task, (5, 3), 3)
    batches = [make_batch(source, config, case.task, lengths, 3) for lengths in ((6, 3), (4, 4))]
    expected, record, count = case.measure(batch, batches)
    raised, slack = tolerances(expected, record, others(case, batch, batches))
    save_file({n: v.clone().contiguous() for n, v in sorted(expected.items())}, folder / "expected.safetensors", metadata={"format": "pt"})
    description = dict(
        what=f"PEFT XLoraConfig on {case.family}",
        section="adapters",
        set="options",
        kind="plain",
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__),
        base=f"models/{case.family}",
        task=case.task,
        config_class="XLoraConfig",
        config_arguments=case.arguments,
        merge=False,
        batch=batch,
        training=dict(TRAINING, batches=batches),
        expected=dict(file="expected.safetensors", tensors={"*": dict(what="see make_xlora_cases.py", atol=ATOL)}, atol_for=raised),
    )
    (folder / "case.json").write_text(json.dumps(description, indent=1) + "\n")
    (folder / "train.json").write_text(json.dumps(dict(TRAINING, trainable_parameters=count, **record, **slack), indent=1) + "\n")
    print(name, count, record, raised)


def main():
    fixtures, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    for name, (_, (family, *_)) in CASES.items():
        make(name, fixtures / "models" / family, out.resolve() / "adapters" / name)


main()
