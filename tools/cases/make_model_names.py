"""Lists parameters and modules as transformers names them: python tools/cases/make_model_names.py MODELS_FOLDER > names.json

For each folder with a config.json and each head: the parameters in order with their shapes, and the paths of linear, norm and embedding
modules. Needs torch and transformers. Models are built without values.
"""
import json
import sys
from pathlib import Path

import torch
import transformers as tf
from transformers.pytorch_utils import Conv1D

HEADS = {
    "none": tf.AutoModel,
    "sequence-classification": tf.AutoModelForSequenceClassification,
    "token-classification": tf.AutoModelForTokenClassification,
    "causal-lm": tf.AutoModelForCausalLM,
    "seq2seq-lm": tf.AutoModelForSeq2SeqLM,
}
ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "deberta-v2", "distilbert", "modernbert")


def describe(model):
    modules = {"linear": [], "norm": [], "embedding": []}
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            modules["linear"].append(name)
        elif isinstance(module, torch.nn.Embedding):
            modules["embedding"].append(name)
        elif "Norm" in type(module).__name__:
            modules["norm"].append(name)
    return {"parameters": {name: list(p.shape) for name, p in model.named_parameters()}, **modules}


def build(kind, config):
    if kind == "none" and config.model_type in ("t5", "mt5"):
        return (tf.T5EncoderModel if config.model_type == "t5" else tf.MT5EncoderModel)(config)
    return HEADS[kind].from_config(config)


def heads_of(model_type):
    if model_type in ("t5", "mt5"):
        return ("none", "sequence-classification", "token-classification", "seq2seq-lm")
    tokens = (
        () if model_type == "gemma3_text" else ("token-classification",)
    )  # transformers has none
    return ("none", "sequence-classification", *tokens) + (
        () if model_type in ENCODERS else ("causal-lm",)
    )


result = {}
for path in sorted(Path(sys.argv[1]).glob("*/config.json")):
    raw = json.loads(path.read_text())
    raw["num_labels"] = 3
    raw.pop("id2label", None), raw.pop("label2id", None), raw.pop("architectures", None)
    config = tf.AutoConfig.for_model(raw.pop("model_type"), **raw)
    with torch.device("meta"):
        for kind in heads_of(config.model_type):
            result[f"{path.parent.name} {kind}"] = describe(build(kind, config))
print(
    "{\n"
    + ",\n".join(
        f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in result.items()
    )
    + "\n}"
)
