"""Counts what PEFT trains, from configs alone: `peft_counts.py REQUESTS.json`, a list of
{model, head, adapter, own_targets}; prints a list of numbers, or why there is none."""

import json
import sys

import torch
import transformers
from peft import PeftConfig, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

CLASSES = {
    "none": transformers.AutoModel,
    "causal-lm": transformers.AutoModelForCausalLM,
    "seq2seq-lm": transformers.AutoModelForSeq2SeqLM,
}


def adapter_config(values, own_targets):
    """The config as PEFT reads it from a file, but for training; with the targets that PEFT takes when none are named."""
    if own_targets:
        target = "all-linear" if own_targets == "all-linear" else None
        values = {
            k: target if k == "target_modules" else v
            for k, v in values.items()
            if k != "feedforward_modules"
        }
    cls = PEFT_TYPE_TO_CONFIG_MAPPING[values["peft_type"]]
    return cls(**{**PeftConfig.check_kwargs(**values), "inference_mode": False})


def count(request):
    values = dict(request["model"])
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):
        model = CLASSES[request["head"]].from_config(config)
        if request["head"] == "seq2seq-lm" and not hasattr(
            model, "_prepare_encoder_decoder_kwargs_for_generation"
        ):
            model._prepare_encoder_decoder_kwargs_for_generation = None  # peft 0.21 asks for it
        trainable, _ = get_peft_model(
            model, adapter_config(request["adapter"], request.get("own_targets"))
        ).get_nb_trainable_parameters()
    return trainable


def count_or_reason(request):
    try:
        return count(request)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"


transformers.logging.set_verbosity_error()
with open(sys.argv[1]) as file:
    print(json.dumps([count_or_reason(request) for request in json.load(file)]))
