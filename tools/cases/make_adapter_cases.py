"""Makes golden cases of adapters with Hugging Face PEFT: python tools/cases/make_adapter_cases.py FIXTURES OUT [CASE ...]

FIXTURES holds the base models (models/<family>). For each case a folder OUT/<case> with PEFT's own files, case.json, expected.safetensors and
train.json: logits, loss, gradients and six AdamW steps, dropout off. Prompt methods train from train_start.safetensors, which has the networks
that their files leave out. The layout is that of the other cases below packages/testing/fixtures/adapters; tools/golden/sections/adapters.ts
checks it. Needs torch, transformers, peft and safetensors.
"""
import json
import os
import sys
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

ATOL = 2e-5
STEPS = 6
TRAINING = dict(
    lr=0.005, betas=[0.9, 0.999], eps=1e-08, weight_decay=0.01, max_grad_norm=None, steps=STEPS
)
LENGTHS = ((9, 5), (7, 3), (4, 8))  # of the rows of each training batch
CLASSES = dict(
    causal=transformers.AutoModelForCausalLM,
    seqcls=transformers.AutoModelForSequenceClassification,
    seq2seq=transformers.AutoModelForSeq2SeqLM,
)

CASES = {
    "lora_mixtral_experts": (
        "mixtral",
        "seqcls",
        peft.LoraConfig,
        dict(
            r=2,
            lora_alpha=4,
            target_modules=["q_proj"],
            target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        ),
    ),
    "lora_gpt_oss_expert_down": (
        "gpt_oss",
        "seqcls",
        peft.LoraConfig,
        dict(
            r=3,
            lora_alpha=6,
            target_modules=[],
            target_parameters=["experts.down_proj"],
        ),
    ),
    "lora_t5_embed_tokens": (
        "t5",
        "seq2seq",
        peft.LoraConfig,
        dict(r=2, lora_alpha=4, target_modules=["embed_tokens"]),
    ),
    "tokens_t5_decoder": (
        "t5",
        "seq2seq",
        peft.TrainableTokensConfig,
        dict(token_indices=[1, 18, 37], target_modules=["decoder.embed_tokens"]),
    ),
    "tokens_t5_shared": (
        "t5",
        "seq2seq",
        peft.TrainableTokensConfig,
        dict(token_indices=[1, 18, 37]),
    ),
    "prompt_llama_classifier": (
        "llama",
        "seqcls",
        peft.PromptTuningConfig,
        dict(num_virtual_tokens=3),
    ),
    "ptuning_gpt2_classifier": (
        "gpt2",
        "seqcls",
        peft.PromptEncoderConfig,
        dict(num_virtual_tokens=2, encoder_hidden_size=12),
    ),
    "prompt_mistral_classifier": (
        "mistral",
        "seqcls",
        peft.PromptTuningConfig,
        dict(num_virtual_tokens=2),
    ),
    "prefix_gpt2_classifier": (
        "gpt2",
        "seqcls",
        peft.PrefixTuningConfig,
        dict(num_virtual_tokens=3),
    ),
    # with another number of tokens than the base has
    "lora_llama_grown_rows": (
        "llama",
        "causal",
        peft.LoraConfig,
        dict(
            r=2,
            target_modules=["q_proj"],
            trainable_token_indices={"embed_tokens": [460, 461], "lm_head": [460, 461]},
        ),
        462,
    ),
    "lora_qwen2_grown": (
        "qwen2",
        "causal",
        peft.LoraConfig,
        dict(r=2, target_modules=["v_proj"]),
        448,
    ),
    "lora_gpt2_shrunk": (
        "gpt2",
        "causal",
        peft.LoraConfig,
        dict(r=2, target_modules=["mlp.c_fc"], fan_in_fan_out=True),
        320,
    ),
}


def padded(rows, value):
    width = max(map(len, rows))
    return [row + [value] * (width - len(row)) for row in rows]


def make_batch(generator, config, task, lengths, labels):
    """Rows of random ids that are no special ones, padded on the right; of an encoder-decoder with </s> at the end."""

    def row(length):
        end = [config.eos_token_id] if task == "seq2seq" else []
        return (
            torch.randint(
                2, min(config.vocab_size, 400), (length - len(end),), generator=generator
            ).tolist()
            + end
        )

    ids = [row(length) for length in lengths]
    known = config.pad_token_id is not None and config.pad_token_id < config.vocab_size
    pad = config.pad_token_id if known else 0
    if task == "causal":
        ids[0][2], ids[1][1] = config.vocab_size - 1, config.vocab_size - 2
    batch = dict(
        input_ids=padded(ids, pad),
        attention_mask=padded([[1] * len(row) for row in ids], 0),
    )
    if task == "causal":
        return dict(batch, labels=padded(ids, -100))
    targets = (
        padded([row(max(2, length // 2)) for length in lengths], -100)
        if task == "seq2seq"
        else torch.randint(0, labels, (len(lengths),), generator=generator).tolist()
    )
    return dict(batch, labels=targets)


def run(model, batch):
    return model(**{name: torch.tensor(values) for name, values in batch.items()})


def compared(output, batch):
    """Token logits with 0 where there is no label."""
    labels = torch.tensor(batch["labels"])
    return output.logits if labels.dim() == 1 else output.logits * (labels != -100).unsqueeze(-1)


def saved(model, folder):
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    return load_file(folder / "adapter_model.safetensors")


def make(case, fixtures, out):
    family, task, config_class, arguments, *vocabulary = CASES[case]
    seed = sum(map(ord, case))
    generator = torch.Generator().manual_seed(seed)
    base = fixtures / "models" / family
    is_prompt = config_class in (
        peft.PromptTuningConfig,
        peft.PromptEncoderConfig,
        peft.PrefixTuningConfig,
    )
    torch.manual_seed(seed)
    labels = dict(num_labels=3) if task == "seqcls" else {}
    model = CLASSES[task].from_pretrained(base, dtype=torch.float32, **labels)
    if vocabulary:
        model.resize_token_embeddings(vocabulary[0])
    config = config_class(**arguments, **(dict(task_type="SEQ_CLS") if task == "seqcls" else {}))
    model = peft.get_peft_model(model, config).eval()
    trainable = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    # experts multiply each other: with larger values a step's gradient is in the hundreds
    noise = 0.05 if "target_parameters" in arguments else 0.3
    with torch.no_grad():
        for parameter in trainable.values():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
    for settings in model.peft_config.values():
        settings.base_model_name_or_path = f"models/{family}"

    folder = out / case
    folder.mkdir(parents=True, exist_ok=True)
    keys = saved(model, folder)
    model.eval()
    if is_prompt:
        save_file(
            {name: parameter.detach().contiguous() for name, parameter in trainable.items()},
            folder / "train_start.safetensors",
            metadata={"format": "pt"},
        )
    batch = make_batch(generator, model.config, task, (10, 6), 3)
    batches = [make_batch(generator, model.config, task, lengths, 3) for lengths in LENGTHS]
    expected = {}
    with torch.no_grad():
        output = run(model, batch)
        expected.update(logits=compared(output, batch), loss=output.loss)

    optimizer = torch.optim.AdamW(
        trainable.values(),
        lr=TRAINING["lr"],
        betas=TRAINING["betas"],
        eps=TRAINING["eps"],
        weight_decay=TRAINING["weight_decay"],
    )
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = run(model, batches[step % len(batches)]).loss
        loss.backward()
        if step == 0:
            gradients = {
                name
                if is_prompt
                else name.replace(".modules_to_save", "").replace(
                    ".default", ""
                ): parameter.grad.clone()
                for name, parameter in trainable.items()
                if parameter.grad is not None
            }
            expected.update({f"grad0.{name}": gradient for name, gradient in gradients.items()})
        norms.append(
            torch.linalg.vector_norm(
                torch.stack(
                    [
                        parameter.grad.norm()
                        for parameter in trainable.values()
                        if parameter.grad is not None
                    ]
                )
            ).item()
        )
        losses.append(loss.item())
        optimizer.step()
    if is_prompt:
        expected.update(
            {
                f"trained_parameter.{name}": parameter.detach()
                for name, parameter in trainable.items()
            }
        )
    with torch.no_grad():
        expected["logits_trained"] = compared(run(model, batch), batch)
    scratch = folder / "trained"
    scratch.mkdir()
    trained = saved(model, scratch)
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()
    assert trained.keys() == keys.keys()
    expected.update({f"trained.{name}": values for name, values in trained.items()})
    save_file(
        {name: values.detach().contiguous() for name, values in sorted(expected.items())},
        folder / "expected.safetensors",
        metadata={"format": "pt"},
    )

    count = sum(parameter.numel() for parameter in trainable.values())
    train = dict(
        optimizer="torch.optim.AdamW, one parameter group",
        **TRAINING,
        trainable_parameters=count,
        loss=losses,
        grad_norm=norms,
        note="loss and total gradient L2 norm of each step, measured before the update; dropout off; batches in case.json",
        atol_loss=ATOL,
        atol_grad_norm=ATOL,
    )
    what = {
        "logits": "token logits, positions with label -100 set to 0; adapter active"
        if task in ("seq2seq", "causal")
        else "logits; adapter active",
        "loss": "its loss",
        "grad0.*": f"gradients of the first training step, by {'parameter name' if is_prompt else 'the key used in adapter_model.safetensors'}",
        "trained_parameter.*": "all trainable parameters after the last step, by parameter name",
        "trained.*": "what save_pretrained would write after the last step",
        "logits_trained": "logits after the last step",
    }
    description = dict(
        what=f"PEFT {config_class.__name__} on {family}",
        section="adapters",
        set="own",
        kind="prompt" if is_prompt else "plain",
        versions=dict(
            python=sys.version.split()[0],
            torch=torch.__version__,
            transformers=transformers.__version__,
            peft=peft.__version__,
        ),
        seed=seed,
        base=f"models/{family}",
        **(dict(vocabulary=vocabulary[0]) if vocabulary else {}),
        task=task,
        config_class=config_class.__name__,
        config_arguments=arguments,
        merge=False,
        batch=batch,
        training=dict(TRAINING, batches=batches),
        expected=dict(
            file="expected.safetensors",
            tensors={name: dict(what=text, atol=ATOL) for name, text in what.items()},
        ),
    )
    (folder / "case.json").write_text(json.dumps(description, indent=1) + "\n")
    (folder / "train.json").write_text(json.dumps(train, indent=1) + "\n")
    print(
        case,
        f"{sum(file.stat().st_size for file in folder.iterdir())} bytes, {count} trainable, loss {losses[0]:.4f} -> {losses[-1]:.4f}",
    )


def main():
    fixtures, out, *cases = sys.argv[1:]
    out = Path(out).absolute()
    os.chdir(fixtures)  # PEFT asks models/<family> for the base's number of tokens
    transformers.logging.set_verbosity_error()
    for case in cases or CASES:
        make(case, Path(), out)


if __name__ == "__main__":
    main()
