#!/usr/bin/env python3
"""Makes the golden cases of @peft/preference with TRL's own trainers.

    python tools/golden/preference/make_preference_cases.py

Needs trl 1.13, peft, transformers and torch (CPU). Reads the tiny models of
packages/testing/fixtures/models, writes packages/preference/test/fixtures/*.json.

Each case has the tokens that the trainer made of the rows, and for every loss the loss of the whole
batch, the log-probabilities, the metrics, and of each LoRA gradient g its norm and its projection
sum_i g_i cos(i + 1): two numbers in float64 that no other gradient of interest shares.

The adapter is no file: element i of the k-th LoRA tensor is 0.1 sin(0.37 i + k), tensors in the order
of their names.
"""
import json
import logging
import math
import os
import tempfile
import warnings
from pathlib import Path

os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TRL_EXPERIMENTAL_SILENCE": "1"})
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer
from trl.trainer.utils import nanstd
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "packages/testing/fixtures/models"
OUT = ROOT / "packages/preference/test/fixtures"
TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
ROWS = [
    {"prompt": "What is the capital of France?", "chosen": " It is Paris.", "rejected": " It is the city of Rome."},
    {"prompt": "Name a fruit.", "chosen": " An apple is one, and so is a pear.", "rejected": " Stone."},
    {"prompt": "Count to three, slowly and with care:", "chosen": " one two three", "rejected": " one one four five"},
    {"prompt": "Say hello", "chosen": " Hello there!", "rejected": " No."},
]
CHATS = [
    {
        "prompt": [{"role": "user", "content": "Is water wet?"}],
        "chosen": [{"role": "assistant", "content": "Yes, it is."}],
        "rejected": [{"role": "assistant", "content": "Who knows"}],
    }
]
LABELS = [True, False, True, True]
MAX_LENGTH = 24  # cuts some of the rows


def base(name, head=AutoModelForCausalLM, **options):
    return head.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager", **options)


def lora(dropout=0.0, **options):
    """Given to the trainer beside the base: what the trainer gets as a PEFT model it takes for the reference."""
    return LoraConfig(r=2, lora_alpha=4, lora_dropout=dropout, target_modules=["q_proj", "v_proj"], **options)


def loras(model):
    return sorted((n, p) for n, p in model.named_parameters() if "lora_" in n)


def fill(model):
    with torch.no_grad():
        for k, (_, p) in enumerate(loras(model)):
            i = torch.arange(p.numel(), dtype=torch.float64)
            p.copy_((0.1 * torch.sin(0.37 * i + k)).to(torch.float32).reshape(p.shape))


def gradients(model):
    made = {}
    for name, p in loras(model):
        g = p.grad.double().flatten()
        i = torch.arange(g.numel(), dtype=torch.float64)
        short = name.replace("base_model.model.", "").replace(".default", "")
        made[short] = [float(g.norm()), float((g * torch.cos(i + 1)).sum())]
    return made


def common(**more):
    return dict(
        output_dir=tempfile.mkdtemp(), report_to="none", use_cpu=True, bf16=False, gradient_checkpointing=False,
        per_device_train_batch_size=len(ROWS), logging_steps=1, **more,
    )


def measured(trainer, key="train"):
    metrics = trainer._metrics[key] if hasattr(trainer, "_metrics") else trainer._stored_metrics[key]
    return {name: float(values[-1]) for name, values in metrics.items() if values}


def run(trainer, examples=None):
    """Loss of all rows as one batch, and the gradients. In the order of the rows."""
    model = trainer.model
    fill(model)
    model.train()
    model.zero_grad()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(trainer.train_dataset))])
    loss = trainer.compute_loss(model, batch)
    loss.backward()
    return {"loss": float(loss.detach()), "metrics": measured(trainer), "gradients": gradients(model)}


def tokens(dataset, *columns):
    return [{name: list(row[name]) for name in columns} for row in dataset]


DPO = {
    "sigmoid": {},
    "sigmoid_beta": {"beta": 0.5},
    "hinge": {"loss_type": ["hinge"]},
    "ipo": {"loss_type": ["ipo"]},
    "robust": {"loss_type": ["robust"], "label_smoothing": 0.1},
    "exo_pair": {"loss_type": ["exo_pair"], "label_smoothing": 0.1},
    "nca_pair": {"loss_type": ["nca_pair"]},
    "bco_pair": {"loss_type": ["bco_pair"]},
    "sppo_hard": {"loss_type": ["sppo_hard"]},
    "apo_zero": {"loss_type": ["apo_zero"]},
    "apo_down": {"loss_type": ["apo_down"]},
    "discopop": {"loss_type": ["discopop"]},
    "sigmoid_norm": {"loss_type": ["sigmoid_norm"]},
    "rpo": {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7]},
    "hinge_beta": {"loss_type": ["hinge"], "beta": 2.0},
    "ipo_beta": {"loss_type": ["ipo"], "beta": 0.5},
    "ipo_likelihood": {"loss_type": ["ipo", "sft"], "loss_weights": [1.0, 0.7]},
    "robust_beta": {"loss_type": ["robust"], "label_smoothing": 0.3, "beta": 0.5},
    "exo_pair_beta": {"loss_type": ["exo_pair"], "label_smoothing": 0.3, "beta": 0.5},
    "nca_pair_beta": {"loss_type": ["nca_pair"], "beta": 0.5},
    "bco_pair_beta": {"loss_type": ["bco_pair"], "beta": 0.5},
    "sppo_hard_beta": {"loss_type": ["sppo_hard"], "beta": 0.5},
    "apo_zero_beta": {"loss_type": ["apo_zero"], "beta": 0.5},
    "apo_down_beta": {"loss_type": ["apo_down"], "beta": 0.5},
    "discopop_beta": {"loss_type": ["discopop"], "beta": 0.5},
    "sigmoid_norm_beta": {"loss_type": ["sigmoid_norm"], "beta": 0.5},
}


def dpo(name, tokenizer):
    cases = {}
    rows = None
    for case, options in DPO.items():
        trainer = DPOTrainer(
            base(name), peft_config=lora(), args=DPOConfig(**common(max_length=MAX_LENGTH, **options)),
            train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
        )
        rows = tokens(trainer.train_dataset, "prompt_ids", "chosen_ids", "rejected_ids")
        cases[case] = {"options": options, **run(trainer)}
    for case, options, dropout in (
        ("keep_end", {"truncation_mode": "keep_end"}, 0.0), ("lora_dropout", {}, 0.3),
    ):
        trainer = DPOTrainer(
            base(name), peft_config=lora(dropout), args=DPOConfig(**common(max_length=MAX_LENGTH, **options)),
            train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
        )
        cases[case] = {"options": options, **run(trainer)}
    tokenizer.chat_template = TEMPLATE
    chat = DPOTrainer(
        base(name), peft_config=lora(), args=DPOConfig(**common(max_length=64)),
        train_dataset=Dataset.from_list(CHATS), processing_class=tokenizer,
    )
    chats = tokens(chat.train_dataset, "prompt_ids", "chosen_ids", "rejected_ids")
    return {"tokens": rows, "chatTokens": chats, "cases": cases}


CPO = {
    "cpo": {},
    "cpo_smoothed": {"label_smoothing": 0.2, "cpo_alpha": 0.5},
    "cpo_beta": {"beta": 0.5},
    "simpo": {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.0},
    "simpo_likelihood": {
        "loss_type": "simpo", "cpo_alpha": 0.7, "beta": 2.0, "simpo_gamma": 0.5, "label_smoothing": 0.2,
    },
}


def without_reference(name, tokenizer):
    cases = {}

    def one(case, Trainer, Config, options, dropout=0.0):
        trainer = Trainer(
            base(name), peft_config=lora(dropout), args=Config(**common(max_length=256, **options)),
            train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
        )
        cases[case] = {"options": options, **run(trainer)}
        loss, metrics = trainer.get_batch_loss_metrics(
            trainer.model, trainer.data_collator([trainer.train_dataset[i] for i in range(len(ROWS))]), "train")
        cases[case]["metrics"] = metrics

    for case, options in CPO.items():
        one(case, CPOTrainer, CPOConfig, options)
    one("orpo", ORPOTrainer, ORPOConfig, {})
    one("orpo_beta", ORPOTrainer, ORPOConfig, {"beta": 0.5})
    one("orpo_lora_dropout", ORPOTrainer, ORPOConfig, {}, dropout=0.3)
    return {"cases": cases}


KTO = {
    "kto": {},
    "kto_weighted": {"desirable_weight": 1.3, "undesirable_weight": 0.6, "beta": 0.3},
    "apo_zero_unpaired": {"loss_type": "apo_zero_unpaired"},
    "apo_zero_unpaired_weighted": {
        "loss_type": "apo_zero_unpaired", "desirable_weight": 1.3, "undesirable_weight": 0.6, "beta": 0.3,
    },
}


def kto(name, tokenizer):
    cases = {}
    rows = [
        {"prompt": row["prompt"], "completion": row["chosen" if label else "rejected"], "label": label}
        for row, label in zip(ROWS, LABELS)
    ]
    for case, options in {**KTO, "kto_lora_dropout": {}}.items():
        trainer = KTOTrainer(
            base(name), peft_config=lora(0.3 if case == "kto_lora_dropout" else 0.0), args=KTOConfig(**common(max_length=MAX_LENGTH, **options)),
            train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        )
        cases[case] = {"options": options, **run(trainer)}
    return {"rows": rows, "cases": cases}


REWARD = {"reward": {}, "reward_centered": {"center_rewards_coefficient": 0.3}, "reward_margin": {}}
MARGINS = [0.5, 0.0, 1.5, 0.25]


def reward(name, tokenizer, targets, head):
    """A decoder reads the last token of a sequence, an encoder the first through its pooler."""
    cases = {}
    for case, options in REWARD.items():
        rows = [{**row, "margin": m} for row, m in zip(ROWS, MARGINS)] if case == "reward_margin" else ROWS
        config = LoraConfig(r=2, lora_alpha=4, target_modules=targets, modules_to_save=[head], task_type="SEQ_CLS")
        model = base(name, AutoModelForSequenceClassification, num_labels=1, ignore_mismatched_sizes=True)
        if tokenizer.eos_token is None:  # TRL would close texts by it: it is given tokens here
            rows = [
                {f"{side}_ids": tokenizer(row["prompt"] + row[side])["input_ids"] for side in ("chosen", "rejected")}
                | ({"margin": row["margin"]} if "margin" in row else {})
                for row in rows
            ]
        trainer = RewardTrainer(
            model, peft_config=config, args=RewardConfig(**common(max_length=64, **options)),
            train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        )
        with torch.no_grad():
            for n, p in trainer.model.named_parameters():
                if f"{head}.modules_to_save" in n:
                    i = torch.arange(p.numel(), dtype=torch.float64)
                    p.copy_((0.2 * torch.cos(0.71 * i)).to(torch.float32).reshape(p.shape))
        cases[case] = {"options": options, **run(trainer)}
        ids = tokens(trainer.train_dataset, "chosen_ids", "rejected_ids")
    return {"tokens": ids, "margins": MARGINS, "head": head, "targets": targets, "cases": cases}


GRPO = {
    "dapo": {"loss_type": "dapo"},
    "grpo": {"loss_type": "grpo"},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "grpo_kl": {"loss_type": "grpo", "beta": 0.3, "epsilon": 0.1, "epsilon_high": 0.25},
    "dapo_kl": {"loss_type": "dapo", "beta": 0.3, "epsilon": 0.1, "epsilon_high": 0.25},
    "dr_grpo_kl": {"loss_type": "dr_grpo", "beta": 0.3, "epsilon": 0.1, "epsilon_high": 0.25},
}
REWARDS = [1.0, 0.0, 0.5, 2.0, -1.0, 0.25]
GROUP = 3


def grpo(name, tokenizer):
    """Two groups of three completions that are given, with an older policy for the ratios."""
    prompts = [tokenizer(row["prompt"])["input_ids"] for row in ROWS[:2] for _ in range(GROUP)]
    texts = [" Paris", " It is Rome, I think.", " no", " apple", " An apple and a pear", " ?"]
    completions = [tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for text in texts]
    rewards = torch.tensor(REWARDS)
    grouped = rewards.view(-1, GROUP)
    centered = (grouped - grouped.mean(dim=1, keepdim=True)).flatten()
    scaled = {
        "group": centered / (nanstd(grouped, dim=1).repeat_interleave(GROUP) + 1e-4),
        "batch": centered / (nanstd(rewards) + 1e-4),
        "none": centered,
    }
    pad = tokenizer.pad_token_id
    left, right = max(map(len, prompts)), max(map(len, completions))
    inputs = {
        "prompt_ids": torch.tensor([[pad] * (left - len(p)) + p for p in prompts]),
        "prompt_mask": torch.tensor([[0] * (left - len(p)) + [1] * len(p) for p in prompts]),
        "completion_ids": torch.tensor([c + [pad] * (right - len(c)) for c in completions]),
        "completion_mask": torch.tensor([[1] * len(c) + [0] * (right - len(c)) for c in completions]),
        "advantages": scaled["group"],
        "num_items_in_batch": torch.tensor(float(sum(map(len, completions)))),
    }
    cases = {}
    for case, options in GRPO.items():
        args = common(max_completion_length=32, num_generations=GROUP, disable_dropout=True, **options)
        args["per_device_train_batch_size"] = len(completions)
        trainer = GRPOTrainer(
            base(name), reward_funcs=lambda completions, **_: [0.0] * len(completions), peft_config=lora(),
            args=GRPOConfig(**args), train_dataset=Dataset.from_list([{"prompt": "a"}] * 4), processing_class=tokenizer,
        )
        model = trainer.model
        fill(model)
        model.train()
        trainer.current_gradient_accumulation_steps = 1
        whole = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)

        def logps():
            return trainer._get_per_token_logps_and_entropies(model, whole, mask, right)[0]

        with torch.no_grad():
            now = logps()
            i = torch.arange(now.numel(), dtype=torch.float32).reshape(now.shape)
            # element i of the padded matrix was that much more likely to the policy that sampled
            old = now + 0.4 * torch.sin(i)
            with model.disable_adapter():
                reference = logps()
        model.zero_grad()
        loss = trainer._compute_loss(model, {**inputs, "old_per_token_logps": old, "ref_per_token_logps": reference})
        loss.backward()
        cases[case] = {
            "options": options, "loss": float(loss.detach()), "gradients": gradients(model),
            "metrics": {"kl": measured(trainer).get("kl", 0.0), "clip_ratio": measured(trainer)["clip_ratio/region_mean"]},
        }
        keep = inputs["completion_mask"].bool()
        cases[case]["old"] = [row[k].tolist() for row, k in zip(old, keep)]
        cases[case]["reference"] = [row[k].tolist() for row, k in zip(reference, keep)]
    return {
        "prompts": prompts, "completions": completions, "rewards": REWARDS, "group": GROUP,
        "advantages": {k: v.tolist() for k, v in scaled.items()}, "cases": cases,
    }


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return value


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name in ("llama", "qwen3"):
        fresh = lambda: AutoTokenizer.from_pretrained(MODELS / name)
        made = {
            "model": name, "rows": ROWS, "chats": CHATS, "template": TEMPLATE, "maxLength": MAX_LENGTH,
            "dpo": dpo(name, fresh()), "withoutReference": without_reference(name, fresh()), "kto": kto(name, fresh()),
        }
        (OUT / f"{name}.json").write_text(json.dumps(rounded(made), separators=(",", ":")) + "\n")
        print(name, os.path.getsize(OUT / f"{name}.json"))
    made = {name: grpo(name, AutoTokenizer.from_pretrained(MODELS / name)) for name in ("llama", "qwen3")}
    (OUT / "grpo.json").write_text(json.dumps(rounded(made), separators=(",", ":")) + "\n")
    heads = {"llama": (["q_proj", "v_proj"], "score"), "bert": (["query", "value"], "classifier")}
    rewards = {
        name: reward(name, AutoTokenizer.from_pretrained(MODELS / name), *of) for name, of in heads.items()
    }
    made = {"rows": ROWS, "models": rewards}
    (OUT / "reward.json").write_text(json.dumps(rounded(made), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
