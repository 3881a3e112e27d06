"""Makes golden cases of adapters with the adapter-hub library: python tools/cases/make_hub_cases.py FIXTURES OUT [CASE ...]

FIXTURES holds the base models (models/<family>). For each case a folder OUT/<case> with the library's own files of an adapter "demo", case.json,
expected.safetensors and, where our gradients are the library's, train.json: six AdamW steps, dropout off. The layout is that of the other cases
below packages/testing/fixtures/bottleneck; tools/golden/sections/bottleneck.ts checks it. Needs torch, transformers 4.57, adapters 1.2, safetensors.
"""
import json
import sys
from pathlib import Path

import adapters
import torch
import transformers
from safetensors.torch import save_file

ATOL = 2e-5
STEPS = 6
TRAINING = dict(
    lr=0.005, betas=[0.9, 0.999], eps=1e-08, weight_decay=0.01, max_grad_norm=None, steps=STEPS
)
CLASSES = dict(
    seqcls=transformers.AutoModelForSequenceClassification, causal=transformers.AutoModelForCausalLM
)

# name: family, task, config, whether the six steps are taken
CASES = {
    "prompt_bert": ("bert", "seqcls", adapters.PromptTuningConfig(prompt_length=3), True),
    "prompt_electra": ("electra", "seqcls", adapters.PromptTuningConfig(prompt_length=2), True),
    "prompt_xlmr": ("xlm-roberta", "seqcls", adapters.PromptTuningConfig(prompt_length=1), True),
    "prompt_distilbert": (
        "distilbert",
        "seqcls",
        adapters.PromptTuningConfig(prompt_length=2),
        True,
    ),
    "prompt_deberta": ("deberta-v2", "seqcls", adapters.PromptTuningConfig(prompt_length=3), True),
    "dora_llama": (
        "llama",
        "causal",
        adapters.DoRAConfig(r=3, alpha=3, attn_matrices=["q", "k", "v"], intermediate_lora=True),
        False,
    ),
}


def make_batch(generator, config, task, lengths):
    ids = [
        torch.randint(4, min(config.vocab_size, 400), (length,), generator=generator).tolist()
        for length in lengths
    ]
    width = max(lengths)
    pad = lambda rows, value: [row + [value] * (width - len(row)) for row in rows]
    batch = dict(
        input_ids=pad(ids, config.pad_token_id),
        attention_mask=pad([[1] * len(row) for row in ids], 0),
    )
    labels = (
        pad(ids, -100)
        if task == "causal"
        else torch.randint(0, config.num_labels, (len(lengths),), generator=generator).tolist()
    )
    return dict(batch, labels=labels)


def run(model, batch):
    return model(**{name: torch.tensor(values) for name, values in batch.items()})


def compared(output, batch):
    """Token logits with 0 at padding."""
    return (
        output.logits
        if output.logits.dim() == 2
        else output.logits * torch.tensor(batch["attention_mask"]).unsqueeze(-1)
    )


def make(case, fixtures, out):
    family, task, config, trains = CASES[case]
    seed = sum(map(ord, case))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = CLASSES[task].from_pretrained(fixtures / "models" / family, dtype=torch.float32)
    model.config.name_or_path = f"models/{family}"
    adapters.init(model)
    model.add_adapter("demo", config=config)
    model.train_adapter("demo")
    model.eval()
    trainable = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    own = {name: parameter for name, parameter in trainable.items() if ".demo." in name}
    with torch.no_grad():
        for parameter in own.values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    folder = out / case
    folder.mkdir(parents=True, exist_ok=True)
    model.save_adapter(str(folder / "demo"), "demo", use_safetensors=True, with_head=False)
    for file in (folder / "demo").iterdir():
        if file.name not in ("adapter_config.json", "adapter.safetensors"):
            file.unlink()
    head = {
        name: parameter.detach().contiguous()
        for name, parameter in trainable.items()
        if name not in own and task == "seqcls"
    }
    if head:
        save_file(head, folder / "head.safetensors", metadata={"format": "pt"})
    # With other attention than ELECTRA's, the library lets the rows of a prompt see padding: rows of one length there.
    is_even = isinstance(config, adapters.PromptTuningConfig) and family != "electra"
    batch, *batches = (
        make_batch(generator, model.config, task, (max(lengths),) * 2 if is_even else lengths)
        for lengths in ((9, 6), (8, 5), (7, 3), (4, 9))
    )
    with torch.no_grad():
        output = run(model, batch)
        expected = dict(logits=compared(output, batch), loss=output.loss)
    if trains:
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
                expected.update(
                    {
                        f"grad0.{name}": parameter.grad.clone()
                        for name, parameter in trainable.items()
                    }
                )
            losses.append(loss.item())
            norms.append(
                torch.linalg.vector_norm(
                    torch.stack([parameter.grad.norm() for parameter in trainable.values()])
                ).item()
            )
            optimizer.step()
        expected.update(
            {f"trained.{name}": parameter.detach() for name, parameter in trainable.items()}
        )
        with torch.no_grad():
            expected["logits_trained"] = compared(run(model, batch), batch)
        record = dict(
            TRAINING,
            trainable_parameters=sum(parameter.numel() for parameter in trainable.values()),
            loss=losses,
            grad_norm=norms,
            atol_loss=ATOL,
            atol_grad_norm=ATOL,
        )
        (folder / "train.json").write_text(json.dumps(record, indent=1) + "\n")
    save_file(
        {name: values.detach().contiguous() for name, values in sorted(expected.items())},
        folder / "expected.safetensors",
        metadata={"format": "pt"},
    )
    what = {
        "logits": "logits, 0 at padding; adapter active",
        "loss": "its loss",
        "grad0.*": "gradients of the first step, by parameter name",
        "trained.*": "trainable parameters after the last step",
        "logits_trained": "logits after the last step",
    }
    description = dict(
        what=f"adapters library: {case}",
        section="bottleneck",
        set="own",
        kind="single",
        versions=dict(
            python=sys.version.split()[0],
            torch=torch.__version__,
            transformers=transformers.__version__,
            adapters=adapters.__version__,
        ),
        seed=seed,
        base=f"models/{family}",
        task=task,
        adapters=["demo"],
        config=config.to_dict(),
        batch=batch,
        **(dict(training=dict(TRAINING, batches=batches)) if trains else {}),
        expected=dict(
            file="expected.safetensors",
            tensors={name: dict(what=text, atol=ATOL) for name, text in what.items()},
        ),
    )
    (folder / "case.json").write_text(json.dumps(description, indent=1) + "\n")
    print(
        case,
        f"{sum(file.stat().st_size for file in folder.rglob('*') if file.is_file())} bytes, "
        f"{sum(parameter.numel() for parameter in trainable.values())} trainable, loss {output.loss.item():.4f}",
    )


def main():
    fixtures, out, *cases = sys.argv[1:]
    transformers.logging.set_verbosity_error()
    for case in cases or CASES:
        make(case, Path(fixtures), Path(out))


main()
