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
ENCODERS = ("bert", "roberta", "xlm-roberta", "electra", "deberta-v2", "distilbert", "modernbert",
            "camembert", "xlm-roberta-xl")


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
    encoders = {"t5": tf.T5EncoderModel, "mt5": tf.MT5EncoderModel, "umt5": tf.UMT5EncoderModel}
    if kind == "none" and config.model_type in encoders:
        return encoders[config.model_type](config)
    return HEADS[kind].from_config(config)


MAPPINGS = {
    "sequence-classification": tf.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "token-classification": tf.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    "causal-lm": tf.MODEL_FOR_CAUSAL_LM_MAPPING,
    "seq2seq-lm": tf.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
}


def heads_of(config):
    """The bare model and the heads that transformers has, but language models of encoders."""
    is_seq2seq = type(config) in tf.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    without = ("causal-lm",) if is_seq2seq or config.model_type in ENCODERS else ()
    return ["none"] + [
        kind
        for kind, mapping in MAPPINGS.items()
        if kind not in without and type(config) in mapping
    ]


result = {}
for path in sorted(Path(sys.argv[1]).glob("*/config.json")):
    raw = json.loads(path.read_text())
    raw["num_labels"] = 3
    raw.pop("id2label", None), raw.pop("label2id", None), raw.pop("architectures", None)
    config = tf.AutoConfig.for_model(raw.pop("model_type"), **raw)
    with torch.device("meta"):
        for kind in heads_of(config):
            result[f"{path.parent.name} {kind}"] = describe(build(kind, config))
print(
    "{\n"
    + ",\n".join(
        f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in result.items()
    )
    + "\n}"
)
