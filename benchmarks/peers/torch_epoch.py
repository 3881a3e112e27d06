#!/usr/bin/env python3
"""One epoch with the transformers Trainer, all settings at their defaults: the peer of `benchmarks/epoch.ts`, which writes --data.

The Trainer pads each batch to its longest row. Weights are random; dropout is off on both sides.
"""
import argparse
import json
import os
import resource
import sys
import tempfile
import time


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", required=True, help="a config.json")
    parser.add_argument(
        "--data",
        required=True,
        help='a JSON file: {"rows": [[token ids]], "labels": [int], "classes": int}',
    )
    parser.add_argument("--method", default="ia3_bias")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    try:
        import torch
        import transformers
        from tokenizers import Tokenizer, models
    except ImportError as error:
        sys.exit(f"torch_epoch: {error}. Install torch and transformers to measure the peer.")
    sys.path.insert(0, os.path.dirname(__file__))
    from torch_step import make_trainable

    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    with open(arguments.arch) as file:
        raw = json.load(file)
    with open(arguments.data) as file:
        data = json.load(file)
    config = transformers.AutoConfig.for_model(**raw)
    attention = "eager" if raw["model_type"].startswith("deberta") else "sdpa"
    body = transformers.AutoModel.from_config(config, attn_implementation=attention).float()
    make_trainable(torch, body, arguments.method, 8)
    for module in body.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body
            self.head = torch.nn.Linear(config.hidden_size, data["classes"])

        def forward(self, input_ids, attention_mask, labels):
            logits = self.head(
                self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[
                    :, 0
                ]
            )
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, "[UNK]")),
        pad_token="[PAD]",
        unk_token="[UNK]",
    )
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label}
        for ids, label in zip(data["rows"], data["labels"])
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            output_dir=folder,
            use_cpu=True,
            per_device_train_batch_size=arguments.batch,
            num_train_epochs=1,
            learning_rate=3e-3,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(
            model=Classifier(), args=settings, train_dataset=rows, processing_class=tokenizer
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    tokens = sum(len(ids) for ids in data["rows"])
    print(
        json.dumps(
            {
                "engine": f"torch {torch.__version__}, transformers {transformers.__version__}",
                "seconds": seconds,
                "tokensPerSecond": tokens / seconds,
                "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
