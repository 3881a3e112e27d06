"""Fine-tunes an encoder with PyTorch and PEFT on English topics and scores other languages: what the toolkit is compared with.

    python score_encoder.py --model DIR --data DIR --method ia3_bias --split dev --seeds 0 1 2 [--lr 2e-2 --epochs 3 --batch 16 --length 32]

DATA holds <lang>_<train|dev|test>.tsv with topic and text. ia3_bias: PEFT's IA3 on query and value projections, all biases
and a linear head on the first token's state train; lora: rank 8 on the same projections, and the head. AdamW, rates that
fall by 0.9 per layer from the head down, a tenth of warm-up, cosine; the best of the checks on English dev counts.
Needs torch, transformers, peft.
"""
import argparse, copy, json, math, os
import numpy as np
import torch
import torch.nn.functional as F
from peft import IA3Config, LoraConfig, inject_adapter_in_model
from transformers import AutoModel, PreTrainedTokenizerFast


def read(data, language, split):
    with open(f"{data}/{language}_{split}.tsv", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    return [row[1] for row in rows], [row[0] for row in rows]


class Classifier(torch.nn.Module):
    def __init__(self, folder, method, classes):
        super().__init__()
        body = AutoModel.from_pretrained(folder, dtype=torch.float32)
        targets = ["query_proj", "value_proj"]
        body = inject_adapter_in_model(
            LoraConfig(r=8, lora_alpha=8, target_modules=targets)
            if method == "lora"
            else IA3Config(target_modules=targets, feedforward_modules=[]),
            body,
        )
        self.body, self.head = body, torch.nn.Linear(body.config.hidden_size, classes)
        torch.nn.init.xavier_uniform_(self.head.weight), torch.nn.init.zeros_(self.head.bias)
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(
                "lora_" in name or "ia3_" in name or (method == "ia3_bias" and "bias" in name)
            )

    def forward(self, ids):
        return self.head(
            self.body(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state[:, 0]
        )


def depth(name, layers):
    if name.startswith("head"):
        return 0
    return layers - int(name.split("layer.")[1].split(".")[0]) if ".layer." in name else layers + 1


def train(args, texts, seed):
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = Classifier(args.model, args.method, len(texts["classes"]))
    layers = model.body.config.num_hidden_layers
    groups = [
        {
            "params": [p],
            "base": args.lr * 0.9 ** depth(n, layers),
            "weight_decay": 0.0 if "bias" in n else 0.001,
        }
        for n, p in model.named_parameters()
        if p.requires_grad
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, eps=1e-6)
    ids, labels = texts["train"]
    steps = math.ceil(len(ids) / args.batch) * args.epochs
    step, best, kept = 0, -1, None
    for _ in range(args.epochs):
        model.train()
        order = random.permutation(len(ids))
        for start in range(0, len(ids), args.batch):
            warm = int(steps * 0.1)
            rate = (
                step / warm
                if step < warm
                else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
            )
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * rate
            chosen = torch.from_numpy(order[start : start + args.batch])
            batch = ids[chosen]
            loss = F.cross_entropy(
                model(batch[:, : int((batch != 0).sum(1).max())]), labels[chosen]
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
        accuracy = score(model, *texts["en_dev"])
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(
                {n: p for n, p in model.named_parameters() if p.requires_grad}
            )
    model.load_state_dict(kept, strict=False)
    return model, sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def score(model, ids, labels):
    model.eval()
    return sum(
        int((model(ids[i : i + 64]).argmax(1) == labels[i : i + 64]).sum())
        for i in range(0, len(ids), 64)
    ) / len(ids)


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--model", required=True)
    ap.add_argument("--data", required=True)
    ap.add_argument("--method", choices=["ia3_bias", "lora"], default="ia3_bias")
    ap.add_argument("--split", choices=["dev", "test"], default="dev")
    ap.add_argument("--languages", nargs="+", default=["en", "de", "ja", "fr", "es", "zh"])
    ap.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    ap.add_argument("--lr", type=float, default=2e-2)
    ap.add_argument("--epochs", type=int, default=3)
    ap.add_argument("--batch", type=int, default=16)
    ap.add_argument("--length", type=int, default=32)
    ap.add_argument("--threads", type=int, default=1)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=f"{args.model}/tokenizer.json", pad_token="[PAD]", padding_side="right"
    )
    texts, topics = read(args.data, "en", "train")
    classes = sorted(set(topics))

    def encode(texts, topics):
        ids = tokenizer(
            texts, truncation=True, max_length=args.length, padding=True, return_tensors="pt"
        ).input_ids
        return ids, torch.tensor([classes.index(topic) for topic in topics])

    data = {
        "classes": classes,
        "train": encode(texts, topics),
        "en_dev": encode(*read(args.data, "en", "dev")),
    }
    scored = {
        language: encode(*read(args.data, language, args.split)) for language in args.languages
    }
    results = []
    for seed in args.seeds:
        model, trainable = train(args, data, seed)
        results.append(
            {language: round(score(model, *scored[language]), 4) for language in args.languages}
        )
        print(json.dumps({"seed": seed, "trainable": trainable, **results[-1]}), flush=True)
    print(
        json.dumps(
            {
                "mean": {
                    language: round(float(np.mean([r[language] for r in results])), 4)
                    for language in args.languages
                },
                "settings": {
                    k: getattr(args, k)
                    for k in ("method", "split", "lr", "epochs", "batch", "length")
                },
            }
        )
    )


if __name__ == "__main__":
    main()
