#!/usr/bin/env python3
"""Times training steps of a random-weight model with PyTorch + transformers: the peer of `npm run bench:step`.

Takes the same arguments and prints the same JSON line. With --rank the adapters are PEFT's LoRA (get_peft_model); else the methods are
AutoGluon's: IA3 vectors or LoRA matrices on the linear layers that its filter names, trainable parameters by its patterns. A linear head
on the first token, or the language model's own; fused AdamW.

--precision float32: everything; autocast: float32 weights, CPU autocast to bfloat16; bfloat16: the base held in bfloat16, adapters in
float32.
"""
import argparse
import json
import os
import re
import resource
import statistics
import sys
import time


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", required=True, help="a config.json, or a folder that holds one")
    parser.add_argument("--method", default="ia3_bias")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--engine", default="torch", choices=["torch"])
    parser.add_argument(
        "--precision",
        default="float32",
        choices=["float32", "autocast", "bfloat16"],
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile (inductor)")
    parser.add_argument("--head", default="pooled-linear", choices=["pooled-linear", "causal-lm"])
    parser.add_argument("--targets", help="all-linear, or module names with commas")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, which is waited for at each step's end")
    parser.add_argument("--quantization", choices=["nf4", "fp4"], help="of the linear layers, by bitsandbytes")
    parser.add_argument("--rank", type=int, help="PEFT's LoRA of this rank")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def quantize(torch, model, form, compute):
    """Linear layers but the output layer become bitsandbytes' 4-bit ones, which quantise when they move to the card."""
    import bitsandbytes

    for name, module in list(model.named_modules()):
        for child, layer in list(module.named_children()):
            if type(layer) is not torch.nn.Linear or child == "lm_head":
                continue
            quantized = bitsandbytes.nn.Linear4bit(
                layer.in_features, layer.out_features, bias=layer.bias is not None, compute_dtype=compute, quant_type=form
            )
            quantized.weight = bitsandbytes.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type=form)
            if layer.bias is not None:
                quantized.bias = layer.bias
            setattr(module, child, quantized)


def main():
    arguments = parse_arguments()
    try:
        import torch
        import transformers
    except ImportError as error:
        sys.exit(f"torch_step: {error}. Install torch and transformers to measure the peer.")
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    path = arguments.arch
    if os.path.isdir(path):
        path = os.path.join(path, "config.json")
    with open(path) as file:
        raw = json.load(file)
    config = transformers.AutoConfig.for_model(**raw)
    weights = torch.bfloat16 if arguments.precision == "bfloat16" else torch.float32
    is_language_model = arguments.head == "causal-lm"
    attention = "eager" if raw["model_type"].startswith("deberta") else "sdpa"
    torch.set_default_dtype(weights)
    if is_language_model:
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    elif raw["model_type"] == "t5":
        model = transformers.T5EncoderModel(config)
    elif raw["model_type"] == "mt5":
        model = transformers.MT5EncoderModel(config)
    else:
        model = transformers.AutoModel.from_config(config, attn_implementation=attention)
    torch.set_default_dtype(torch.float32)
    model = model.to(weights)
    if arguments.quantization:
        try:
            quantize(torch, model, arguments.quantization, weights)
        except ImportError as error:
            sys.exit(f"torch_step: {error}. Install bitsandbytes to measure a quantised base.")
    model = model.to(arguments.device)
    if arguments.rank:
        try:
            import peft
        except ImportError as error:
            sys.exit(f"torch_step: {error}. Install peft to measure LoRA.")
        targets = arguments.targets
        model = peft.get_peft_model(
            model,
            peft.LoraConfig(
                r=arguments.rank,
                lora_alpha=arguments.rank,
                target_modules=targets.split(",") if targets and "," in targets else targets,
            ),
        )
        trainable = [p for p in model.parameters() if p.requires_grad]
    else:
        trainable = make_trainable(torch, model, arguments.method, 8)
    head = None if is_language_model else torch.nn.Linear(config.hidden_size, 2, device=arguments.device)
    if head:
        trainable += list(head.parameters())
    if arguments.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.get_input_embeddings().register_forward_hook(
            lambda _module, _inputs, output: output.requires_grad_(True)
        )
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.AdamW(trainable, lr=3e-3, eps=1e-6, weight_decay=1e-3, fused=True)
    ids = torch.randint(5, config.vocab_size, (arguments.batch, arguments.length)).to(arguments.device)
    labels = torch.arange(arguments.batch, device=arguments.device) % 2
    mask = torch.ones_like(ids)
    run = torch.compile(model) if arguments.compile else model
    warm_up = 3 if arguments.compile else 1
    seconds, processor, loss = [], [], None
    for _ in range(arguments.steps + warm_up):
        start, before = time.perf_counter(), time.process_time()
        with torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.precision == "autocast"):
            if is_language_model:
                loss = run(input_ids=ids, attention_mask=mask, labels=ids).loss
            else:
                hidden = run(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
                logits = head(hidden.to(torch.float32))
        if not is_language_model:
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - before)
    median = statistics.median(seconds[warm_up:])
    report = {
        "engine": f"torch {torch.__version__}",
        "precision": arguments.precision,
        "tokensPerSecond": arguments.batch * arguments.length / median,
        "secondsPerStep": median,
        "processorSecondsPerStep": statistics.median(processor[warm_up:]),
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": loss.item(),
        "trainableParameters": sum(p.numel() for p in trainable),
    }
    print(json.dumps(report))


def make_trainable(torch, model, method, rank):
    """Wraps and freezes as AutoGluon does; returns the parameters that train."""
    targets = [re.compile(p) for p in ("query", "value", "^q$", "^v$", "^k$", "^o$")]
    kind = "ia3" if method.startswith("ia3") else "lora" if method.startswith("lora") else None
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    added = []
    if kind:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, torch.nn.Linear) and any(p.match(name) for p in targets):
                    setattr(parent, name, Wrapped.make(torch, child, kind, rank, added))
    norms = {
        id(p) for m in model.modules() if isinstance(m, torch.nn.LayerNorm) for p in m.parameters()
    }
    for name, parameter in model.named_parameters():
        wants_bias = (
            method.endswith("_bias")
            or method.endswith("_norm")
            or method in ("bit_fit", "norm_fit")
        )
        wants_norm = method.endswith("_norm") or method == "norm_fit"
        if (
            (wants_bias and re.match(".*bias*.", name))
            or (wants_norm and id(parameter) in norms)
            or any(part in name for part in ("pooler", "final_layer_norm"))
        ):
            parameter.requires_grad_(True)
    return [p for p in model.parameters() if p.requires_grad]


class Wrapped:
    """A linear layer with an IA3 vector on its output, or LoRA beside it."""

    @staticmethod
    def make(torch, linear, kind, rank, added):
        class Module(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.base = linear
                if kind == "ia3":
                    self.lora_b = torch.nn.Parameter(torch.ones(linear.out_features))
                else:
                    self.lora_a = torch.nn.Parameter(torch.randn(rank, linear.in_features) / rank)
                    self.lora_b = torch.nn.Parameter(torch.zeros(linear.out_features, rank))

            @property
            def weight(self):
                return self.base.weight

            def forward(self, x):
                y = self.base(x)
                if kind == "ia3":
                    return (y * self.lora_b).to(y.dtype)
                x = x.to(self.lora_a.dtype)
                return y + ((x @ self.lora_a.T) @ self.lora_b.T).to(y.dtype)

        module = Module()
        added.append(module)
        return module


if __name__ == "__main__":
    main()
