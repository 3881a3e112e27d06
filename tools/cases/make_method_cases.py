"""Makes golden cases of PEFT's methods with options off their defaults:
python tools/cases/make_method_cases.py FIXTURES OUT [--salt SALT] [CASE ...]

FIXTURES holds the base models (models/<family>); OUT gets them as a link, and adapters/<case> with PEFT's own files, case.json,
expected.safetensors and train.json: logits with the adapter and merged, loss, gradients and five AdamW steps. The values are noise that depends on
the case's name and SALT. `npm run test:golden -- --fixtures OUT` checks them. A case name is a whole one or its beginning. Tolerances are 2e-5, or
four times what PEFT's own results stray in float64 or with weights changed by a rounding, where that is more. A case that PEFT cannot make is printed with the reason.
"""
import argparse
import copy
import json
import os
import re
import shutil
import tempfile
import traceback
import zlib
from pathlib import Path

import peft
import torch
import transformers
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.lora.variants import QALoraLinearVariant
from safetensors.torch import load_file, save_file

from make_adapter_cases import ATOL, CLASSES, LENGTHS, compared, make_batch, run
from method_cases import CASES, PROMPTS

transformers.T5ForConditionalGeneration._prepare_encoder_decoder_kwargs_for_generation = None  # PEFT 0.21 asks for it
plain_variant = peft.tuners.lora.layer.Linear.resolve_lora_variant
# PEFT has QA-LoRA for GPTQ's layers alone, by a class that suits any other
peft.tuners.lora.layer.Linear.resolve_lora_variant = lambda layer, *, config, **more: (
    QALoraLinearVariant() if config.use_qalora else plain_variant(layer, config=config, **more)
)
TASKS = dict(causal="CAUSAL_LM", seqcls="SEQ_CLS", seq2seq="SEQ_2_SEQ_LM")
STEPS = 5
TRAINING = dict(lr=0.005, betas=[0.9, 0.98], eps=1e-8, weight_decay=0.02, max_grad_norm=None, steps=STEPS)


def generator(*parts):
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, parts)).encode()) & 0x7FFFFFFF)


def disturb(model, salt, case):
    """Values that are neither zero nor the identity."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad or not parameter.is_floating_point():
                continue
            noise = torch.randn(parameter.shape, generator=generator(salt, case, name))
            if re.search(r"lora_|hada_|lokr_", name) and "magnitude" not in name:
                parameter.copy_(0.3 * noise)
            else:
                parameter.add_((0.1 if parameter.abs().max() < 1 else 0.2) * noise)


class Case:
    def __init__(self, name, folder, base, salt):
        self.name, self.folder, self.base, self.salt = name, folder, base, salt
        family, self.task, self.config_class, self.arguments, *rest = CASES[name]
        self.family = family
        self.extra = rest[0] if rest else {}
        self.is_prompt = self.config_class in PROMPTS
        self.noise = 0  # of about a rounding in the base's weights

    def load(self):
        labels = dict(num_labels=3) if self.task == "seqcls" else {}
        torch.manual_seed(3)  # of a head that the checkpoint lacks
        model = CLASSES[self.task].from_pretrained(self.base, dtype=torch.float32, attn_implementation="eager", **labels)
        for name, parameter in model.named_parameters() if self.noise else []:
            rounding = torch.randn(parameter.shape, generator=generator(self.noise, name))
            parameter.data *= 1 + 6e-8 * rounding
        return model.eval()

    def config(self):
        # with SEQ_2_SEQ_LM PEFT 0.21 asks T5 for what Transformers 5 no longer has, and only prompts and task ids need it
        needs_kind = self.is_prompt or self.config_class == "PolyConfig"
        kind = {} if self.task == "seq2seq" and not needs_kind else dict(task_type=TASKS[self.task])
        return getattr(peft, self.config_class)(**kind, **copy.deepcopy(self.arguments))

    def make_adapter(self):
        torch.manual_seed(zlib.crc32(f"{self.salt}/{self.name}".encode()) & 0x7FFFFFFF)
        model = peft.get_peft_model(self.load(), self.config())
        disturb(model, self.salt, self.name)
        model.peft_config["default"].base_model_name_or_path = str(self.base)
        if self.is_prompt:
            start = {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
            save_file(start, self.folder / "train_start.safetensors", metadata={"format": "pt"})
        with tempfile.TemporaryDirectory() as scratch:
            model.save_pretrained(scratch)
            for file in ("adapter_config.json", "adapter_model.safetensors"):
                shutil.copy(Path(scratch) / file, self.folder / file)

    def adapted(self, trainable=False, dtype=torch.float32):
        return PeftModel.from_pretrained(self.load(), str(self.folder), is_trainable=trainable).to(dtype).eval()

    def merged(self, dtype):
        """None where a head's module is called like a target, at which PEFT 0.21 fails (RoBERTa's `dense`)."""
        try:
            return self.adapted(dtype=dtype).merge_and_unload()
        except AttributeError:
            return None

    def measure(self, batch, batches, dtype=torch.float32):
        """What is expected, by name, and the training's record."""
        expected = {}
        with torch.no_grad():
            model = self.adapted(dtype=dtype)
            output = run(model, batch)
            expected.update(logits=self.compared(output, batch), loss=output.loss)
            if self.extra.get("merge", not self.is_prompt):
                merged = self.merged(dtype)
                if merged is not None:
                    expected["logits_merged"] = self.compared(run(merged, batch), batch)
        if self.is_prompt:
            model = peft.get_peft_model(self.load(), self.config()).to(dtype).eval()
            model.load_state_dict(load_file(str(self.folder / "train_start.safetensors")), strict=False)
        else:
            model = self.adapted(trainable=True, dtype=dtype)
        if self.extra.get("trains"):  # where training computes otherwise; the base has no dropout
            model.train()
        count, _ = model.get_nb_trainable_parameters()
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        options = {key: TRAINING[key] for key in ("lr", "betas", "eps", "weight_decay")}
        optimizer = torch.optim.AdamW([p for _, p in trained], **options)
        losses, norms = [], []
        for step in range(STEPS):
            loss = run(model, batches[step % len(batches)]).loss
            loss.backward()
            if step == 0:
                made = {n: p.grad for n, p in trained if p.grad is not None}
                if self.extra.get("idle"):  # parameters without a gradient
                    made = {**{n: torch.zeros_like(p) for n, p in trained}, **made}
                left = self.extra.get("leaves")  # what the values after the steps tell, too
                self.keep(expected, "grad0.", model, {n: grad.clone() for n, grad in made.items() if not left or left not in n})
            norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in trained], float("inf")).item())
            losses.append(loss.item())
            optimizer.step()
            if getattr(self.config(), "use_asa", False):
                model.base_model.update_and_allocate(step)
            optimizer.zero_grad()
        if self.is_prompt:  # before CPT's encoder runs once more, which shortens its rows
            expected.update({f"trained_parameter.{n}": p.detach().clone() for n, p in trained})
        self.keep(expected, "trained.", model.eval(), None)
        if self.task == "seqcls":
            with torch.no_grad():
                expected["logits_trained"] = run(model, batch).logits
        return {name: tensor.detach() for name, tensor in expected.items()}, dict(loss=losses, grad_norm=norms), count

    def compared(self, output, batch):
        if self.task == "seqcls":
            return output.logits
        rows = batch["attention_mask"] if self.task == "causal" else batch["labels"]
        mask = torch.tensor(rows)
        mask = mask if self.task == "causal" else (mask != -100).long()
        front = output.logits.shape[1] - mask.shape[1]  # virtual tokens
        mask = torch.cat([torch.ones(mask.shape[0], front, dtype=mask.dtype), mask], 1)
        return output.logits * mask.unsqueeze(-1)

    def keep(self, expected, prefix, model, values):
        """Values under the names of the adapter's file, of prompts those of the model."""
        if self.is_prompt and values is not None:
            expected.update({prefix + name: value for name, value in values.items()})
            return
        if values is None:
            state = {name: value.clone() for name, value in get_peft_model_state_dict(model).items()}
            if getattr(self.config(), "velora_config", None):  # the last batch's mean, which the next replaces
                state = {name: value for name, value in state.items() if "velora_embed" not in name}
        else:
            nothing = {n: torch.full_like(v, float("nan"), dtype=torch.float32) for n, v in model.state_dict().items()}
            state = get_peft_model_state_dict(model, state_dict={**nothing, **{n: values[n] for n in nothing if n in values}})
            state = {name: value for name, value in state.items() if not torch.isnan(value.float()).any()}
        expected.update({prefix + name: value for name, value in state.items()})


def tolerances(expected, record, others):
    """Raised where rounding alone decides: four times what the others stray."""
    raised = {}
    for name, value in expected.items():
        if value.is_floating_point() and value.numel():
            errors = [(value.double() - other[name].double()).abs().max().item() for other, _, _ in others if name in other]
            if 4 * max(errors, default=0) > ATOL:
                raised[name] = float(f"{4 * max(errors):.2g}")
    return raised, {
        f"atol_{key}": max([ATOL] + [4 * abs(a - b) for _, other, _ in others for a, b in zip(record[key], other[key])]) for key in record
    }


def others(case, batch, batches):
    """The same in float64, and three times with weights that stray by a rounding."""
    made = []
    try:
        made.append(case.measure(batch, batches, torch.float64))
    except Exception:  # a method that computes in float32 alone
        pass
    for case.noise in (1, 2, 3):
        made.append(case.measure(batch, batches))
    case.noise = 0
    return made


def make(name, base, folder, salt):
    folder.mkdir(parents=True)
    case = Case(name, folder, base, salt)
    case.make_adapter()
    source = generator(salt, name, "batch")
    config = case.load().config
    even = lambda lengths: (lengths[0],) * 2 if case.extra.get("trains") else lengths  # means over padding are PEFT's alone
    batch = make_batch(source, config, case.task, (10, 6), 3)
    batches = [make_batch(source, config, case.task, even(lengths), 3) for lengths in LENGTHS]
    tasks = case.arguments.get("num_tasks", case.arguments.get("n_tasks"))
    for each in [batch, *batches] if tasks else []:
        each["task_ids"] = torch.randint(0, tasks, (len(each["input_ids"]),), generator=source).tolist()
    invocation = case.arguments.get("alora_invocation_tokens")
    for each in [batch, *batches] if invocation else []:
        length = sum(each["attention_mask"][0])
        for rows in (each["input_ids"], each["labels"]):  # in the first row, up to twice, in the others not
            for at in {0, length - len(invocation) - 1}:
                rows[0][at : at + len(invocation)] = invocation
    expected, record, count = case.measure(batch, batches)
    raised, slack = tolerances(expected, record, others(case, batch, batches))
    save_file({n: v.clone().contiguous() for n, v in sorted(expected.items())}, folder / "expected.safetensors", metadata={"format": "pt"})
    description = dict(
        what=f"PEFT {case.config_class} on {case.family}",
        section="adapters",
        set="options",
        kind="prompt" if case.is_prompt else "plain",
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__),
        base=f"models/{case.family}",
        task=case.task,
        config_class=case.config_class,
        config_arguments=case.arguments,
        merge="logits_merged" in expected,
        batch=batch,
        training=dict(TRAINING, batches=batches),
        expected=dict(file="expected.safetensors", tensors={"*": dict(what="see make_method_cases.py", atol=ATOL)}, atol_for=raised),
    )
    (folder / "case.json").write_text(json.dumps(description, indent=1, default=str) + "\n")
    (folder / "train.json").write_text(json.dumps(dict(TRAINING, trainable_parameters=count, **record, **slack), indent=1) + "\n")
    worst = max(raised.values(), default=0)
    print(f"{name}: {count} trainable, loss {record['loss'][0]:.4f} -> {record['loss'][-1]:.4f}, tolerance up to {worst}", flush=True)


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
    os.chdir(out)
    for name in CASES:
        if asked.cases and not any(name.startswith(each) for each in asked.cases):
            continue
        folder = out / "adapters" / name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            make(name, Path("models") / CASES[name][0], folder, asked.salt)
        except Exception as error:  # noqa: BLE001
            shutil.rmtree(folder, ignore_errors=True)
            print(f"{name}: not made: {type(error).__name__}: {str(error)[:160]}", flush=True)
            if len(asked.cases) == 1:
                traceback.print_exc()


if __name__ == "__main__":
    main()
